//! One version of a model between the repository and memory.
//!
//! What it should serve is its content, and the content's fingerprint says whether what is in memory, what has passed and what
//! has failed are still of that content. A version that should no longer be served is kept as long as it is what requests
//! fall back to, and one that never should have been may come for that; [`super::kept`] says when it begins and ends.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, Instant},
};

use super::status::State;
use crate::model::{
    catalog::{Demand, Entry},
    policy::Fate,
    servable::{Servable, ServableId},
    source::Content,
};

/// The pauses after failures that may pass by themselves (a store that is down, a full disk), and after others: only another
/// upload helps those, but for what the check of a busy moment got wrong.
const PASSING: Pause = Pause { first: Duration::from_secs(1), most: Duration::from_secs(60) };
const LASTING: Pause = Pause { first: Duration::from_secs(30), most: Duration::from_secs(600) };

/// A version that somebody waited for stays in memory for so long at least, or until it has been used: who waited may need a
/// moment, and others that wait for memory must not take it away unused.
const GRACE: Duration = Duration::from_secs(1);

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
    content: Arc<Content>,
    reason: Arc<str>,
    times: u32,
    again: Instant,
}

/// A version in memory, and of which content.
pub struct Serving {
    pub servable: Arc<Servable>,
    pub fingerprint: String,
}

/// Whether nothing was uploaded between two looks: a file may be mended without another manifest.
fn is_same_upload(one: &Content, other: &Content) -> bool {
    one.fingerprint == other.fingerprint && one.files == other.files
}

/// One version.
pub struct Version {
    /// What should be served, or should have been until lately.
    pub content: Arc<Content>,
    /// Whether it should still be served.
    pub aspired: bool,
    /// Whether it should be served as long as those fail that should.
    pub stands_in: bool,
    /// Whether it should have been served at some time for its own sake: clients may rely on what it takes and gives.
    pub is_known: bool,
    /// What is served.
    pub serving: Option<Serving>,
    /// The fingerprint of the content that has passed all checks: it may leave memory and come back.
    passed: Option<String>,
    is_loading: bool,
    failure: Option<Failure>,
    demand: Arc<Demand>,
    /// Since when somebody waits for it.
    pub demanded: Option<Instant>,
    /// Bytes that it took in memory when it was loaded last.
    memory: Option<u64>,
    /// It stays in memory until then, or until it is used.
    stays_until: Option<Instant>,
}

impl Version {
    pub fn new(content: Arc<Content>) -> Self {
        Self {
            content,
            aspired: true,
            stands_in: false,
            is_known: true,
            serving: None,
            passed: None,
            is_loading: false,
            failure: None,
            demand: Arc::default(),
            demanded: None,
            memory: None,
            stays_until: None,
        }
    }

    /// A version that is there in case that others fail.
    pub fn older(content: Arc<Content>) -> Self {
        Self { aspired: false, is_known: false, ..Self::new(content) }
    }

    /// It should serve this content from now on; or else nothing, but for this `older` one while others fail. A fault of
    /// another content is forgotten, and so is one of the same content whose files have changed: what was damaged has been
    /// uploaded again, under the manifest that it had.
    pub fn aspire(&mut self, content: Option<Arc<Content>>, older: Option<&Arc<Content>>) {
        self.aspired = content.is_some();
        self.is_known |= self.aspired;
        let Some(content) = content.or_else(|| older.cloned()) else { return };
        self.content = content;
        self.failure = self.failure.take().filter(|failure| is_same_upload(&failure.content, &self.content));
    }

    /// Whether it serves its content.
    pub fn is_current(&self) -> bool {
        self.serving.as_ref().is_some_and(|serving| serving.fingerprint == self.content.fingerprint)
    }

    fn has_passed(&self) -> bool {
        self.passed.as_ref() == Some(&self.content.fingerprint)
    }

    /// Whether its content has passed all checks, and is in memory or may be loaded at any time.
    pub fn is_good(&self) -> bool {
        self.is_current() || (self.has_passed() && !self.has_failed())
    }

    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// What has become of it.
    pub fn fate(&self) -> Fate<Instant> {
        match &self.failure {
            _ if self.is_good() || self.serving.is_some() => Fate::Good,
            Some(failure) => Fate::Failed(Reverse(failure.again)),
            None => Fate::Open,
        }
    }

