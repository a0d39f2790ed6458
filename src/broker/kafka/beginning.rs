//! Where a group begins in a topic of which it has committed nothing yet.
//!
//! The client's own `auto.offset.reset: latest` loses requests: a worker that dies before its first commit leaves no trace of
//! where it began, and its successor begins at what is then the end. So the end is committed here, before the worker joins, and
//! whatever has no commit later (a partition that is added, or had no requests yet) begins at its first record.
//!
//! Guarantee: once this has passed, every request that comes is answered, whoever dies.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};

use super::{
    patience::Patience,
    refusal::{Listener, of_configuration},
    settings::KafkaSettings,
    topics::{EntranceError, ends, listed},
};

/// Where a group begins in a topic of which it has committed nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// At the first record that is kept.
    #[default]
    Earliest,
    /// At the end, as it is when the first worker of the group starts.
    Latest,
    /// Nowhere: the worker does not start.
    Committed,
}

/// How long one question may take before it is asked again.
const QUESTION: Duration = Duration::from_secs(1);

/// How long until then.
const PAUSE: Duration = Duration::from_millis(50);

/// Sees to it that the group has a place to begin at in each of `topics`, as `beginning` says. Blocks.
///
/// # Errors
/// If there must be commits and are none, or the brokers do not answer in time.
pub fn settle(
    settings: &KafkaSettings,
    topics: &BTreeSet<String>,
    beginning: Beginning,
    patience: &Patience<'_>,
) -> Result<(), EntranceError> {
    if beginning == Beginning::Earliest {
        return Ok(());
    }
    let client: BaseConsumer<Listener> = settings
        .bystander()
        .create_with_context(Listener::default())
        .map_err(|error| EntranceError::Config(of_configuration(&error)))?;
    let asker = Asker { client: &client, settings, patience };
    let open = asker.uncommitted(topics)?;
    match beginning {
        _ if open.count() == 0 => Ok(()),
        Beginning::Committed => Err(uncommitted(&settings.group, &open)),
        Beginning::Latest | Beginning::Earliest => asker.commit_ends(topics, &open),
    }
}

fn uncommitted(group: &str, open: &TopicPartitionList) -> EntranceError {
    let topics: BTreeSet<String> = open.elements().iter().map(|element| element.topic().to_owned()).collect();
    EntranceError::Uncommitted { group: group.to_owned(), topics: topics.into_iter().collect() }
}

struct Asker<'a> {
    client: &'a BaseConsumer<Listener>,
    settings: &'a KafkaSettings,
    patience: &'a Patience<'a>,
}

impl Asker<'_> {
    /// All partitions of the topics of which the group has committed nothing.
    fn uncommitted(&self, topics: &BTreeSet<String>) -> Result<TopicPartitionList, EntranceError> {
        let mut all = TopicPartitionList::new();
        for topic in topics {
            let partitions = self.ask(|| {
                let metadata = self.client.fetch_metadata(Some(topic), QUESTION)?;
                listed(&metadata).map_err(|code| {
                    KafkaError::MetadataFetch(code.unwrap_or(RDKafkaErrorCode::UnknownTopicOrPartition))
                })
            })?;
            for partition in partitions {
                all.add_partition(topic, partition);
            }
        }
        let committed = self.ask(|| {
            let committed = self.client.committed_offsets(all.clone(), QUESTION)?;
            committed.elements().iter().try_for_each(|element| element.error())?;
            Ok(committed)
        })?;
        let elements = committed.elements();
        let begun = elements.iter().filter(|element| element.offset() != Offset::Invalid);
        let begun: BTreeSet<&str> = begun.map(TopicPartitionListElem::topic).collect();
        let mut open = TopicPartitionList::new();
        for element in elements.iter().filter(|element| !begun.contains(element.topic())) {
            open.add_partition(element.topic(), element.partition());
        }
        Ok(open)
    }

    /// Commits where these partitions end now. Only a group without members takes that from an outsider.
    fn commit_ends(&self, topics: &BTreeSet<String>, open: &TopicPartitionList) -> Result<(), EntranceError> {
        let ends = self.ask(|| ends(self.client, open.clone(), QUESTION))?;
        let has_members = self.ask(|| match self.client.commit(&ends, CommitMode::Sync) {
            Ok(()) => Ok(false),
            Err(error) if error.rdkafka_error_code().is_some_and(is_of_members) => Ok(true),
            Err(error) => Err(error),
        })?;
        let (group, partitions) = (&self.settings.group, ends.count());
        if !has_members {
            tracing::info!(group, partitions, "the group has committed nothing there: it begins at the end");
            return Ok(());
        }
        // Whoever was faster has committed what he found.
        match self.uncommitted(topics)?.count() {
            0 => Ok(()),
            partitions => {
                tracing::warn!(
                    group,
                    partitions,
                    "others of the group run already, so it begins at the first record of a topic of which it has committed nothing"
                );
                Ok(())
            }
        }
    }

    fn ask<T>(&self, question: impl Fn() -> Result<T, KafkaError>) -> Result<T, EntranceError> {
        loop {
            match question() {
                Ok(answer) => return Ok(answer),
                // A new group has no coordinator for a moment, and a new partition no leader.
                Err(_) if self.patience.goes_on() => self.patience.sleep(PAUSE),
                Err(error) => {
                    let (brokers, reason) = (self.settings.brokers.clone(), error.to_string());
                    return Err(EntranceError::Unreachable { brokers, reason });
                }
            }
        }
    }
}

/// What a coordinator says to an outsider who commits for a group that has members.
fn is_of_members(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownMemberId
            | RDKafkaErrorCode::IllegalGeneration
            | RDKafkaErrorCode::RebalanceInProgress
            | RDKafkaErrorCode::StaleMemberEpoch
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_a_commit_is_named_once_and_with_what_to_do() {
        let mut open = TopicPartitionList::new();
        open.add_partition_range("requests", 0, 6);
        let said = uncommitted("mill", &open).to_string();
        assert_eq!((said.matches("`requests`").count(), said.matches("`mill`").count()), (1, 1), "{said}");
        assert!(said.contains("kafka.on_start"), "{said}");
    }
}
