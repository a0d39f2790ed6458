//! What is published: records written into one buffer, each with the message that it answers.

use std::{ops::Range, sync::Arc};

/// Headers of ours.
pub type OwnHeaders = Vec<(&'static str, Vec<u8>)>;

/// What the headers of many answers have in common.
#[derive(Clone, Debug, Default)]
pub struct HeaderSet {
    /// What we say.
    pub own: OwnHeaders,
    /// Which of a request's headers stand beside it.
    pub copied: Arc<CopyRule>,
}

/// Which headers of a request a record of ours carries on, byte for byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    None,
    /// Its correlation id alone.
    CorrelationId,
    /// Those that may stand in an answer: see [`CopyRule`].
    Answer,
    /// All of them: dead letters.
    All,
}

/// The headers of one answer: some of its request's, then ours.
#[derive(Clone, Copy, Debug)]
pub struct AnswerHeaders {
    /// Which of the request's.
    pub copied: Copied,
    /// What it has in common with others: index in [`Answers::headers`].
    pub set: usize,
}

/// Which of a request's headers stand in its answer: all but those that describe the request alone (its content, its budget,
/// its model, where its answer goes) and those that we write ourselves.
#[derive(Clone, Debug, Default)]
pub struct CopyRule {
    /// Names of headers that mean something to us, beside those that nobody can rename.
    configured: Vec<String>,
    /// Names of headers by which a sender knows its answer; they go before all others.
    correlation_id: Vec<String>,
    events: Events,
}

/// What a rule says of the attributes of a CloudEvent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Events {
    /// They stay.
    #[default]
    Stay,
    /// They stand in the answer, but for those that it has itself.
    Copied,
    /// The same, and no header but them.
    Alone,
}

impl CopyRule {
    /// The attributes of a CloudEvent that an answer has itself, or that describe the request's data.
    const OF_EVENTS: [&str; 7] =
        ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_datacontenttype", "ce_dataschema"];

    const NEVER: [&str; 10] = [
        "inference-header-content-length",
        "timeout-ms",
        "kafka_replytopic",
        "kafka_replypartition",
        "reply-to",
        "__typeid__",
        "status",
        "model-name",
        "model-version",
        "model-digest",
    ];

    /// A rule that leaves these behind, too, in any case.
    pub fn without(configured: Vec<String>) -> Self {
        Self { configured, ..Self::default() }
    }

    /// The same, for senders who know their answers by these headers, in any case.
    #[must_use]
    pub fn correlating_by(self, correlation_id: Vec<String>) -> Self {
        Self { correlation_id, ..self }
    }

    /// The same for answers that are CloudEvents, which take over extensions; `alone`: and no other header.
    #[must_use]
    pub fn of_events(&self, alone: bool) -> Self {
        Self { events: if alone { Events::Alone } else { Events::Copied }, ..self.clone() }
    }

    /// Whether a sender knows its answer by a header of this name.
    pub fn correlates(&self, name: &[u8]) -> bool {
        self.correlation_id.iter().any(|id| name.eq_ignore_ascii_case(id.as_bytes()))
    }

    /// Whether a header of this name stands in the answer.
    pub fn copies(&self, name: &[u8]) -> bool {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        let starts_with =
            |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        let is_extension =
            self.events != Events::Stay && starts_with("ce_") && !Self::OF_EVENTS.iter().any(|own| is(own));
        if is_extension || self.events == Events::Alone {
            return is_extension || self.correlates(name);
        }
        let stays = starts_with("content-")
            || starts_with("ce_")
            || Self::NEVER.iter().any(|never| is(never))
            || self.configured.iter().any(|name| is(name));
        !stays || self.correlates(name)
    }
}

/// How the partition of a record is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// By the record's key, as a Java producer would.
    #[default]
    Key,
    /// By the key of the request's record, so that the answers to requests of one key keep together; by the record's own key
    /// if the request has none.
    RequestKey,
    /// By the request's partition: its number, modulo the topic's partitions.
    RequestPartition,
    /// This one.
    Exactly(i32),
}

/// One record to publish; its key and value lie in the buffer of its [`Answers`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// Index of the topic among the worker's output topics.
    pub topic: usize,
    /// Which of its partitions.
    pub placement: Placement,
    /// The message of the chunk that it answers.
    pub message: usize,
    /// The key; `None` is Kafka's null (dead letters keep the key they came with).
    pub key: Option<Range<usize>>,
    /// The value; `None` is Kafka's null.
    pub value: Option<Range<usize>>,
    /// Headers, where the answer has any.
    pub headers: Option<AnswerHeaders>,
}

