//! A real S3 server for one test: versitygw on a free port, with a folder of its own for its buckets.
//!
//! `scripts/fetch-versitygw.sh` brings the program; without it a test is skipped, which is said aloud, and where it must not
//! happen is a failure. The server ends with its test, also when that fails.

#![allow(dead_code, reason = "each of the test programs that include this uses a part of it")]

use std::{
    fs,
    io::{self, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use modelmill::store::{S3Config, S3Store};
use tempfile::TempDir;

#[path = "certificates.rs"]
pub mod certificates;

const ACCESS: &str = "testkey";
const SECRET: &str = "testsecret";

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with nothing in it.
pub struct S3Server {
    process: Child,
    folder: TempDir,
    port: u16,
    scheme: &'static str,
    /// What it was told beside the usual.
    more: Vec<String>,
}

impl S3Server {
    /// Starts one; `None` if this machine has no versitygw.
    ///
    /// # Panics
    /// If there is none and `CI` is `true`, or it does not start.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// Starts one that publishes its event notifications to a topic, which must be there.
    pub fn start_publishing(brokers: &str, topic: &str) -> Option<Self> {
        Self::start_with(|_| ["--event-kafka-url", brokers, "--event-kafka-topic", topic].map(str::to_owned).into())
    }

    /// Starts one that speaks TLS as `localhost`, with a certificate that an authority of its own has signed: see
    /// [`Self::authority`].
    pub fn start_tls() -> Option<Self> {
        Self::start_tls_as("server")
    }

    /// The same with another certificate: `ca` is the authority's own.
    pub fn start_tls_as(certificate: &str) -> Option<Self> {
        let mut server = Self::start_with(|folder| {
            certificates::make(folder);
            let file = |name: &str| folder.join(name).display().to_string();
            let [pem, key] = ["pem", "key"].map(|end| file(&format!("{certificate}.{end}")));
            vec!["--cert".to_owned(), pem, "--key".to_owned(), key]
        })?;
        server.scheme = "https";
        Some(server)
    }

    /// Starts one with arguments that `more` makes of its folder.
    fn start_with(more: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let more = more(folder.path());
        fs::create_dir(folder.path().join("buckets")).unwrap();
        // Between choosing a port and taking it, somebody else may take it: then again, with another.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut process = spawn(&program, folder.path(), port, &more);
            if is_ready(&mut process, port) {
                let server = Self { process, folder, port, scheme: "http", more };
                server.write_credentials(SECRET);
                return Some(server);
            }
            drop(process.kill());
            drop(process.wait());
        }
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("versitygw did not start within {PATIENCE:?}: {log}");
    }

    /// Where it listens: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its address as a URL.
    pub fn endpoint(&self) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}", self.scheme, self.port)
    }

    /// The certificate of the authority that vouches for a server of [`Self::start_tls`].
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) {
        fs::create_dir(self.bucket_folder(name)).unwrap();
    }

    /// The folder of a bucket; its files are the objects.
    pub fn bucket_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("buckets").join(name)
    }

    /// How to reach it, with credentials of its own.
    pub fn config(&self) -> S3Config {
        S3Config {
            endpoint: Some(self.endpoint()),
            credentials_file: Some(self.credentials_file()),
            ..S3Config::default()
        }
    }

    /// The same through a proxy at this address.
    pub fn config_through(&self, address: &str) -> S3Config {
        S3Config { endpoint: Some(format!("http://{address}")), ..self.config() }
    }

    /// A repository on it.
    pub fn store(&self, url: &str) -> S3Store {
        S3Store::open(url, &self.config()).unwrap()
    }

    /// The file of credentials that [`Self::config`] names.
    pub fn credentials_file(&self) -> PathBuf {
        self.folder.path().join("credentials")
    }

    /// Writes that file with another secret.
    pub fn write_credentials(&self, secret: &str) {
        let text = format!("[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {secret}\n");
        fs::write(self.credentials_file(), text).unwrap();
    }

    /// What a process needs in its environment to reach it, and nothing else of AWS.
    pub fn environment(&self, command: &mut Command) {
        command.env("AWS_ACCESS_KEY_ID", ACCESS).env("AWS_SECRET_ACCESS_KEY", SECRET);
        command.env("AWS_ENDPOINT_URL", self.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    }

    /// Stops it in its tracks: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        // The signal is sent before every thread has seen it; one that has not might answer.
        let deadline = Instant::now() + PATIENCE;
        while !self.is_stopped() {
            assert!(Instant::now() < deadline, "versitygw does not stop");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all of its threads are stopped.
    fn is_stopped(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        tasks.flatten().all(|task| {
            // The state stands behind the name, which is in brackets; a thread that has gone does nothing.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again where it was, after [`Self::kill`].
    pub fn restart(&mut self) {
        self.process = spawn(&program().expect("it was there"), self.folder.path(), self.port, &self.more);
        assert!(is_ready(&mut self.process, self.port), "versitygw did not come back on its port");
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.process.id()).unwrap();
        // SAFETY: the process is ours and not yet waited for, so that the id is its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0, "versitygw has ended already");
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // SIGKILL ends a frozen process, too.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(program: &Path, folder: &Path, port: u16, more: &[String]) -> Child {
    let log = fs::File::create(folder.join("log")).unwrap();
    let port = format!("127.0.0.1:{port}");
    let mut command = Command::new(program);
    command.args(["--port", &port, "--access", ACCESS, "--secret", SECRET, "--region", "us-east-1", "--quiet"]);
    command.args(more).args(["--keep-alive", "posix"]).arg(folder.join("buckets")).current_dir(folder);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn is_ready(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && process.try_wait().unwrap().is_none() {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The server's program, or a word that there is none.
fn program() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/versitygw/versitygw");
    if path.is_file() {
        return Some(path);
    }
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let why = "there is no .deps/versitygw/versitygw (`make setup` builds it where there is Go)";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped: {why}");
    // Past the test harness, which keeps what a test prints to itself if it passes.
    io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
    None
}
