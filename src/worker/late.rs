//! Messages whose schema is not known yet: they wait for it beside the journey, and go on as chunks of their own.
//!
//! Messages of one schema whose time is up together wait together; no others wait for them. What waits for nothing has gone on
//! at once. A schema that has not come when the time is up is what they are answered with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};

use super::{
    Worker,
    answered::{Answered, Origin},
    now,
    replies::Sorted,
};
use crate::{
    codec::{
        self, Awaiting, Decoded, Refused,
        inflate::{Inflater, Space},
    },
    error::{ErrorCode, RequestError},
    request::Request,
};

/// Deadlines that are this close, in milliseconds, are one.
const TOGETHER: i64 = 100;

/// How long a message waits that has no deadline.
const PATIENCE: Duration = Duration::from_secs(30);

impl Worker {
    /// Answers those who must wait for a schema.
    pub(super) fn late<'a>(
        &'a self,
        origin: &'a Origin,
        awaiting: Vec<Awaiting>,
    ) -> impl Stream<Item = Answered> + Send + 'a {
        // Which is nobody, mostly.
        stream::iter((!awaiting.is_empty()).then_some(awaiting)).flat_map(move |awaiting| {
            let lots = together(awaiting).into_values().map(move |lot| self.late_lot(origin, lot).boxed());
            stream::select_all(lots)
        })
    }

    /// Waits for a schema, and answers who waited for it; what was compressed, a part at a time.
    fn late_lot<'a>(&'a self, origin: &'a Origin, lot: Vec<Awaiting>) -> impl Stream<Item = Answered> + Send + 'a {
        let lot = Arc::new(lot);
        let begin = Part { from: 0, is_late: None, needs_space: false };
        stream::unfold(Some(begin), move |part| self.late_part(origin, Arc::clone(&lot), part)).flat_map(
            move |(sorted, space)| {
                let refused = stream::iter(Answered::refused(sorted.refused));
                // The models must have had these before there is space for others.
                self.answers(sorted.groups).chain(refused).map(move |answered| {
                    let _held = &space;
                    answered
                })
            },
        )
    }

    /// Decodes one part of a lot; the first of them waits for the schema.
    async fn late_part(
        &self,
        origin: &Origin,
        lot: Arc<Vec<Awaiting>>,
        part: Option<Part>,
    ) -> Option<((Sorted, Option<Space>), Option<Part>)> {
        let (Part { from, is_late, needs_space }, first) = (part?, lot.first()?);
        let registry = self.registry.as_ref()?;
        let is_late = match is_late {
            Some(is_late) => is_late,
            None => {
                let patience = patience(first.deadline);
                registry.wait(first.schema, patience).await;
                patience.is_zero()
            }
        };
        let space = if needs_space { Some(self.room.enter().await) } else { None };
        let inflater = Inflater::within(&self.room, space);
        let decoded = codec::decode_late(&origin.chunk, &lot[from..], self.rules(), inflater);
        let Decoded { groups, mut refused, rest, space, .. } = decoded;
        if is_late {
            refused.iter_mut().for_each(came_late);
        }
        let mut sorted = Sorted { groups, refused };
        if !origin.replies.is_empty() {
            sorted = self.wait_for_replies(&origin.replies, sorted).await;
        }
        let next = rest.map(|rest| Part { from: from + rest, is_late: Some(is_late), needs_space: true });
        Some(((sorted, space), next))
    }
}

/// Where a part of a lot begins.
struct Part {
    /// Its first message in the lot.
    from: usize,
    /// Whether the lot's time was up before it could wait; `None`: it has not waited yet.
    is_late: Option<bool>,
    /// Whether it may only begin with space for what is compressed.
    needs_space: bool,
}

/// Whose time was up before anybody was asked has no registry to blame.
fn came_late(refused: &mut Refused) {
    if refused.error.code() == ErrorCode::ModelUnavailable {
        let why = "the request's time was up before its schema was asked for";
        refused.error = RequestError::new(ErrorCode::DeadlineExceeded, why);
    }
}

/// Those who wait for the same schema until the same time.
fn together(awaiting: Vec<Awaiting>) -> BTreeMap<(u32, i64), Vec<Awaiting>> {
    let mut lots: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for message in awaiting {
        lots.entry((message.schema, message.deadline / TOGETHER)).or_default().push(message);
    }
    lots
}

/// How long somebody waits whose time is up at `deadline`.
fn patience(deadline: i64) -> Duration {
    if deadline == Request::NO_DEADLINE {
        return PATIENCE;
    }
    Duration::from_millis(u64::try_from(deadline.saturating_sub(now())).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Ids;

    #[test]
    fn who_waits_for_another_schema_or_for_longer_waits_apart() {
        let id = Ids::default().push("r");
        let awaiting = [(0, 7, 1000), (1, 8, 1000), (2, 7, 1040), (3, 7, 9000)];
        let awaiting = awaiting.map(|(message, schema, deadline)| Awaiting { message, id, schema, deadline });
        let lots = together(awaiting.to_vec()).into_values();
        let lots: Vec<Vec<_>> = lots.map(|lot| lot.iter().map(|message| message.message).collect()).collect();
        assert_eq!(lots, [vec![0, 2], vec![3], vec![1]]);
    }
}
