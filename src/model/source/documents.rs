//! Small files of a repository, each read and parsed once for as long as it is the same.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::Reader;
use crate::store::{Object, StoreError};

/// What the small files of one kind say.
pub struct Documents<T> {
    most: u64,
    read: HashMap<String, Document<T>>,
    pub(super) patience: Duration,
    /// Time lost in this look with reads that failed.
    lost: Duration,
}

struct Document<T> {
    object: Object,
    said: Result<T, String>,
}

/// What a file says.
pub enum Reading<'a, T> {
    /// This.
    Said(&'a T),
    /// Nothing that it should: a sentence.
    Wrong(String),
    /// It could not be read this time, and why.
    NotNow(String),
}

impl<T> Documents<T> {
    /// None yet; files of more than `most` bytes are wrong.
    pub fn new(most: u64, patience: Duration) -> Self {
        Self { most, read: HashMap::new(), patience, lost: Duration::ZERO }
    }

    /// A new look begins.
    pub fn begin(&mut self) {
        self.lost = Duration::ZERO;
    }

    /// What `object` says; it is read if it is not known yet.
    ///
    /// # Errors
    /// An outage: reads that fail have taken longer than anybody should wait.
    pub fn get(
        &mut self,
        object: &Object,
        read: Reader<'_>,
        parse: fn(&[u8]) -> Result<T, String>,
    ) -> Result<Reading<'_, T>, StoreError> {
        if self.read.get(&object.path).is_none_or(|known| known.object != *object) {
            let started = Instant::now();
            let said = match read(object, self.most) {
                Ok(text) => parse(&text),
                Err(error @ StoreError::TooLarge { .. }) => Err(error.to_string()),
                Err(StoreError::Cancelled) => return Err(StoreError::Cancelled),
                Err(error) => {
                    self.lost += started.elapsed();
                    return if self.lost > self.patience { Err(error) } else { Ok(Reading::NotNow(error.to_string())) };
                }
            };
            self.read.insert(object.path.clone(), Document { object: object.clone(), said });
        }
        Ok(match &self.read[&object.path].said {
            Ok(said) => Reading::Said(said),
            Err(problem) => Reading::Wrong(problem.clone()),
        })
    }

    /// Forgets what is no longer in a sorted listing.
    pub fn forget_unlisted(&mut self, listing: &[Object]) {
        self.read.retain(|path, _| listing.binary_search_by(|object| object.path.as_str().cmp(path)).is_ok());
    }
}
