//! Schemas of a registry: fetched once, kept for ever, since the schema of an id never changes.
//!
//! [`Registry::find`] is on the path of every message: one look into a table. What is not there yet is fetched beside the
//! journey, one fetch an id however many wait for it, again and again while somebody waits; messages of known schemas notice
//! nothing. That the registry does not know an id is believed for a while.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::{
    runtime,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::framed::Compiled;
pub use super::framed::Referred;
use crate::error::{ErrorCode, RequestError};
use client::{Client, Failure};
pub use client::{Login, Place, Secret};
pub use subject::{AnswerOutput, AnswerSchema, Subject};

mod client;
mod references;
mod subject;
#[cfg(test)]
mod tests;

/// How long an id is taken for unknown after the registry has said so: somebody may be about to register it.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);

/// How many ids are remembered as unknown.
const MOST_UNKNOWN: usize = 10_000;

/// Fetches at a time, of whatever ids.
const AT_ONCE: usize = 8;

/// Of a reason why a schema cannot be used, in characters: each request is told it.
const LONGEST_REASON: usize = 1000;

/// Between two tries of one thing.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is known of an id.
#[derive(Debug)]
pub(super) enum Found {
    Ready(Arc<Compiled>),
    /// What requests are told that have it.
    Refused(RequestError),
    /// It must be waited for: see [`Registry::wait`].
    Unknown,
}

#[derive(Debug)]
enum Known {
    Ready(Arc<Compiled>),
    Refused { error: RequestError, until: Option<Instant> },
}

