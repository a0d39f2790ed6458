//! The look before a worker starts: does the cluster answer and let it in, are the topics there (or shall they be created), and
//! may it do with them and with its group what it must?
//!
//! Guarantee: a worker that gets past it can take requests and write answers; one that does not says why in one sentence, after
//! it has tried for as long as it was told to. What an administrator may be about to mend is tried again: a broker that is
//! away, a user or a right that is not there yet.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
};

use super::{
    beginning::{Beginning, settle},
    native::{Rights, Verdict, ask_rights, events_waiting},
    patience::Patience,
    refusal::{Listener, Trouble, of_configuration, talkative},
    settings::KafkaSettings,
    topics::{Creation, EntranceError, create, listed},
};

/// How long one look may take before the brokers count as unreachable.
const LOOK: Duration = Duration::from_secs(5);

/// How long one question may take before it is asked again.
const SLICE: Duration = Duration::from_millis(250);

/// How long after a look that failed the next one comes: brokers delay the answer to a wrong password on purpose.
const PAUSE: Duration = Duration::from_secs(1);

/// What a look needs at the least to be told why a connection failed: a few tries of the client's.
const GLANCE: Duration = Duration::from_secs(1);

/// What a worker needs of the cluster.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Topics to read, with the group.
    pub read: BTreeSet<String>,
    /// Topics to write.
    pub written: BTreeSet<String>,
    /// Where the group begins in a topic of which it has committed nothing.
    pub beginning: Beginning,
}

/// Looks until all is in order, for `timeout` at the most, and creates missing topics if it may. Blocks; to be called from a
/// thread of a tokio runtime that may block.
///
/// # Errors
/// What is still wrong when the time is up, or at once what no waiting mends; whatever was wrong when the worker is asked to
/// stop.
pub fn ensure(
    settings: &KafkaSettings,
    needs: &Needs,
    creation: Option<Creation>,
    timeout: Duration,
    is_stopping: &dyn Fn() -> bool,
) -> Result<(), EntranceError> {
    let patience = Patience::new(timeout, is_stopping);
    let mut told = false;
    loop {
        match look_once(settings, needs, creation, &patience.at_most(LOOK)) {
            Err(error) if error.may_pass() && patience.allows(PAUSE + GLANCE) => {
                if !std::mem::replace(&mut told, true) {
                    tell(&error, timeout);
                }
                patience.sleep(PAUSE);
            }
            outcome => {
                if told && outcome.is_ok() {
                    tracing::info!("the Kafka brokers answer");
                }
                return outcome.and_then(|()| settle(settings, &needs.read, needs.beginning, &patience));
            }
        }
    }
}

/// That a worker waits: the sentence itself comes at the end, once.
fn tell(error: &EntranceError, timeout: Duration) {
    match error {
        EntranceError::Unreachable { brokers, reason } => {
            tracing::warn!(brokers, reason, ?timeout, "cannot reach the Kafka brokers; retrying until they answer");
        }
        refused => tracing::info!(reason = %refused, ?timeout, "Kafka does not let this worker in yet; trying again"),
    }
}

/// One look: names what is missing, or creates it; commits nothing. Blocks; to be called from a thread of a tokio runtime
/// that may block.
///
/// # Errors
/// See [`EntranceError`].
pub fn look(settings: &KafkaSettings, needs: &Needs, creation: Option<Creation>) -> Result<(), EntranceError> {
    let patience = Patience::new(LOOK, &|| false);
    look_once(settings, needs, creation, &patience)?;
    match needs.beginning {
        Beginning::Committed => settle(settings, &needs.read, needs.beginning, &patience),
        Beginning::Earliest | Beginning::Latest => Ok(()),
    }
}

fn look_once(
    settings: &KafkaSettings,
    needs: &Needs,
    creation: Option<Creation>,
    patience: &Patience<'_>,
) -> Result<(), EntranceError> {
    let mut config = settings.admin();
    talkative(&mut config);
    let client: BaseConsumer<Listener> = config
        .create_with_context(Listener::default())
        .map_err(|error| EntranceError::Config(of_configuration(&error)))?;
    let (mut there, mut absent, mut forbidden) = (Vec::new(), Vec::new(), Vec::new());
    for topic in needs.read.union(&needs.written) {
        match find(&client, settings, topic, patience)? {
            Found::There => there.push(topic.as_str()),
            Found::Absent => absent.push(topic.clone()),
            Found::Forbidden => forbidden.extend(needs.of_topic(topic, false, false)),
        }
    }
    let rights = ask_rights(&client, &there, &settings.group, patience.left(), &|| patience.goes_on());
    forbidden.extend(needs.refused(&rights, &settings.group));
    match creation {
        _ if !forbidden.is_empty() => {
            Err(EntranceError::Forbidden { brokers: settings.brokers.clone(), what: forbidden })
        }
        _ if absent.is_empty() => Ok(()),
        None => Err(EntranceError::Missing(absent)),
        Some(creation) => create(settings, &absent, creation, LOOK),
    }
}

