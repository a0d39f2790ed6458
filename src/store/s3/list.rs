//! One flat sweep over everything below the prefix: a page of 1000 keys after another, never a request for each model.

use aws_sdk_s3::{Client, types::EncodingType};

use super::errors::About;
use crate::store::{Object, StoreError};

/// The most that a server gives at once.
const PAGE: i32 = 1000;

/// Every listed file, sorted by path.
pub async fn list(client: &Client, about: About<'_>) -> Result<Vec<Object>, StoreError> {
    let place = about.place;
    let mut objects = Vec::new();
    let mut next = None;
    loop {
        let page = client
            .list_objects_v2()
            .bucket(&place.bucket)
            .prefix(&place.prefix)
            .max_keys(PAGE)
            .encoding_type(EncodingType::Url)
            .set_continuation_token(next)
            .send()
            .await
            .map_err(|error| about.failed(&error))?;
        for entry in page.contents() {
            let path = entry.key().and_then(|key| place.path(key, page.encoding_type()));
            let (Some(path), Some(size)) = (path, entry.size().and_then(|size| u64::try_from(size).ok())) else {
                continue;
            };
            // Without an ETag, which not every server has for every object, only the time tells of a change.
            let time = || format!("{:?}", entry.last_modified());
            let etag = entry.e_tag().filter(|etag| !etag.is_empty());
            objects.push(Object { path, size, stamp: etag.map_or_else(time, str::to_owned) });
        }
        next = page.next_continuation_token().map(str::to_owned);
        match (page.is_truncated(), &next) {
            (Some(true), Some(_)) => {}
            // Half a listing would look like deleted models.
            (Some(true), None) => {
                let sentence = format!("{about} gave a part of its listing and no way to the rest");
                return Err(StoreError::Unreachable(sentence));
            }
            _ => break,
        }
    }
    objects.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(objects)
}
