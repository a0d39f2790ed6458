//! The journey of a chunk whose answers go out together.
//!
//! Where its compressed bodies are too many to be decoded at once, it goes part after part, each through its models before the
//! next is decoded; what stays of a part are the columns of its answers. Most chunks are one part. Who must wait for a schema
//! does so beside the last part, whose space does not wait for them: they may want some, too.

use std::{mem, sync::Arc};

use futures_util::{StreamExt, future::join};

use super::{
    Worker,
    answered::{Answered, Origin, Requests},
    replies::Sorted,
};
use crate::{
    broker::{Chunk, kafka::ticket::Turn, replies::Replies},
    codec::{Decoded, inflate::Space},
    error::WorkerError,
};

impl Worker {
    /// Takes a chunk to acknowledged answers, all of them at once.
    pub(super) async fn mill_together(
        self: &Arc<Self>,
        chunk: Arc<Chunk>,
        turn: &Arc<Turn>,
    ) -> Result<(), WorkerError> {
        let mut answered = Vec::new();
        let mut decoded = self.decode(&chunk, 0, Decoded::default(), None);
        while let Some(rest) = decoded.rest {
            let (part, space) = taken(&mut decoded);
            answered.extend(self.part(&decoded.replies, part, space).await);
            decoded = self.decode(&chunk, rest, decoded, Some(self.room.enter().await));
        }
        let (part, space) = taken(&mut decoded);
        let Decoded { ids, replies, awaiting, .. } = decoded;
        let origin = Origin::new(self, &chunk, ids, replies);
        let late = self.late(&origin, awaiting).map(without_inputs).collect::<Vec<_>>();
        let (part, late) = join(self.part(&origin.replies, part, space), late).await;
        answered.extend(part.into_iter().chain(late));
        origin.publish(answered, turn).await
    }

    /// Takes what is decoded through its pipelines, and gives its space back: then others may have it, and these answers wait
    /// for those of earlier chunks.
    async fn part(&self, replies: &Replies, mut part: Sorted, space: Option<Space>) -> Vec<Answered> {
        let waiting = self.settle_replies(replies, &mut part);
        let mut answered: Vec<_> = self.answers(part.groups).collect().await;
        answered.extend(Answered::refused(part.refused));
        answered.extend(self.later(replies, waiting).collect::<Vec<_>>().await);
        if space.is_some() {
            answered = answered.into_iter().map(without_inputs).collect();
        }
        answered
    }
}

/// What is decoded of a part, and the space that it takes.
fn taken(decoded: &mut Decoded) -> (Sorted, Option<Space>) {
    let (groups, refused) = (mem::take(&mut decoded.groups), mem::take(&mut decoded.refused));
    (Sorted { groups, refused }, decoded.space.take())
}

/// Only what is answered is needed any more.
fn without_inputs(mut answered: Answered) -> Answered {
    if let Requests::Milled { groups, .. } = &mut answered.requests {
        for group in groups {
            group.columns = group.columns.iter().filter(|column| column.answer).cloned().collect();
        }
    }
    answered
}
