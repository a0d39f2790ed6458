//! A YAML text as a tree of values: the first look at a file, before anybody knows what should stand in it.
//!
//! Keys written twice are found here, since a tree cannot hold them.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::problem::KeyPath;

/// A text that is no YAML, or YAML that no configuration needs.
#[derive(Debug)]
pub struct SyntaxError {
    /// Counted from 1, where the reader knows it.
    pub line: Option<usize>,
    /// What is wrong.
    pub sentence: String,
}

/// What a text says.
#[derive(Debug)]
pub struct Document {
    /// The value of the whole text. Of keys written twice it holds the first.
    pub value: Value,
    /// The keys written twice.
    pub duplicates: Vec<KeyPath>,
}

/// Reads a text of one YAML document.
///
/// # Errors
/// If it is empty or no YAML, holds several documents, or uses tags, numbers that are none, or keys that are no text.
pub fn parse(text: &str) -> Result<Document, SyntaxError> {
    let mut duplicates = Vec::new();
    let tree = Tree { path: KeyPath::root(), duplicates: &mut duplicates };
    match tree.deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(Value::Null) => Err(SyntaxError { line: None, sentence: "the file is empty".to_owned() }),
        Ok(value) => Ok(Document { value, duplicates }),
        Err(error) => Err(syntax_error(text, &error)),
    }
}

fn syntax_error(text: &str, error: &serde_yaml::Error) -> SyntaxError {
    let line = error.location().map(|location| location.line());
    let written = error.to_string();
    let mut sentence = match written.find(" at line ") {
        Some(end) if line.is_some() => written[..end].to_owned(),
        _ => written,
    };
    let faulty = line.and_then(|line| text.lines().nth(line - 1)).unwrap_or_default();
    if faulty.contains("${") {
        sentence += "; inside `{…}` and `[…]`, put `${…}` in quotes: \"${NAME}\"";
    } else if text.lines().any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        sentence += "; YAML takes spaces for indentation, no tabs";
    }
    SyntaxError { line, sentence: format!("cannot be read as YAML: {sentence}") }
}

/// A seed that keeps every value as it is and remembers keys written twice.
struct Tree<'a> {
    path: KeyPath,
    duplicates: &'a mut Vec<KeyPath>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag such as `!name`, or a whole number below 2^64")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("NaN and infinities are no values of a configuration"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = self.path.index(list.len());
            match entries.next_element_seed(Tree { path, duplicates: &mut *self.duplicates })? {
                Some(entry) => list.push(entry),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key { stop_at: None })? {
            let path = self.path.key(&key);
            if map.contains_key(&key) {
                self.duplicates.push(path);
                entries.next_value::<serde::de::IgnoredAny>()?;
            } else {
                let value = entries.next_value_seed(Tree { path, duplicates: &mut *self.duplicates })?;
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}

/// A seed for keys: text, and what looks like a number or a truth value is text too.
///
/// With `stop_at`, the key of that name is refused and the cell set, so that the error tells the key's line.
pub(super) struct Key<'a> {
    pub stop_at: Option<(&'a str, &'a Cell<bool>)>,
}

impl Key<'_> {
    fn take<E: Error>(self, key: String) -> Result<String, E> {
        match self.stop_at {
            Some((wanted, found)) if wanted == key => {
                found.set(true);
                Err(E::custom("the way ends here"))
            }
            _ => Ok(key),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, which is text")
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<String, E> {
        self.take(key.to_string())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        self.take(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> (Option<usize>, String) {
        let error = parse(text).unwrap_err();
        (error.line, error.sentence)
    }

    #[test]
    fn values_keep_their_kinds_and_keys_become_text() {
        let document = parse("a: [1, -2, 1.5, true, null, \"7\"]\n5: {x: y}\n").unwrap();
        assert_eq!(document.value, serde_json::json!({"a": [1, -2, 1.5, true, null, "7"], "5": {"x": "y"}}));
    }

    #[test]
    fn keys_written_twice_are_remembered_and_the_first_counts() {
        let document = parse("a: {b: 1, b: 2}\nc: [{d: 1, d: 2}]\n").unwrap();
        let paths: Vec<_> = document.duplicates.iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["a.b", "c[0].d"]);
        assert_eq!(document.value["a"]["b"], 1);
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line_and_advice() {
        assert_eq!(refusal("# nothing\n"), (None, "the file is empty".to_owned()));
        let (line, sentence) = refusal("kafka:\n  admin: {listen: ${PORT}}\n");
        assert_eq!(line, Some(2));
        assert!(sentence.contains("put `${…}` in quotes"), "{sentence}");
        let (line, sentence) = refusal("kafka:\n\tgroup: g\n");
        assert_eq!(line, Some(2));
        assert!(sentence.contains("no tabs"), "{sentence}");
        assert!(refusal("a: 1\n---\nb: 2\n").1.contains("more than one document"));
        assert!(refusal("a: !tagged 1\n").1.contains("without a tag"));
        assert!(refusal("a: .nan\n").1.contains("NaN"));
        assert!(refusal("a: 123456789012345678901234567890\n").1.contains("below 2^64"));
        assert!(refusal(&"[".repeat(100_000)).1.contains("recursion limit"));
    }
}
