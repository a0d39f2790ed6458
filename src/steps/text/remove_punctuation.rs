//! `remove_punctuation`: text without punctuation.
//!
//! What goes: every character of Unicode's category P (punctuation), and the ASCII symbols that Python's
//! `string.punctuation` counts among its 32 (``$+<=>^`|~``). On ASCII text, this is that list. What stays: other symbols,
//! such as emoji, `€` and `°`, since they carry meaning.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rewrite, replace::substitute};
use crate::steps::{Properties, Step, StepError, VersionFiles, place::place_problems};

static PUNCTUATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{P}$+<=>^`|~]+").expect("a constant that the tests compile"));

/// Properties of `remove_punctuation`.
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
        Ok(Rewrite::boxed(&self.column, self.into.as_deref(), remove))
    }
}

fn remove(text: &str, buffer: &mut Vec<u8>) {
    if text.is_ascii() {
        buffer.extend(text.bytes().filter(|byte| !byte.is_ascii_punctuation()));
    } else {
        substitute(&PUNCTUATION, "", text, buffer);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::testing::{apply, columns, json, strings, texts};

    #[test]
    fn punctuation_goes_and_symbols_with_a_meaning_stay() {
        let given = ["Don't... stop!", "«¿Qué?» — “sí”。", "50 € 😀 20°", "a_b-c (d)"];
        let mut columns = columns([("text", texts(given))]);
        apply(json!({"remove_punctuation": {"column": "text"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["Dont stop", "Qué  sí", "50 € 😀 20°", "abc d"]);
    }

    proptest! {
        #[test]
        fn ascii_is_treated_alike_alone_and_beside_other_letters(text in "[ -~]{0,40}") {
            let mut alone = Vec::new();
            remove(&text, &mut alone);
            let mut beside = Vec::new();
            remove(&format!("é{text}"), &mut beside);
            prop_assert_eq!(&beside["é".len()..], &alone[..]);
            prop_assert!(!alone.iter().any(u8::is_ascii_punctuation));
        }
    }
}
