//! The floor: a flat loop from topic to topic, as cheap as we can make it, with no product code in it.
//!
//! consume a batch → read the requests into columns → one run of the model → write the answers → produce the batch, and once
//! a second wait for the acknowledgements and commit: at least once, `acks=all`, idempotent, partitioned as Java does it. It
//! knows one model and one form of request, refuses what differs by a panic, counts nothing and reports nothing.

use std::{
    path::Path,
    ptr, slice,
    time::{Duration, Instant},
};

use self::{
    answers::Writer,
    headers::Headers,
    kafka::{Consumer, Producer, Record},
    model::Model,
    requests::{Input, Request},
};

mod answers;
mod headers;
pub mod kafka;
mod model;
pub mod numbers;
mod requests;

/// Records taken at a time, and answers on their way at the most.
///
/// As many as the worker has: a loop that ran ahead of its answers would be measured by answers whose work lay before the
/// measurement. Fewer mean smaller requests to the broker: 4,000 cost 1.1 times as much.
const BARE: (usize, usize) = (1000, 20_000);
/// With headers, a record is a dozen allocations here and there, and what is on its way must stay in the caches: 20,000 cost
/// 1.6 times as much.
const WITH_HEADERS: (usize, usize) = (500, 2000);
/// What is asked of the floor.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The folder of the model.
    pub folder: &'a Path,
    /// Rows in one run; with many more than 2,048, ONNX Runtime needs more time for each.
    pub rows: usize,
    /// Whether requests have headers, and answers are to have them.
    pub with_headers: bool,
}

/// Answers `requests` in `results` until it is killed.
pub fn run(brokers: &str, group: &str, requests: &str, results: &str, task: Task<'_>) -> ! {
    let Task { folder, rows, with_headers } = task;
    tune_allocator();
    let (model, inputs) = Model::open(folder);
    let headers = with_headers.then(|| Headers::new(folder, &model.name, &model.version));
    let writer = Writer::new(&model.name, &model.version);
    let (messages, in_flight) = if with_headers { WITH_HEADERS } else { BARE };
    let producer = Producer::new(brokers, results, in_flight);
    let mut consumer = Consumer::new(brokers, group, requests);
    let mut batch =
        Batch { model, inputs, writer, headers, producer, requests: Vec::new(), rows: 0, most: rows, text: Vec::new() };
    let mut committed = Instant::now();
    loop {
        for record in consumer.take(messages) {
            // SAFETY: the record lives until the next take.
            unsafe { batch.add(*record) };
        }
        batch.answer();
        if committed.elapsed() > Duration::from_secs(1) {
            batch.producer.flush();
            consumer.commit();
            committed = Instant::now();
        }
    }
}

/// What one thread allocates another gives back here, and fetched data comes in megabytes.
fn tune_allocator() {
    // SAFETY: settings of the allocator, before there are threads.
    unsafe {
        // No lists of small pieces to go through and to merge: an answer with headers costs 0.8 of what it costs with them.
        libc::mallopt(libc::M_MXFAST, 0);
        // Memory for fetched data is kept, not mapped and cleared anew each time: 0.95 of what a request of 784 floats costs.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
    }
}

struct Batch {
    model: Model,
    inputs: Vec<Input>,
    writer: Writer,
    producer: Producer,
    headers: Option<Headers>,
    requests: Vec<(Request, *mut Record)>,
    rows: usize,
    /// The most rows of one run.
    most: usize,
    text: Vec<u8>,
}

impl Batch {
    #[inline]
    unsafe fn add(&mut self, record: *mut Record) {
        // SAFETY: the record is live, and its payload ours to write to.
        let payload = unsafe { slice::from_raw_parts_mut((*record).payload.cast(), (*record).len) };
        let request = requests::read(payload, &mut self.inputs);
        self.requests.push((request, record));
        self.rows += request.rows;
        // The next one is as big.
        if self.rows + request.rows > self.most {
            self.answer();
        }
    }

    fn answer(&mut self) {
        if self.requests.is_empty() {
            return;
        }
        let outputs = self.model.run(&self.inputs, self.rows);
        self.text.reserve(self.writer.bound(&outputs, self.requests.len(), self.rows));
        self.producer.wait_for_room(self.requests.len());
        let (mut to, mut first) = (self.text.as_mut_ptr(), 0);
        for (Request { id, rows }, record) in self.requests.drain(..) {
            // SAFETY: there is room for all answers, and they stay until they are sent.
            let answer = unsafe {
                let end = self.writer.write(to, id, &outputs, first, rows);
                slice::from_raw_parts(to, end.offset_from_unsigned(to))
            };
            let key = &answer[self.writer.id()..][..id.len()];
            // SAFETY: the record is live.
            let headers = self.headers.as_ref().map_or(ptr::null_mut(), |headers| unsafe { headers.take(record) });
            self.producer.push(key, answer, headers);
            to = to.wrapping_add(answer.len());
            first += rows;
        }
        self.producer.send();
        self.inputs.iter_mut().for_each(Input::clear);
        self.rows = 0;
    }
}
