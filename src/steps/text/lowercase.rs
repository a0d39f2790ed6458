//! `lowercase`: text in lower case, by Unicode's rules (`str::to_lowercase`), whatever the locale.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rewrite;
use crate::steps::{Properties, Step, StepError, VersionFiles, place::place_problems};

/// Properties of `lowercase`.
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
        Ok(Rewrite::boxed(&self.column, self.into.as_deref(), lower))
    }
}

fn lower(text: &str, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    if text.is_ascii() {
        buffer.extend_from_slice(text.as_bytes());
        buffer[start..].make_ascii_lowercase();
    } else {
        buffer.extend_from_slice(text.to_lowercase().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{apply, columns, json, strings, texts},
        tensor::{Elements, Tensor},
    };

    #[test]
    fn text_becomes_lower_case_and_bytes_that_are_no_text_refuse_their_row() {
        let given = [&b"H\xC3\x84user"[..], b"\xFF"].into_iter().collect();
        let mut columns = columns([("text", Tensor::vector(Elements::Bytes(given)))]);
        let refused = apply(json!({"lowercase": {"column": "text"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["häuser", ""]);
        assert_eq!(refused, [(1, "column `text` is no UTF-8 text".to_owned())]);
    }

    #[test]
    fn the_original_stays_where_another_column_is_written() {
        let mut columns = columns([("text", texts(["Über", "ABC"]))]);
        apply(json!({"lowercase": {"column": "text", "into": "lower"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["Über", "ABC"]);
        assert_eq!(strings(&columns, "lower"), ["über", "abc"]);
    }

    proptest! {
        #[test]
        fn it_is_what_the_standard_library_says(text: String) {
            let mut buffer = b"before".to_vec();
            lower(&text, &mut buffer);
            prop_assert_eq!(std::str::from_utf8(&buffer).unwrap(), format!("before{}", text.to_lowercase()));
        }
    }
}
