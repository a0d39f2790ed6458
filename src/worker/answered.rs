//! What has come through its pipeline, on its way to the outbox.

use std::{sync::Arc, time::Instant};

use super::{
    Worker,
    lot::{Lot, Told},
};
use crate::{
    broker::{
        Answers, Chunk,
        kafka::{outbox::Publication, ticket::Turn},
        replies::Replies,
    },
    codec::{
        Refused,
        encode::{Encoder, Model},
    },
    error::WorkerError,
    metrics::Stage,
    model::servable::Servable,
    request::{Group, Ids},
};

/// Requests whose answers are known.
pub(super) struct Answered {
    /// Index of their pipeline.
    pub pipeline: usize,
    pub requests: Requests,
}

pub(super) enum Requests {
    /// They went through the pipeline, up to a model or to what kept them from one.
    Milled { groups: Vec<Group>, model: Option<Arc<Servable>> },
    /// They could not be decoded.
    Refused(Vec<Refused>),
}

/// Where requests come from.
#[derive(Clone)]
pub(super) struct Origin {
    pub worker: Arc<Worker>,
    pub chunk: Arc<Chunk>,
    pub ids: Arc<Ids>,
    pub replies: Arc<Replies>,
}

impl Answered {
    /// What could not be decoded, by pipeline.
    pub fn refused(refused: Vec<Refused>) -> Vec<Self> {
        let mut answered: Vec<Self> = Vec::new();
        for refused in refused {
            match answered.last_mut() {
                Some(Self { pipeline, requests: Requests::Refused(last) }) if *pipeline == refused.pipeline => {
                    last.push(refused);
                }
                _ => answered.push(Self { pipeline: refused.pipeline, requests: Requests::Refused(vec![refused]) }),
            }
        }
        answered
    }

    fn len(&self) -> usize {
        match &self.requests {
            Requests::Milled { groups, .. } => groups.iter().map(|group| group.requests.len()).sum(),
            Requests::Refused(refused) => refused.len(),
        }
    }

    /// Those who wait, with what they are told. The columns are given back here: nobody needs them any more.
    fn told(self) -> Told {
        match self.requests {
            Requests::Milled { groups, .. } => Told::of_groups(self.pipeline, groups),
            Requests::Refused(refused) => Told::of_refused(self.pipeline, refused),
        }
    }
}

impl Origin {
    /// What `worker` found in `chunk`.
    pub fn new(worker: &Arc<Worker>, chunk: &Arc<Chunk>, ids: Ids, replies: Replies) -> Self {
        let (worker, chunk) = (Arc::clone(worker), Arc::clone(chunk));
        Self { worker, chunk, ids: Arc::new(ids), replies: Arc::new(replies) }
    }

    /// Publishes answers, all of them together.
    pub async fn publish(&self, answered: Vec<Answered>, turn: &Arc<Turn>) -> Result<(), WorkerError> {
        let mut answers = Answers::with_room(answered.iter().map(Answered::len).sum());
        for answered in &answered {
            answers = self.encode(answers, answered);
        }
        // Groups part on their way, and what failed stands behind what did not. In order, too, the client gives memory back in
        // the order in which it took it, whichever group had which message.
        answers.sort();
        let told = answered.into_iter().map(Answered::told).collect();
        let lot = Arc::new(Lot { origin: self.clone(), told });
        let started = Instant::now();
        let publication =
            Publication { chunk: Arc::clone(&self.chunk), answers: Arc::new(answers), redress: Arc::clone(&lot) as _ };
        self.worker.outbox.publish(publication, turn).await?;
        lot.count(started.elapsed());
        Ok(())
    }

    fn encode(&self, answers: Answers, answered: &Answered) -> Answers {
        let pipeline = &self.worker.pipelines[answered.pipeline];
        let before = answers.entries.len();
        let mut encoder = self.encoder(answers, answered.pipeline);
        match &answered.requests {
            Requests::Milled { groups, model } => {
                let started = Instant::now();
                encoder = encoder.naming(model.as_deref().map(model_of));
                groups.iter().for_each(|group| encoder.group(group));
                pipeline.metrics.stage(Stage::Encode, started.elapsed());
                encoder.finish()
            }
            Requests::Refused(refused) => {
                refused.iter().for_each(|refused| encoder.refused(refused));
                let answers = encoder.finish();
                pipeline.metrics.dead_letters((answers.entries.len() - before - refused.len()) as u64);
                answers
            }
        }
    }

    /// An encoder of answers to requests of this pipeline, which it adds to `answers`.
    pub fn encoder(&self, answers: Answers, pipeline: usize) -> Encoder<'_> {
        let Worker { intakes, pipelines, .. } = &*self.worker;
        let outlet = &pipelines[pipeline].outlet;
        let subject = self.worker.registry.as_ref().and_then(|registry| registry.answers(pipeline));
        Encoder::new(answers, &self.chunk, &intakes.topics, &self.ids, outlet).replying(&self.replies).under(subject)
    }
}

fn model_of(servable: &Servable) -> Model<'_> {
    Model { name: &servable.id.name, version: &servable.version, digest: &servable.digest }
}
