//! A Kafka of the run's own, of one node or of three, which may be killed and frozen.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use super::{node::Node, random::Random, wire};

/// How long brokers may take to start, and to catch up with each other.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How long a look at the brokers' metadata may take.
const LOOK: Duration = Duration::from_secs(2);

/// Topics of the broker that matter as much as ours.
const OFFSETS: &str = "__consumer_offsets";

/// The partitions of that topic.
const OFFSETS_PARTITIONS: i32 = 4;

/// Nodes that know each other.
pub struct Cluster {
    pub nodes: Vec<Node>,
    /// Asks for metadata now and then; made once, since a new one takes a connection to each broker.
    watcher: BaseConsumer,
}

impl Cluster {
    /// Starts `count` nodes in a folder, and waits until they take clients. `session` is the shortest time after which
    /// a group may count a silent member as dead.
    pub fn start(count: usize, folder: &Path, session: Duration) -> Self {
        let mut random = Random::new(fresh());
        let mut nodes: Vec<_> =
            (1..=count).map(|id| Node::new(id, folder.join(format!("broker-{id}")), &mut random)).collect();
        let shared = shared_properties(&nodes, session);
        nodes.iter().for_each(|node| node.configure(&shared));
        nodes[0].format(&cluster_id(&mut random));
        for node in &nodes[1..] {
            node.format_like(&nodes[0]).expect("what was formatted can be copied");
        }
        nodes.iter_mut().for_each(Node::start);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", addresses(&nodes)).set("log_level", "0");
        let watcher = config.create().expect("the configuration is in order");
        let mut cluster = Self { nodes, watcher };
        let deadline = Instant::now() + PATIENCE;
        while !cluster.nodes.iter_mut().all(Node::is_ready) {
            let ended = cluster.nodes.iter_mut().any(Node::has_ended);
            assert!(!ended && Instant::now() < deadline, "Kafka does not start; its logs are in {}", folder.display());
            thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// Where clients reach it, undisturbed.
    pub fn brokers(&self) -> String {
        addresses(&self.nodes)
    }

    /// Where workers reach it.
    pub fn brokers_for_workers(&self) -> String {
        self.nodes.iter().map(|node| node.way.address()).collect::<Vec<_>>().join(",")
    }

    /// Whether all nodes run, and every replica of every partition is in step.
    pub fn is_whole(&mut self) -> bool {
        let count = self.nodes.len();
        if !self.nodes.iter_mut().all(Node::is_ready) {
            return false;
        }
        let Ok(metadata) = self.watcher.fetch_metadata(None, LOOK) else { return false };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        metadata.brokers().len() == count
            && partitions
                .all(|partition| partition.leader() >= 0 && partition.isr().len() == partition.replicas().len())
    }

    /// Gives every partition of these topics another leader: the next of its replicas.
    ///
    /// # Errors
    /// If the controller refuses it.
    pub fn change_leaders(&self, topics: &[&str]) -> Result<(), String> {
        let mut moves = Vec::new();
        for topic in topics {
            let metadata = self.watcher.fetch_metadata(Some(topic), LOOK).map_err(|error| error.to_string())?;
            for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
                let mut replicas = partition.replicas().to_vec();
                // The first is the one to be preferred.
                let leader = replicas.iter().position(|id| *id == partition.leader()).unwrap_or(0);
                let ahead = (leader + 1) % replicas.len();
                replicas.rotate_left(ahead);
                moves.push(wire::Replicas { topic: (*topic).to_owned(), partition: partition.id(), replicas });
            }
        }
        let address = self.nodes[0].address();
        wire::reassign(address, &moves).and_then(|()| wire::elect_preferred(address, &moves))
    }

    /// The node, by index, that coordinates a group: the leader of the partition that holds the group's offsets.
    pub fn coordinator(&self, group: &str) -> Option<usize> {
        let metadata = self.watcher.fetch_metadata(Some(OFFSETS), LOOK).ok()?;
        // As `String.hashCode` and `Utils.abs` of Java make it.
        let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
        let partition = (hash & i32::MAX) % OFFSETS_PARTITIONS;
        let partition = metadata.topics().first()?.partitions().iter().find(|known| known.id() == partition)?;
        self.nodes.iter().position(|node| i32::try_from(node.id) == Ok(partition.leader()))
    }
}

fn addresses(nodes: &[Node]) -> String {
    nodes.iter().map(|node| node.address().to_string()).collect::<Vec<_>>().join(",")
}

/// What all nodes have in common. Failures are noticed within seconds, and leaders stay where they are put.
fn shared_properties(nodes: &[Node], session: Duration) -> String {
    let (replicas, in_step) = (nodes.len(), nodes.len().min(2));
    let voters = nodes.iter().map(Node::voter).collect::<Vec<_>>().join(",");
    let session = session.as_millis();
    format!(
        "process.roles=broker,controller\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=CLIENTS\n\
         listener.security.protocol.map=CLIENTS:PLAINTEXT,WORKERS:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         auto.create.topics.enable=false\n\
         auto.leader.rebalance.enable=false\n\
         min.insync.replicas={in_step}\n\
         offsets.topic.replication.factor={replicas}\n\
         offsets.topic.num.partitions={OFFSETS_PARTITIONS}\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_step}\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_step}\n\
         share.coordinator.state.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms={session}\n\
         group.consumer.min.session.timeout.ms={session}\n\
         group.consumer.session.timeout.ms={session}\n\
         group.consumer.min.heartbeat.interval.ms=1000\n\
         group.consumer.heartbeat.interval.ms=1000\n\
         broker.session.timeout.ms=4000\n\
         broker.heartbeat.interval.ms=1000\n\
         replica.lag.time.max.ms=5000\n\
         log.cleaner.dedupe.buffer.size=4194304\n"
    )
}

/// 16 bytes in URL-safe base64, as every id of Kafka.
fn cluster_id(random: &mut Random) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut letter = |end| char::from(LETTERS[random.below(end)]);
    // It must not begin with what looks like an option, and its last letter holds two bits alone.
    std::iter::once(letter(62)).chain((0..20).map(|_| letter(64))).chain(std::iter::once('A')).collect()
}

/// A number that no other run of this machine has at the same time.
fn fresh() -> u64 {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as u64 ^ (u64::from(std::process::id()) << 40) ^ RUNS.fetch_add(1, Ordering::Relaxed)
}
