//! Traffic that flows while something else happens: requests at a rate or as fast as they are answered, every answer read, held
//! against the right one and timed.
//!
//! At a rate, request `i` is due `i / rate` seconds after the start, and its latency counts from then.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    Message,
    consumer::BaseConsumer,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord},
};

use super::{
    super::{check::Answer, contestant::Running, pace},
    Lane,
};

/// A silence of the results of so long means that what has not come is lost.
const SILENCE: Duration = Duration::from_secs(20);

/// Above so many requests a second the client sends them in batches, for which they wait so long: sent one by one, they would
/// cost the broker more than the worker.
const SINGLY: f64 = 1000.0;
const LINGER: Duration = Duration::from_millis(5);

/// A request without its id, which is its index.
pub struct Ask {
    pub body: String,
    pub header: Option<(&'static str, String)>,
}

/// What is asked, and what is right.
pub trait Asks: Sync {
    fn ask(&self, index: usize) -> Ask;
    fn is_right(&self, index: usize, answer: &Answer<'_>) -> bool;
}

/// How fast requests come.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many a second.
    Rate(f64),
    /// As fast as they are answered, with so many under way.
    Window(usize),
}

/// An answer that has come.
pub struct Seen {
    pub index: usize,
    /// When its request was due, after the start; 0 without a rate.
    pub since: Duration,
    /// Until now, from when it was due.
    pub latency: Duration,
    /// The version that made it; 0 of an error.
    pub version: u64,
}

/// What became of the requests.
#[derive(Default)]
pub struct Tally {
    pub sent: usize,
    /// Answered rightly, wrongly, with an error, and more than once.
    pub right: usize,
    pub wrong: usize,
    pub failed: usize,
    pub doubled: usize,
    /// What was said first of an answer that is not right.
    pub complaint: Option<String>,
}

impl Tally {
    pub fn lost(&self) -> usize {
        self.sent - self.right - self.wrong - self.failed
    }

    /// # Panics
    /// If anything was lost, doubled, wrong or failed.
    pub fn must_be_clean(&self) {
        let (lost, wrong, failed, doubled) = (self.lost(), self.wrong, self.failed, self.doubled);
        let said = self.complaint.as_deref().unwrap_or_default();
        assert!(
            lost + wrong + failed + doubled == 0,
            "of {} requests {lost} were lost, {wrong} answered wrongly, {failed} failed, {doubled} answered again: {said}",
            self.sent
        );
    }
}

/// Lets requests flow through a lane while `script` runs, which is told when they began; `seen` is told of each answer.
pub fn run<T>(
    lane: &Lane<'_>,
    asks: &impl Asks,
    pace: Pace,
    mut seen: impl FnMut(Seen) + Send,
    script: impl FnOnce(Instant) -> T,
) -> (Tally, T) {
    let results = lane.cluster.reader_of_new(&lane.results);
    let shared = Shared { start: Instant::now() + Duration::from_millis(200), ..Shared::default() };
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(lane, asks, pace, &shared));
        let reader = scope.spawn(|| read(&results, asks, pace, &shared, &mut seen));
        // Whatever the script does, the traffic ends with it.
        let done = SetOnDrop(&shared.stop);
        let result = script(shared.start);
        drop(done);
        sender.join().expect("the sender sends");
        (reader.join().expect("the reader reads"), result)
    })
}

/// Lets a backlog of `count` requests come while the worker is stopped, and then the worker: gives the seconds that it took for
/// all of them.
///
/// # Panics
/// If a request is lost, fails or is answered wrongly.
pub fn backlog(lane: &Lane<'_>, asks: &impl Asks, count: usize, worker: &Running) -> f64 {
    let results = lane.cluster.reader_of_new(&lane.results);
    let before = lane.cluster.wait_for(&lane.results, 0);
    worker.signal(libc::SIGSTOP);
    pace::with_producer(lane.cluster, LINGER, |producer| {
        for index in 0..count {
            send_one(lane, asks, index, producer);
        }
    });
    let started = Instant::now();
    worker.signal(libc::SIGCONT);
    lane.cluster.wait_for(&lane.results, before + count);
    let took = started.elapsed().as_secs_f64();
    let shared = Shared { sent: AtomicUsize::new(count), all_sent: AtomicBool::new(true), ..Shared::default() };
    read(&results, asks, Pace::Window(count), &shared, &mut drop).must_be_clean();
    took
}

