//! Where all answers of a chunk go out together, and its compressed bodies are too many to be decoded at once: part after part,
//! each through its models before the next is decoded.
//!
//! What stays of a part are the columns of its answers. Most chunks are one part, for which nothing is done here.

use std::sync::Arc;

use futures_util::StreamExt;

use super::{
    Worker,
    answered::{Answered, Requests},
    replies::Sorted,
};
use crate::{broker::Chunk, codec::Decoded};

impl Worker {
    /// Decodes a chunk up to its first part; where its answers go out together, up to its last, beside what is answered
    /// already.
    pub(super) async fn begin(self: &Arc<Self>, chunk: &Chunk) -> (Vec<Answered>, Decoded) {
        let mut answered = Vec::new();
        let mut decoded = self.decode(chunk, 0, Decoded::default(), None);
        if self.outbox.takes_whole_chunks() {
            while let Some(rest) = decoded.rest {
                answered.extend(self.part(&mut decoded).await);
                let space = self.room.enter().await;
                decoded = self.decode(chunk, rest, decoded, Some(space));
            }
        }
        (answered, decoded)
    }

    /// Takes what is decoded through its pipelines, and gives its space back.
    async fn part(&self, decoded: &mut Decoded) -> Vec<Answered> {
        let space = decoded.space.take();
        let mut sorted =
            Sorted { groups: std::mem::take(&mut decoded.groups), refused: std::mem::take(&mut decoded.refused) };
        let waiting = self.settle_replies(&decoded.replies, &mut sorted);
        let mut answered: Vec<_> = self.answers(sorted.groups).collect().await;
        answered.extend(Answered::refused(sorted.refused));
        answered.extend(self.later(&decoded.replies, waiting).collect::<Vec<_>>().await);
        answered.iter_mut().for_each(forget_inputs);
        drop(space);
        answered
    }
}

/// Only what is answered is needed any more.
fn forget_inputs(answered: &mut Answered) {
    let Requests::Milled { groups, .. } = &mut answered.requests else { return };
    for group in groups {
        group.columns = group.columns.iter().filter(|column| column.answer).cloned().collect();
    }
}
