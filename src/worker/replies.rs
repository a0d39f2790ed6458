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
                self.refused
                    .extend(failed.requests.into_iter().map(|request| Refused::from_request(request, pipeline)));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        broker::replies::ReplyTopic,
        request::{Form, Ids, Route},
        tensor::{Column, Elements, Tensor},
    };

    /// Four requests of a row each, in messages 0 to 3, and message 4, which could not be decoded.
    fn sorted(deadline: i64) -> Sorted {
        let mut ids = Ids::default();
        let id = ids.push("r");
        let request = |message: usize| Request {
            message,
            id,
            rows: message..message + 1,
            form: Form::Rows,
            deadline,
            has_headers: true,
            options: None,
            failure: None,
        };
        let columns = [Column::new("x", Tensor::vector(Elements::Int64(vec![0, 10, 20, 30])))].into_iter().collect();
        let route = Arc::new(Route { pipeline: 0, models: Vec::new() });
        let error = RequestError::new(ErrorCode::InvalidRequest, "no JSON");
        Sorted {
            groups: vec![Group { route, columns, requests: (0..4).map(request).collect() }],
            refused: vec![Refused {
                message: 4,
                pipeline: 0,
                id,
                has_headers: true,
                error,
                is_letter: true,
                event: None,
            }],
        }
    }

    fn messages(sorted: &Sorted) -> (Vec<usize>, Vec<usize>) {
        let requests = sorted.groups.iter().flat_map(|group| &group.requests);
        let requests = requests.map(|request| request.message).collect();
        (requests, sorted.refused.iter().map(|refused| refused.message).collect())
    }

    #[test]
    fn who_waits_parts_from_the_others_and_who_may_not_have_it_is_refused_without_columns() {
        let mut replies = Replies::default();
        for (message, topic) in [(1, "there"), (2, "sought"), (3, "missing"), (4, "sought")] {
            replies.push(0, message, Some(topic), None, true);
        }
        replies.topics()[0].settle(Ok(Arc::new(ReplyTopic::new(2, "there".into(), 1))));
        replies.topics()[2].settle(Err("does not exist".to_owned()));
        let mut chunk = sorted(Request::NO_DEADLINE);
        let waiting = chunk.part_waiting(&replies);
        chunk.refuse(|request| refusal(&replies, request));
        assert_eq!(messages(&waiting), (vec![2], vec![4]));
        assert_eq!(waiting.groups[0].columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![20]));
        assert_eq!(messages(&chunk), (vec![0, 1], vec![3]));
        assert_eq!(chunk.groups[0].columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![0, 10]));
        let error = &chunk.refused[0].error;
        assert_eq!(
            (error.code(), error.message()),
            (ErrorCode::InvalidRequest, "the reply topic `missing` does not exist")
        );
    }

    #[test]
    fn nobody_waits_beyond_the_deadlines_but_for_a_while_where_none_could_be_read() {
        let mut late = sorted(0);
        late.refused.clear();
        assert!(late.until() <= Instant::now());
        let broken = Sorted { groups: Vec::new(), ..sorted(0) };
        let until = broken.until().saturating_duration_since(Instant::now());
        assert!(until > PATIENCE / 2 && until <= PATIENCE, "{until:?}");
    }
}
