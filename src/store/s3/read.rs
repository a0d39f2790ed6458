//! A small object into memory.

use aws_sdk_s3::Client;

use super::{
    errors::About,
    pace::{Came, Pace},
};
use crate::store::{StoreError, is_listed};

/// All of an object of at most `most` bytes.
pub async fn read(client: &Client, about: About<'_>, path: &str, most: u64) -> Result<Vec<u8>, StoreError> {
    if !is_listed(path) {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let request = client.get_object().bucket(&about.place.bucket).key(about.place.key(path));
    let mut answer = request.send().await.map_err(|error| about.failed(&error))?;
    let too_large = |length: u64| length > most;
    let promised = answer.content_length().and_then(|length| u64::try_from(length).ok());
    let mut bytes = Vec::new();
    let mut pace = Pace::default();
    loop {
        if promised.is_some_and(too_large) || too_large(bytes.len() as u64) {
            return Err(StoreError::TooLarge { path: path.to_owned(), most });
        }
        match pace.next(&mut answer.body).await.map_err(|broken| about.interrupted(&broken))? {
            Came::Piece(piece) => bytes.extend_from_slice(piece.as_ref()),
            Came::End => break,
            Came::Nothing => {}
        }
    }
    if promised.is_some_and(|promised| promised != bytes.len() as u64) {
        return Err(StoreError::Unreachable(format!("{about} ended after {} bytes", bytes.len())));
    }
    Ok(bytes)
}
