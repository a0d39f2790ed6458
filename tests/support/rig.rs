//! One test's place: a folder with configuration files and a model repository, topics and a group with names of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use modelmill::broker::kafka::client::delete_topics;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Lane, Worker, brokers, kafka};

/// A test's place; gone with everything in it when the test ends.
pub struct Rig {
    pub brokers: String,
    /// What the names of its topics and its group begin with.
    pub name: String,
    folder: TempDir,
    topics: Mutex<Vec<String>>,
}

impl Rig {
    /// A place of its own on the tests' Kafka, with a server file; `None` if there is no Kafka.
    pub fn new(label: &str) -> Option<Self> {
        brokers().map(|brokers| Self::on(brokers, label))
    }

    /// The same on another Kafka.
    pub fn on(brokers: String, label: &str) -> Self {
        static RIGS: AtomicU32 = AtomicU32::new(0);
        let name = format!("journey-{}-{}-{label}", std::process::id(), RIGS.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pipelines")).unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        let rig = Self { brokers, name, folder, topics: Mutex::default() };
        rig.server(|_| {});
        rig
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The consumer group of its workers.
    pub fn group(&self) -> String {
        format!("{}.workers", self.name)
    }

    /// Writes the server file; `change` sees it as a JSON value, which is YAML, too.
    pub fn server(&self, change: impl FnOnce(&mut Value)) {
        let mut server = json!({
            "kafka": {"brokers": self.brokers, "group": self.group()},
            "models": {"repository": self.folder().join("models"), "serve": ["*"]},
            "admin": {"listen": "127.0.0.1:0"},
            "crash_journal": {"directory": self.folder().join("journal")},
            "shutdown_timeout": "20s",
        });
        change(&mut server);
        fs::write(self.server_file(), server.to_string()).unwrap();
    }

    pub fn server_file(&self) -> PathBuf {
        self.folder().join("server.yaml")
    }

    pub fn pipelines(&self) -> PathBuf {
        self.folder().join("pipelines")
    }

    /// Puts a version of a model into the repository: a copy of the folder `from`, counted from the project's root.
    pub fn model(&self, name: &str, version: u32, from: &str) {
        let target = self.folder().join("models").join(name).join(version.to_string());
        fs::create_dir_all(&target).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
        for file in fs::read_dir(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display())) {
            let file = file.unwrap();
            fs::copy(file.path(), target.join(file.file_name())).unwrap();
        }
    }

    /// A pipeline with topics of its own: four partitions for requests, three for results, one for dead letters.
    pub fn lane(&self, name: &str, steps: Value) -> Lane {
        self.lane_with(name, steps, 4, |_| {})
    }

    /// The same with so many partitions for requests; `change` sees the pipeline file before it is written.
    pub fn lane_with(&self, name: &str, steps: Value, partitions: i32, change: impl FnOnce(&mut Value)) -> Lane {
        let topic = |kind: &str| format!("{}.{name}.{kind}", self.name);
        let (requests, results, dead_letters) = (topic("requests"), topic("results"), topic("dead-letters"));
        let large = [("max.message.bytes", "16000000")];
        for (topic, partitions) in [(&requests, partitions), (&results, 3), (&dead_letters, 1)] {
            kafka::create_topic(&self.brokers, topic, partitions, &large);
            self.owns(topic);
        }
        let lane = Lane::open(&self.brokers, requests, results, dead_letters);
        self.pipeline(name, &lane, steps, change);
        lane
    }

    /// Writes a pipeline file over the topics of `lane`.
    pub fn pipeline(&self, name: &str, lane: &Lane, steps: Value, change: impl FnOnce(&mut Value)) {
        let mut pipeline = json!({
            "name": name,
            "input": {"topics": [lane.requests]},
            "output": {"topic": lane.results, "dead_letter_topic": lane.dead_letters},
            "steps": steps,
        });
        change(&mut pipeline);
        self.pipeline_file(name, &pipeline);
    }

    /// Writes a pipeline file.
    pub fn pipeline_file(&self, name: &str, pipeline: &Value) {
        fs::write(self.pipelines().join(format!("{name}.yaml")), pipeline.to_string()).unwrap();
    }

    /// A topic to be deleted at the end.
    pub fn owns(&self, topic: &str) {
        self.topics.lock().unwrap().push(topic.to_owned());
    }

    /// The command that starts a worker.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        command.arg("worker").arg("--server").arg(self.server_file()).arg("--pipeline").arg(self.pipelines());
        command
    }

    /// Starts a worker and does not wait for it.
    pub fn start(&self) -> Worker {
        Worker::start(self.command())
    }

    /// Starts a worker and waits until it is ready.
    pub fn worker(&self) -> Worker {
        let worker = self.start();
        worker.wait_until_ready();
        worker
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let topics = self.topics.lock().unwrap();
        let names: Vec<_> = topics.iter().map(String::as_str).collect();
        if let Err(error) = delete_topics(&self.brokers, &names) {
            eprintln!("the topics of {} are left over: {error}", self.name);
        }
    }
}
