//! Why the client cannot go on; each sentence says what was tried, what came and what to do.

use std::time::Duration;

/// A failure of the client, as a person at a terminal needs it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// librdkafka refuses a property.
    #[error("the Kafka client cannot be configured: {0}")]
    Configuration(String),
    /// The cluster answers and does not let the client in.
    #[error("the cluster at `{brokers}` does not let this client in: {reason}")]
    Rejected {
        /// The bootstrap addresses that were tried.
        brokers: String,
        /// What the client library says of it, and which property to look at.
        reason: String,
    },
    /// No broker answered in time.
    #[error(
        "no broker at `{brokers}` answered within {waited:?}: {reason}; check the address, and the security properties \
         if the cluster asks for any"
    )]
    Unreachable {
        /// The bootstrap addresses that were tried.
        brokers: String,
        /// For how long.
        waited: Duration,
        /// The last thing that the client library said.
        reason: String,
    },
    /// A topic that is to be written or read is not there.
    #[error("there is no topic `{topic}` on `{brokers}`{hint}; create it first, or check its name")]
    MissingTopic {
        /// The topic's name.
        topic: String,
        /// The cluster.
        brokers: String,
        /// Topics with similar names, as part of the sentence; may be empty.
        hint: String,
    },
    /// A topic could not be created, deleted, described or read.
    #[error("cannot {action} topic `{topic}`: {reason}")]
    Topic {
        /// What was tried: a verb.
        action: &'static str,
        /// The topic's name.
        topic: String,
        /// What the broker or the client library says.
        reason: String,
    },
    /// A request was not taken, or not acknowledged.
    #[error("requests not delivered to topic `{topic}`: {count} ({reason})")]
    Undelivered {
        /// How many.
        count: u64,
        /// Where they were to go.
        topic: String,
        /// What the broker or the client library says of the last one.
        reason: String,
    },
}
