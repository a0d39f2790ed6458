//! A test's place with its models in a bucket: a server that can be broken, a proxy before it, a disk cache of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    faults::FaultProxy,
    s3::S3Server,
    support::{Lane, Rig, Worker, wait_for},
};

/// The bucket.
pub const BUCKET: &str = "models";
/// The folder of the version that all others are made of.
pub const IRIS: &str = "models/iris/1";

/// See the module.
pub struct Bucket {
    pub rig: Rig,
    pub server: S3Server,
    pub proxy: FaultProxy,
}

impl Bucket {
    /// An empty bucket, and workers that look at it five times a second through the proxy; `None` without Kafka or server.
    pub fn new(label: &str) -> Option<Self> {
        let server = S3Server::start()?;
        server.bucket(BUCKET);
        let proxy = FaultProxy::start(&server.address());
        let bucket = Self { rig: Rig::new(label)?, server, proxy };
        bucket.configure(|_| {});
        Some(bucket)
    }

    /// Writes the server file; `change` sees its `models` before.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let s3 = json!({
            "endpoint": format!("http://{}", self.proxy.address()),
            "credentials_file": self.server.credentials_file(),
        });
        let cache = json!({"directory": self.cache()});
        let repository = format!("s3://{BUCKET}");
        let mut models = json!({"repository": repository, "s3": s3, "poll_interval": "200ms", "cache": cache});
        change(&mut models);
        self.rig.server(|server| server["models"] = models);
    }

    /// The pipeline of these tests, which needs a file of the version beside the model.
    pub fn lane(&self) -> Lane {
        let labelled = json!({"argmax": {"column": "probabilities", "labels": "labels.txt", "into": "class"}});
        self.rig.lane("iris", json!([{"predict": {"model": "iris"}}, labelled]))
    }

    /// The folder of the disk cache.
    pub fn cache(&self) -> PathBuf {
        self.rig.folder().join("cache")
    }

    /// A version's folder on this disk, to be changed before it is pushed: a copy of iris, without a manifest.
    pub fn draft(&self, name: &str) -> PathBuf {
        let folder = self.rig.folder().join("drafts").join(name);
        fs::create_dir_all(&folder).unwrap();
        for file in ["model.onnx", "labels.txt"] {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(IRIS).join(file), folder.join(file)).unwrap();
        }
        folder
    }

    /// The manifest of a version with one more file.
    pub fn manifest_with(&self, file: &str, bytes: &[u8]) -> Vec<u8> {
        let draft = self.draft(file);
        fs::write(draft.join(file), bytes).unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_modelmill")).arg("manifest").arg(&draft).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::read(draft.join("manifest.json")).unwrap()
    }

    /// Uploads a version as an upload is done: whole, its manifest last.
    pub fn push(&self, version: u64) {
        self.push_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join(IRIS), version);
    }

    /// The same from another folder.
    pub fn push_folder(&self, folder: &Path, version: u64) {
        let mut push = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        push.arg("push").arg(folder).arg(format!("s3://{BUCKET}/iris/{version}"));
        self.server.environment(&mut push);
        let pushed = push.output().unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    }

    /// Puts a single object there, in the place of one that may be there.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.server.store(&format!("s3://{BUCKET}")).write(path, bytes.into(), true).unwrap();
    }

    /// Removes a single object.
    pub fn remove(&self, path: &str) {
        self.server.store(&format!("s3://{BUCKET}")).remove(path).unwrap();
    }
}

/// A file of the version that all others are made of.
pub fn original(file: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(IRIS).join(file)).unwrap()
}

/// What the admin endpoint tells of a version: its state and the reason.
pub fn told(worker: &Worker, version: u64) -> Option<(String, String)> {
    let index: Value = serde_json::from_str(&worker.post("/v2/repository/index").1).unwrap();
    let number = version.to_string();
    let entry = index.as_array().unwrap().iter().find(|entry| entry["version"] == number.as_str())?;
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("reason")))
}

/// Waits until the admin endpoint gives a reason of a version with `text` in it; it does not serve then.
pub fn wait_for_reason(worker: &Worker, version: u64, text: &str) {
    let mut last = None;
    wait_for(&format!("a reason of version {version} with {text:?}"), || {
        last = told(worker, version);
        let (state, reason) = last.as_ref()?;
        reason.contains(text).then(|| assert_ne!(state, "READY", "{reason}"))
    });
}
