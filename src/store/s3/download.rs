//! One object, whole or from where an earlier try ended, held against what was listed.
//!
//! The SDK checks a whole body against the checksum that the server stored, but neither a range nor the composite checksum of
//! an object that was uploaded in parts; and it never asks for a body again. So: `If-Match` on every request, the size at
//! the end, and whoever knows the sha256 looks at that.

use std::path::Path;

use aws_sdk_s3::{Client, operation::get_object::GetObjectOutput, primitives::ByteStream};

use super::{
    errors::About,
    pace::{Came, Pace},
};
use crate::store::{
    Object, StoreError,
    part::{self, Part},
};

/// Fetches `object`, or the rest of it, into `part`.
pub async fn download(
    client: &Client,
    about: About<'_>,
    object: &Object,
    part: &Path,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), StoreError> {
    let begun = Part::open(part, object)?;
    let outcome = fetch(client, about, object, begun, progress).await;
    // What has come is of no use to the next try.
    if matches!(outcome, Err(StoreError::Changed(_) | StoreError::Missing(_) | StoreError::Damaged(_))) {
        part::discard(part);
    }
    outcome
}

async fn fetch(
    client: &Client,
    about: About<'_>,
    object: &Object,
    mut part: Part,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), StoreError> {
    if part.length() == object.size {
        return part.finish();
    }
    let mut answer = ask(client, about, object, part.length()).await?;
    let changed = || StoreError::Changed(object.path.clone());
    let (from, total) = extent(&answer).ok_or_else(changed)?;
    if total != object.size {
        return Err(changed());
    }
    // A server that knows no ranges sends all of it.
    if from == 0 {
        part.restart()?;
    } else if from != part.length() {
        let sentence = format!("{about} sent another range than it was asked for");
        return Err(StoreError::Unreachable(sentence));
    }
    receive(&mut answer.body, about, &mut part, progress).await?;
    match part.length() {
        length if length > object.size => Err(changed()),
        length if length < object.size => Err(StoreError::Unreachable(format!(
            "{about} ended after {length} of {} bytes; the next try goes on from there",
            object.size
        ))),
        _ => part.finish(),
    }
}

async fn ask(client: &Client, about: About<'_>, object: &Object, from: u64) -> Result<GetObjectOutput, StoreError> {
    let request = client.get_object().bucket(&about.place.bucket).key(about.place.key(&object.path));
    let condition = object.stamp.starts_with('"').then(|| object.stamp.clone());
    let range = (from > 0).then(|| format!("bytes={from}-"));
    let answer = request.set_if_match(condition).set_range(range).send().await;
    answer.map_err(|error| about.failed(&error))
}

/// Where the bytes of an answer begin, and how many the whole object has.
fn extent(answer: &GetObjectOutput) -> Option<(u64, u64)> {
    match answer.content_range() {
        None => Some((0, answer.content_length()?.try_into().ok()?)),
        Some(range) => parse_range(range),
    }
}

/// Reads `bytes 100-199/200`.
fn parse_range(range: &str) -> Option<(u64, u64)> {
    let (span, total) = range.trim().strip_prefix("bytes")?.split_once('/')?;
    let (from, _) = span.trim().split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()?))
}

async fn receive(
    body: &mut ByteStream,
    about: About<'_>,
    part: &mut Part,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<(), StoreError> {
    let mut pace = Pace::default();
    loop {
        match pace.next(body).await.map_err(|broken| about.interrupted(&broken))? {
            Came::Piece(bytes) => part.append(bytes.as_ref())?,
            Came::End => return Ok(()),
            // Whoever waits for the download may have thought better of it.
            Came::Nothing => {}
        }
        if !progress(part.length()) {
            return Err(StoreError::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_where_it_begins_and_what_the_whole_is() {
        assert_eq!(parse_range("bytes 100-199/200"), Some((100, 200)));
        for wrong in ["bytes */200", "bytes 1-2/*", "1-2/3", ""] {
            assert_eq!(parse_range(wrong), None, "{wrong}");
        }
    }
}
