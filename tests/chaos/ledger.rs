//! Who was asked and who was answered: one line for each request, by its number.
//!
//! A request says in its body what its answer must be: its own number, or, if its time is long past, that it came too late. So an
//! answer to another request, or to no request, is noticed.

use std::collections::BTreeMap;

/// What is known of one request.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// How often it stands in the request topic.
    asked: u8,
    answers: u8,
    partition: i32,
    offset: i64,
    /// When its last answer came, in milliseconds.
    last: u32,
}

/// An answer beyond the first to the request of this number, and when the one before it came; in milliseconds since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Double {
    pub number: usize,
    pub before: u32,
    pub again: u32,
}

/// The longest time without an answer, in milliseconds since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    pub from: u32,
    pub until: u32,
}

/// The account of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    lines: Vec<Line>,
    pub doubles: Vec<Double>,
    /// How many answers were not what they had to be, and the first of them.
    pub wrong: usize,
    pub wrong_samples: Vec<String>,
    pub longest: Gap,
    last: Option<u32>,
    answered: usize,
}

/// What is wrong with more answers than this need not be read.
const SAMPLES: usize = 10;

impl Ledger {
    /// The id of a request: `late-` before its number says that it must be answered with `DEADLINE_EXCEEDED`.
    pub fn id(number: usize, is_late: bool) -> String {
        if is_late { format!("late-{number}") } else { number.to_string() }
    }

    /// A request stands in its topic.
    pub fn asked(&mut self, id: &str, partition: i32, offset: i64) {
        let Some((number, _)) = parse(id) else { return self.blame(format!("a request nobody sent: `{id}`")) };
        let line = self.line(number);
        (line.asked, line.partition, line.offset) = (line.asked.saturating_add(1), partition, offset);
    }

