//! The models' place: a bucket, and the file system of the workers' cache, small enough to be filled.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{s3::S3Server, support::Worker};

const BUCKET: &str = "models";

/// A version weighs this, with a file of weights that no other version has.
const WEIGHT: usize = 1 << 20;

/// A bucket with versions of a model, and a cache for it on a file system of its own.
pub struct Disk {
    server: S3Server,
    mount: PathBuf,
    drafts: PathBuf,
    model: PathBuf,
    version: u8,
}

impl Disk {
    /// `None` where there is no S3 server, or no right to mount a file system, which is said aloud. `model` is the folder of a
    /// version.
    pub fn new(folder: &Path, model: &Path) -> Option<Self> {
        let server = S3Server::start()?;
        server.bucket(BUCKET);
        let (mount, drafts) = (folder.join("cache"), folder.join("drafts"));
        fs::create_dir(&mount).expect("the folder of the run is new");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&mount).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED full-disk: no right to mount a small file system");
            return None;
        }
        let mut disk = Self { server, mount, drafts, model: model.to_owned(), version: 0 };
        disk.push();
        Some(disk)
    }

    /// `models:` of the server file.
    pub fn models(&self) -> Value {
        json!({
            "repository": format!("s3://{BUCKET}"),
            "s3": {"endpoint": self.server.endpoint(), "credentials_file": self.server.credentials_file()},
            "cache": {"directory": self.mount.join("models"), "max_size": "6MiB"},
            "poll_interval": "500ms",
        })
    }

    /// The number of the newest version.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Uploads a new version: the same model, with other weights beside it.
    pub fn push(&mut self) {
        self.version = self.version.wrapping_add(1).max(1);
        let draft = self.drafts.join(self.version.to_string());
        fs::create_dir_all(&draft).expect("the folder of the run is ours");
        fs::copy(self.model.join("model.onnx"), draft.join("model.onnx")).expect("the model is in the tree");
        fs::write(draft.join("weights.bin"), vec![self.version; WEIGHT]).expect("the folder of the run is ours");
        let mut push = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        push.arg("push").arg(&draft).arg(format!("s3://{BUCKET}/spin/{}", self.version));
        self.server.environment(&mut push);
        let pushed = push.output().expect("the program is built");
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    }

    /// Takes what room there is.
    pub fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file of no length has room");
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives it back.
    pub fn free(&self) {
        drop(fs::remove_file(self.filler()));
    }

    /// Whether a worker serves the newest version.
    pub fn is_served_by(&self, worker: &Worker) -> bool {
        worker.page(&format!("/v2/models/spin/versions/{}/ready", self.version)).0 == 200
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A worker may be about to end; the folder is free at once.
        drop(Command::new("umount").arg("-l").arg(&self.mount).output());
    }
}
