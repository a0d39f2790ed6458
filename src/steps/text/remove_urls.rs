//! `remove_urls`: text without web addresses.
//!
//! An address begins with `http://`, `https://` or `www.` in any case, where no ASCII letter, digit or underscore stands
//! before it, and runs to the next whitespace, quotation mark (`"`) or angle bracket. Punctuation at its end
//! (`. , ; : ! ? ' ) ] }`) belongs to the sentence and stays. Nothing is put in its place: `collapse_whitespace` closes
//! the gap.

use std::sync::LazyLock;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Rewrite, replace::substitute};
use crate::steps::{Properties, Step, StepError, VersionFiles, place::place_problems};

// An ASCII word boundary, since Chinese and its like put no space before an address.
static URL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?i)(?-u:\b)(?:https?://|www\.)[^\s<>"]*[^\s<>".,;:!?')\]}]"#)
        .expect("a constant that the tests compile")
});

/// Properties of `remove_urls`.
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
    substitute(&URL, "", text, buffer);
}

#[cfg(test)]
mod tests {
    use crate::steps::testing::{apply, columns, json, strings, texts};

    fn without_urls(text: &str) -> String {
        let mut columns = columns([("text", texts([text]))]);
        apply(json!({"remove_urls": {"column": "text"}}), &mut columns).unwrap();
        strings(&columns, "text").remove(0)
    }

    #[test]
    fn an_address_goes_and_the_sentence_around_it_stays() {
        assert_eq!(without_urls("see https://example.org/a?b=c#d, or (WWW.Example.org)!"), "see , or ()!");
        assert_eq!(without_urls("http://a.b/x http://c.d"), " ");
        assert_eq!(without_urls(r#"<a href="http://a.b/c.">link</a>"#), r#"<a href=".">link</a>"#);
        assert_eq!(without_urls("看http://例え.jp/道 吧"), "看 吧");
    }

    #[test]
    fn what_only_looks_like_an_address_stays() {
        for text in ["http is a protocol", "www", "the www. prefix", "xhttp://a.b", "a.b.c", "ftp://a.b", "https://"] {
            assert_eq!(without_urls(text), text);
        }
    }
}