    /// An answer came at `now`, in milliseconds.
    pub fn answered(&mut self, id: &str, body: &str, now: u32) {
        if let Some(last) = self.last.replace(now)
            && now.saturating_sub(last) > self.longest.until - self.longest.from
        {
            self.longest = Gap { from: last, until: now };
        }
        let Some((number, is_late)) = parse(id) else { return self.blame(format!("an id nobody sent: {id}: {body}")) };
        let right = if is_late { says_late(body) } else { says_number(body, number) };
        if !right || !body.contains(&format!(r#""id":"{id}""#)) {
            self.blame(format!("{id}: {body}"));
        }
        let line = self.line(number);
        line.answers = line.answers.saturating_add(1);
        let (answers, before) = (line.answers, std::mem::replace(&mut line.last, now));
        if answers == 1 {
            self.answered += 1;
        } else {
            self.doubles.push(Double { number, before, again: now });
        }
    }

    /// The partition and the offset of a request that stands in its topic.
    pub fn place(&self, number: usize) -> Option<(i32, i64)> {
        self.lines.get(number).filter(|line| line.asked > 0).map(|line| (line.partition, line.offset))
    }

    /// How many requests have an answer.
    pub fn answered_at_all(&self) -> usize {
        self.answered
    }

    /// How many requests have exactly one.
    pub fn answered_once(&self) -> usize {
        self.lines.iter().filter(|line| line.answers == 1).count()
    }

    /// How many requests stand in their topic.
    pub fn stand_in_topic(&self) -> usize {
        self.lines.iter().filter(|line| line.asked > 0).count()
    }

    /// How many stand there more than once: the sender's fault or Kafka's, not the worker's.
    pub fn sent_again(&self) -> usize {
        self.lines.iter().filter(|line| line.asked > 1).count()
    }

    /// How many answers there are to requests that stand nowhere.
    pub fn unasked(&self) -> usize {
        self.lines.iter().filter(|line| line.asked == 0 && line.answers > 0).count()
    }

    /// The requests without an answer: by partition, their offsets in order.
    pub fn lost(&self) -> BTreeMap<i32, Vec<i64>> {
        let mut lost = BTreeMap::<i32, Vec<i64>>::new();
        for line in self.lines.iter().filter(|line| line.asked > 0 && line.answers == 0) {
            lost.entry(line.partition).or_default().push(line.offset);
        }
        lost.values_mut().for_each(|offsets| offsets.sort_unstable());
        lost
    }

    fn line(&mut self, number: usize) -> &mut Line {
        if self.lines.len() <= number {
            self.lines.resize(number + 1, Line::default());
        }
        &mut self.lines[number]
    }

    fn blame(&mut self, sample: String) {
        self.wrong += 1;
        if self.wrong_samples.len() < SAMPLES {
            self.wrong_samples.push(sample);
        }
    }
}

/// The number in an id, and whether the request is late.
fn parse(id: &str) -> Option<(usize, bool)> {
    let (number, is_late) = id.strip_prefix("late-").map_or((id, false), |number| (number, true));
    // A damaged id must not make the ledger grow without bound.
    number.parse().ok().filter(|number| *number < 1 << 32).map(|number| (number, is_late))
}

fn says_number(body: &str, number: usize) -> bool {
    let data = body.split_once(r#""data":["#).and_then(|(_, rest)| rest.split_once(']'));
    data.is_some_and(|(data, _)| data == number.to_string())
}

fn says_late(body: &str) -> bool {
    body.contains(r#""code":"DEADLINE_EXCEEDED""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, number: usize) -> String {
        format!(r#"{{"id":"{id}","outputs":[{{"name":"y","datatype":"INT64","shape":[1,1],"data":[{number}]}}]}}"#)
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for number in 0..4 {
            ledger.asked(&number.to_string(), 1, 10 + number);
        }
        ledger
    }

    #[test]
    fn a_request_without_an_answer_is_lost_and_named_by_its_place() {
        let mut ledger = ledger();
        ledger.answered("0", &answer("0", 0), 5);
        ledger.answered("3", &answer("3", 3), 6);
        assert_eq!(ledger.lost(), BTreeMap::from([(1, vec![11, 12])]));
        assert_eq!((ledger.answered_once(), ledger.wrong), (2, 0));
    }

    #[test]
    fn a_second_answer_is_a_double_with_both_its_times() {
        let mut ledger = ledger();
        ledger.answered("2", &answer("2", 2), 100);
        ledger.answered("2", &answer("2", 2), 2_300);
        assert_eq!(ledger.doubles, [Double { number: 2, before: 100, again: 2_300 }]);
        assert_eq!((ledger.answered_once(), ledger.answered_at_all()), (0, 1));
        assert_eq!(ledger.longest, Gap { from: 100, until: 2_300 });
    }

    #[test]
    fn the_answer_of_a_neighbour_an_error_and_an_answer_to_nobody_are_wrong() {
        let mut ledger = ledger();
        ledger.answered("0", &answer("0", 1), 1);
        ledger.answered("1", r#"{"id":"1","error":{"code":"INTERNAL","message":"why"}}"#, 2);
        ledger.answered("2", &answer("3", 2), 3);
        ledger.answered("nobody", &answer("nobody", 1), 4);
        assert_eq!((ledger.wrong, ledger.wrong_samples.len()), (4, 4));
        ledger.answered("9", &answer("9", 9), 5);
        assert_eq!((ledger.wrong, ledger.unasked()), (4, 1));
    }

    #[test]
    fn what_came_too_late_must_be_told_so() {
        let mut ledger = Ledger::default();
        let late = Ledger::id(0, true);
        ledger.answered(&late, &answer(&late, 0), 1);
        assert_eq!(ledger.wrong, 1, "a late request must not be run");
        ledger.answered(&late, r#"{"id":"late-0","error":{"code":"DEADLINE_EXCEEDED","message":"late"}}"#, 1);
        assert_eq!(ledger.wrong, 1);
    }
}
