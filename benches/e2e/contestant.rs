//! Those who compete: what each is, how it is started, and what the kernel says of its process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;

use super::workload::{Work, Workload};

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contestant {
    /// The worker.
    Modelmill,
    /// The worker with `delivery: exactly_once`.
    ExactlyOnce,
    /// The worker with `ordering: partition`.
    InOrder,
    /// A flat program without any product: `floor/`.
    Floor,
    /// A loop that gives every record back: what Kafka's client alone costs.
    Echo,
    /// `rivals/python`: confluent-kafka, orjson, numpy, ONNX Runtime; in batches.
    Python,
    /// `rivals/jvm`: Kafka's Java clients, Jackson, ONNX Runtime; in batches.
    Jvm,
    /// `rivals/jvm`: Kafka Streams with ONNX Runtime, record by record.
    Streams,
}

/// Where a contestant reads and writes.
#[derive(Clone)]
pub struct Post {
    pub brokers: String,
    pub group: String,
    /// Request topics; contestants other than modelmill take the first alone.
    pub requests: Vec<String>,
    pub results: String,
    /// Lines of `server.yaml` beside the necessary ones.
    pub server: String,
    /// Lines of the map `kafka:` in `server.yaml`.
    pub kafka: String,
}

impl Contestant {
    pub fn name(self) -> &'static str {
        match self {
            Self::Modelmill => "modelmill",
            Self::ExactlyOnce => "exactly once",
            Self::InOrder => "in order",
            Self::Floor => "floor",
            Self::Echo => "echo",
            Self::Python => "Python",
            Self::Jvm => "JVM, batching",
            Self::Streams => "Kafka Streams",
        }
    }

    /// Answers are looked at from the first number to the second, in parts of the requests in the topic: what comes before
    /// is start-up, and what a virtual machine compiles while it warms up.
    pub fn window(self, beside_jvm: bool) -> (f64, f64) {
        match (self, beside_jvm) {
            (Self::Jvm | Self::Streams, _) => (0.6, 1.0),
            (_, true) => (0.1, 0.5),
            // What the last transaction holds is not there for readers when the process is ended.
            (Self::ExactlyOnce, false) => (0.2, 0.9),
            (_, false) => (0.2, 1.0),
        }
    }

    pub fn is_jvm(self) -> bool {
        matches!(self, Self::Jvm | Self::Streams)
    }

    /// Whether its answers are the model's.
    pub fn predicts(self) -> bool {
        self != Self::Echo
    }

    /// Starts it.
    pub fn start(self, post: &Post, workload: &Workload) -> Running {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = match self {
            Self::Modelmill => modelmill(folder.path(), post, workload, ""),
            Self::ExactlyOnce => {
                let server = format!("{}\ndelivery: exactly_once", post.server);
                modelmill(folder.path(), &Post { server, ..post.clone() }, workload, "")
            }
            Self::InOrder => modelmill(folder.path(), post, workload, ", ordering: partition"),
            Self::Floor => itself("floor", post, workload),
            Self::Echo => itself("echo", post, workload),
            Self::Python => rival("python", post, workload),
            Self::Jvm => rival("jvm", post, workload),
            Self::Streams => rival("streams", post, workload),
        };
        command.stdout(Stdio::null());
        Running::start(command, folder)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The worker, with the defaults of its configuration but for what `post` says, and more about the pipeline's `output`.
fn modelmill(folder: &Path, post: &Post, workload: &Workload, output: &str) -> Command {
    let name = workload.model_name();
    let Post { brokers, group, kafka, .. } = post;
    let server = format!(
        "kafka: {{brokers: \"{brokers}\", group: {group}, {kafka}}}\nmodels: {{repository: {}}}\nadmin: {{listen: \"127.0.0.1:0\"}}\ncrash_journal: {{directory: \"{}\"}}\n{}\n",
        workload.model.parent().and_then(Path::parent).expect("a repository").display(),
        folder.join("journal").display(),
        post.server,
    );
    fs::write(folder.join("server.yaml"), server).unwrap();
    let pipelines = folder.join("pipelines");
    fs::create_dir(&pipelines).unwrap();
    for (index, requests) in post.requests.iter().enumerate() {
        let pipeline = format!(
            "name: bench-{index}\ninput: {{topics: [{requests}]}}\noutput: {{topic: {}{output}}}\ntimeout: 24h\nsteps: [{{predict: {{model: {name}}}}}]\n",
            post.results
        );
        fs::write(pipelines.join(format!("{index}.yaml")), pipeline).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
    command.arg("worker").arg("--server").arg(folder.join("server.yaml")).arg("--pipeline").arg(pipelines);
    command.env("MODELMILL_LOG", "warn");
    command
}

/// This program in another mode.
fn itself(mode: &str, post: &Post, workload: &Workload) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([mode, &post.brokers, &post.group, &post.requests[0], &post.results]).arg(&workload.model);
    command.arg(workload.work.rows_of_a_run().to_string());
    if workload.work == Work::IrisHeaders {
        command.arg("--headers");
    }
    command
}

fn rival(name: &str, post: &Post, workload: &Workload) -> Command {
    let mut command = Command::new(root().join("benches/e2e/rivals/run"));
    command.args([name, &post.brokers, &post.group, &post.requests[0], &post.results]).arg(&workload.model);
    command
}

/// A contestant's process; it is killed when this is dropped.
pub struct Running {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Running {
    /// Starts what reads its files in `folder`.
    pub fn start(mut command: Command, folder: tempfile::TempDir) -> Self {
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self { process, _folder: folder }
    }

    fn proc(&self, file: &str) -> String {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.process.id()));
        fs::read_to_string(path).expect("the contestant is running")
    }

    /// User and system time so far.
    pub fn cpu(&self) -> Duration {
        let text = self.proc("stat");
        let fields: Vec<_> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    /// The most memory that was resident at once, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM")
    }

    /// The memory that is resident now, in MiB.
    pub fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS")
    }

    fn memory_mib(&self, what: &str) -> f64 {
        let text = self.proc("status");
        let line = text.lines().find(|line| line.starts_with(what)).expect("the kernel says it");
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the process is our child and not yet waited for.
        let sent = unsafe { libc::kill(self.process.id() as i32, signal) };
        assert_eq!(sent, 0, "the contestant is running");
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Panics
    /// If it does not end well.
    pub fn stop(&mut self) {
        self.signal(libc::SIGTERM);
        let ended = self.process.wait().expect("it is our child");
        assert!(ended.success(), "a contestant that is asked to stop: {ended}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