/// Between the sender and the reader.
struct Shared {
    start: Instant,
    stop: AtomicBool,
    sent: AtomicUsize,
    answered: AtomicUsize,
    all_sent: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            stop: AtomicBool::new(false),
            sent: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            all_sent: AtomicBool::new(false),
        }
    }
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Pace {
    /// When a request is due, if that is known beforehand.
    fn due(self, index: usize, start: Instant) -> Option<Instant> {
        match self {
            Self::Rate(rate) => Some(start + Duration::from_secs_f64(index as f64 / rate)),
            Self::Window(_) => None,
        }
    }

    fn linger(self) -> Duration {
        match self {
            Self::Rate(rate) if rate <= SINGLY => Duration::ZERO,
            Self::Rate(_) | Self::Window(_) => LINGER,
        }
    }
}

fn send(lane: &Lane<'_>, asks: &impl Asks, pace: Pace, shared: &Shared) {
    let done = SetOnDrop(&shared.all_sent);
    pace::with_producer(lane.cluster, pace.linger(), |producer| {
        for index in 0.. {
            wait(pace, index, shared);
            if shared.stop.load(Ordering::Acquire) {
                break;
            }
            // Counted before: an answer must not be earlier than its request.
            shared.sent.fetch_add(1, Ordering::AcqRel);
            send_one(lane, asks, index, producer);
        }
    });
    drop(done);
}

fn send_one(lane: &Lane<'_>, asks: &impl Asks, index: usize, producer: &BaseProducer) {
    let Ask { body, header } = asks.ask(index);
    let (key, partition) = (format!("{index:08}"), index as i32 % lane.cluster.partitions);
    let mut record = BaseRecord::<str, str>::to(&lane.requests).payload(&body).key(&key).partition(partition);
    if let Some((name, value)) = &header {
        record = record.headers(OwnedHeaders::new().insert(Header { key: name, value: Some(value) }));
    }
    while let Err((_, again)) = producer.send(record) {
        std::thread::sleep(Duration::from_millis(1));
        record = again;
    }
}

/// Waits until a request may be sent.
fn wait(pace: Pace, index: usize, shared: &Shared) {
    match (pace, pace.due(index, shared.start)) {
        (Pace::Window(window), _) => {
            while index >= shared.answered.load(Ordering::Acquire) + window && !shared.stop.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        (Pace::Rate(_), due) => {
            let due = due.expect("a rate says when");
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}

fn read(results: &BaseConsumer, asks: &impl Asks, pace: Pace, shared: &Shared, seen: &mut impl FnMut(Seen)) -> Tally {
    let (mut tally, mut answered, mut last) = (Tally::default(), Vec::new(), Instant::now());
    loop {
        let sent = shared.sent.load(Ordering::Acquire);
        let is_all = shared.all_sent.load(Ordering::Acquire) && shared.answered.load(Ordering::Acquire) >= sent;
        if is_all || (last.elapsed() > SILENCE && shared.all_sent.load(Ordering::Acquire)) {
            tally.sent = shared.sent.load(Ordering::Acquire);
            return tally;
        }
        let Some(record) = results.poll(Duration::from_millis(50)) else { continue };
        let now = Instant::now();
        last = now;
        let record = record.unwrap();
        let body = record.payload().expect("a value");
        let answer: Answer<'_> =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(body)));
        let index: usize = answer.id.parse().expect("the id of a request");
        if answered.len() <= index {
            answered.resize(index + 1, false);
        }
        if std::mem::replace(&mut answered[index], true) {
            tally.doubled += 1;
            continue;
        }
        shared.answered.fetch_add(1, Ordering::AcqRel);
        tally.count(asks, index, &answer, body);
        let due = pace.due(index, shared.start).unwrap_or(shared.start);
        let version = answer.model_version.parse().unwrap_or(0);
        let latency = now.saturating_duration_since(due);
        seen(Seen { index, since: due - shared.start, latency, version });
    }
}

impl Tally {
    fn count(&mut self, asks: &impl Asks, index: usize, answer: &Answer<'_>, body: &[u8]) {
        let count = match () {
            () if answer.model_version.is_empty() => &mut self.failed,
            () if !asks.is_right(index, answer) => &mut self.wrong,
            () => {
                self.right += 1;
                return;
            }
        };
        *count += 1;
        self.complaint.get_or_insert_with(|| String::from_utf8_lossy(body).into_owned());
    }
}