impl Answer {
    /// Whether it is no answer but the message itself, kept as a dead letter.
    pub fn is_dead_letter(&self) -> bool {
        self.headers.is_some_and(|headers| headers.copied == Copied::All)
    }
}

/// Records to publish, written once into one buffer.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Keys and values, one after another.
    pub buffer: Vec<u8>,
    /// One entry a record.
    pub entries: Vec<Answer>,
    /// What headers have in common, each set once, however many records carry it.
    pub headers: Vec<HeaderSet>,
}

impl Answers {
    /// What an answer takes in the buffer, roughly.
    const USUAL_ANSWER: usize = 256;

    /// None yet, with room for so many.
    pub fn with_room(count: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(count * Self::USUAL_ANSWER),
            entries: Vec::with_capacity(count),
            headers: Vec::new(),
        }
    }

    /// The bytes of `range`.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.buffer[range.clone()]
    }

    /// Appends `bytes` to the buffer.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }

    /// Those at `indices`.
    pub fn select(&self, indices: &[usize]) -> Vec<Answer> {
        indices.iter().map(|&index| self.entries[index].clone()).collect()
    }

    /// Puts the records in the order of the messages that they answer.
    pub fn sort(&mut self) {
        if !self.entries.is_sorted_by_key(|answer| answer.message) {
            self.entries.sort_by_cached_key(|answer| answer.message);
        }
    }

    /// Adds the records of others, after those that are here.
    pub fn append(&mut self, others: Self) {
        let (bytes, sets) = (self.buffer.len(), self.headers.len());
        let shifted = |range: Range<usize>| range.start + bytes..range.end + bytes;
        self.buffer.extend_from_slice(&others.buffer);
        self.headers.extend(others.headers);
        self.entries.extend(others.entries.into_iter().map(|answer| Answer {
            key: answer.key.map(shifted),
            value: answer.value.map(shifted),
            headers: answer.headers.map(|headers| AnswerHeaders { set: headers.set + sets, ..headers }),
            ..answer
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(answers: &mut Answers, message: usize, value: &str) {
        let value = Some(answers.push_bytes(value.as_bytes()));
        answers.headers.push(HeaderSet { own: vec![("n", message.to_string().into_bytes())], ..HeaderSet::default() });
        let headers = Some(AnswerHeaders { copied: Copied::None, set: answers.headers.len() - 1 });
        answers.entries.push(Answer { topic: 0, placement: Placement::Key, message, key: None, value, headers });
    }

    #[test]
    fn records_that_are_appended_keep_their_bytes_and_headers_and_fall_into_order() {
        let (mut answers, mut others) = (Answers::default(), Answers::default());
        answer(&mut answers, 2, "two");
        answer(&mut others, 3, "three");
        answer(&mut others, 1, "one");
        answers.append(others);
        answers.sort();
        let read = |answer: &Answer| {
            let set = &answers.headers[answer.headers.unwrap().set];
            (answers.bytes(answer.value.as_ref().unwrap()).to_vec(), set.own[0].1.clone())
        };
        let read: Vec<_> = answers.entries.iter().map(read).collect();
        let expected = [("one", "1"), ("two", "2"), ("three", "3")];
        assert_eq!(read, expected.map(|(value, own)| (value.into(), own.into())));
    }

    #[test]
    fn headers_that_describe_the_request_alone_are_not_copied() {
        let rule = CopyRule::without(vec!["X-Budget".to_owned()]);
        for name in
            ["Content-Type", "content-encoding", "ce_id", "Timeout-Ms", "kafka_replyTopic", "__TypeId__", "x-budget"]
        {
            assert!(!rule.copies(name.as_bytes()), "{name}");
        }
        for name in ["traceparent", "tenant", "kafka_correlationId", "correlation-id", "x-request-id", "ä", "\0", "ce"]
        {
            assert!(rule.copies(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_senders_correlation_id_is_copied_whatever_its_name() {
        let rule = CopyRule::default().correlating_by(vec!["ce_correlation".to_owned()]);
        assert!(rule.copies(b"CE_Correlation") && rule.correlates(b"CE_Correlation"));
        assert!(!rule.copies(b"ce_id") && rule.copies(b"tenant") && !rule.correlates(b"tenant"));
    }
}
