//! `collapse_whitespace`: one space between words and none around them, as Python's `" ".join(text.split())`.
//!
//! Whitespace is what Unicode calls so, and with Python the separators U+001C to U+001F.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rewrite;
use crate::steps::{Properties, Step, StepError, VersionFiles, place::place_problems};

/// Properties of `collapse_whitespace`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: BYTES holding UTF-8.
    pub column: String,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        place_problems(&self.column, self.into.as_ref())
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Rewrite::boxed(&self.column, self.into.as_deref(), collapse))
    }
}

fn collapse(text: &str, buffer: &mut Vec<u8>) {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    let words = text.split(is_space).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            buffer.push(b' ');
        }
        buffer.extend_from_slice(word.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use crate::steps::testing::{apply, columns, json, strings, texts};

    #[test]
    fn runs_become_one_space_and_the_ends_are_bare() {
        // As Python 3 has it: " ".join(text.split()).
        let given = ["  two\t\nwords ", "\u{a0}no\u{2003}break\u{3000}", "a\u{1c}b\u{1f}c", "plain", " \r\n ", ""];
        let mut columns = columns([("text", texts(given))]);
        apply(json!({"collapse_whitespace": {"column": "text"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["two words", "no break", "a b c", "plain", "", ""]);
    }
}
