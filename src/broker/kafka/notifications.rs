//! Hears what an object store publishes about its objects, so that the repository need not wait for its next look.
//!
//! Nothing rests on it: while the topic or the brokers are away, polling goes on, and they are tried again. It belongs to no
//! group and commits nothing: every worker hears everything, from the ends of all partitions as they were when it began.
//! Guarantee: what was published before it listened is covered by one hastened look, what comes afterwards is heard, also
//! through an outage; and the same again whenever the topic gets partitions or is made anew.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::Builder,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{
    refusal::{self, Trouble},
    settings::KafkaSettings,
    topics::{ends, listed},
};
use crate::metrics::NotificationMetrics;

/// How often the topic is looked at for new partitions, as often as a repository is by default.
const REFRESH: Duration = Duration::from_secs(10);

/// How soon a topic or a broker that is away is tried again.
const AGAIN: Duration = Duration::from_secs(3);

/// How long brokers have for one answer, all tries together.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one try waits.
const TRY: Duration = Duration::from_secs(1);

/// How long anything waits before it asks whether the worker shall stop.
const SLICE: Duration = Duration::from_millis(250);

/// How long the end of the listener is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether a record's value concerns the repository.
pub type Concerns = Box<dyn Fn(&[u8]) -> bool + Send>;

/// Has the repository looked at.
pub type Hasten = Box<dyn Fn() + Send>;

/// Listens as long as it is held.
pub struct Notifications {
    stopping: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

impl Notifications {
    /// Listens to `topic`, which need not be there yet, on a thread of its own.
    ///
    /// # Errors
    /// If the client's settings are wrong, or there is no thread to be had.
    pub fn listen(
        settings: &KafkaSettings,
        topic: &str,
        concerns: Concerns,
        hasten: Hasten,
    ) -> Result<Self, ListenError> {
        let consumer = settings.listener().create_with_context(refusal::Listener::default())?;
        let stopping = Arc::<AtomicBool>::default();
        let (ending, ended) = mpsc::channel::<()>();
        let listener = Listener {
            consumer,
            topic: topic.to_owned(),
            concerns,
            hasten,
            metrics: NotificationMetrics::new(),
            partitions: BTreeSet::new(),
            deaf: false,
            due: Instant::now(),
            stopping: Arc::clone(&stopping),
        };
        Builder::new().name("notifications".to_owned()).spawn(move || {
            // Dropped when the listener has ended, however that comes.
            let _ending = ending;
            listener.run();
        })?;
        Ok(Self { stopping, ended })
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Nothing comes but the end; and who waits for an absent broker is not waited for.
        let _ended_or_waiting = self.ended.recv_timeout(FAREWELL);
    }
}

/// Why nobody listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The client refuses its settings.
    #[error("the Kafka client refuses its configuration")]
    Settings(#[from] KafkaError),
    /// The system has no thread left.
    #[error("its thread cannot be started")]
    Thread(#[from] std::io::Error),
}

struct Listener {
    /// The other clients of the worker say all there is to say about brokers; this one keeps why it hears nothing.
    consumer: BaseConsumer<refusal::Listener>,
    topic: String,
    concerns: Concerns,
    hasten: Hasten,
    metrics: NotificationMetrics,
    /// Those that are listened to.
    partitions: BTreeSet<i32>,
    /// Whether it has been said that nothing can be heard.
    deaf: bool,
    /// When the topic is to be looked at next.
    due: Instant,
    stopping: Arc<AtomicBool>,
}

impl Listener {
    fn run(mut self) {
        while !self.is_stopping() {
            if Instant::now() >= self.due {
                self.tune();
            }
            if self.serve(SLICE).is_err() {
                // Most errors pass by themselves; a look at the topic tells.
                self.due = self.due.min(Instant::now() + AGAIN);
            }
        }
    }

    /// Waits for a record and hears it.
    fn serve(&self, wait: Duration) -> Result<(), KafkaError> {
        let Some(record) = self.consumer.poll(wait) else { return Ok(()) };
        let concerns = (self.concerns)(record?.payload().unwrap_or_default());
        self.metrics.heard(concerns);
        if concerns {
            (self.hasten)();
        }
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Sees that every partition of the topic is listened to.
    fn tune(&mut self) {
        let tuned = self.look();
        self.due = Instant::now() + if tuned.is_ok() { REFRESH } else { AGAIN };
        let topic = &self.topic;
        match tuned {
            Ok(new) => {
                let was_deaf = std::mem::take(&mut self.deaf);
                if new {
                    let partitions = self.partitions.len();
                    tracing::info!(
                        topic,
                        partitions,
                        "notifications of the object store hasten looks at the repository"
                    );
                } else if was_deaf {
                    tracing::info!(topic, "notifications of the object store are heard again");
                }
            }
            Err(_) if self.is_stopping() || self.deaf => {}
            Err(reason) => {
                self.deaf = true;
                let outlook = "the repository is looked at every models.poll_interval, and the topic tried again";
                tracing::warn!(topic, reason, "notifications of the object store are not heard; {outlook}");
            }
        }
    }

    /// Whether what is listened to is new.
    fn look(&mut self) -> Result<bool, String> {
        let partitions = self.find()?;
        if partitions == self.partitions {
            return Ok(false);
        }
        let ends = self.ends(&partitions)?;
        self.consumer.assign(&ends).map_err(|error| error.to_string())?;
        self.partitions = partitions;
        // What was published before the ends that were found is not heard.
        (self.hasten)();
        Ok(true)
    }

    /// The partitions of the topic, which has some.
    fn find(&mut self) -> Result<BTreeSet<i32>, String> {
        let metadata = self.ask(|consumer| consumer.fetch_metadata(Some(&self.topic), TRY))?;
        listed(&metadata).map(BTreeSet::from_iter).map_err(|refused| match refused {
            Some(code) => code.to_string(),
            None => {
                // One that is made anew begins anew.
                self.partitions.clear();
                // A consumer of nothing is asked for nothing.
                drop(self.consumer.unassign());
                "there is no such topic: create it, or check models.notifications_topic".to_owned()
            }
        })
    }

    /// Where the partitions end now.
    fn ends(&self, partitions: &BTreeSet<i32>) -> Result<TopicPartitionList, String> {
        let mut query = TopicPartitionList::new();
        for partition in partitions {
            query.add_partition(&self.topic, *partition);
        }
        self.ask(|consumer| ends(consumer, query.clone(), TRY))
    }

    /// Asks the brokers again and again, until they answer or their time is up.
    fn ask<T>(
        &self,
        question: impl Fn(&BaseConsumer<refusal::Listener>) -> Result<T, KafkaError>,
    ) -> Result<T, String> {
        // What befell the connection earlier may have passed.
        drop(self.consumer.context().take());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match question(&self.consumer) {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline || self.is_stopping() => {
                    return Err(match self.consumer.context().take() {
                        Some(Trouble::Unreachable(reason) | Trouble::Rejected(reason)) => reason,
                        None => error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string()),
                    });
                }
                // Why, is in the queue; and a fresh topic has no leaders for a moment.
                Err(_) => drop(self.serve(SLICE / 10)),
            }
        }
    }
}
