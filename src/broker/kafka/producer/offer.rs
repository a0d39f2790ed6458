//! Records into the client's queue, as far as it has room.

use std::sync::Arc;

use rdkafka::error::RDKafkaErrorCode;

use super::batch::{Batch, Refused};
use crate::broker::{
    Answer, AnswerHeaders, Answers, Chunk, Copied, HeaderSet,
    kafka::native::{HeaderList, NativeRecords, OutputTopic},
};

/// Offers the records of `batch` that stand at `indices` of its answers, all to `topic`. Returns those that were not taken.
pub(super) fn offer(
    topic: &OutputTopic,
    chunk: &Chunk,
    batch: &Arc<Batch>,
    indices: &[usize],
    with_headers: bool,
) -> Vec<Refused> {
    if with_headers {
        return offer_with_headers(topic, chunk, batch, indices);
    }
    let records = indices.iter().map(|&index| batch.outgoing(chunk, index));
    // SAFETY: the batch owns the bytes and lives until its last report.
    let refused = unsafe { topic.produce_batch(records) };
    refused.into_iter().map(|(position, error)| (indices[position], error)).collect()
}

fn offer_with_headers(topic: &OutputTopic, chunk: &Chunk, batch: &Arc<Batch>, run: &[usize]) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut scratch = Vec::new();
    for (position, &index) in run.iter().enumerate() {
        let answer = &batch.answers.entries[index];
        let headers = headers_of(chunk, &batch.answers, answer, &mut scratch);
        // SAFETY: the batch owns the bytes and lives until its last report.
        let taken = unsafe { topic.produce(batch.outgoing(chunk, index), headers) };
        match taken {
            Ok(()) => {}
            Err(RDKafkaErrorCode::QueueFull) => {
                refused.extend(run[position..].iter().map(|&index| (index, RDKafkaErrorCode::QueueFull)));
                break;
            }
            Err(error) => refused.push((index, error)),
        }
    }
    refused
}

/// The headers of an answer: those of its request, then ours.
fn headers_of(chunk: &Chunk, answers: &Answers, answer: &Answer, scratch: &mut Vec<u8>) -> HeaderList {
    let Some(AnswerHeaders { copied, set }) = answer.headers else { return HeaderList::with_room(0) };
    let HeaderSet { own, copied: rule } = &answers.headers[set];
    let theirs = match chunk.records::<NativeRecords>() {
        _ if copied == Copied::None => None,
        // SAFETY: headers are read while a chunk is decoded, which is over when it is answered.
        Some(records) => unsafe { records.take_headers(answer.message) },
        None => {
            let mut list = HeaderList::with_room(own.len());
            chunk.headers(answer.message, &mut |header| list.push(header.name, header.value));
            Some(list)
        }
    };
    let mut headers = theirs.unwrap_or_else(|| HeaderList::with_room(own.len()));
    match copied {
        Copied::None | Copied::All => {}
        Copied::Answer => headers.retain(scratch, |name| rule.copies(name)),
        Copied::CorrelationId => headers.retain(scratch, |name| rule.correlates(name)),
    }
    own.iter().for_each(|(name, value)| headers.push(name.as_bytes(), Some(value)));
    headers
}
