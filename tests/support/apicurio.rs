//! A real schema registry for one test: Apicurio on a free port, its schemas in memory.
//!
//! `scripts/fetch-apicurio.sh` brings the program; without it a test is skipped, which is said aloud, and where it must not
//! happen is a failure. The registry ends with its test, also when that fails.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::skip;

/// How long it may take to start, on a machine that has much else to do.
const START: Duration = Duration::from_secs(120);

/// A registry.
pub struct Apicurio {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Apicurio {
    /// Starts one without schemas; `None` if it is not here.
    ///
    /// # Panics
    /// If it is not here and `CI` is `true`, or it does not start.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            skip("Apicurio is not in .deps/apicurio (`make setup` fetches it)");
            return None;
        };
        // Between choosing a port and taking it, somebody else may take it: then again, with another.
        let mut said = String::new();
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let mut apicurio = Self { process: spawn(&program, folder.path(), port), port, folder };
            if apicurio.has_started() {
                return Some(apicurio);
            }
            said = apicurio.log();
        }
        panic!("Apicurio did not start within {START:?}: {said}");
    }

    /// Starts another one in the place of one that has ended: at the same address, and without its schemas.
    pub fn start_again(&mut self) {
        self.kill();
        self.process = spawn(&program().unwrap(), self.folder.path(), self.port);
        assert!(self.has_started(), "{}", self.log());
    }

    /// Where Confluent's interface is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Registers an Avro schema and says its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        self.register_as(subject, &json!({"schema": schema}))
    }

    /// Registers a schema in protobuf, which imports the first versions of these subjects by these names, and says its id.
    pub fn register_protobuf(&self, subject: &str, schema: &str, imports: &[(&str, &str)]) -> u32 {
        let reference = |(name, subject): &(&str, &str)| json!({"name": name, "subject": subject, "version": 1});
        let references: Vec<_> = imports.iter().map(reference).collect();
        self.register_as(subject, &json!({"schema": schema, "schemaType": "PROTOBUF", "references": references}))
    }

    fn register_as(&self, subject: &str, schema: &Value) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.url());
        let body = schema.to_string();
        let sent =
            agent().post(&url).header("content-type", "application/vnd.schemaregistry.v1+json").send(body.as_bytes());
        let text = sent.unwrap_or_else(|error| panic!("{url}: {error}")).body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")).try_into().unwrap()
    }

    /// The schema with this id.
    pub fn schema(&self, id: u32) -> Value {
        let url = format!("{}/schemas/ids/{id}", self.url());
        let text = agent().get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        serde_json::from_str(answer["schema"].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap()
    }

    /// It takes connections and answers nothing, until [`Self::thaw`].
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// It is gone, and so is what it knew.
    pub fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is ours and not yet waited for, so that the id is its own.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, signal) }, 0);
    }

    fn has_started(&mut self) -> bool {
        let deadline = Instant::now() + START;
        let url = format!("{}/subjects", self.url());
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            if agent().get(&url).call().is_ok_and(|answer| answer.status() == 200) {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        self.kill();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .into()
}

fn program() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".deps/apicurio/app");
    let is_runner = |file: &PathBuf| file.to_str().is_some_and(|file| file.ends_with("-runner.jar"));
    fs::read_dir(folder).ok()?.map(|file| file.unwrap().path()).find(is_runner)
}

fn spawn(program: &Path, folder: &Path, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut java = Command::new("setpriv");
    java.args([
        "--pdeathsig",
        "KILL",
        "java",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:TieredStopAtLevel=1",
    ]);
    java.args(["-Dquarkus.http.host=127.0.0.1".to_owned(), format!("-Dquarkus.http.port={port}")]);
    java.arg("-jar").arg(program).current_dir(folder);
    java.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
