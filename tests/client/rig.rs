//! A broker with topics of its own, and a worker that answers by rote, so that what the client counts is known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use clap::Parser;
use modelmill::{
    broker::kafka::{
        client::{Client, ClientOptions, Properties, Record, RequestRecord, Start, create_topics, delete_topics},
        embedded::EmbeddedBroker,
    },
    cli::{
        load::{self, LoadArgs, Report},
        send::{self, Outcome, SendArgs},
    },
};

pub const PARTITIONS: i32 = 4;
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A broker with a request topic and a result topic of their own.
pub struct Rig {
    pub brokers: String,
    properties: Properties,
    pub requests: String,
    results: String,
    is_real: bool,
    _embedded: Option<EmbeddedBroker>,
}

impl Rig {
    pub fn embedded() -> Self {
        let (requests, results) = ("flowers.requests".to_owned(), "flowers.results".to_owned());
        let broker = EmbeddedBroker::start(&[(&requests, PARTITIONS), (&results, PARTITIONS)]).unwrap();
        let (brokers, properties) = (broker.bootstrap_servers(), EmbeddedBroker::client_properties());
        Self { brokers, properties, requests, results, is_real: false, _embedded: Some(broker) }
    }

    pub fn real() -> Option<Self> {
        static RIGS: AtomicU32 = AtomicU32::new(0);
        let brokers = std::env::var("MODELMILL_TEST_KAFKA").ok()?;
        let name = format!("client-{}-{}", std::process::id(), RIGS.fetch_add(1, Ordering::Relaxed));
        let (requests, results) = (format!("{name}.requests"), format!("{name}.results"));
        create_topics(&brokers, &[(&requests, PARTITIONS), (&results, PARTITIONS)], 1).unwrap();
        Some(Self { brokers, properties: Properties::new(), requests, results, is_real: true, _embedded: None })
    }

    pub fn options(&self) -> ClientOptions {
        let properties = self.properties.clone();
        ClientOptions { properties, ..ClientOptions::new(&self.brokers, &self.requests, &[&self.results]) }
    }

    /// The arguments that every subcommand wants, then `more`.
    fn args(&self, more: &[&str]) -> Vec<String> {
        let mut args = vec!["modelmill".to_owned(), "--brokers".to_owned(), self.brokers.clone()];
        args.extend(self.properties.iter().map(|(name, value)| format!("--property={name}={value}")));
        args.extend(["--topic", &self.requests, "--results", &self.results].map(str::to_owned));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args
    }

    pub fn send(&self, more: &[&str], input: &str) -> (Outcome, String) {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: SendArgs,
        }
        let args = Cli::parse_from(self.args(more)).args;
        let mut output = Vec::new();
        let outcome = send::send(&args, &mut input.as_bytes(), &mut output).unwrap();
        (outcome, String::from_utf8(output).unwrap())
    }

    pub fn load_args(&self, more: &[&str]) -> LoadArgs {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: LoadArgs,
        }
        Cli::parse_from(self.args(more)).args
    }

    pub fn load(&self, more: &[&str]) -> Report {
        load::measure(&self.load_args(more)).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if self.is_real {
            delete_topics(&self.brokers, &[&self.requests, &self.results]).unwrap();
        }
    }
}

/// On the embedded broker, and on a real one if there is one.
pub fn on_each_broker(test: impl Fn(&Rig)) {
    test(&Rig::embedded());
    if let Some(rig) = Rig::real() {
        test(&rig);
    }
}

/// What the echo makes of its n-th request, counted from 0.
pub type Answering = fn(u64, &Record) -> Vec<String>;

pub fn answer(_: u64, request: &Record) -> Vec<String> {
    vec![format!(r#"{{"id":"{}","predictions":[0]}}"#, request.id().unwrap())]
}

/// A worker that answers by rote: a client with its topics the other way round.
pub struct Echo {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Reads requests that are sent from now on.
    pub fn start(rig: &Rig, answering: Answering) -> Self {
        Self::begin(rig, Start::End, answering)
    }

    pub fn begin(rig: &Rig, start: Start, answering: Answering) -> Self {
        let options = ClientOptions {
            request_topic: rig.results.clone(),
            result_topics: vec![rig.requests.clone()],
            linger: Duration::from_millis(2),
            start,
            ..rig.options()
        };
        let client = Client::connect(&options).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let Some(request) = client.answer(Duration::from_millis(50)).unwrap() else { continue };
                for body in answering(count, &request) {
                    let id = request.id().unwrap();
                    let (key, value) = (Some(id.as_bytes()), Some(body.as_bytes()));
                    client.produce(&RequestRecord { key, value, ..Default::default() }).unwrap();
                }
                count += 1;
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the echo failed");
    }
}