enum Found {
    There,
    Absent,
    Forbidden,
}

fn find(
    client: &BaseConsumer<Listener>,
    settings: &KafkaSettings,
    topic: &str,
    patience: &Patience<'_>,
) -> Result<Found, EntranceError> {
    let refused = |reason: String| EntranceError::Refused { topic: topic.to_owned(), reason };
    let metadata = loop {
        let error = match client.fetch_metadata(Some(topic), SLICE) {
            Ok(metadata) => break metadata,
            Err(error) => error,
        };
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidTopic) {
            return Err(refused(error.to_string()));
        }
        // The client tells its errors to whoever polls it, one a call.
        (0..events_waiting(client)).for_each(|_| drop(client.poll(Duration::ZERO)));
        let brokers = settings.brokers.clone();
        match client.context().heard() {
            Some(Trouble::Rejected(reason)) => return Err(EntranceError::Rejected { brokers, reason }),
            _ if patience.goes_on() => {}
            Some(Trouble::Unreachable(reason)) => return Err(EntranceError::Unreachable { brokers, reason }),
            None => return Err(EntranceError::Unreachable { brokers, reason: error.to_string() }),
        }
    };
    match listed(&metadata) {
        // A topic that was just created has no leaders for a moment.
        Ok(_) | Err(Some(RDKafkaErrorCode::LeaderNotAvailable)) => Ok(Found::There),
        Err(None) => Ok(Found::Absent),
        Err(Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => Ok(Found::Forbidden),
        Err(Some(code)) => Err(refused(code.to_string())),
    }
}

impl Needs {
    /// What this worker must do and may not, in words.
    fn refused(&self, rights: &Rights, group: &str) -> Vec<String> {
        let mut refused = Vec::new();
        for (topic, verdict) in &rights.topics {
            match verdict {
                Ok(Some(may)) => refused.extend(self.of_topic(topic, may.read, may.write)),
                Err(RDKafkaErrorCode::TopicAuthorizationFailed) => refused.extend(self.of_topic(topic, false, false)),
                // Not told; it shows when it is tried.
                Ok(None) | Err(_) => {}
            }
        }
        if rights.group.as_ref().is_some_and(forbids_group) {
            refused.push(format!("read group `{group}`"));
        }
        refused
    }

    fn of_topic(&self, topic: &str, may_read: bool, may_write: bool) -> Vec<String> {
        let read = self.read.contains(topic) && !may_read;
        let write = self.written.contains(topic) && !may_write;
        let read = read.then(|| format!("read topic `{topic}`"));
        read.into_iter().chain(write.then(|| format!("write topic `{topic}`"))).collect()
    }
}

fn forbids_group(verdict: &Verdict) -> bool {
    match verdict {
        Ok(may) => may.is_some_and(|may| !may.read),
        Err(code) => *code == RDKafkaErrorCode::GroupAuthorizationFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::native::Operations;

    const ALL: Verdict = Ok(Some(Operations { read: true, write: true }));
    const NOTHING: Verdict = Ok(Some(Operations { read: false, write: false }));

    fn needs() -> Needs {
        let set = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        Needs { read: set(&["requests"]), written: set(&["results"]), ..Needs::default() }
    }

    fn refused(requests: Verdict, results: Verdict, group: Option<Verdict>) -> Vec<String> {
        let topics = [("requests".to_owned(), requests), ("results".to_owned(), results)].into();
        needs().refused(&Rights { topics, group }, "mill")
    }

    #[test]
    fn what_may_not_be_done_is_named_each_by_what_it_is_needed_for() {
        let all = ["read topic `requests`", "write topic `results`", "read group `mill`"];
        assert_eq!(refused(NOTHING, NOTHING, Some(NOTHING)), all);
        let none = Err(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert_eq!(refused(none, none, Some(Err(RDKafkaErrorCode::GroupAuthorizationFailed))), all);
        let readable = Ok(Some(Operations { read: true, write: false }));
        assert_eq!(refused(readable, readable, Some(ALL)), ["write topic `results`"]);
    }

    #[test]
    fn what_a_broker_does_not_tell_is_not_held_against_it() {
        assert_eq!(refused(ALL, ALL, Some(ALL)), [""; 0]);
        assert_eq!(refused(Ok(None), Err(RDKafkaErrorCode::UnsupportedVersion), None), [""; 0]);
    }
}
