//! Requests to one model at a steady rate, and an account of their answers.
//!
//! The latency of a request is counted from when it should have been sent, so that a client that is held up hides nothing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{answer::Answer, showcase::Showcase};
use crate::{
    app::shutdown::Shutdown,
    broker::kafka::{
        client::{Client, ClientError, ClientOptions, OK, Record, RecordView, RequestRecord},
        embedded::EmbeddedBroker,
    },
    cli::load::{
        Rate,
        ledger::Ledger,
        run::{Run, SendTimes},
    },
};

/// The most requests that wait for an answer: the embedded broker forgets what exceeds 5 MiB a partition, read or not.
const MOST_WAITING: u64 = 2_000;

/// How long to go on without an answer before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to watch for doubled answers after the last one.
const SETTLE: Duration = Duration::from_millis(300);

/// The shortest and the longest look for answers.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// How many answers are taken at most before the next request gets its turn.
const READ_MOST: usize = 100;

/// The client of one model.
pub struct Lane {
    /// What is asked.
    pub showcase: Showcase,
    client: Client,
}

/// What is known of a lane's traffic so far.
pub struct Tally {
    /// Which answers came, and when.
    pub ledger: Ledger,
    /// Answers of status `OK` that do not say what they should.
    pub wrong: u64,
    /// Which of them came first, and what it said.
    pub first_fault: Option<String>,
    /// Answers by the version that gave them.
    pub versions: BTreeMap<String, u64>,
}

/// The traffic of one lane, shared with whoever watches.
pub struct Traffic<'a> {
    /// Whose it is.
    pub lane: &'a Lane,
    /// What was sent.
    pub run: Run,
    /// What came back.
    pub tally: Mutex<Tally>,
    length: Duration,
}

impl Lane {
    /// Connects to the broker.
    ///
    /// # Errors
    /// If it cannot.
    pub fn open(showcase: Showcase, brokers: &str) -> Result<Self, ClientError> {
        let mut options = ClientOptions::new(brokers, &showcase.request_topic(), &[&showcase.result_topic()]);
        options.properties = EmbeddedBroker::client_properties();
        // An idempotent producer waits half a second for its id before it sends anything.
        options.properties.insert("enable.idempotence".to_owned(), "false".to_owned());
        Ok(Self { client: Client::connect(&options)?, showcase })
    }

    /// Sends the request that is shown, and waits for the answer; `None` if none comes or a stop is asked for.
    ///
    /// # Errors
    /// If Kafka cannot be used.
    pub fn ask(&self, stop: &Shutdown) -> Result<Option<(Record, Duration)>, ClientError> {
        let sample = self.showcase.sample();
        let sent_at = Instant::now();
        self.client.produce(&RequestRecord { value: Some(sample.body.as_bytes()), ..Default::default() })?;
        while !stop.is_requested() && sent_at.elapsed() < PATIENCE {
            let answer = self.client.answer(LOOK.1)?.filter(|answer| answer.id().is_some_and(|id| *id == *sample.id));
            if let Some(answer) = answer {
                let latency = answer.latency(sent_at);
                return Ok(Some((answer, latency)));
            }
        }
        Ok(None)
    }
}

impl<'a> Traffic<'a> {
    /// Traffic of so many requests a second for so long, which begins now.
    pub fn new(lane: &'a Lane, rate: f64, length: Duration) -> Self {
        let run = Run::new(Some(format!("{}-load", lane.showcase.name)), SendTimes::Planned(Rate(rate)));
        let tally = Tally { ledger: Ledger::new(), wrong: 0, first_fault: None, versions: BTreeMap::new() };
        Self { lane, run, tally: Mutex::new(tally), length }
    }

    /// Sends and receives until the time is up and every answer is there, or none comes any more.
    ///
    /// # Errors
    /// If Kafka cannot be used.
    pub fn drive(&self, stop: &Shutdown) -> Result<(), ClientError> {
        let (mut id, mut body) = (Vec::new(), Vec::new());
        while !self.must_stop(stop) && self.run.started_at().elapsed() < self.length {
            let wait = self
                .run
                .planned(self.run.sent())
                .map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()));
            if wait.is_zero() && self.waiting() < MOST_WAITING {
                self.send(&mut id, &mut body)?;
            } else {
                self.read(wait.clamp(LOOK.0, LOOK.1))?;
            }
        }
        self.wait_for_the_rest(stop)
    }

    /// Makes both ends of it stop before their time.
    pub fn abort(&self) {
        self.run.abort();
    }

    /// How many requests have no answer.
    pub fn waiting(&self) -> u64 {
        self.run.sent() - self.tally.lock().ledger.answered
    }

    fn must_stop(&self, stop: &Shutdown) -> bool {
        stop.is_requested() || self.run.is_aborted()
    }

    fn send(&self, id: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<(), ClientError> {
        let sequence = self.run.sent();
        self.run.write_id(sequence, id);
        self.lane.showcase.write(sequence, id, body);
        self.run.note_sending(sequence);
        self.lane.client.produce(&RequestRecord { value: Some(body), ..Default::default() })
    }

    fn read(&self, timeout: Duration) -> Result<(), ClientError> {
        self.lane.client.requests.serve();
        self.lane.client.answers.read(timeout, READ_MOST, |record| self.enter(record)).map(drop)
    }

    fn enter(&self, record: &RecordView<'_>) {
        let (id, status) = record.id_and_status();
        let sequence = id.as_deref().and_then(|id| self.run.sequence(id));
        let fault = sequence
            .filter(|_| status == OK)
            .and_then(|sequence| self.lane.showcase.fault(sequence, record.value().unwrap_or_default()));
        let version = version(record.value().unwrap_or_default());
        let mut tally = self.tally.lock();
        if let Some(version) = version.filter(|_| sequence.is_some()) {
            *tally.versions.entry(version).or_default() += 1;
        }
        tally.ledger.enter(&self.run, record);
        if let (Some(fault), Some(id)) = (fault, id) {
            tally.wrong += 1;
            tally.first_fault.get_or_insert_with(|| format!("{id} got {fault}"));
        }
    }

    fn wait_for_the_rest(&self, stop: &Shutdown) -> Result<(), ClientError> {
        let sent_at = Instant::now();
        let quiet = || self.tally.lock().ledger.stirred_at.max(sent_at).elapsed();
        while !self.must_stop(stop) && self.waiting() > 0 && quiet() < PATIENCE {
            self.read(LOOK.1)?;
        }
        while !self.must_stop(stop) && quiet() < SETTLE {
            self.read(LOOK.1)?;
        }
        Ok(())
    }
}

/// Which version gave an answer.
fn version(answer: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        model_version: String,
    }
    serde_json::from_slice::<Named>(answer).ok().map(|named| named.model_version)
}

impl Lane {
    /// What the answer to the request that is shown says, and what is wrong with it.
    pub fn read_sample(&self, record: &Record) -> (Option<Answer>, Option<String>) {
        if record.status() != OK {
            return (None, Some(record.text().into_owned()));
        }
        let answer = self.showcase.read(record.value.as_deref().unwrap_or_default());
        let fault = self.showcase.judge(self.showcase.sample().class, &answer);
        (answer, fault)
    }
}
