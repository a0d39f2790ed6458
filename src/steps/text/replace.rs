//! `replace`: what a regular expression finds gives way to another text.
//!
//! Patterns are those of the `regex` crate (Perl's, without look-around and back-references): the time for a text grows with
//! its length and never explodes. `$1` and `${name}` in the replacement stand for what a group found, `$$` for a dollar.

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rewrite;
use crate::steps::{Properties, Step, StepError, VersionFiles, place::place_problems};

/// Bytes that a compiled pattern may take: `\w{500}` still does (Unicode has many word characters), `\w{5000}` does not.
const MAX_COMPILED_SIZE: usize = 32 << 20;

/// Properties of `replace`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column to change: BYTES holding UTF-8.
    pub column: String,
    /// A regular expression (syntax of Rust's `regex` crate); every match that does not overlap the one before it is
    /// replaced.
    pub pattern: String,
    /// What takes the place of a match; `$1` and `${name}` stand for groups of the pattern, `$$` for a dollar.
    pub with: String,
    /// Where the result goes; the column itself if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

impl Config {
    fn regex(&self) -> Result<Regex, regex::Error> {
        RegexBuilder::new(&self.pattern).size_limit(MAX_COMPILED_SIZE).build()
    }
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = place_problems(&self.column, self.into.as_ref());
        match self.regex() {
            Ok(regex) => problems.extend(group_problems(&regex, &self.with)),
            Err(error) => problems.push(format!("`pattern` is no regular expression: {error}")),
        }
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        let pattern = self.regex().map_err(|error| StepError(error.to_string()))?;
        let (column, into, with) = (&self.column, self.into.as_deref(), self.with.clone());
        if with.contains('$') {
            // What `replace_all` gives is borrowed, so without an allocation, where nothing is found.
            return Ok(Rewrite::boxed(column, into, move |text, buffer| {
                buffer.extend_from_slice(pattern.replace_all(text, &with).as_bytes());
            }));
        }
        Ok(Rewrite::boxed(column, into, move |text, buffer| substitute(&pattern, &with, text, buffer)))
    }
}

/// Appends `text` to `buffer` with every match replaced by the plain text `with`.
pub(super) fn substitute(pattern: &Regex, with: &str, text: &str, buffer: &mut Vec<u8>) {
    let mut done = 0;
    for found in pattern.find_iter(text) {
        buffer.extend_from_slice(&text.as_bytes()[done..found.start()]);
        buffer.extend_from_slice(with.as_bytes());
        done = found.end();
    }
    buffer.extend_from_slice(&text.as_bytes()[done..]);
}

/// Groups that the replacement names and the pattern lacks: the `regex` crate would put nothing in their place, and takes
/// as many letters and digits for a name as it can (`$1st` is the group `1st`).
fn group_problems(pattern: &Regex, with: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for name in group_names(with) {
        let known = match name.parse::<usize>() {
            Ok(index) => index < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|group| group == name),
        };
        if !known {
            problems.push(format!(
                "`with` names the group `{name}`, which `pattern` does not have; write `${{1}}` where a letter or digit \
                 follows the group's name, and `$$` for a dollar"
            ));
        }
    }
    problems
}

fn group_names(with: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = with;
    while let Some(dollar) = rest.find('$') {
        let after = &rest[dollar + 1..];
        let (name, end) = match after.as_bytes().first() {
            Some(b'{') => match after.find('}') {
                Some(end) => (&after[1..end], end + 1),
                None => ("", 0),
            },
            Some(b'$') => ("", 1),
            _ => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        if !name.is_empty() {
            names.push(name);
        }
        rest = &after[end..];
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::testing::{apply, columns, json, problems, strings, texts};

    #[test]
    fn every_match_gives_way_to_the_replacement() {
        let mut columns = columns([("text", texts(["call 555-1234 or 555-9", "nothing", ""]))]);
        apply(json!({"replace": {"column": "text", "pattern": r"\d+", "with": "0"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["call 0-0 or 0-0", "nothing", ""]);
    }

    #[test]
    fn groups_of_the_pattern_can_be_used() {
        let mut columns = columns([("text", texts(["ann@example.org", "none"]))]);
        let step = json!({"replace": {"column": "text", "pattern": r"(?<user>\w+)@(\S+)", "with": "$2: ${user} $$1"}});
        apply(step, &mut columns).unwrap();
        assert_eq!(strings(&columns, "text"), ["example.org: ann $1", "none"]);
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_a_problem() {
        let of = |pattern: &str| problems(json!({"replace": {"column": "text", "pattern": pattern, "with": ""}}));
        assert!(of("(unclosed")[0].starts_with("`pattern` is no regular expression"), "{:?}", of("(unclosed"));
        assert!(of(r"\w{5000}")[0].contains("size limit"), "{:?}", of(r"\w{5000}"));
        assert!(of(r"\w{500}").is_empty());
    }

    #[test]
    fn a_group_that_the_pattern_lacks_is_a_problem() {
        let of = |with: &str| problems(json!({"replace": {"column": "text", "pattern": r"(a)(?<b>c)", "with": with}}));
        assert!(of("$1 ${1}st $b ${b} $0 $$3 5$ ${").is_empty(), "{:?}", of("$1 ${1}st $b ${b} $0 $$3 5$ ${"));
        assert!(of("$1st")[0].contains("names the group `1st`"), "{:?}", of("$1st"));
        assert_eq!(of("$3 ${c}").len(), 2);
    }

    proptest! {
        #[test]
        fn a_plain_replacement_is_what_the_regex_crate_makes_of_it(
            text in "[ab é😀]{0,20}", pattern in "[ab]?[é.]?b*", with in "[xyz]{0,3}",
        ) {
            let pattern = Regex::new(&pattern).unwrap();
            let mut buffer = Vec::new();
            substitute(&pattern, &with, &text, &mut buffer);
            prop_assert_eq!(String::from_utf8(buffer).unwrap(), pattern.replace_all(&text, with));
        }
    }
}
