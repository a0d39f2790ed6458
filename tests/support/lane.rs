//! The topics of one pipeline and a client at their other end.

use std::{cell::Cell, collections::HashMap};

use modelmill::broker::kafka::client::{Client, ClientOptions, Record, RequestRecord, Start, read_all};
use serde_json::Value;

use super::PATIENCE;

/// A request as it is to stand in its topic.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    partition: Option<i32>,
    timestamp: Option<i64>,
}

impl Ask {
    /// With these bytes for a body.
    pub fn bytes(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// With this body.
    pub fn json(value: &Value) -> Self {
        Self::bytes(value.to_string())
    }

    /// Without a value.
    pub fn tombstone() -> Self {
        Self::default()
    }

    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// With this time, in milliseconds since the Unix epoch.
    pub fn at(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    pub fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}

/// A pipeline's topics, and a client that writes to the one and reads the other from its beginning.
pub struct Lane {
    pub brokers: String,
    pub requests: String,
    pub results: String,
    pub dead_letters: String,
    pub client: Client,
    received: Cell<usize>,
}

impl Lane {
    /// Connects a client to topics that are there.
    pub fn open(brokers: &str, requests: String, results: String, dead_letters: String) -> Self {
        let options = ClientOptions { start: Start::Beginning, ..ClientOptions::new(brokers, &requests, &[&results]) };
        let client = Client::connect(&options).unwrap();
        Self { brokers: brokers.to_owned(), requests, results, dead_letters, client, received: Cell::new(0) }
    }

    /// The same requests with their answers on another topic.
    pub fn with_results(self, results: &str) -> Self {
        Self::open(&self.brokers, self.requests, results.to_owned(), self.dead_letters)
    }

    /// Writes requests and waits until the broker has them.
    pub fn send(&self, asks: &[Ask]) {
        for ask in asks {
            let headers: Vec<_> = ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            let record = RequestRecord {
                key: ask.key.as_deref(),
                value: ask.value.as_deref(),
                headers: &headers,
                partition: ask.partition,
                timestamp: ask.timestamp,
            };
            self.client.produce(&record).unwrap();
        }
        self.client.requests.flush(PATIENCE).unwrap();
    }

    /// Waits for the next `count` answers.
    pub fn receive(&self, count: usize) -> Vec<Record> {
        let answers = self.client.answers(count, PATIENCE).unwrap();
        self.received.set(self.received.get() + answers.len());
        let ids = || answers.iter().filter_map(Record::id).collect::<Vec<_>>();
        assert_eq!(
            answers.len(),
            count,
            "not within {PATIENCE:?}: all answers on {}; there are {:?}",
            self.results,
            ids()
        );
        answers
    }

    /// Writes requests and waits for their answers, by id.
    pub fn exchange(&self, asks: &[Ask]) -> HashMap<String, Record> {
        self.send(asks);
        by_id(self.receive(asks.len()))
    }

    /// To be asked when the worker has ended: that there is no answer beyond those that were received.
    pub fn assert_nothing_more(&self) {
        let all = read_all(&self.brokers, &self.results).unwrap();
        assert_eq!(all.len(), self.received.get(), "{} holds more answers than there were requests", self.results);
    }

    /// Everything on the dead-letter topic.
    pub fn dead_letters(&self) -> Vec<Record> {
        read_all(&self.brokers, &self.dead_letters).unwrap()
    }
}

/// Answers by their ids; each id has one.
pub fn by_id(answers: impl IntoIterator<Item = Record>) -> HashMap<String, Record> {
    let mut found = HashMap::new();
    for answer in answers {
        let id = answer.id().expect("an answer has an id").into_owned();
        let before = found.insert(id.clone(), answer);
        assert!(before.is_none(), "`{id}` is answered twice");
    }
    found
}

/// The body of an answer.
pub fn json(answer: &Record) -> Value {
    serde_json::from_slice(answer.value.as_deref().unwrap_or_default())
        .unwrap_or_else(|error| panic!("no JSON ({error}): {}", answer.text()))
}
