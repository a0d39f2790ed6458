//! Every answer is read and held against what the model says: by id, by name, by value.

use std::time::Duration;

use rdkafka::{Message, consumer::BaseConsumer};
use serde::Deserialize;

use super::{
    cluster::Cluster,
    workload::{Output, Values, Workload},
};

/// How far a number may lie from the right one: batches of other sizes round differently.
const TOLERANCE: f64 = 2e-5;

/// An answer; one that is an error has neither model nor outputs.
#[derive(Deserialize)]
pub struct Answer<'a> {
    pub id: &'a str,
    #[serde(default)]
    pub model_name: &'a str,
    #[serde(default)]
    pub model_version: &'a str,
    #[serde(borrow, default)]
    outputs: Vec<Answered<'a>>,
}

#[derive(Deserialize)]
pub struct Answered<'a> {
    name: &'a str,
    datatype: &'a str,
    data: &'a serde_json::value::RawValue,
}

/// Reads `count` answers; each must be that to a request of its own, under its id, and right.
///
/// # Panics
/// At the first answer that is missing, doubled or wrong.
pub fn check(cluster: &Cluster, results: &str, workload: &Workload, count: usize) {
    let consumer = cluster.reader(results);
    let mut seen = Vec::new();
    for _ in 0..count {
        let record = poll(&consumer);
        let body = record.payload().expect("a value");
        let answer: Answer<'_> =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)));
        assert_eq!(record.key(), Some(answer.id.as_bytes()), "the key is the id");
        let id: usize = answer.id.parse().expect("the id of a request");
        if seen.len() <= id {
            seen.resize(id + 1, false);
        }
        assert!(!std::mem::replace(&mut seen[id], true), "request {id} is answered twice");
        let right = workload.expected(id);
        assert!(answer.is_right(right), "request {id}: {}", String::from_utf8_lossy(body));
    }
}

/// Reads `count` records that are given back unchanged.
pub fn check_echo(cluster: &Cluster, results: &str, workload: &Workload, count: usize) {
    let consumer = cluster.reader(results);
    for _ in 0..count {
        let record = poll(&consumer);
        let id = std::str::from_utf8(record.key().expect("a key")).unwrap().parse().expect("the id of a request");
        assert_eq!(record.payload(), Some(workload.request(id).1.as_bytes()));
    }
}

fn poll(consumer: &BaseConsumer) -> rdkafka::message::BorrowedMessage<'_> {
    consumer.poll(Duration::from_secs(30)).expect("an answer for every request").unwrap()
}

impl Answer<'_> {
    /// Whether it has these outputs and no others.
    pub fn is_right(&self, right: &[Output]) -> bool {
        self.outputs.len() == right.len()
            && right.iter().all(|right| {
                let ours = self.outputs.iter().find(|output| output.name == right.name);
                ours.is_some_and(|ours| ours.is(&right.values))
            })
    }
}

impl Answered<'_> {
    fn is(&self, right: &Values) -> bool {
        let data = self.data.get();
        match right {
            Values::Texts(right) => {
                self.datatype == "BYTES" && serde_json::from_str::<Vec<&str>>(data).is_ok_and(|data| data == *right)
            }
            Values::Numbers(right) => {
                let near = |(left, right): (&f64, &f64)| (left - right).abs() <= TOLERANCE * right.abs().max(1.0);
                serde_json::from_str::<Vec<f64>>(data)
                    .is_ok_and(|data| data.len() == right.len() && data.iter().zip(right).all(near))
            }
        }
    }
}
