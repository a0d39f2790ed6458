//! Requests that want their answers elsewhere: before anything is spent on them, their topics must be known.
//!
//! What is known costs no wait. A request whose topic must be looked up parts from its chunk's others, which go on, and waits
//! until its time is up; so does a message that could not be decoded, whose error must go there, too. A request whose topic or
//! partition is not there is refused, on the result topic and without inference. The look itself is made by a thread of its own
//! ([`crate::broker::kafka::replies`]).

use std::time::{Duration, Instant};

use super::{Worker, pipeline::patience};
use crate::{
    broker::replies::{Replies, Standing},
    codec::Refused,
    error::{ErrorCode, RequestError},
    request::{Group, Request},
};

/// How long a message that could not be decoded, and states no time-out that could be read, waits for a look.
const PATIENCE: Duration = Duration::from_secs(30);

/// Requests that go together, and messages that are refused.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub groups: Vec<Group>,
    pub refused: Vec<Refused>,
}

impl Sorted {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.refused.is_empty()
    }

    /// Until when somebody among these waits.
    fn until(&self) -> Instant {
        let groups = self.groups.iter().map(patience).max().unwrap_or_default();
        let refused = if self.refused.is_empty() { Duration::ZERO } else { PATIENCE };
        Instant::now() + groups.max(refused)
    }

    /// Refuses the requests whose wishes are.
    fn refuse(&mut self, verdict: impl Fn(&Request) -> Option<RequestError>) {
        for group in &mut self.groups {
            for request in &mut group.requests {
                request.failure = verdict(request);
            }
            if let Some(failed) = group.split_failed() {
                let pipeline = group.route.pipeline;
                self.refused.extend(failed.requests.into_iter().map(|request| Refused::from_request(request, pipeline)));
            }
        }
        self.groups.retain(|group| !group.requests.is_empty());
    }

    /// Takes out those whose topics are being looked for.
    fn part_waiting(&mut self, replies: &Replies) -> Self {
        let waits = |message| replies.standing(message) == Standing::Sought;
        let groups = self.groups.iter_mut().filter_map(|group| group.part(|request| waits(request.message))).collect();
        self.groups.retain(|group| !group.requests.is_empty());
        let (refused, kept) = std::mem::take(&mut self.refused).into_iter().partition(|refused| waits(refused.message));
        self.refused = kept;
        Self { groups, refused }
    }
}

impl Worker {
    /// Settles what the requests of a chunk want of what is known. Returns those who must wait, if any must.
    pub(super) fn settle_replies(&self, replies: &Replies, chunk: &mut Sorted) -> Option<Sorted> {
        if replies.is_empty() {
            return None;
        }
        let mut waiting = None;
        if self.outbox.producer().seek_now(replies, chunk.until()) {
            waiting = Some(chunk.part_waiting(replies)).filter(|waiting| !waiting.is_empty());
        }
        chunk.refuse(|request| refusal(replies, request));
        waiting
    }

    /// Waits for the topics that `waiting` want.
    pub(super) async fn wait_for_replies(&self, replies: &Replies, mut waiting: Sorted) -> Sorted {
        self.outbox.producer().seek(replies, waiting.until()).await;
        waiting.refuse(|request| match replies.standing(request.message) {
            Standing::Sought => {
                let why = "the request's time was up before the brokers said whether its reply topic is there";
                Some(RequestError::new(ErrorCode::DeadlineExceeded, why))
            }
            _ => refusal(replies, request),
        });
        waiting
    }
}

fn refusal(replies: &Replies, request: &Request) -> Option<RequestError> {
    match replies.standing(request.message) {
        Standing::Refused(why) => Some(RequestError::new(ErrorCode::InvalidRequest, why)),
        Standing::None | Standing::Sought | Standing::Granted { .. } => None,
    }
}
