//! Topics as the cluster knows them: their partitions and where those end, how they are created where they are not there, and
//! why a worker cannot use them.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::{Metadata, MetadataPartition},
};

use super::{refusal::of_configuration, settings::KafkaSettings};

/// How topics are created that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Partitions of each topic.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication: i32,
}

/// Why a worker cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum EntranceError {
    /// The client refuses its configuration: nothing was tried.
    #[error("the Kafka client refuses its configuration: {0}")]
    Config(String),
    /// Nobody answers.
    #[error("cannot reach Kafka at `{brokers}`: {reason}; check kafka.brokers and that the broker is up")]
    Unreachable { brokers: String, reason: String },
    /// The cluster does not let this client in; `reason` says what to do, too.
    #[error("Kafka at `{brokers}` does not let this worker in: {reason} (kafka.properties)")]
    Rejected { brokers: String, reason: String },
    /// The cluster lets this client in, and not do what it must.
    #[error(
        "Kafka at `{brokers}` does not allow this user to {}; add the ACLs (docs/security.md lists them), or check the names",
        .what.join(", ")
    )]
    Forbidden { brokers: String, what: Vec<String> },
    /// Topics are missing and may not be created.
    #[error("{}", missing(.0))]
    Missing(Vec<String>),
    /// The group must have committed something, and has not.
    #[error(
        "group `{group}` has committed nothing of {}, and `kafka.on_start: committed` begins nowhere else; for a first start \
         set it to earliest or latest, or check kafka.group",
        quoted(topics)
    )]
    Uncommitted { group: String, topics: Vec<String> },
    /// The broker refuses a topic.
    #[error("topic `{topic}` cannot be used: {reason}")]
    Refused { topic: String, reason: String },
}

impl EntranceError {
    /// Whether somebody may be about to mend it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Rejected { .. } | Self::Forbidden { .. })
    }
}

fn missing(topics: &[String]) -> String {
    let (verb, them) = if topics.len() == 1 { ("topic does", "it") } else { ("topics do", "them") };
    format!("the {verb} not exist: {}; create {them}, or set kafka.create_topics.enabled", quoted(topics))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The partitions of the one topic that was asked about, of which there is at least one.
///
/// # Errors
/// `None` if there is no such topic, or what the broker says of it.
pub fn listed(metadata: &Metadata) -> Result<Vec<i32>, Option<RDKafkaErrorCode>> {
    let Some(found) = metadata.topics().first() else { return Err(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None if !found.partitions().is_empty() => Ok(found.partitions().iter().map(MetadataPartition::id).collect()),
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Err(None),
        refused => Err(refused),
    }
}

/// Where the partitions of `query`, whose offsets do not matter, end now. One try, which takes `wait` at the most: a fresh topic
/// has no leaders for a moment.
///
/// # Errors
/// If the brokers do not answer, or not for every partition.
pub fn ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    mut query: TopicPartitionList,
    wait: Duration,
) -> KafkaResult<TopicPartitionList> {
    query.set_all_offsets(Offset::End)?;
    let ends = consumer.offsets_for_times(query, wait)?;
    ends.elements().iter().try_for_each(|end| end.error())?;
    Ok(ends)
}

/// Creates topics, for which the broker may take `patience`. Blocks; to be called from a thread of a tokio runtime that may
/// block.
///
/// # Errors
/// If the broker refuses one, or does not answer.
pub fn create(
    settings: &KafkaSettings,
    topics: &[String],
    creation: Creation,
    patience: Duration,
) -> Result<(), EntranceError> {
    let admin = settings.admin().create().map_err(|error| EntranceError::Config(of_configuration(&error)))?;
    let admin: AdminClient<DefaultClientContext> = admin;
    let replication = || TopicReplication::Fixed(creation.replication);
    let new: Vec<_> = topics.iter().map(|name| NewTopic::new(name, creation.partitions, replication())).collect();
    let options = AdminOptions::new().operation_timeout(Some(patience));
    let results = tokio::runtime::Handle::current().block_on(admin.create_topics(&new, &options));
    let unreachable =
        |error: KafkaError| EntranceError::Unreachable { brokers: settings.brokers.clone(), reason: error.to_string() };
    let mut forbidden = Vec::new();
    for result in results.map_err(unreachable)? {
        match result {
            Ok(topic) => tracing::info!(topic, partitions = creation.partitions, "topic created"),
            // Another replica was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed)) => {
                forbidden.push(format!("create topic `{topic}`"));
            }
            Err((topic, code)) => return Err(EntranceError::Refused { topic, reason: code.to_string() }),
        }
    }
    match forbidden {
        none if none.is_empty() => Ok(()),
        what => Err(EntranceError::Forbidden { brokers: settings.brokers.clone(), what }),
    }
}