/// The schemas of a registry.
pub struct Registry {
    client: Client,
    /// Where fetches run.
    runtime: runtime::Handle,
    known: RwLock<HashMap<u32, Known>>,
    /// What is being fetched, and why it did not come at the last try.
    sought: Mutex<HashMap<u32, watch::Sender<String>>>,
    turns: Semaphore,
    /// What the answers of each pipeline are, by index.
    subjects: Vec<Option<Subject>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// The registry at `place`, which is asked by tasks of `runtime`. `answers` are the schemas of the pipelines' answers.
    ///
    /// # Errors
    /// A sentence if no client can be made.
    pub fn new(
        place: Place,
        answers: impl IntoIterator<Item = Option<AnswerSchema>>,
        runtime: runtime::Handle,
    ) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self {
            client: Client::new(place)?,
            runtime,
            known: RwLock::default(),
            sought: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            subjects: answers.into_iter().map(|answer| answer.map(Subject::new)).collect(),
        }))
    }

    /// Keeps a schema in Avro as if it had been fetched; `references` are those whose names it uses, each behind those that it
    /// uses itself.
    ///
    /// # Errors
    /// A sentence on why it cannot be used.
    pub fn keep(&self, id: u32, schema: &str, references: &[Referred]) -> Result<(), String> {
        let compiled = Compiled::of(None, schema, references)?;
        self.learn(id, Known::Ready(Arc::new(compiled)));
        Ok(())
    }

    /// Keeps a schema in protobuf as if it had been fetched; `references` are the files that it may import, by name.
    ///
    /// # Errors
    /// A sentence on why it cannot be used.
    pub fn keep_protobuf(&self, id: u32, schema: &str, references: &[Referred]) -> Result<(), String> {
        let compiled = Compiled::of(Some("PROTOBUF"), schema, references)?;
        self.learn(id, Known::Ready(Arc::new(compiled)));
        Ok(())
    }

    /// What is known of the schema with this id.
    pub(super) fn find(&self, id: u32) -> Found {
        match self.known.read().get(&id) {
            Some(Known::Ready(compiled)) => Found::Ready(Arc::clone(compiled)),
            Some(Known::Refused { error, until }) if until.is_none_or(|until| Instant::now() < until) => {
                Found::Refused(error.clone())
            }
            Some(Known::Refused { .. }) | None => Found::Unknown,
        }
    }

    /// Where the schema of a pipeline's answers stands, if they are Avro.
    pub(crate) fn answers(&self, pipeline: usize) -> Option<&Subject> {
        self.subjects.get(pipeline)?.as_ref()
    }

    /// Waits until something is known of an id, `patience` at most.
    pub async fn wait(self: &Arc<Self>, id: u32, patience: Duration) {
        let Some(mut sought) = self.seek(id) else { return };
        // It ends with the fetch, whose sender is then gone.
        drop(timeout(patience, async { while sought.changed().await.is_ok() {} }).await);
    }

    /// What a request is told whose schema has not come in time.
    pub(super) fn not_in_time(&self, id: u32) -> RequestError {
        let last = self.sought.lock().get(&id).map(|sender| sender.borrow().clone()).unwrap_or_default();
        let last = if last.is_empty() { "no answer yet" } else { &last };
        let why = format!("the request's time was up before its schema {id} came from the schema registry: {last}");
        RequestError::new(ErrorCode::ModelUnavailable, why)
    }

    /// Joins those who wait for an id, or begins to fetch it; `None` if it has come meanwhile.
    fn seek(self: &Arc<Self>, id: u32) -> Option<watch::Receiver<String>> {
        let mut sought = self.sought.lock();
        if let Some(sender) = sought.get(&id) {
            return Some(sender.subscribe());
        }
        if !matches!(self.find(id), Found::Unknown) {
            return None;
        }
        let (sender, receiver) = watch::channel(String::new());
        sought.insert(id, sender);
        let registry = Arc::clone(self);
        self.runtime.spawn(async move { registry.fetch(id).await });
        Some(receiver)
    }

    /// Fetches a schema, again and again while somebody waits for it.
    async fn fetch(&self, id: u32) {
        let mut pause = FIRST_PAUSE;
        loop {
            let fetched = {
                let _turn = self.turns.acquire().await;
                self.client.schema(id).await
            };
            let failure = match fetched {
                Ok((schema, references)) => {
                    // A large one takes its time: that of a thread of its own, since this one belongs to the pipelines.
                    let judged = self.runtime.spawn_blocking(move || judge(id, &schema, &references)).await;
                    let panicked =
                        |_| Known::Refused { error: unusable(id, "its compiler panicked at it"), until: None };
                    return self.learn(id, judged.unwrap_or_else(panicked));
                }
                Err(Failure::Unknown(why)) => {
                    let why = format!("the schema registry does not know schema {id}: {why}");
                    let error = RequestError::new(ErrorCode::InvalidRequest, why);
                    return self.learn(id, Known::Refused { error, until: Some(Instant::now() + UNKNOWN_FOR) });
                }
                Err(Failure::Unusable(why)) => {
                    // What it refers to, somebody may be about to register.
                    let error = unusable(id, &why);
                    return self.learn(id, Known::Refused { error, until: Some(Instant::now() + UNKNOWN_FOR) });
                }
                Err(failure) => failure,
            };
            let reason = failure.to_string();
            {
                let mut sought = self.sought.lock();
                let Some(sender) = sought.get(&id) else { return };
                if sender.receiver_count() == 0 {
                    // Who comes later begins anew.
                    sought.remove(&id);
                    return;
                }
                // The same again is no news.
                if *sender.borrow() != reason {
                    tracing::warn!(id, reason, "a schema cannot be fetched; it is tried again");
                }
                sender.send_replace(reason);
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Keeps what is known, and wakes who waits.
    fn learn(&self, id: u32, verdict: Known) {
        let mut known = self.known.write();
        let is_unknown = |known: &Known| matches!(known, Known::Refused { until: Some(_), .. });
        if is_unknown(&verdict) && known.values().filter(|known| is_unknown(known)).count() >= MOST_UNKNOWN {
            known.retain(|_, known| !is_unknown(known));
        }
        known.insert(id, verdict);
        drop(known);
        self.sought.lock().remove(&id);
    }
}

/// Whether bodies can be read by this schema.
fn judge(id: u32, schema: &client::Registered, references: &[Referred]) -> Known {
    match Compiled::of(schema.schema_type.as_deref(), &schema.schema, references) {
        Ok(compiled) => {
            tracing::info!(id, "a schema was fetched");
            Known::Ready(Arc::new(compiled))
        }
        Err(why) => Known::Refused { error: unusable(id, &why), until: None },
    }
}

fn unusable(id: u32, why: &str) -> RequestError {
    let why: String = why.chars().take(LONGEST_REASON).collect();
    RequestError::new(ErrorCode::InvalidRequest, format!("schema {id} of the schema registry cannot be used: {why}"))
}

/// Down to half, so that many workers do not ask all at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - 0.5 * fastrand::f64())
}
