//! A Kafka that lets nobody in without credentials, and nobody do what he is not allowed to: TLS, SASL and ACLs.
//!
//! It takes ten seconds to start, so that all tests share one. Beside the secured listeners it has one for the tests
//! themselves, who are its administrator there: topics and rights are made through that. It dies with the test program,
//! and its folder goes with it.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    sync::{Mutex, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{brokers, java::java};
use crate::s3::certificates;

/// The user of every mechanism.
pub const USER: &str = "worker";

/// What opens the client's key.
pub const KEY_PASSWORD: &str = "opens-the-key-8c1f";

/// How often other ports are tried, where others were faster.
const TRIES: usize = 5;

/// How long it may take to start, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

const HEAP: &str = "-Xmx320m";

/// The mechanisms, with the password of [`USER`] for each.
const PASSWORDS: [(&str, &str); 3] = [
    ("PLAIN", "plain-secret-51e7"),
    ("SCRAM-SHA-256", "scram256-secret-90ab"),
    ("SCRAM-SHA-512", "scram512-secret-77d3"),
];

/// The password of [`USER`] for a mechanism.
pub fn password(mechanism: &str) -> &'static str {
    PASSWORDS.iter().find(|(name, _)| *name == mechanism).expect("the broker knows this mechanism").1
}

/// A running broker.
pub struct Secured {
    /// Where the tests are its administrator.
    pub open: String,
    /// TLS, then a user and a password.
    pub sasl: String,
    /// TLS with a client's certificate.
    pub mtls: String,
    folder: PathBuf,
    process: Mutex<Child>,
}

static SECURED: OnceLock<Secured> = OnceLock::new();

/// The broker of all tests; `None` where no Kafka is to be used.
pub fn secured() -> Option<&'static Secured> {
    brokers()?;
    Some(SECURED.get_or_init(|| {
        // The broker dies with the thread that starts it; that of a test ends too soon.
        let (started, broker) = mpsc::channel();
        let lives_on = move || {
            started.send((0..TRIES).find_map(|_| Secured::start())).expect("somebody waits for it");
            loop {
                thread::park();
            }
        };
        thread::Builder::new().name("secured".to_owned()).spawn(lives_on).unwrap();
        // SAFETY: the function only looks at a static.
        unsafe { libc::atexit(end) };
        broker.recv().unwrap().expect("Kafka found free ports")
    }))
}

extern "C" fn end() {
    let Some(secured) = SECURED.get() else { return };
    if let Ok(mut process) = secured.process.lock() {
        drop(process.kill());
        drop(process.wait());
    }
    drop(fs::remove_dir_all(&secured.folder));
}

impl Secured {
    /// A file of its authority's: `ca.pem`, `client.pem` and `client.key`, whose name is [`USER`]; or `other/ca.pem`, of
    /// another authority.
    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    /// `None` if a port was taken meanwhile.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap().keep();
        let other = folder.join("other");
        fs::create_dir(&other).unwrap();
        certificates::make(&folder);
        certificates::make_client(&folder, USER, KEY_PASSWORD);
        certificates::make(&other);
        let ports = [(); 4].map(|()| free_port());
        configure(&folder, ports);
        format(&folder);
        let console = fs::File::create(folder.join("console.log")).unwrap();
        let mut broker = java(&folder, HEAP);
        broker.arg("kafka.Kafka").arg(folder.join("server.properties"));
        broker.stdout(console.try_clone().unwrap()).stderr(console);
        let mut process = broker.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while process.try_wait().unwrap().is_none() && !is_ready(&folder, &ports) {
            assert!(Instant::now() < deadline, "the secured Kafka is not ready after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(50));
        }
        if process.try_wait().unwrap().is_some() {
            let log = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
            fs::remove_dir_all(&folder).unwrap();
            let taken = log.contains("Address already in use") || log.contains("failed to bind");
            assert!(taken, "the secured Kafka does not start: {log}");
            return None;
        }
        let [open, sasl, mtls, _] = ports;
        let (open, sasl, mtls) =
            (format!("127.0.0.1:{open}"), format!("localhost:{sasl}"), format!("localhost:{mtls}"));
        Some(Self { open, sasl, mtls, folder, process: Mutex::new(process) })
    }
}

fn is_ready(folder: &Path, ports: &[u16]) -> bool {
    let said = fs::read_to_string(folder.join("broker.log")).unwrap_or_default();
    said.contains("Kafka Server started") && ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
}

/// Key and certificate stand in one file for Kafka.
fn configure(folder: &Path, [open, sasl, mtls, controller]: [u16; 4]) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join("keystore.pem"), read("server.key") + &read("server.pem")).unwrap();
    let (here, plain) = (folder.display(), password("PLAIN"));
    let jaas = "org.apache.kafka.common.security";
    let scram = ["256", "512"].map(|bits| {
        format!("listener.name.sasl.scram-sha-{bits}.sasl.jaas.config={jaas}.scram.ScramLoginModule required;\n")
    });
    let text = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=OPEN://127.0.0.1:{open},SASL://127.0.0.1:{sasl},MTLS://127.0.0.1:{mtls},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=OPEN://127.0.0.1:{open},SASL://localhost:{sasl},MTLS://localhost:{mtls}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,SASL:SASL_SSL,MTLS:SSL,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=OPEN\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={here}/data\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={here}/keystore.pem\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={here}/ca.pem\n\
         listener.name.mtls.ssl.client.auth=required\n\
         sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.sasl.plain.sasl.jaas.config={jaas}.plain.PlainLoginModule required user_{USER}=\"{plain}\";\n\
         {}{}\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.dedupe.buffer.size=4194304\n",
        scram[0], scram[1]
    );
    fs::write(folder.join("server.properties"), text).unwrap();
}

/// The users of SCRAM are part of what a broker is born with.
fn format(folder: &Path) {
    let mut format = java(folder, HEAP);
    format.args(["kafka.tools.StorageTool", "format", "--cluster-id", "c2VjdXJlZC1mb3ItdGVzdA", "--config"]);
    format.arg(folder.join("server.properties"));
    for (mechanism, password) in PASSWORDS.iter().filter(|(mechanism, _)| mechanism.starts_with("SCRAM")) {
        format.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={password}]"));
    }
    let output = format.output().unwrap();
    assert!(output.status.success(), "Kafka's StorageTool: {output:?}");
}

/// Below the range out of which the system takes ports for outgoing connections, so that none of them is in the way.
fn free_port() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    loop {
        let random = RandomState::new().hash_one(()) % 12_000;
        let port = 20_000 + u16::try_from(random).expect("a small number");
        let bound: io::Result<TcpListener> = TcpListener::bind(("127.0.0.1", port));
        if bound.is_ok() {
            return port;
        }
    }
}
