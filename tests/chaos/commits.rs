//! What the group had committed when: every commit as the coordinator wrote it down, from its own topic.
//!
//! A request that is answered again although its offset was committed long before was taken from behind the group's place, and
//! no fault is a reason for that. The keys and values are those of Kafka's `OffsetCommitKey` and `OffsetCommitValue`.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use modelmill::broker::kafka::client::{Record, read_all};

/// The topic in which coordinators keep what groups commit.
const TOPIC: &str = "__consumer_offsets";

/// The commits of a group to one topic: by partition when, in milliseconds since the beginning, and up to where.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Commits(BTreeMap<i32, Vec<(u32, i64)>>);

impl Commits {
    /// Reads all of them; `began`: the beginning.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(brokers: &str, group: &str, topic: &str, began: Instant) -> Result<Self, String> {
        let records = read_all(brokers, TOPIC).map_err(|error| format!("{TOPIC} could not be read: {error}"))?;
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
        let zero = (since - began.elapsed()).as_millis() as i64;
        Ok(Self::of(&records, group, topic, zero))
    }

    fn of(records: &[Record], group: &str, topic: &str, zero: i64) -> Self {
        let mut commits = Self::default();
        for record in records {
            let (Some(key), Some(value), Some(at)) = (&record.key, &record.value, record.timestamp) else { continue };
            if let (Some(partition), Some(offset)) = (partition(key, group, topic), Walk(value).skip(2).number()) {
                let at = u32::try_from((at - zero).max(0)).expect("a run is shorter than a month");
                commits.0.entry(partition).or_default().push((at, offset));
            }
        }
        commits
    }

    /// Whether a request was committed at that time.
    pub fn cover(&self, partition: i32, offset: i64, at: u32) -> bool {
        let commits = self.0.get(&partition).map_or(&[][..], Vec::as_slice);
        commits.iter().any(|(when, next)| *when <= at && *next > offset)
    }
}

/// The partition that a key is of, if it is one of this group's for this topic.
fn partition(key: &[u8], group: &str, topic: &str) -> Option<i32> {
    let mut walk = Walk(key);
    let version = i16::from_be_bytes(walk.take()?);
    let is_ours = version <= 1 && walk.text()? == group.as_bytes() && walk.text()? == topic.as_bytes();
    is_ours.then(|| walk.take().map(i32::from_be_bytes))?
}

/// The fields of a key or a value, one after another.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn skip(self, bytes: usize) -> Self {
        Self(self.0.get(bytes..).unwrap_or_default())
    }

    fn take<const WIDTH: usize>(&mut self) -> Option<[u8; WIDTH]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(i16::from_be_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: i16, group: &str, partition: i32, at: i64, offset: i64) -> Record {
        let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
        let key = [&version.to_be_bytes()[..], &text(group), &text("asks"), &partition.to_be_bytes()].concat();
        let value = [&3_i16.to_be_bytes()[..], &offset.to_be_bytes(), &[0; 14]].concat();
        Record {
            topic: TOPIC.to_owned(),
            partition: 0,
            offset: 0,
            timestamp: Some(at),
            key: Some(key),
            value: Some(value),
            headers: Vec::new(),
            received_at: Instant::now(),
        }
    }

    #[test]
    fn a_request_is_covered_from_the_commit_behind_it_on() {
        let records = [
            record(1, "workers", 3, 10_500, 40),
            record(1, "workers", 3, 12_000, 50),
            record(1, "others", 3, 10_500, 99),
            record(2, "workers", 3, 10_500, 99),
        ];
        let commits = Commits::of(&records, "workers", "asks", 10_000);
        assert_eq!(commits, Commits(BTreeMap::from([(3, vec![(500, 40), (2_000, 50)])])));
        for (partition, offset, at, covered) in
            [(3, 39, 500, true), (3, 39, 499, false), (3, 40, 1_999, false), (3, 49, 2_000, true), (4, 0, 9_000, false)]
        {
            assert_eq!(commits.cover(partition, offset, at), covered, "{partition} {offset} {at}");
        }
    }
}
