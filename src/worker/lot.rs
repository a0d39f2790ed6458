//! Those whose answers are on their way: what they are told if those are refused, and their figures when they have arrived.
//!
//! A result that is larger than its topic allows gives way to `RESPONSE_TOO_LARGE`; an error keeps its code, and its message is
//! cut. What is still too large then (a request's headers may be) goes without the request's headers and with the shortest
//! message. An answer that its reply topic does not take (it was deleted meanwhile, or may not be written) gives way to
//! `INVALID_REQUEST` on the result topic. Only an id that does not fit by itself leaves its caller without an answer, which is an error in the log.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use super::{Pipeline, answered::Origin, now};
use crate::{
    broker::{Answer, Answers, kafka::outbox::Redress, replies::Standing},
    codec::{
        Refused,
        encode::{Caller, Encoder},
    },
    error::{ErrorCode, RequestError},
    metrics::Stage,
    request::Group,
};

/// Characters that an error's message keeps: enough for a sentence without what it quotes.
const SHORT: usize = 200;

/// What is said when even a short sentence, with the request's headers, was too much.
const SHORTEST: &str = "too large to be told";

/// Answers that are published together, as their callers see them.
pub(super) struct Lot {
    pub origin: Origin,
    pub told: Vec<Told>,
}

/// Callers of one pipeline.
pub(super) struct Told {
    /// Index of the pipeline.
    pipeline: usize,
    /// Each with the error that it is told, if it is one.
    callers: Vec<(Caller, Option<RequestError>)>,
    /// The rows of those who get results.
    rows: u64,
    /// What callers are told in the place of their results, by message; the last word counts.
    instead: Mutex<HashMap<usize, ErrorCode>>,
}

impl Told {
    /// The callers of groups.
    pub fn of_groups(pipeline: usize, groups: Vec<Group>) -> Self {
        let rows = groups.iter().filter(|group| !group.is_lost()).map(|group| group.rows() as u64).sum();
        let mut callers = Vec::with_capacity(groups.iter().map(|group| group.requests.len()).sum());
        let requests = groups.into_iter().flat_map(|group| group.requests);
        callers.extend(requests.map(|request| (Caller::from(&request), request.failure)));
        Self { pipeline, callers, rows, instead: Mutex::default() }
    }

    /// The callers of what could not be decoded.
    pub fn of_refused(pipeline: usize, refused: Vec<Refused>) -> Self {
        let callers = refused.into_iter().map(|refused| (Caller::from(&refused), Some(refused.error))).collect();
        Self { pipeline, callers, rows: 0, instead: Mutex::default() }
    }
}

impl Lot {
    /// The answers have arrived, so long after they were sent.
    pub fn count(&self, took: Duration) {
        let now = now();
        for Told { pipeline, callers, rows, instead } in &self.told {
            let Pipeline { metrics, outlet, .. } = &self.origin.worker.pipelines[*pipeline];
            let instead = instead.lock();
            let mut results = 0;
            for (caller, error) in callers {
                let code = error.as_ref().map(RequestError::code);
                match code.or_else(|| instead.get(&caller.message).copied()) {
                    None => results += 1,
                    code => metrics.answered(code, 1),
                }
            }
            metrics.answered(None, results);
            let returned = instead.values().filter(|code| **code == ErrorCode::InvalidRequest).count();
            metrics.dead_letters(if outlet.dead_letters.is_some() { returned as u64 } else { 0 });
            metrics.rows(*rows);
            metrics.stage(Stage::Publish, took);
            let timestamps = callers.iter().map(|(caller, _)| self.origin.chunk.message(caller.message).timestamp);
            metrics.latencies(now, timestamps);
        }
    }

    /// What is told to the callers of one pipeline whose answers were refused.
    fn tell(&self, told: &Told, too_large: &[Answer], attempt: usize, answers: Answers) -> Answers {
        let pipeline = &self.origin.worker.pipelines[told.pipeline];
        let answers_of = too_large.iter().filter(|record| !record.is_dead_letter());
        let topics: HashMap<_, _> = answers_of.map(|record| (record.message, record.topic)).collect();
        let unheard = told.callers.iter().filter(|(caller, _)| topics.contains_key(&caller.message));
        let mut encoder = self.origin.encoder(answers, told.pipeline);
        let mut lost = 0;
        for (caller, error) in unheard {
            let mut caller = caller.clone();
            let is_reply = topics[&caller.message] != pipeline.outlet.results;
            if let (true, Standing::Refused(why)) = (is_reply, self.origin.replies.standing(caller.message)) {
                told.give_back(&mut encoder, &caller, error.as_ref(), &why);
                continue;
            }
            if attempt > LAST_ATTEMPT {
                lost += 1;
                continue;
            }
            let is_result = error.is_none();
            let mut error = shortened(error.as_ref());
            if is_result {
                told.instead.lock().insert(caller.message, error.code());
            }
            if attempt == LAST_ATTEMPT {
                caller.has_headers = false;
                error = RequestError::new(error.code(), SHORTEST);
            }
            encoder.error(&caller, &error);
        }
        if lost > 0 {
            let pipeline = &pipeline.name;
            tracing::error!(
                pipeline,
                lost,
                "the ids of requests are larger than the topic of their answers allows: no answer is possible"
            );
        }
        encoder.finish()
    }
}

impl Told {
    /// Answers on the result topic what a reply topic did not take: an error with itself, a result with the reason.
    fn give_back(&self, encoder: &mut Encoder<'_>, caller: &Caller, error: Option<&RequestError>, why: &str) {
        if let Some(error) = error {
            return encoder.error(caller, error);
        }
        let returned = RequestError::new(ErrorCode::InvalidRequest, why);
        self.instead.lock().insert(caller.message, returned.code());
        encoder.error(caller, &returned);
        encoder.dead_letter(caller.message, &returned);
    }
}

/// There is nothing shorter after this one.
const LAST_ATTEMPT: usize = 1;

impl Redress for Lot {
    fn instead_of(&self, too_large: &[Answer], attempt: usize) -> Answers {
        if attempt == 0 && too_large.iter().any(Answer::is_dead_letter) {
            tracing::warn!("a dead letter is larger than its topic allows and is dropped");
        }
        let answers = Answers::with_room(too_large.len());
        self.told.iter().fold(answers, |answers, told| self.tell(told, too_large, attempt, answers))
    }
}

/// What is told in the place of a result, or of an error.
fn shortened(error: Option<&RequestError>) -> RequestError {
    let Some(error) = error else {
        let why = "the answer is larger than the result topic allows; ask for fewer rows or outputs";
        return RequestError::new(ErrorCode::ResponseTooLarge, why);
    };
    match error.message().char_indices().nth(SHORT) {
        Some((end, _)) => RequestError::new(error.code(), format!("{}…", &error.message()[..end])),
        None => error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters_and_keeps_its_code() {
        let long = RequestError::new(ErrorCode::InvalidInput, "ü".repeat(SHORT + 1));
        let short = shortened(Some(&long));
        assert_eq!((short.code(), short.message()), (ErrorCode::InvalidInput, &*format!("{}…", "ü".repeat(SHORT))));
        let fits = RequestError::new(ErrorCode::Internal, "ü".repeat(SHORT));
        assert_eq!(shortened(Some(&fits)).message(), fits.message());
        assert_eq!(shortened(None).code(), ErrorCode::ResponseTooLarge);
    }
}
