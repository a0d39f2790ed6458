//! Many iris requests that wait in a topic, and a tally of their answers.

use std::{
    fs,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use modelmill::broker::kafka::client::{Client, ClientOptions, RequestRecord, Start};
use serde_json::{Value, json};

use super::{PATIENCE, Rig, kafka};

/// Requests with the ids `0`, `1`, … spread over the partitions of a topic.
pub struct Backlog {
    rig: Rig,
    pub topic: String,
    pub requests: usize,
    partitions: i32,
    /// The class of the flower in each of the bodies, which come one after another.
    classes: Vec<String>,
}

impl Backlog {
    /// Writes `requests` requests over `partitions` partitions; `None` if there is no Kafka.
    pub fn send(requests: usize, partitions: i32) -> Option<Self> {
        let rig = Rig::new("backlog")?;
        let topic = format!("{}.requests", rig.name);
        kafka::create_topic(&rig.brokers, &topic, partitions, &[]);
        rig.owns(&topic);
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/trained/goldens/iris.json");
        let mut cases: Vec<Value> = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
        cases.retain(|case| case["inputs"][0]["shape"][0] == 1);
        assert!(cases.len() > 5, "the goldens have requests of one row");
        let bodies: Vec<_> = cases.iter().map(|case| json!({"inputs": case["inputs"]}).to_string()).collect();
        let classes = cases.iter().map(|case| case["outputs"][0]["data"][0].to_string()).collect();
        let options =
            ClientOptions { linger: Duration::from_millis(5), ..ClientOptions::new(&rig.brokers, &topic, &[]) };
        let client = Client::connect(&options).unwrap();
        for id in 0..requests {
            // `{"inputs": …` with the id put before it.
            let body = format!("{{\"id\":\"{id}\",{}", &bodies[id % bodies.len()][1..]);
            let partition = Some(i32::try_from(id).unwrap() % partitions);
            let record = RequestRecord { value: Some(body.as_bytes()), partition, ..RequestRecord::default() };
            client.produce(&record).unwrap();
        }
        client.requests.flush(PATIENCE).unwrap();
        Some(Self { rig, topic, requests, partitions, classes })
    }

    /// One backlog for all tests that want the same at the same time; gone with the last of them.
    pub fn shared(requests: usize, partitions: i32) -> Option<Arc<Self>> {
        static SENT: Mutex<Weak<Backlog>> = Mutex::new(Weak::new());
        let mut sent = SENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(backlog) = sent.upgrade() {
            return Some(backlog);
        }
        let backlog = Arc::new(Self::send(requests, partitions)?);
        *sent = Arc::downgrade(&backlog);
        Some(backlog)
    }

    /// Gives `rig` the model and a pipeline that answers it, changed by `configure`. Returns the result topic.
    pub fn pipeline(&self, rig: &Rig, configure: impl FnOnce(&mut Value)) -> String {
        let results = format!("{}.results", rig.name);
        kafka::create_topic(&rig.brokers, &results, self.partitions, &[]);
        rig.owns(&results);
        rig.model("iris", 1, "models/iris/1");
        let mut pipeline = json!({
            "name": "iris",
            "input": {"topics": [self.topic]},
            "output": {"topic": results},
            "steps": [{"predict": {"model": "iris"}}],
            // However slowly the machine works the backlog off.
            "timeout": "1h",
        });
        configure(&mut pipeline);
        rig.pipeline_file("iris", &pipeline);
        results
    }

    /// What comes on `results`, from its beginning.
    pub fn tally<'a>(&'a self, results: &str) -> Tally<'a> {
        let options =
            ClientOptions { start: Start::Beginning, ..ClientOptions::new(&self.rig.brokers, &self.topic, &[results]) };
        Tally { backlog: self, client: Client::connect(&options).unwrap(), times: vec![0; self.requests], seen: 0 }
    }
}

/// How often each request was answered.
pub struct Tally<'a> {
    backlog: &'a Backlog,
    client: Client,
    times: Vec<u32>,
    /// All answers so far.
    pub seen: usize,
}

impl Tally<'_> {
    /// Waits until `most` requests, or all, have an answer. Each must name the right class.
    pub fn wait_for(&mut self, most: usize) {
        let mut last = Instant::now();
        while self.answered() < most.min(self.times.len()) {
            if self.read(Duration::from_millis(200)) > 0 {
                last = Instant::now();
            }
            assert!(last.elapsed() < PATIENCE, "for {PATIENCE:?} no answer: {}", self.account());
        }
    }

    /// Reads what is there by now; for when nobody writes any more.
    pub fn finish(&mut self) {
        while self.read(Duration::from_millis(500)) > 0 {}
    }

    /// How many requests have an answer.
    pub fn answered(&self) -> usize {
        self.times.iter().filter(|times| **times > 0).count()
    }

    /// How many answers there are beyond the first of each request.
    pub fn doubled(&self) -> usize {
        self.seen - self.answered()
    }

    /// The account as a sentence.
    pub fn account(&self) -> String {
        format!("{} requests, {} answered, {} doubled", self.times.len(), self.answered(), self.doubled())
    }

    fn read(&mut self, wait: Duration) -> usize {
        let (classes, times) = (&self.backlog.classes, &mut self.times);
        let count = self.client.answers.read(wait, 10_000, |answer| {
            let body = std::str::from_utf8(answer.value().unwrap()).unwrap();
            let id: usize = std::str::from_utf8(answer.key().unwrap()).unwrap().parse().unwrap();
            let class = body.split_once(r#""datatype":"INT64","data":["#).and_then(|(_, data)| data.split_once(']'));
            let class = class.unwrap_or_else(|| panic!("no class in {body}")).0;
            assert_eq!(class, classes[id % classes.len()], "{body}");
            times[id] += 1;
        });
        let count = count.unwrap();
        self.seen += count;
        count
    }
}
