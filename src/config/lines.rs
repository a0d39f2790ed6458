//! On which line of a YAML text a value stands.
//!
//! The YAML reader tells a position only in its errors, so the text is read again and exactly the value that is looked for
//! is refused. Lines are right for everything that YAML allows (flow maps, block text, anchors), at the price of one more
//! reading per problem.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    document::Key,
    problem::{KeyPath, Segment},
};

/// The line of the value at `path`, counted from 1: that of its key, or of the list's entry. Of a path that leads nowhere
/// (a missing key), the line of the innermost value that is there; `None` if that is the document itself.
pub fn line_of(text: &str, path: &KeyPath) -> Option<usize> {
    (1..=path.segments().len()).rev().find_map(|depth| search(text, &path.segments()[..depth], 0))
}

/// The line on which the key at `path` is written the second time.
pub fn line_of_duplicate(text: &str, path: &KeyPath) -> Option<usize> {
    search(text, path.segments(), 1)
}

fn search(text: &str, segments: &[Segment], skip: usize) -> Option<usize> {
    let found = Cell::new(false);
    let stopped =
        Search { segments, skip, found: &found }.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    if found.get() { stopped.location().map(|location| location.line()) } else { None }
}

/// A seed that walks down `segments`, the last of which past `skip` others of the same name, and fails where they end.
///
/// It fails as well where they lead nowhere; `found` tells the two apart.
#[derive(Clone, Copy)]
struct Search<'a> {
    segments: &'a [Segment],
    skip: usize,
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list on the way")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((Segment::Index(wanted), rest)) = self.segments.split_first() else {
            return Err(A::Error::custom("the way leads through a map"));
        };
        for _ in 0..*wanted {
            entries.next_element::<IgnoredAny>()?;
        }
        let entry = if rest.is_empty() {
            entries.next_element_seed(Arrival { found: self.found })?
        } else {
            entries.next_element_seed(Search { segments: rest, ..self })?
        };
        entry.ok_or_else(|| A::Error::custom("no such entry"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Some((Segment::Key(wanted), rest)) = self.segments.split_first() else {
            return Err(A::Error::custom("the way leads through a list"));
        };
        let mut skip = self.skip;
        loop {
            let stop_at = (rest.is_empty() && skip == 0).then_some((wanted.as_str(), self.found));
            let Some(key) = entries.next_key_seed(Key { stop_at })? else {
                return Err(A::Error::custom("no such key"));
            };
            if key != *wanted {
                entries.next_value::<IgnoredAny>()?;
            } else if rest.is_empty() {
                skip -= 1;
                entries.next_value::<IgnoredAny>()?;
            } else {
                return entries.next_value_seed(Search { segments: rest, ..self });
            }
        }
    }
}

/// A seed for the entry of a list where the way ends: refuses whatever it is.
struct Arrival<'a> {
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Arrival<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.found.set(true);
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Arrival<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing: the way ends here")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::document::parse;

    const TEXT: &str = "\
# a comment
kafka:
  brokers: >-
    a:9092,
    b:9092
  \"group\": &name g
steps:
  - lowercase: {column: text}

  - predict: {
      model: *name,
      allow: [one,
        two]
    }
  - - nested
5: {a: 1,
  a: 2}
";

    #[test]
    fn lines_are_right_for_every_way_to_write_yaml() {
        let steps = KeyPath::from("steps");
        assert_eq!(line_of(TEXT, &"kafka".into()), Some(2));
        assert_eq!(line_of(TEXT, &"kafka.brokers".into()), Some(3));
        assert_eq!(line_of(TEXT, &"kafka.group".into()), Some(6));
        assert_eq!(line_of(TEXT, &steps.index(0)), Some(8));
        assert_eq!(line_of(TEXT, &steps.index(1).key("predict").key("model")), Some(11));
        assert_eq!(line_of(TEXT, &steps.index(1).key("predict").key("allow").index(1)), Some(13));
        assert_eq!(line_of(TEXT, &steps.index(2).index(0)), Some(15));
        assert_eq!(line_of(TEXT, &"5.a".into()), Some(16));
        assert_eq!(line_of_duplicate(TEXT, &"5.a".into()), Some(17));
    }

    #[test]
    fn a_missing_key_has_the_line_of_what_it_is_missing_from() {
        assert_eq!(line_of(TEXT, &"kafka.commit_interval".into()), Some(2));
        assert_eq!(line_of(TEXT, &KeyPath::from("steps").index(1).key("predict").key("version").index(3)), Some(10));
        assert_eq!(line_of(TEXT, &KeyPath::from("steps").index(9)), Some(7));
        assert_eq!(line_of(TEXT, &"admin.listen".into()), None);
        assert_eq!(line_of(TEXT, &KeyPath::root()), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-:{}\\[\\]a0 \n\"'#&*!|>,?%@~.\t$]{0,60}") {
            if let Ok(document) = parse(&text) {
                for path in document.duplicates {
                    prop_assert!(line_of(&text, &path) <= line_of_duplicate(&text, &path));
                }
            }
            line_of(&text, &KeyPath::from("a").index(0).key("0"));
        }
    }
}
