//! A model repository in a bucket: AWS S3 and whatever speaks its language.
//!
//! Every call ends, whatever the server does: connections, answers and bodies have their times, and a body has a least rate.
//! Calls run on the thread of the caller, at its priority, connections included; none may come from inside an async runtime.

use std::{future::Future, path::Path};

use aws_sdk_s3::Client;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

pub use config::S3Config;
pub use place::Place;
pub use upload::Upload;

use self::errors::About;
use super::{Object, Store, StoreError};

mod config;
mod connect;
mod download;
mod errors;
mod list;
mod pace;
mod place;
mod read;
mod trust;
mod upload;

/// A repository in a bucket.
pub struct S3Store {
    place: Place,
    config: S3Config,
    server: String,
    /// Made at the first call, and again after one that was denied or not answered: the SDK keeps what it once found, or did not
    /// find, and credentials are set right behind its back.
    client: Mutex<Option<Client>>,
    /// Taken only when the store is dropped.
    runtime: Option<Runtime>,
}

impl S3Store {
    /// The repository at `s3://bucket/prefix`. Nobody is asked yet.
    ///
    /// # Errors
    /// If it is no such place, the settings contradict each other, or the file of authorities is none.
    pub fn open(url: &str, config: &S3Config) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        if let Some((key, sentence)) = config.problems().into_iter().next() {
            return Err(StoreError::Unsupported(format!("s3.{key}: {sentence}")));
        }
        // To be told now and not by the first call.
        trust::context(config)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| {
            StoreError::Unreachable(format!("a runtime for the calls to `{url}` cannot be started: {error}"))
        })?;
        let endpoint = config.endpoint.clone().or_else(connect::endpoint_of_environment);
        let server = endpoint.as_deref().map_or_else(|| "AWS".to_owned(), shown);
        Ok(Self { place, config: config.clone(), server, client: Mutex::default(), runtime: Some(runtime) })
    }

    /// Whether `url` can be a repository's, without a look at it.
    ///
    /// # Errors
    /// What would be right.
    pub fn check(url: &str) -> Result<(), StoreError> {
        Place::parse(url).map(drop)
    }

    /// Runs one call to its end.
    fn call<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        call: impl FnOnce(Client) -> F,
    ) -> Result<T, StoreError> {
        let runtime = self.runtime.as_ref().expect("it is there until the store is dropped");
        let outcome = runtime.block_on(async { call(self.client().await?).await });
        if matches!(outcome, Err(StoreError::Denied(_) | StoreError::Unreachable(_))) {
            self.client.lock().take();
        }
        outcome
    }

    async fn client(&self) -> Result<Client, StoreError> {
        if let Some(client) = &*self.client.lock() {
            return Ok(client.clone());
        }
        // Two callers at once make two clients, which does no harm; a lock held meanwhile would.
        let client = connect::connect(&self.config).await?;
        Ok(self.client.lock().get_or_insert(client).clone())
    }

    fn about<'a>(&'a self, path: Option<&'a str>) -> About<'a> {
        About { place: &self.place, path, server: &self.server }
    }
}

/// An endpoint without the user and password that an environment may have put into it.
fn shown(endpoint: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => endpoint.to_owned(),
    }
}

impl Store for S3Store {
    fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.call(async |client| list::list(&client, self.about(None)).await)
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        self.call(async |client| read::read(&client, self.about(Some(path)), path, most).await)
    }

    fn download(&self, object: &Object, part: &Path, progress: &mut dyn FnMut(u64) -> bool) -> Result<(), StoreError> {
        self.call(async |client| {
            download::download(&client, self.about(Some(&object.path)), object, part, progress).await
        })
    }

    fn folder(&self) -> Option<&Path> {
        None
    }
}

impl Drop for S3Store {
    fn drop(&mut self) {
        // A runtime that waits for its threads must not be dropped inside of another one, and a store may be.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_its_secrets() {
        assert_eq!(shown("https://user:secret@minio:9000"), "https://minio:9000");
        assert_eq!(shown("http://minio:9000"), "http://minio:9000");
    }
}
