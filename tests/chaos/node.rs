//! One broker of a cluster of its own: a process that is killed, frozen and started again, and the way by which workers reach it.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Child,
    time::Duration,
};

use super::random::Random;
use crate::support::{java::java, proxy::Proxy};

/// Enough for some topics with some hundred requests a second.
const HEAP: &str = "-Xmx320m";

/// A broker, which is a controller, too.
pub struct Node {
    pub id: usize,
    /// How workers reach it: the broker gives this address for its own to whoever asks by this way.
    pub way: Proxy,
    pub folder: PathBuf,
    ports: Ports,
    process: Option<Child>,
    /// Where the log of the process that runs now begins.
    log_begins: u64,
}

/// Where it listens: clients and other brokers, workers by way of the proxy, controllers.
#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    workers: u16,
    controllers: u16,
}

impl Node {
    /// A broker that does not run yet.
    pub fn new(id: usize, folder: PathBuf, random: &mut Random) -> Self {
        fs::create_dir(&folder).expect("the folder of the run is new");
        let ports = Ports { clients: free_port(random), workers: free_port(random), controllers: free_port(random) };
        let gate = TcpListener::bind(("127.0.0.1", free_port(random))).expect("the port was free a moment ago");
        let way = Proxy::listen(&format!("127.0.0.1:{}", ports.workers), gate);
        Self { id, way, folder, ports, process: None, log_begins: 0 }
    }

    /// Where clients and other brokers reach it.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports.clients).into()
    }

    /// What other controllers must know of it.
    pub fn voter(&self) -> String {
        format!("{}@127.0.0.1:{}", self.id, self.ports.controllers)
    }

    /// Writes its configuration; `shared` is what all nodes have in common.
    pub fn configure(&self, shared: &str) {
        let Ports { clients, workers, controllers } = self.ports;
        let (id, way, folder) = (self.id, self.way.address(), self.folder.display());
        let own = format!(
            "node.id={id}\n\
             listeners=CLIENTS://127.0.0.1:{clients},WORKERS://127.0.0.1:{workers},CONTROLLER://127.0.0.1:{controllers}\n\
             advertised.listeners=CLIENTS://127.0.0.1:{clients},WORKERS://{way}\n\
             log.dirs={folder}/data\n"
        );
        fs::write(self.configuration(), own + shared).expect("the folder is ours");
    }

    /// Writes what a broker wants to find in its data folder, for a cluster of its own. Takes a second or two.
    pub fn format(&self, cluster: &str) {
        let mut format = java(&self.folder, HEAP);
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config"]);
        let output = format.arg(self.configuration()).output().expect("`java` and `setpriv` can be started");
        assert!(output.status.success(), "Kafka's StorageTool: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Does the same with what it wrote for `other`: the name of the node and of the folder differ, nothing else.
    pub fn format_like(&self, other: &Node) -> io::Result<()> {
        let (from, to) = (other.folder.join("data"), self.folder.join("data"));
        fs::create_dir(&to)?;
        fs::copy(from.join("bootstrap.checkpoint"), to.join("bootstrap.checkpoint"))?;
        let properties = fs::read_to_string(from.join("meta.properties"))?;
        let lines = properties.lines().map(|line| match line.split_once('=') {
            Some(("node.id", _)) => format!("node.id={}\n", self.id),
            // 22 letters of URL-safe base64, as every id of Kafka; the last one holds two bits.
            Some(("directory.id", id)) => format!("directory.id={}{:03}{}\n", &id[..18], self.id, &id[21..]),
            _ => format!("{line}\n"),
        });
        fs::write(to.join("meta.properties"), lines.collect::<String>())
    }

    /// Starts it and does not wait for it.
    pub fn start(&mut self) {
        self.log_begins = fs::metadata(self.log()).map_or(0, |log| log.len());
        let console = File::options().create(true).append(true).open(self.folder.join("console.log"));
        let console = console.expect("the folder is ours");
        let mut broker = java(&self.folder, HEAP);
        broker.arg("kafka.Kafka").arg(self.configuration());
        broker.stdout(console.try_clone().expect("a file may be opened twice")).stderr(console);
        self.process = Some(broker.spawn().expect("`java` can be started: it formatted the folder"));
    }

    /// Whether it says that it has started, and takes connections.
    pub fn is_ready(&mut self) -> bool {
        let runs = self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)));
        runs && self.has_said("Kafka Server started")
            && TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).is_ok()
    }

    /// Whether it should run and does not.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| !matches!(process.try_wait(), Ok(None)))
    }

    /// Ends it as a power cut does, but for what the system has not written to the disk yet.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        drop(process.kill());
        drop(process.wait());
    }

    /// Stops it in its tracks: connections stay open and nobody answers.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        let Some(process) = &self.process else { return };
        let id = i32::try_from(process.id()).expect("process ids are small");
        // SAFETY: the process is ours and not yet waited for, so that the id is its own.
        unsafe { libc::kill(id, signal) };
    }

    /// Whether the process that runs now has logged `text`.
    fn has_said(&self, text: &str) -> bool {
        let read = || -> io::Result<Vec<u8>> {
            let (mut log, mut said) = (File::open(self.log())?, Vec::new());
            log.seek(SeekFrom::Start(self.log_begins))?;
            log.read_to_end(&mut said)?;
            Ok(said)
        };
        read().is_ok_and(|said| memchr::memmem::find(&said, text.as_bytes()).is_some())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Below the range out of which the system takes ports for outgoing connections, so that none of them is in the way while a
/// broker or a proxy is away.
fn free_port(random: &mut Random) -> u16 {
    loop {
        let port = 20_000 + u16::try_from(random.below(12_000)).expect("a small number");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
