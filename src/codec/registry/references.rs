//! Schemas that schemas refer to: asked for by subject and version, each once, however many refer to it.
//!
//! Guarantee: how many there are, how deep they go and how long they are has a bound, whatever a registry says.

use std::{collections::HashMap, sync::Arc};

use super::client::{Client, Failure, LARGEST_ANSWER, Reference, Registered};
use crate::codec::framed::Referred;

/// Schemas behind schemas.
const DEEPEST: usize = 16;
/// Schemas behind one.
const MOST: usize = 256;
/// Bytes that are kept for others who refer to them.
const MOST_KEPT: usize = 4 * LARGEST_ANSWER;

/// What was asked for before: the schema of a version never changes.
#[derive(Default)]
pub struct Kept {
    schemas: HashMap<(String, i64), Arc<Registered>>,
    bytes: usize,
}

impl Kept {
    fn keep(&mut self, place: (String, i64), schema: &Arc<Registered>) {
        if self.bytes + schema.schema.len() > MOST_KEPT {
            *self = Self::default();
        }
        if self.schemas.insert(place, Arc::clone(schema)).is_none() {
            self.bytes += schema.schema.len();
        }
    }
}

impl Client {
    /// The schemas that one refers to, each behind those that it refers to itself.
    ///
    /// Depth first, without recursion: a schema comes when all behind it have come.
    pub(super) async fn references(&self, first: Vec<Reference>) -> Result<Vec<Referred>, Failure> {
        let too_many = || Failure::Unusable("it refers to more schemas than anybody needs".to_owned());
        let (mut found, mut bytes) = (Vec::<Referred>::new(), 0);
        // The place of each in `found`; of one whose own are still sought, none.
        let mut seen = HashMap::<(String, i64), Option<usize>>::new();
        let mut open = vec![(None, first.into_iter())];
        while let Some((_, references)) = open.last_mut() {
            let Some(Reference { name, subject, version }) = references.next() else {
                if let Some((Some((referred, place)), _)) = open.pop() {
                    seen.insert(place, Some(found.len()));
                    found.push(referred);
                }
                continue;
            };
            let place = (subject, version);
            if let Some(known) = seen.get(&place) {
                // Another may call it by another name.
                if let Some(known) = known.filter(|_| found.iter().all(|found| found.name != name)) {
                    found.push(Referred { name, text: found[known].text.clone() });
                }
                continue;
            }
            if open.len() > DEEPEST || seen.len() >= MOST || found.len() >= 2 * MOST {
                return Err(too_many());
            }
            let schema = self.referred(&name, &place).await?;
            bytes += schema.schema.len();
            if bytes > LARGEST_ANSWER {
                return Err(too_many());
            }
            seen.insert(place.clone(), None);
            let referred = Referred { name, text: schema.schema.clone() };
            open.push((Some((referred, place)), schema.references.clone().into_iter()));
        }
        Ok(found)
    }

    /// One that is referred to, from what is kept or from the registry.
    async fn referred(&self, name: &str, place: &(String, i64)) -> Result<Arc<Registered>, Failure> {
        if let Some(schema) = self.kept.lock().schemas.get(place) {
            return Ok(Arc::clone(schema));
        }
        let (subject, version) = place;
        let schema = self.version(subject, *version).await.map_err(|failure| match failure {
            Failure::Unknown(why) => Failure::Unusable(format!(
                "it refers to `{}`, version {version} of the subject `{}`, which the registry does not know: {why}",
                name.escape_debug(),
                subject.escape_debug()
            )),
            failure => failure,
        })?;
        let schema = Arc::new(schema);
        self.kept.lock().keep(place.clone(), &schema);
        Ok(schema)
    }
}