    fn is_wanted(&self) -> bool {
        self.aspired || self.stands_in
    }

    /// Whether its turn to be loaded has come: its content is not in memory, and somebody waits for it, or it should be
    /// served and never passed, or something older of it is.
    pub fn is_due(&self, now: Instant) -> bool {
        let wanted = self.demanded.is_some() || (self.is_wanted() && (self.serving.is_some() || !self.has_passed()));
        wanted
            && !self.is_current()
            && !self.is_loading
            && self.failure.as_ref().is_none_or(|failure| failure.again <= now)
    }

    /// When a failed load is tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        let failure = self.failure.as_ref()?;
        (self.is_wanted() && !self.is_loading).then_some(failure.again)
    }

    /// An operator wants what should be served in memory, whatever became of it before.
    pub fn load_now(&mut self, now: Instant) {
        if self.is_current() {
            return;
        }
        self.failure = None;
        self.demand = Arc::default();
        if self.aspired {
            self.demanded.get_or_insert(now);
        }
    }

    /// Its load begins.
    pub fn begin(&mut self) {
        self.is_loading = true;
    }

    /// The load of this content failed. If something else has been uploaded since, that says nothing.
    pub fn failed(&mut self, content: Arc<Content>, refusal: &Refusal, now: Instant) {
        self.is_loading = false;
        if !is_same_upload(&content, &self.content) {
            return;
        }
        let times = self.failure.as_ref().map_or(0, |failure| failure.times) + 1;
        self.log(refusal, times, &content.id);
        let Pause { first, most } = if refusal.passing { PASSING } else { LASTING };
        let pause = first.saturating_mul(1 << (times - 1).min(16)).min(most);
        self.failure = Some(Failure { content, reason: refusal.reason.as_str().into(), times, again: now + pause });
        // Who waited has its answer; who comes once it is worth waiting again asks anew.
        self.demand = Arc::default();
        self.demanded = None;
    }

    fn log(&self, Refusal { reason, .. }: &Refusal, times: u32, id: &ServableId) {
        let is_news = self.failure.as_ref().is_none_or(|failure| *failure.reason != **reason);
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
    }

    /// Its load succeeded: this serves from now on, instead of what is returned.
    pub fn loaded(&mut self, serving: Serving, now: Instant) -> Option<Serving> {
        self.is_loading = false;
        self.failure = None;
        self.stays_until = self.demanded.take().map(|_| now + GRACE);
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

    /// Whether it may leave memory if nobody uses it: it would come back if somebody did.
    pub fn may_leave(&self, now: Instant) -> bool {
        let stays = self.stays_until.is_some_and(|until| now < until);
        self.is_current() && !(stays && self.serving.as_ref().is_some_and(|it| it.servable.usage.requests() == 0))
    }

    /// Bytes that it is expected to take in memory.
    pub fn expected_memory(&self) -> u64 {
        self.memory.unwrap_or_else(|| self.content.size())
    }

    /// Bytes of what serves and of what is being loaded.
    pub fn memory_in_use(&self) -> u64 {
        let serving = self.serving.as_ref().map_or(0, |serving| serving.servable.memory);
        serving + if self.is_loading { self.expected_memory() } else { 0 }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match &self.serving {
            // Also what should not be there any more, until another one has taken over.
            Some(_) => State::Available,
            None if self.has_failed() => State::Failed,
            None if self.is_loading => State::Loading,
            None if self.has_passed() => State::Unloaded,
            None => State::Aspired,
        }
    }

    /// Why its last load failed.
    pub fn reason(&self) -> Option<Arc<str>> {
        self.failure.as_ref().map(|failure| Arc::clone(&failure.reason))
    }

    /// As requests meet it.
    pub fn entry(&self) -> Entry {
        match (&self.serving, &self.failure) {
            (Some(serving), _) => Entry::Ready(Arc::clone(&serving.servable)),
            (None, Some(failure)) => Entry::Failed(Arc::clone(&failure.reason)),
            (None, None) => Entry::OnDemand(Arc::clone(&self.demand)),
        }
    }
}
