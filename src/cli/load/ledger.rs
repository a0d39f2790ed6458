//! The account of answers: which came, which came twice, what they say, how long they took.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::run::Run;
use crate::broker::kafka::client::{OK, RecordView};

/// What has come so far.
pub struct Ledger {
    seen: Vec<u64>,
    /// Requests that have an answer.
    pub answered: u64,
    /// Answers beyond the first to a request.
    pub doubled: u64,
    /// First answers that are errors, by code.
    pub errors: BTreeMap<String, u64>,
    /// Microseconds from sending to the first answer.
    pub latencies: Histogram<u64>,
    /// When the first answer came.
    pub first_at: Option<Instant>,
    /// When the last first answer came: the end of the run, whatever was doubled afterwards.
    pub last_at: Option<Instant>,
    /// When anything of this run came, doubled or not.
    pub stirred_at: Instant,
}

impl Ledger {
    /// Three significant digits, up to an hour.
    const LONGEST: u64 = 3_600_000_000;

    /// An empty account.
    pub fn new() -> Self {
        Self {
            seen: Vec::new(),
            answered: 0,
            doubled: 0,
            errors: BTreeMap::new(),
            latencies: Histogram::new_with_bounds(1, Self::LONGEST, 3).expect("these bounds are allowed"),
            first_at: None,
            last_at: None,
            stirred_at: Instant::now(),
        }
    }

    /// Enters a record of the result topic; the answers of others are passed over.
    pub fn enter(&mut self, run: &Run, record: &RecordView<'_>) {
        let (id, status) = record.id_and_status();
        if let Some(sequence) = id.and_then(|id| run.sequence(&id)) {
            self.note(sequence, &status, run.latency(sequence, record.received_at), record.received_at);
        }
    }

    fn note(&mut self, sequence: u64, status: &str, latency: Option<Duration>, at: Instant) {
        self.stirred_at = at;
        if !self.mark(sequence) {
            self.doubled += 1;
            return;
        }
        self.answered += 1;
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
        if status != OK {
            match self.errors.get_mut(status) {
                Some(count) => *count += 1,
                None => drop(self.errors.insert(status.to_owned(), 1)),
            }
        }
        if let Some(latency) = latency {
            self.latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Whether this is the first answer to the request.
    fn mark(&mut self, sequence: u64) -> bool {
        let word = usize::try_from(sequence / 64).expect("as many requests as memory has places");
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let bit = 1 << (sequence % 64);
        let first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_answer_is_doubled_and_changes_nothing_else() {
        let mut ledger = Ledger::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        ledger.note(64, OK, Some(Duration::from_millis(2)), at(1));
        ledger.note(0, "INVALID_INPUT", Some(Duration::from_millis(4)), at(2));
        ledger.note(64, "INTERNAL", Some(Duration::from_secs(9)), at(3));
        assert_eq!((ledger.answered, ledger.doubled), (2, 1));
        assert_eq!(ledger.errors, BTreeMap::from([("INVALID_INPUT".to_owned(), 1)]));
        assert_eq!((ledger.first_at, ledger.last_at, ledger.stirred_at), (Some(at(1)), Some(at(2)), at(3)));
        assert_eq!((ledger.latencies.len(), ledger.latencies.max() / 1000), (2, 4));
    }

    #[test]
    fn the_answers_of_others_are_passed_over_by_their_ids() {
        let run = Run::new(Some("mine".to_owned()), super::super::run::SendTimes::Unknown);
        run.note_sending(0);
        assert!(run.sequence("theirs-0").is_none() && run.sequence("mine-0").is_some());
    }

    proptest! {
        #[test]
        fn answered_and_doubled_are_the_distinct_and_the_rest(sequences in proptest::collection::vec(0_u64..300, 0..400)) {
            let mut ledger = Ledger::new();
            for sequence in &sequences {
                ledger.note(*sequence, OK, None, Instant::now());
            }
            let distinct = sequences.iter().collect::<std::collections::BTreeSet<_>>().len() as u64;
            prop_assert_eq!((ledger.answered, ledger.doubled), (distinct, sequences.len() as u64 - distinct));
        }
    }
}
