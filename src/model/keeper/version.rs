//! One version of a model between the repository and memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::status::State;
use crate::model::{
    catalog::{Demand, Entry},
    servable::{Servable, ServableId},
    source::Content,
};

/// The pauses after failures that may pass by themselves (a store that is down, a full disk), and after others: only another
/// upload helps those, but for what the check of a busy moment got wrong.
const PASSING: Pause = Pause { first: Duration::from_secs(1), most: Duration::from_secs(60) };
const LASTING: Pause = Pause { first: Duration::from_secs(30), most: Duration::from_secs(600) };

struct Pause {
    first: Duration,
    most: Duration,
}

/// Why a load failed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// A sentence for whoever made the model.
    pub reason: String,
    /// Whether it may pass without another upload.
    pub passing: bool,
}

/// What failed, and when it is tried again.
struct Failure {
    fingerprint: String,
    reason: Arc<str>,
    times: u32,
    again: Instant,
}

/// What is being done with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Idle,
    /// The load of the content with this fingerprint is under way.
    Loading(String),
}

/// A version in memory, and of which content.
pub struct Serving {
    pub servable: Arc<Servable>,
    pub fingerprint: String,
}

/// One version.
pub struct Version {
    /// What should be served; `None` if nothing of it should any more.
    pub content: Option<Arc<Content>>,
    /// What is served.
    pub serving: Option<Serving>,
    /// The content that has passed all checks once: it may leave memory and come back.
    pub passed: Option<String>,
    pub work: Work,
    failure: Option<Failure>,
    demand: Arc<Demand>,
    /// Since when somebody waits for it.
    pub demanded: Option<Instant>,
    /// Bytes that it took in memory when it was loaded last.
    pub memory: Option<u64>,
}

impl Version {
    pub fn new() -> Self {
        Self {
            content: None,
            serving: None,
            passed: None,
            work: Work::Idle,
            failure: None,
            demand: Arc::default(),
            demanded: None,
            memory: None,
        }
    }

    /// It should serve this content from now on, or nothing. A fault of another content is forgotten, and so is one of the
    /// same content whose files have changed: what was damaged has been uploaded again, under the manifest that it had.
    pub fn aspire(&mut self, content: Option<Arc<Content>>) {
        let is_upload =
            self.content.as_deref().map(|content| &content.files) != content.as_deref().map(|content| &content.files);
        self.content = content;
        if let Some(failure) = &self.failure
            && (is_upload || self.fingerprint() != Some(&failure.fingerprint))
        {
            self.failure = None;
        }
    }

    fn fingerprint(&self) -> Option<&str> {
        self.content.as_deref().map(|content| content.fingerprint.as_str())
    }

    /// Whether it serves what it should.
    pub fn is_current(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| self.fingerprint() == Some(&serving.fingerprint))
    }

    /// Whether what it should serve has passed all checks, and is in memory or may be loaded at any time.
    pub fn is_good(&self) -> bool {
        self.content.is_some()
            && (self.is_current() || (self.passed.as_deref() == self.fingerprint() && !self.has_failed()))
    }

    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether its turn to be loaded has come: it is not what it should be, and somebody waits for it, it never passed, or
    /// its older content serves.
    pub fn is_due(&self, now: Instant) -> bool {
        let wanted = self.serving.is_some() || self.demanded.is_some() || self.passed.as_deref() != self.fingerprint();
        self.content.is_some()
            && !self.is_current()
            && !matches!(self.work, Work::Loading(_))
            && wanted
            && self.failure.as_ref().is_none_or(|failure| failure.again <= now)
    }

    /// When a failed load is tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        let failure = self.failure.as_ref()?;
        (self.content.is_some() && self.work == Work::Idle).then_some(failure.again)
    }

    /// It is tried again without a pause.
    pub fn retry_now(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.again = now;
        }
    }

    /// Its load failed.
    pub fn failed(&mut self, fingerprint: String, refusal: &Refusal, now: Instant, id: &ServableId) {
        let times = self.failure.as_ref().map_or(0, |failure| failure.times) + 1;
        let is_news = self.failure.as_ref().is_none_or(|failure| *failure.reason != *refusal.reason);
        let reason = &refusal.reason;
        match &self.serving {
            _ if !is_news => {
                tracing::debug!(model = %id, error = reason, times, "this model version still cannot be served")
            }
            None => {
                tracing::error!(model = %id, error = reason, "this model version cannot be served; its requests are answered with MODEL_UNAVAILABLE")
            }
            Some(_) => {
                tracing::error!(model = %id, error = reason, "another upload of this model version cannot be served; what it was before goes on")
            }
        }
        let Pause { first, most } = if refusal.passing { PASSING } else { LASTING };
        let pause = first.saturating_mul(1 << (times - 1).min(16)).min(most);
        self.failure = Some(Failure { fingerprint, reason: refusal.reason.as_str().into(), times, again: now + pause });
        self.demanded = None;
    }

    /// Its load succeeded: the version that serves, and the one that it takes the place of.
    pub fn loaded(&mut self, serving: Serving) -> Option<Serving> {
        self.failure = None;
        self.demanded = None;
        self.memory = Some(serving.servable.memory);
        self.passed = Some(serving.fingerprint.clone());
        self.serving.replace(serving)
    }

    /// It leaves memory.
    pub fn unload(&mut self) -> Option<Serving> {
        self.demand = Arc::default();
        self.demanded = None;
        self.serving.take()
    }

    /// Whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        self.content.is_none() && self.serving.is_none() && !matches!(self.work, Work::Loading(_))
    }

    /// Bytes that it is expected to take in memory.
    pub fn expected_memory(&self) -> u64 {
        self.memory.unwrap_or_else(|| self.content.as_ref().map_or(0, |content| content.size()))
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match (&self.serving, &self.work) {
            // Also what should not be there any more, until another one has taken over.
            (Some(_), _) => State::Available,
            (None, _) if self.has_failed() => State::Failed,
            (None, Work::Loading(_)) => State::Loading,
            (None, Work::Idle) if self.passed.as_deref() == self.fingerprint() => State::Unloaded,
            (None, Work::Idle) => State::Aspired,
        }
    }

    /// Why its last load failed.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.failure.as_ref().map(|failure| Arc::clone(&failure.reason))
    }

    /// As requests meet it; `unloaded` if an operator wants it so.
    pub fn entry(&self) -> Entry {
        match (&self.serving, &self.failure) {
            (Some(serving), _) => Entry::Ready(Arc::clone(&serving.servable)),
            (None, Some(failure)) => Entry::Failed(Arc::clone(&failure.reason)),
            (None, None) => Entry::OnDemand(Arc::clone(&self.demand)),
        }
    }
}
