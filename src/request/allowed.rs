//! What requests may choose by name: lists of globs (models, reply topics), and what a topic's name may be.
//!
//! Files and requests are held to the same rules.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// The longest name of a topic that Kafka takes.
const LONGEST_TOPIC_NAME: usize = 249;

/// What [`is_topic_name`] asks for, for a sentence.
pub const TOPIC_NAME_RULE: &str = "Kafka takes letters, digits, `.`, `_` and `-`, 249 at most";

/// Whether Kafka takes `name` for a topic's.
pub fn is_topic_name(name: &str) -> bool {
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    legal && !matches!(name, "" | "." | "..") && name.len() <= LONGEST_TOPIC_NAME
}

/// One matcher for a list of globs (`churn-*`). An empty list matches nothing.
///
/// # Errors
/// A sentence for each that is none.
pub fn glob_set(globs: &[String]) -> Result<GlobSet, Vec<String>> {
    let mut builder = GlobSetBuilder::new();
    let mut problems = Vec::new();
    for glob in globs {
        match Glob::new(glob) {
            Ok(_) if glob.is_empty() => problems.push("an empty glob matches nothing: remove it".to_owned()),
            Ok(glob) => {
                builder.add(glob);
            }
            Err(error) => problems.push(format!("`{glob}` is no glob: {}", error.kind())),
        }
    }
    match builder.build() {
        Ok(set) if problems.is_empty() => Ok(set),
        Ok(_) => Err(problems),
        Err(error) => {
            problems.push(format!("the globs together are too large: {}", error.kind()));
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_as_kafka_allows() {
        assert!(is_topic_name("sentiment.requests-2_b"));
        for wrong in ["", ".", "..", "a b", "a/b", "^regex", "ä", &"x".repeat(250)] {
            assert!(!is_topic_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_list_of_globs_matches_whole_names_and_an_empty_one_nothing() {
        let globs = glob_set(&["checkout.*".to_owned(), "replies".to_owned()]).unwrap();
        for (name, allowed) in
            [("checkout.a.b", true), ("replies", true), ("replies2", false), ("my.checkout.a", false)]
        {
            assert_eq!(globs.is_match(name), allowed, "{name}");
        }
        assert!(!glob_set(&[]).unwrap().is_match("replies"));
    }
}
