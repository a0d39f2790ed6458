//! Where a request wants its answer: what its headers say, and whether it may have that.
//!
//! A request may ask for a topic on its pipeline's allow-list, and for one of its partitions. Neither a topic that this worker
//! reads requests from, which would answer its own answers for ever, nor one of Kafka's own. What only a broker can tell,
//! whether the topic is there, is found out later: see [`crate::broker::replies`].

use globset::GlobSet;

use super::{Envelope, Intake};
use crate::{
    broker::replies::Replies,
    error::{ErrorCode, RequestError},
    request::allowed::{TOPIC_NAME_RULE, is_topic_name},
    tensor::Name,
};

/// What Kafka's own topics begin with; brokers refuse records for them.
const KAFKAS_OWN: &str = "__";

/// Which topics a pipeline's requests may ask for; by default none.
#[derive(Clone, Debug, Default)]
pub struct ReplyRules {
    /// The allow-list.
    pub allowed: GlobSet,
}

/// Notes where the request in `message` wants its answer. `topics` are the worker's request topics.
///
/// # Errors
/// [`ErrorCode::InvalidRequest`] if it may not have that; its answer then goes where all go.
pub(super) fn note(
    message: usize,
    envelope: &Envelope<'_>,
    intake: &Intake,
    topics: &[(Name, usize)],
    replies: &mut Replies,
) -> Result<(), RequestError> {
    let Some(topic) = envelope.reply_topic else { return Ok(()) };
    let is_known = replies.asked_last(intake.pipeline, topic);
    let problem = if is_known { None } else { topic_problem(topic, &intake.replies, topics) };
    let checked = problem.map_or(Ok(topic), Err);
    let checked = checked.and_then(|topic| Ok((topic, partition(envelope.reply_partition)?)));
    let granted = checked.as_ref().ok();
    let partition = granted.and_then(|(_, partition)| *partition);
    let topic = granted.map(|(topic, _)| *topic);
    replies.push(intake.pipeline, message, topic, partition, envelope.has_correlation_id);
    checked.map(drop).map_err(|why| RequestError::new(ErrorCode::InvalidRequest, why))
}

fn topic_problem(topic: &str, rules: &ReplyRules, topics: &[(Name, usize)]) -> Option<String> {
    // What is quoted is a caller's: it may be as long as a record.
    let quoted = || topic.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    if !is_topic_name(topic) {
        Some(format!("the reply topic `{}` is no topic name: {TOPIC_NAME_RULE}", quoted()))
    } else if !rules.allowed.is_match(topic) {
        Some(format!("the reply topic `{}` is not on the pipeline's allow-list (output.reply_topics)", quoted()))
    } else if topic.starts_with(KAFKAS_OWN) {
        Some(format!("the reply topic `{}` is one of Kafka's own", quoted()))
    } else if topics.iter().any(|(own, _)| **own == *topic) {
        Some(format!("the reply topic `{}` is a request topic of this worker: it would read its own answers", quoted()))
    } else {
        None
    }
}

/// A partition as Spring writes it: an `int` of Java, four bytes, the highest first. Nothing at all means any.
fn partition(header: Option<&[u8]>) -> Result<Option<i32>, String> {
    let Some(bytes) = header.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    match <[u8; 4]>::try_from(bytes).map(i32::from_be_bytes) {
        Ok(partition @ 0..) => Ok(Some(partition)),
        Ok(negative) => Err(format!("the reply partition is {negative}: partitions count from 0")),
        Err(_) => Err(format!(
            "the reply partition has {} bytes: expected a number in 4 bytes, the highest first",
            bytes.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Format, Routing},
        request::{Route, allowed::glob_set},
    };

    fn problem(topic: &str) -> Option<String> {
        let globs = ["checkout.*", "__*", "*.requests"].map(str::to_owned);
        let rules = ReplyRules { allowed: glob_set(&globs).unwrap() };
        topic_problem(topic, &rules, &[("iris.requests".into(), 0)])
    }

    #[test]
    fn a_topic_must_be_legal_allowed_not_kafkas_and_not_read_by_this_worker() {
        assert_eq!(problem("checkout.replies"), None);
        assert_eq!(problem("other.requests"), None, "which another worker may read, or nobody");
        for (topic, why) in [
            ("checkout.\n", "`checkout.\\n` is no topic name"),
            (&"x".repeat(10_000), "is no topic name"),
            ("..", "is no topic name"),
            ("replies", "`replies` is not on the pipeline's allow-list"),
            ("__consumer_offsets", "one of Kafka's own"),
            ("iris.requests", "a request topic of this worker"),
        ] {
            let problem = problem(topic).unwrap_or_default();
            assert!(problem.contains(why) && problem.len() < 300, "{topic}: {problem}");
        }
        assert!(topic_problem("a", &ReplyRules::default(), &[]).is_some(), "no list allows nothing");
    }

    #[test]
    fn what_a_neighbour_may_have_another_pipelines_request_may_not_and_its_partition_is_its_own() {
        let intakes = [(0, "a"), (1, "b")].map(|(pipeline, allowed)| {
            let routing = Routing::Fixed(Route { pipeline, models: Vec::new() }.into());
            let replies = ReplyRules { allowed: glob_set(&[allowed.to_owned()]).unwrap() };
            Intake { replies, ..Intake::new(pipeline, Format::Json, routing) }
        });
        let mut replies = Replies::default();
        let mut message = 0..;
        let mut may_have = |pipeline: usize, topic, partition: &[u8]| {
            let (reply_topic, reply_partition) = (Some(topic), Some(partition));
            let envelope = Envelope { reply_topic, reply_partition, ..Envelope::default() };
            note(message.next().unwrap(), &envelope, &intakes[pipeline], &[], &mut replies).is_ok()
        };
        for pipeline in [0, 1, 0, 1] {
            assert_eq!(may_have(pipeline, "a", b""), pipeline == 0, "{pipeline}");
        }
        assert!(may_have(0, "a", &[0; 4]) && !may_have(0, "a", &[0; 3]) && may_have(0, "a", &[0; 4]));
        assert!(!may_have(0, "b", b"") && may_have(1, "b", b"") && !may_have(1, "a", b""));
        assert_eq!(replies.topics().len(), 2);
    }

    #[test]
    fn a_partition_has_four_bytes_the_highest_first() {
        assert_eq!((partition(None), partition(Some(b""))), (Ok(None), Ok(None)));
        assert_eq!(partition(Some(&[0, 0, 1, 2])), Ok(Some(258)));
        assert!(partition(Some(b"3")).unwrap_err().contains("1 bytes"));
        assert!(partition(Some(&[0, 0, 0, 0, 1])).is_err());
        assert!(partition(Some(&[255; 4])).unwrap_err().contains("-1"));
    }
}
