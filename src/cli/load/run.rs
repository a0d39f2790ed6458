//! One run: the name that its request ids begin with, how far sending has come, and when each request was sent.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    io::Write,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::quantity::Rate;

/// What the sending thread tells the receiving one.
pub struct Run {
    name: String,
    times: SendTimes,
    started_at: Instant,
    sent: AtomicU64,
    expected: OnceLock<u64>,
    aborted: AtomicBool,
}

/// How the time is known at which a request was sent.
pub enum SendTimes {
    /// It follows from a plan: so many requests a second. Measuring from the plan, a sender that is held up does not hide
    /// the delay ("coordinated omission").
    Planned(Rate),
    /// It is written down when the request is sent.
    Recorded(Recorded),
    /// It means nothing: answers to a backlog.
    Unknown,
}

impl Run {
    /// A run that begins now; without a name it gets a random one.
    pub fn new(name: Option<String>, times: SendTimes) -> Self {
        let name = name.unwrap_or_else(|| format!("{:08x}", RandomState::new().build_hasher().finish() >> 32));
        let (sent, expected, aborted) = (AtomicU64::new(0), OnceLock::new(), AtomicBool::new(false));
        Self { name, times, started_at: Instant::now(), sent, expected, aborted }
    }

    /// What its ids begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it began.
    pub fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Writes the id of a request in place of what `id` held.
    pub fn write_id(&self, sequence: u64, id: &mut Vec<u8>) {
        id.clear();
        write!(id, "{}-{sequence}", self.name).expect("a vector takes everything");
    }

    /// The number of the request with this id; `None` if it is not one that this run has sent.
    pub fn sequence(&self, id: &str) -> Option<u64> {
        let digits = id.strip_prefix(&*self.name)?.strip_prefix('-')?;
        digits.parse().ok().filter(|sequence| *sequence < self.sent())
    }

    /// When the request is to be sent, if there is a plan.
    pub fn planned(&self, sequence: u64) -> Option<Instant> {
        let SendTimes::Planned(rate) = self.times else { return None };
        Some(self.started_at + Duration::from_secs_f64(sequence as f64 / rate.0))
    }

    /// Notes that the request is about to be sent; in the order of their numbers.
    pub fn note_sending(&self, sequence: u64) {
        if let SendTimes::Recorded(times) = &self.times {
            times.push(sequence, self.started_at.elapsed());
        }
        self.sent.store(sequence + 1, Ordering::Release);
    }

    /// How long the request has waited for its answer at `now`; `None` where that means nothing.
    pub fn latency(&self, sequence: u64, now: Instant) -> Option<Duration> {
        match &self.times {
            SendTimes::Unknown => None,
            SendTimes::Planned(_) => self.planned(sequence).map(|planned| now.saturating_duration_since(planned)),
            SendTimes::Recorded(times) => times.since(sequence, now.saturating_duration_since(self.started_at)),
        }
    }

    /// How many requests were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// Takes the requests below `count` as sent: by an earlier run of the same name.
    pub fn adopt(&self, count: u64) {
        self.sent.store(count, Ordering::Release);
        self.finish(0);
    }

    /// Everything is sent; `undelivered` of it the broker did not take.
    pub fn finish(&self, undelivered: u64) {
        self.expected.get_or_init(|| self.sent() - undelivered);
    }

    /// How many answers there should be; known once everything is sent.
    pub fn expected(&self) -> Option<u64> {
        self.expected.get().copied()
    }

    /// Tells the other thread to give up.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
    }

    /// Whether one of the threads has given up.
    pub fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }
}

/// Send times by number, as microseconds since the run began, modulo 2³²: differences are right up to 71 minutes.
#[derive(Default)]
pub struct Recorded(RwLock<Vec<Box<[AtomicU32]>>>);

impl Recorded {
    /// Requests in a block: 256 KiB.
    const BLOCK: usize = 65_536;

    fn push(&self, sequence: u64, at: Duration) {
        let (block, place) = Self::place(sequence);
        if self.0.read().len() <= block {
            self.0.write().push((0..Self::BLOCK).map(|_| AtomicU32::new(0)).collect());
        }
        self.0.read()[block][place].store(micros(at), Ordering::Relaxed);
    }

    fn since(&self, sequence: u64, now: Duration) -> Option<Duration> {
        let (block, place) = Self::place(sequence);
        let sent = self.0.read().get(block)?[place].load(Ordering::Relaxed);
        Some(Duration::from_micros(micros(now).wrapping_sub(sent).into()))
    }

    fn place(sequence: u64) -> (usize, usize) {
        let sequence = usize::try_from(sequence).expect("as many requests as memory has places");
        (sequence / Self::BLOCK, sequence % Self::BLOCK)
    }
}

/// Cut to 32 bits by intent.
fn micros(time: Duration) -> u32 {
    time.as_micros() as u32
}

/// A name that can stand in ids and in JSON as it is.
///
/// # Errors
/// Says which characters are taken.
pub fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err("expected letters, digits, `-`, `_` and `.`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_were_sent_are_its_own() {
        let run = Run::new(Some("a-b".to_owned()), SendTimes::Unknown);
        run.note_sending(0);
        run.note_sending(1);
        let mut id = Vec::new();
        run.write_id(1, &mut id);
        assert_eq!(id, b"a-b-1");
        assert_eq!(
            ["a-b-0", "a-b-1", "a-b-2", "a-b-x", "a-b", "c-1"].map(|id| run.sequence(id)),
            [Some(0), Some(1), None, None, None, None]
        );
    }

    #[test]
    fn a_planned_request_waits_from_its_planned_time_even_if_it_was_sent_late() {
        let run = Run::new(None, SendTimes::Planned(Rate(100.0)));
        let now = run.started_at() + Duration::from_millis(75);
        assert_eq!(run.latency(5, now), Some(Duration::from_millis(25)));
        assert_eq!(run.latency(9, now), Some(Duration::ZERO));
    }

    #[test]
    fn recorded_times_survive_the_turn_of_their_clock_and_the_end_of_a_block() {
        let times = Recorded::default();
        let late = Duration::from_micros((1 << 32) - 500);
        let last = Recorded::BLOCK as u64;
        for sequence in 0..=last {
            times.push(sequence, late);
        }
        let now = late + Duration::from_micros(1_500);
        assert_eq!(times.since(last, now), Some(Duration::from_micros(1_500)));
        assert_eq!(times.since(last + Recorded::BLOCK as u64, now), None);
    }

    #[test]
    fn what_was_not_delivered_is_not_expected_back() {
        let run = Run::new(None, SendTimes::Unknown);
        (0..10).for_each(|sequence| run.note_sending(sequence));
        assert_eq!(run.expected(), None);
        run.finish(3);
        assert_eq!(run.expected(), Some(7));
    }
}
