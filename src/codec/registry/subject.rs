//! The schema of a pipeline's answers: registered under a subject, or looked up there, once for each shape of answers.
//!
//! Mostly that is one, and known before the first request comes. A model whose outputs change makes another, which is asked
//! about when its first answer is due; that one waits.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tokio::time::{sleep, timeout};

use super::{FIRST_PAUSE, Failure, LONGEST_PAUSE, Registry, jittered};
use crate::{
    codec::avro::Shape,
    error::{ErrorCode, RequestError},
    request::{Form, Group},
    tensor::{DataType, Name},
};

/// How long a refusal is believed: somebody may be about to register the schema, or to loosen the subject's rules.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Where the schema of a pipeline's answers stands.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    /// The pipeline's name, which becomes the record's.
    pub pipeline: String,
    pub subject: String,
    /// Whether it is registered, and not only looked up.
    pub register: bool,
}

/// An output as a model's signature announces it: name, datatype, axes behind the row's.
pub type AnswerOutput = (Name, DataType, usize);

/// What is known of a subject.
pub struct Subject {
    config: AnswerSchema,
    known: RwLock<HashMap<Shape, Known>>,
    /// Who asks, for all who wait.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
enum Known {
    Id(u32),
    Refused(RequestError, Instant),
}

impl Subject {
    pub(super) fn new(config: AnswerSchema) -> Self {
        Self { config, known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// The id of the schema of such answers, if it is known.
    pub fn id(&self, shape: &Shape) -> Option<u32> {
        match self.known.read().get(shape) {
            Some(Known::Id(id)) => Some(*id),
            _ => None,
        }
    }

    fn refusal(&self, shape: &Shape) -> Option<RequestError> {
        match self.known.read().get(shape) {
            Some(Known::Refused(error, until)) if Instant::now() < *until => Some(error.clone()),
            _ => None,
        }
    }
}

impl Registry {
    /// Sees to it that the answers of groups can be written; requests whose answers cannot, fail.
    pub async fn prepare(&self, pipeline: usize, groups: &mut [Group], patience: impl Fn(&Group) -> Duration) {
        let Some(subject) = self.answers(pipeline) else { return };
        for group in groups {
            let is_due = group.requests.iter().any(|request| request.form == Form::Avro && request.failure.is_none());
            if !is_due {
                continue;
            }
            let shape = Shape::of_group(group);
            if let Err(error) = self.settle(subject, &shape, patience(group)).await {
                for request in group.requests.iter_mut().filter(|request| request.form == Form::Avro) {
                    request.failure.get_or_insert_with(|| error.clone());
                }
            }
        }
    }

    /// Asks about the answers of a pipeline before there are any.
    ///
    /// # Errors
    /// `true` with a sentence if the registry refuses their schema, `false` if it did not say.
    pub async fn announce(
        &self,
        pipeline: usize,
        outputs: Vec<AnswerOutput>,
        patience: Duration,
    ) -> Result<(), (bool, String)> {
        let Some(subject) = self.answers(pipeline) else { return Ok(()) };
        let shape = Shape::of(outputs);
        self.settle(subject, &shape, patience).await.map_err(|error| {
            let refused = subject.refusal(&shape).is_some();
            (refused, error.message().to_owned())
        })
    }

    async fn settle(&self, subject: &Subject, shape: &Shape, patience: Duration) -> Result<(), RequestError> {
        if subject.id(shape).is_some() {
            return Ok(());
        }
        let mut last = "no answer yet".to_owned();
        let asked = timeout(patience, async {
            let _asking = subject.asking.lock().await;
            let mut pause = FIRST_PAUSE;
            loop {
                if subject.id(shape).is_some() {
                    return Ok(());
                }
                if let Some(error) = subject.refusal(shape) {
                    return Err(error);
                }
                match self.ask(subject, shape).await {
                    Ok(verdict) => drop(subject.known.write().insert(shape.clone(), verdict)),
                    Err(why) => {
                        if why != last {
                            tracing::warn!(
                                subject = subject.config.subject,
                                reason = why,
                                "a schema cannot be settled"
                            );
                        }
                        last = why;
                        sleep(jittered(pause)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        });
        let asked = asked.await;
        asked.unwrap_or_else(|_| {
            let subject = &subject.config.subject;
            let why = format!(
                "the request's time was up before the schema registry had the schema of its answer, `{subject}`: {last}"
            );
            Err(RequestError::new(ErrorCode::ModelUnavailable, why))
        })
    }

    async fn ask(&self, subject: &Subject, shape: &Shape) -> Result<Known, String> {
        let AnswerSchema { pipeline, subject, register } = &subject.config;
        let schema = shape.schema(pipeline);
        let (refused, help) = match self.client.id(subject, &schema, *register).await {
            Ok(id) => {
                tracing::info!(subject, id, "the schema of answers is known");
                return Ok(Known::Id(id));
            }
            Err(Failure::Passing(why)) => return Err(why),
            Err(Failure::Unknown(why)) => {
                (why, ": register it there, or set output.avro.register to true; it is ".to_owned() + &schema)
            }
            Err(Failure::Refused(why) | Failure::Unusable(why)) => (why, String::new()),
        };
        let why = format!("the schema registry refuses the schema of answers under `{subject}`: {refused}{help}");
        let error = RequestError::new(ErrorCode::ModelUnavailable, why);
        Ok(Known::Refused(error, Instant::now() + REFUSED_FOR))
    }
}
