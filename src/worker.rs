//! The journey of one chunk: decode → steps → predict → steps → encode → publish → acknowledge.
//!
//! A chunk is a task. Its groups go side by side, so that a slow model holds up no answer but its own; the task ends when the
//! broker has every answer. A request's fate is its own: whatever goes wrong with it is its answer. What goes wrong with
//! the worker ends the task with an error, and nothing of the chunk is acknowledged.

use std::{
    panic,
    pin::pin,
    sync::Arc,
    time::{Instant, SystemTime},
};

use futures_util::{
    Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use tokio::task::JoinSet;

use crate::{
    broker::{
        Chunk,
        kafka::{outbox::Outbox, ticket::Turn},
        replies::Replies,
    },
    codec::{
        self, Awaiting, Decoded, Intakes, Rules,
        inflate::{Inflater, Room, Space},
        registry::Registry,
    },
    error::{ErrorCode, RequestError, WorkerError},
    metrics::Stage,
    model::manager::Manager,
    request::Group,
    steps::program::admit,
};
use answered::{Answered, Origin, Requests};
pub use pipeline::Pipeline;
use pipeline::patience;
use replies::Sorted;
use run::run;

mod answered;
mod late;
mod lot;
mod pipeline;
mod replies;
mod run;
mod together;

/// So many lots of those who were late go together, if they are there together.
const MOST_LATE: usize = 100;

/// What every chunk needs.
pub struct Worker {
    /// What decoding must know.
    pub intakes: Intakes,
    /// The pipelines in the order of their routes.
    pub pipelines: Vec<Pipeline>,
    /// The models.
    pub models: Manager,
    /// Where answers go.
    pub outbox: Outbox,
    /// The memory for requests that were compressed.
    pub room: Room,
    /// The schemas of requests and answers that have one.
    pub registry: Option<Arc<Registry>>,
}

impl Worker {
    /// Takes one chunk from messages to acknowledged answers.
    ///
    /// Guarantee: `Ok` only when every message of the chunk, of partitions that are still ours, has exactly one answer that
    /// the broker has acknowledged.
    ///
    /// # Errors
    /// If an answer could not be published: the chunk must not be committed.
    pub async fn mill(self: &Arc<Self>, chunk: Chunk, turn: &Arc<Turn>) -> Result<(), WorkerError> {
        let chunk = Arc::new(chunk);
        if self.outbox.takes_whole_chunks() {
            return self.mill_together(chunk, turn).await;
        }
        let mut late = JoinSet::new();
        let mut decoded = self.decode(&chunk, 0, Decoded::default(), None);
        loop {
            let rest = decoded.rest;
            self.publish_part(&chunk, decoded, &mut late, turn).await?;
            // What was compressed may be too much to be decoded at once.
            let Some(rest) = rest else { break };
            decoded = self.decode(&chunk, rest, Decoded::default(), Some(self.room.enter().await));
        }
        while let Some(ended) = late.join_next().await {
            ended.unwrap_or_else(|error| panic::resume_unwind(error.into_panic()))?;
        }
        Ok(())
    }

    /// Takes one part of a chunk to acknowledged answers. Who must wait for a schema does so as one of `late`, beside this part
    /// and those after it: nobody who holds space for what was compressed waits for them, as they may want some, too.
    async fn publish_part(
        self: &Arc<Self>,
        chunk: &Arc<Chunk>,
        decoded: Decoded,
        late: &mut JoinSet<Result<(), WorkerError>>,
        turn: &Arc<Turn>,
    ) -> Result<(), WorkerError> {
        let Decoded { ids, groups, refused, replies, awaiting, rest: _, space } = decoded;
        let origin = Origin::new(self, chunk, ids, replies);
        if !awaiting.is_empty() {
            late.spawn(publish_late(origin.clone(), awaiting, Arc::clone(turn)));
        }
        let mut sorted = Sorted { groups, refused };
        let waiting = self.settle_replies(&origin.replies, &mut sorted);
        let ready = Answered::refused(sorted.refused);
        let answered = self.answers(sorted.groups);
        let most = answered.len().max(1);
        let later = pin!(self.later(&origin.replies, waiting));
        let answered = stream::select(answered, later).ready_chunks(most);
        let published = publish_as_they_come(&origin, answered, ready, turn).await;
        drop(space);
        published
    }

    /// Takes groups through their pipelines, side by side.
    fn answers(&self, groups: Vec<Group>) -> FuturesUnordered<impl Future<Output = Answered>> {
        groups.into_iter().map(|group| self.answer(group)).collect()
    }

    /// Answers those who must wait for a look at the topics that they want their answers on.
    fn later(&self, replies: &Replies, waiting: Option<Sorted>) -> impl Stream<Item = Answered> {
        let settled = stream::iter(waiting).then(|waiting| self.wait_for_replies(replies, waiting));
        settled
            .flat_map(|Sorted { groups, refused }| self.answers(groups).chain(stream::iter(Answered::refused(refused))))
    }

    /// Decodes a chunk from `from` on; `before` and `space` are what the part before it leaves, and what this one may take.
    fn decode(&self, chunk: &Chunk, from: usize, before: Decoded, space: Option<Space>) -> Decoded {
        let started = Instant::now();
        let decoded = match chunk.condemned() {
            None => codec::decode_part(chunk, from, self.rules(), Inflater::within(&self.room, space), before),
            Some(why) => codec::refuse_all(chunk, &self.intakes, why),
        };
        // A chunk is mostly of one pipeline; the first message's stands for all.
        let pipeline = self.intakes.topics[chunk.message(0).topic].1;
        self.pipelines[pipeline].metrics.stage(Stage::Decode, started.elapsed());
        decoded
    }

    fn rules(&self) -> Rules<'_> {
        Rules { intakes: &self.intakes, registry: self.registry.as_deref() }
    }

    /// Takes one group through its pipeline.
    async fn answer(&self, mut group: Group) -> Answered {
        let pipeline = &self.pipelines[group.route.pipeline];
        let route = Arc::clone(&group.route);
        let plan = pipeline.plan(&group, &self.models).await.and_then(|plan| {
            let segments: Vec<_> = plan.iter().map(|(_, bound)| Arc::clone(bound)).collect();
            admit(&mut group, &segments).map_err(|why| RequestError::new(ErrorCode::InvalidInput, why))?;
            Ok(plan)
        });
        let requests = match plan {
            Ok(mut plan) => {
                let mut groups = run(&plan, group, &pipeline.metrics).await;
                if let Some(registry) = &self.registry {
                    registry.prepare(route.pipeline, &mut groups, patience).await;
                }
                Requests::Milled { groups, model: plan.pop().map(|(model, _)| model) }
            }
            Err(error) => {
                group.fail_all(&error);
                Requests::Milled { groups: vec![group], model: None }
            }
        };
        Answered { pipeline: route.pipeline, requests }
    }
}

