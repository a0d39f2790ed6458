//! Looks before the worker starts: do the brokers answer, are the topics there, shall they be created?

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::{Metadata, MetadataPartition},
};

use super::settings::KafkaSettings;

/// How long one look may take before the brokers count as unreachable.
const LOOK: Duration = Duration::from_secs(5);

/// How long a look waits before it asks whether the worker shall stop.
const SLICE: Duration = Duration::from_millis(250);

/// How topics are created that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Partitions of each topic.
    pub partitions: i32,
    /// Replicas of each partition.
    pub replication: i32,
}

/// Why the topics are not ready.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The client refuses its configuration: nothing was tried.
    #[error("the Kafka client refuses its configuration: {0}")]
    Config(KafkaError),
    /// Nobody answers.
    #[error("cannot reach Kafka at `{brokers}`: {reason}; check kafka.brokers and that the broker is up")]
    Unreachable { brokers: String, reason: String },
    /// Topics are missing and may not be created.
    #[error("{}", missing(.0))]
    Missing(Vec<String>),
    /// The broker refuses a topic.
    #[error("topic `{topic}` cannot be used: {reason}")]
    Refused { topic: String, reason: String },
}

fn missing(topics: &[String]) -> String {
    let names: Vec<_> = topics.iter().map(|name| format!("`{name}`")).collect();
    let (verb, them) = if topics.len() == 1 { ("topic does", "it") } else { ("topics do", "them") };
    format!("the {verb} not exist: {}; create {them}, or set kafka.create_topics.enabled", names.join(", "))
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

/// Waits until the brokers answer, logging once that they do not, then sees to the topics. Blocks.
///
/// # Errors
/// If topics are missing or refused; never because the brokers are away, unless the worker is stopping.
pub fn ensure(
    settings: &KafkaSettings,
    topics: &BTreeSet<String>,
    creation: Option<Creation>,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), TopicError> {
    let mut told = false;
    loop {
        match look_until(settings, topics, creation, is_stopping) {
            Err(TopicError::Unreachable { brokers, reason }) if !is_stopping() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(brokers, reason, "cannot reach the Kafka brokers; retrying until they answer");
                }
            }
            outcome => {
                if told && outcome.is_ok() {
                    tracing::info!("the Kafka brokers answer");
                }
                return outcome;
            }
        }
    }
}

/// One look: names what is missing, or creates it. Blocks; to be called from a thread of a tokio runtime that may block.
///
/// # Errors
/// See [`TopicError`].
pub fn look(settings: &KafkaSettings, topics: &BTreeSet<String>, creation: Option<Creation>) -> Result<(), TopicError> {
    look_until(settings, topics, creation, &|| false)
}

fn look_until(
    settings: &KafkaSettings,
    topics: &BTreeSet<String>,
    creation: Option<Creation>,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), TopicError> {
    let client: BaseConsumer = settings.admin().create().map_err(TopicError::Config)?;
    let mut absent = Vec::new();
    for topic in topics {
        match find(&client, topic, is_stopping) {
            Ok(true) => {}
            Ok(false) => absent.push(topic.clone()),
            Err(Find::Refused(reason)) => return Err(TopicError::Refused { topic: topic.clone(), reason }),
            Err(Find::Unreachable(reason)) => {
                return Err(TopicError::Unreachable { brokers: settings.brokers.clone(), reason });
            }
        }
    }
    match creation {
        _ if absent.is_empty() => Ok(()),
        None => Err(TopicError::Missing(absent)),
        Some(creation) => create(settings, &absent, creation),
    }
}

enum Find {
    Refused(String),
    Unreachable(String),
}

fn find(client: &BaseConsumer, topic: &str, is_stopping: &dyn Fn() -> bool) -> Result<bool, Find> {
    let deadline = Instant::now() + LOOK;
    let metadata = loop {
        match client.fetch_metadata(Some(topic), SLICE) {
            Err(error)
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::InvalidTopic)
                    && Instant::now() < deadline
                    && !is_stopping() => {}
            outcome => break outcome,
        }
    };
    let metadata = metadata.map_err(|error| match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::InvalidTopic) => Find::Refused(error.to_string()),
        _ => Find::Unreachable(error.to_string()),
    })?;
    let entry = metadata.topics().iter().find(|entry| entry.name() == topic);
    match entry.and_then(|entry| entry.error()).map(RDKafkaErrorCode::from) {
        None => Ok(entry.is_some_and(|entry| !entry.partitions().is_empty())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(false),
        // A topic that was just created has no leaders for a moment.
        Some(RDKafkaErrorCode::LeaderNotAvailable) => Ok(true),
        Some(code) => Err(Find::Refused(code.to_string())),
    }
}

fn create(settings: &KafkaSettings, topics: &[String], creation: Creation) -> Result<(), TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.admin().create().map_err(TopicError::Config)?;
    let replication = || TopicReplication::Fixed(creation.replication);
    let new: Vec<_> = topics.iter().map(|name| NewTopic::new(name, creation.partitions, replication())).collect();
    let options = AdminOptions::new().operation_timeout(Some(LOOK));
    let results = tokio::runtime::Handle::current().block_on(admin.create_topics(&new, &options));
    let unreachable =
        |error: KafkaError| TopicError::Unreachable { brokers: settings.brokers.clone(), reason: error.to_string() };
    for result in results.map_err(unreachable)? {
        match result {
            Ok(topic) => tracing::info!(topic, partitions = creation.partitions, "topic created"),
            // Another replica was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicError::Refused { topic, reason: code.to_string() }),
        }
    }
    Ok(())
}
