//! Files into a bucket: small ones in one request, large ones in parts, which become an object all at once.
//!
//! Every request carries a checksum that the server holds the bytes against. The sha256 of the whole file goes with the object
//! as metadata (`x-amz-meta-sha256`), so that a push that was interrupted knows what is there already.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};

use super::{S3Store, connect, errors::About};
use crate::store::StoreError;

/// Of one part, and of what is sent in one request. S3 wants 5 MiB at least, but for the last part.
const PART: u64 = 8 << 20;

/// S3 takes 10,000.
const MOST_PARTS: u64 = 9000;

/// Where a file's sha256 stands with its object.
const SHA256: &str = "sha256";

/// A file to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// Where it goes, relative to the root.
    pub path: &'a str,
    /// The local file.
    pub file: &'a Path,
    /// Its bytes.
    pub size: u64,
    /// Of the whole file, in hex.
    pub sha256: &'a str,
}

impl S3Store {
    /// Sends a file; `progress` is told the bytes of it that the server has, and ends the upload by `false`.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the file cannot be read or is no longer of that size, or why the server does not take it; then
    /// there is no such object, or the one that was there before.
    pub fn upload(&self, upload: &Upload<'_>, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        self.call(async |client| {
            let sender = Sender { client: connect::for_uploads(&client), about: self.about(Some(upload.path)), upload };
            let mut file = File::open(upload.file).map_err(|source| sender.unreadable(source))?;
            if upload.size <= PART {
                sender.whole(&mut file, progress).await
            } else {
                sender.parts(&mut file, progress).await
            }
        })
    }

    /// Writes a small object, if there is none yet or `replace` says so.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if there is one and it is not to be replaced; or why the server does not take it.
    pub fn write(&self, path: &str, bytes: Vec<u8>, replace: bool) -> Result<(), StoreError> {
        self.call(async |client| {
            let about = self.about(Some(path));
            let put = |condition: Option<String>| {
                let request = client.put_object().bucket(&self.place.bucket).key(self.place.key(path));
                request.set_if_none_match(condition).body(ByteStream::from(bytes.clone())).send()
            };
            let mut answer = put((!replace).then(|| "*".to_owned())).await;
            // Some servers have no conditions for writing; the look at what is there was before.
            if answer.as_ref().is_err_and(|error| error.raw_response().is_some_and(|raw| raw.status().as_u16() == 501))
            {
                answer = put(None).await;
            }
            answer.map(drop).map_err(|error| about.failed(&error))
        })
    }

    /// The sha256 that an object was uploaded with; `None` if something else uploaded it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is no such object, or why it cannot be looked at.
    pub fn sha256(&self, path: &str) -> Result<Option<String>, StoreError> {
        self.call(async |client| {
            let request = client.head_object().bucket(&self.place.bucket).key(self.place.key(path));
            let answer = request.send().await.map_err(|error| self.about(Some(path)).failed(&error))?;
            Ok(answer.metadata().and_then(|metadata| metadata.get(SHA256)).cloned())
        })
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// Why the server does not.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.call(async |client| {
            let request = client.delete_object().bucket(&self.place.bucket).key(self.place.key(path));
            request.send().await.map(drop).map_err(|error| self.about(Some(path)).failed(&error))
        })
    }
}

/// One file on its way.
struct Sender<'a> {
    client: Client,
    about: About<'a>,
    upload: &'a Upload<'a>,
}

impl Sender<'_> {
    async fn whole(&self, file: &mut File, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        let bytes = self.piece(file, self.upload.size)?;
        let request = self.client.put_object().bucket(&self.about.place.bucket).key(self.key());
        let request = request.metadata(SHA256, self.upload.sha256).body(ByteStream::from(bytes));
        request.send().await.map_err(|error| self.about.failed(&error))?;
        if progress(self.upload.size) { Ok(()) } else { Err(StoreError::Cancelled) }
    }

    async fn parts(&self, file: &mut File, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        let request = self.client.create_multipart_upload().bucket(&self.about.place.bucket).key(self.key());
        let request = request.checksum_algorithm(ChecksumAlgorithm::Crc32).metadata(SHA256, self.upload.sha256);
        let begun = request.send().await;
        let begun = begun.map_err(|error| self.about.failed(&error))?;
        let id = begun.upload_id().unwrap_or_default();
        let outcome = self.send_parts(id, file, progress).await;
        if outcome.is_err() {
            let request = self.client.abort_multipart_upload().bucket(&self.about.place.bucket).key(self.key());
            // Parts that nobody asks for cost storage until the bucket's own rules remove them; no more can be done.
            drop(request.upload_id(id).send().await);
        }
        outcome
    }

    async fn send_parts(
        &self,
        id: &str,
        file: &mut File,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), StoreError> {
        let size = self.upload.size;
        let length = PART.max(size.div_ceil(MOST_PARTS));
        let mut done = CompletedMultipartUpload::builder();
        let (mut sent, mut number) = (0, 1);
        while sent < size {
            let piece = self.piece(file, length.min(size - sent))?;
            sent += piece.len() as u64;
            done = done.parts(self.send_part(id, number, piece).await?);
            number += 1;
            if !progress(sent) {
                return Err(StoreError::Cancelled);
            }
        }
        let request = self.client.complete_multipart_upload().bucket(&self.about.place.bucket).key(self.key());
        let request = request.upload_id(id).multipart_upload(done.build());
        request.send().await.map(drop).map_err(|error| self.about.failed(&error))
    }

    async fn send_part(&self, id: &str, number: i32, piece: Vec<u8>) -> Result<CompletedPart, StoreError> {
        let request = self.client.upload_part().bucket(&self.about.place.bucket).key(self.key());
        let request = request
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(piece));
        let sent = request.send().await.map_err(|error| self.about.failed(&error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    }

    /// The next `length` bytes of the file.
    fn piece(&self, file: &mut File, length: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes).map_err(|source| self.unreadable(source))?;
        if bytes.len() as u64 == length {
            return Ok(bytes);
        }
        Err(self.unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was sent")))
    }

    fn unreadable(&self, source: io::Error) -> StoreError {
        StoreError::Io { path: self.upload.file.to_owned(), source }
    }

    fn key(&self) -> String {
        self.about.place.key(self.upload.path)
    }
}