/// Publishes the answers of those who wait for a schema.
async fn publish_late(origin: Origin, awaiting: Vec<Awaiting>, turn: Arc<Turn>) -> Result<(), WorkerError> {
    let answered = origin.worker.late(&origin, awaiting).ready_chunks(MOST_LATE);
    publish_as_they_come(&origin, answered, Vec::new(), &turn).await
}

/// Publishes what is ready while the rest is under way. What becomes ready while answers are on their way goes with what comes
/// after it, or at the end: so many models of a chunk are a few large publications and not many small ones.
async fn publish_as_they_come(
    origin: &Origin,
    mut answered: impl Stream<Item = Vec<Answered>> + Unpin,
    mut ready: Vec<Answered>,
    turn: &Arc<Turn>,
) -> Result<(), WorkerError> {
    let mut on_their_way = FuturesUnordered::new();
    let mut is_over = false;
    loop {
        if !ready.is_empty() && (is_over || on_their_way.is_empty()) {
            on_their_way.push(origin.publish(std::mem::take(&mut ready), turn));
        }
        tokio::select! {
            biased;
            more = answered.next(), if !is_over => match more {
                Some(more) => ready.extend(more),
                None => is_over = true,
            },
            Some(published) = on_their_way.next() => published?,
            else => return Ok(()),
        }
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
