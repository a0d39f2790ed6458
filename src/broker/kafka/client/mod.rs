//! The other end of the journey: a client that sends requests and receives their answers.
//!
//! `send`, `load`, `demo` and the tests all use this one. It is made of two halves that can go to threads of their own:
//! [`Requests`] writes to the request topic, [`Answers`] reads every partition of the result topics. Guarantee: an
//! answer to a request that was produced after [`Client::connect`] returned is seen, and a request is sent once.

mod answers;
mod context;
mod error;
mod record;
mod requests;
mod topics;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub use answers::Answers;
pub use error::ClientError;
pub use record::{OK, Record, RecordView};
pub use requests::{RequestRecord, Requests};
pub use topics::{create_topics, delete_topics, read_all};

/// librdkafka properties by name.
pub type Properties = BTreeMap<String, String>;

/// How often a waiting client lets its producer report failures.
const SERVE_EVERY: Duration = Duration::from_millis(100);

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the end of each partition, as it is when the client connects.
    End,
    /// At the oldest record that is kept.
    Beginning,
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Bootstrap servers, `host:port` with commas between.
    pub brokers: String,
    /// Any librdkafka properties, for both halves; they win over the client's own.
    pub properties: Properties,
    /// Where requests go.
    pub request_topic: String,
    /// Where answers come from; none for a client that only sends.
    pub result_topics: Vec<String>,
    /// Where reading begins.
    pub start: Start,
    /// How long a request may wait for company: none for few requests, a few milliseconds for many.
    pub linger: Duration,
    /// How long to look for a broker.
    pub connect_timeout: Duration,
}

impl ClientOptions {
    /// How long to look for a broker, unless told otherwise.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

    /// For requests that are sent one by one and answers from now on.
    pub fn new(brokers: &str, request_topic: &str, result_topics: &[&str]) -> Self {
        Self {
            brokers: brokers.to_owned(),
            properties: Properties::new(),
            request_topic: request_topic.to_owned(),
            result_topics: result_topics.iter().map(|topic| (*topic).to_owned()).collect(),
            start: Start::End,
            linger: Duration::ZERO,
            connect_timeout: Self::CONNECT_TIMEOUT,
        }
    }

    /// For reading alone.
    fn reading(brokers: &str, topics: &[&str]) -> Self {
        Self::new(brokers, "", topics)
    }
}

/// Sends requests and receives answers. Take the halves out to use them from two threads.
pub struct Client {
    /// The producing half.
    pub requests: Requests,
    /// The consuming half.
    pub answers: Answers,
}

impl Client {
    /// Looks for the brokers and the topics, and settles where in the result topics reading begins.
    ///
    /// # Errors
    /// If a property is wrong, no broker answers in time, or a topic is missing.
    pub fn connect(options: &ClientOptions) -> Result<Self, ClientError> {
        let answers = Answers::open(options)?;
        Ok(Self { requests: Requests::open(options)?, answers })
    }

    /// Sends one request; see [`Requests::produce`].
    ///
    /// # Errors
    /// If the client library refuses it.
    pub fn produce(&self, request: &RequestRecord<'_>) -> Result<(), ClientError> {
        self.requests.produce(request)
    }

    /// The next answer, or `None` if none comes in time.
    ///
    /// # Errors
    /// If a result topic has gone or must not be read.
    pub fn answer(&self, timeout: Duration) -> Result<Option<Record>, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut answer = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            self.answers.read(left.min(SERVE_EVERY), 1, |record| answer = Some(record.to_record()))?;
            if answer.is_some() || left.is_zero() {
                return Ok(answer);
            }
            self.requests.serve();
        }
    }

    /// The next `count` answers, or as many as come within `timeout`.
    ///
    /// # Errors
    /// If a result topic has gone or must not be read.
    pub fn answers(&self, count: usize, timeout: Duration) -> Result<Vec<Record>, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut answers = Vec::with_capacity(count);
        while answers.len() < count {
            match self.answer(deadline.saturating_duration_since(Instant::now()))? {
                Some(answer) => answers.push(answer),
                None => break,
            }
        }
        Ok(answers)
    }
}
