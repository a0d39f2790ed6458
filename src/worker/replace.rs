//! What is told instead of an answer that is larger than its topic allows: the caller must not wait for nothing.
//!
//! A result gives way to `RESPONSE_TOO_LARGE`; an error keeps its code, and its message is cut. What is still too large then
//! (a request's headers may be) goes without the request's headers and with the shortest message. Only an id that does not
//! fit by itself leaves its caller without an answer, which is an error in the log.

use std::collections::HashSet;

use super::{Origin, Worker};
use crate::{
    broker::Answer,
    codec::encode::Caller,
    error::{ErrorCode, RequestError, WorkerError},
};

/// Characters that an error's message keeps: enough for a sentence without what it quotes.
const SHORT: usize = 200;

/// What is said when even a short sentence, with the request's headers, was too much.
const SHORTEST: &str = "too large to be told";

impl Worker {
    /// Publishes errors in the place of answers that were too large, and returns how many of them were results. `callers` are
    /// all whose answers were published together, with the errors that they were told.
    pub(super) async fn replace<'a>(
        &self,
        from: &Origin<'_>,
        too_large: &[Answer],
        callers: impl Iterator<Item = (Caller, Option<&'a RequestError>)>,
    ) -> Result<usize, WorkerError> {
        let pipeline = &from.pipeline.name;
        let answers = messages(too_large, from.pipeline.outlet.results);
        if answers.len() < too_large.len() {
            tracing::warn!(pipeline, "a dead letter is larger than its topic allows and is dropped");
        }
        let unanswered = callers.filter(|(caller, _)| answers.contains(&caller.message));
        let mut waiting: Vec<_> = unanswered.map(|(caller, error)| (caller, shortened(error))).collect();
        let results = waiting.iter().filter(|(_, error)| error.code() == ErrorCode::ResponseTooLarge).count();
        waiting = self.tell(from, waiting).await?;
        for (caller, error) in &mut waiting {
            caller.has_headers = false;
            *error = RequestError::new(error.code(), SHORTEST);
        }
        let lost = self.tell(from, waiting).await?.len();
        if lost > 0 {
            tracing::error!(
                pipeline,
                lost,
                "the ids of requests are larger than the result topic allows: no answer is possible"
            );
        }
        Ok(results)
    }

    /// Publishes errors; returns those that are too large.
    async fn tell(
        &self,
        from: &Origin<'_>,
        mut errors: Vec<(Caller, RequestError)>,
    ) -> Result<Vec<(Caller, RequestError)>, WorkerError> {
        let mut encoder = self.encoder(from, errors.len());
        errors.iter().for_each(|(caller, error)| encoder.error(*caller, error));
        let too_large = self.producer.publish(from.chunk, encoder.finish()).await?.too_large;
        let unheard = messages(&too_large, from.pipeline.outlet.results);
        errors.retain(|(caller, _)| unheard.contains(&caller.message));
        Ok(errors)
    }
}

/// The messages that these records answer, dead letters aside.
fn messages(records: &[Answer], results: usize) -> HashSet<usize> {
    records.iter().filter(|record| record.topic == results).map(|record| record.message).collect()
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
