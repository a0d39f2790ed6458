//! The floor: a flat loop from topic to topic, as cheap as we can make it, with no product code in it.
//!
//! consume a batch → read the requests into columns → one run of the model → write the answers → produce the batch, and once
//! a second wait for the acknowledgements and commit: at least once, `acks=all`, idempotent, partitioned as Java does it. It
//! knows one model and one form of request, refuses what differs by a panic, counts nothing and reports nothing.

use std::{
    path::Path,
    slice,
    time::{Duration, Instant},
};

use self::{
    answers::Writer,
    kafka::{Consumer, Producer},
    model::Model,
    requests::{Input, Request},
};

mod answers;
pub mod kafka;
mod model;
pub mod numbers;
mod requests;

/// Records taken at a time: enough to share what a run costs, few enough that requests and answers stay in the caches.
const MESSAGES: usize = 1000;
/// Rows in one run; with many more, ONNX Runtime needs more time for each.
const ROWS: usize = 2048;

/// Answers `requests` in `results` with the model in `folder` until it is killed.
pub fn run(brokers: &str, group: &str, requests: &str, results: &str, folder: &Path) -> ! {
    let (model, inputs) = Model::open(folder);
    let writer = Writer::new(&model.name, &model.version);
    let producer = Producer::new(brokers, results);
    let mut consumer = Consumer::new(brokers, group, requests);
    let mut batch = Batch { model, inputs, writer, producer, requests: Vec::new(), rows: 0, text: Vec::new() };
    let mut committed = Instant::now();
    let messages = std::env::var("FLOOR_B").map_or(MESSAGES, |b| b.parse().unwrap());
    loop {
        for record in consumer.take(messages) {
            // SAFETY: the record lives until the next take, and its payload is ours to write to.
            batch.add(unsafe { slice::from_raw_parts_mut((**record).payload.cast(), (**record).len) });
        }
        batch.answer();
        if committed.elapsed() > Duration::from_secs(1) {
            batch.producer.flush();
            consumer.commit();
            committed = Instant::now();
        }
    }
}

struct Batch {
    model: Model,
    inputs: Vec<Input>,
    writer: Writer,
    producer: Producer,
    requests: Vec<Request>,
    rows: usize,
    text: Vec<u8>,
}

impl Batch {
    #[inline]
    fn add(&mut self, payload: &mut [u8]) {
        let request = requests::read(payload, &mut self.inputs);
        self.requests.push(request);
        self.rows += request.rows;
        // The next one is as big.
        if self.rows + request.rows > ROWS {
            self.answer();
        }
    }

    fn answer(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let outputs = self.model.run(&self.inputs, self.rows);
        self.text.reserve(self.writer.bound(&outputs, self.requests.len(), self.rows));
        let (mut to, mut first) = (self.text.as_mut_ptr(), 0);
        for Request { id, rows } in self.requests.drain(..) {
            // SAFETY: there is room for all answers, and they stay until they are sent.
            let answer = unsafe {
                let end = self.writer.write(to, id, &outputs, first, rows);
                slice::from_raw_parts(to, end.offset_from_unsigned(to))
            };
            self.producer.push(&answer[self.writer.id()..][..id.len()], answer);
            to = to.wrapping_add(answer.len());
            first += rows;
        }
        self.producer.send();
        self.inputs.iter_mut().for_each(Input::clear);
        self.rows = 0;
    }
}
