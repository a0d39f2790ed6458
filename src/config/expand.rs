//! Environment variables in the text values of a document: `${NAME}` and `${NAME:-default}`; `$${` stays `${`.
//!
//! Expansion happens after parsing, so that a secret may hold any character without becoming YAML. What was written is
//! remembered: sentences about such a value show the variable and never the secret.

use std::{collections::BTreeMap, env::VarError};

use serde_json::Value;

use super::problem::{KeyPath, Problem};

/// Where variables come from: `std::env::var`, or a closure in tests.
pub type Environment = dyn Fn(&str) -> Result<String, VarError>;

/// Defaults within defaults, at most: more is no configuration, and the nesting of a file must not exhaust the stack.
const MAX_DEPTH: usize = 8;

/// What the expansion of a document gave.
#[derive(Debug, Default)]
pub struct Expansion {
    /// The values that held a variable, as they were written.
    pub written: BTreeMap<KeyPath, String>,
    /// The variables that were put in, by their text.
    pub variables: BTreeMap<String, String>,
    /// Variables that are not there, and what looks like a variable and is none.
    pub problems: Vec<Problem>,
}

impl Expansion {
    /// A sentence about the value at `path` in which variables stand instead of their text.
    pub fn conceal(&self, path: &KeyPath, sentence: &str) -> String {
        // What is shorter is no secret, and may stand in any word.
        const SECRET_LEN: usize = 4;
        let mut concealed = sentence.to_owned();
        if self.written.keys().any(|written| written.touches(path)) {
            for (text, name) in self.variables.iter().filter(|(text, _)| text.len() >= SECRET_LEN) {
                concealed = concealed.replace(text.as_str(), &format!("${{{name}}}"));
            }
        }
        concealed
    }
}

/// Expands every text value of `value` in place. A value with a problem stays as it was written.
pub fn expand(value: &mut Value, environment: &Environment) -> Expansion {
    let mut expansion = Expansion::default();
    expand_inside(value, &KeyPath::root(), environment, &mut expansion);
    expansion
}

fn expand_inside(value: &mut Value, path: &KeyPath, environment: &Environment, expansion: &mut Expansion) {
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter_mut().enumerate() {
                expand_inside(entry, &path.index(index), environment, expansion);
            }
        }
        Value::Object(entries) => {
            for (key, entry) in entries {
                expand_inside(entry, &path.key(key), environment, expansion);
            }
        }
        Value::String(text) if text.contains("${") => {
            let mut reader = Reader { environment, variables: &mut expansion.variables, problems: Vec::new() };
            let expanded = reader.expand(text, 0);
            let problems = reader.problems;
            expansion.written.insert(path.clone(), text.clone());
            if problems.is_empty() {
                *text = expanded;
            }
            expansion.problems.extend(problems.into_iter().map(|sentence| Problem::new(path.clone(), sentence)));
        }
        _ => {}
    }
}

struct Reader<'a> {
    environment: &'a Environment,
    variables: &'a mut BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> String {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            expanded.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$${") {
                expanded.push_str("${");
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let Some(end) = closing_brace(after) else {
                    self.problems.push(format!("`{rest}` has no closing `}}`; for a `${{` that stays, write `$${{`"));
                    return expanded;
                };
                expanded.push_str(&self.variable(&after[..end], depth));
                rest = &after[end + 1..];
            } else {
                expanded.push('$');
                rest = &rest[1..];
            }
        }
        expanded.push_str(rest);
        expanded
    }

    /// The text of `NAME` or `NAME:-default`; nothing, and a problem, if there is none.
    fn variable(&mut self, inside: &str, depth: usize) -> String {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable_name(name) || depth > MAX_DEPTH {
            self.problems.push(format!(
                "`${{{inside}}}` is no variable: write `${{NAME}}` or `${{NAME:-default}}`, \
             and `$${{` for a `${{` that stays"
            ));
            return String::new();
        }
        match ((self.environment)(name), default) {
            // As in a shell, `:-` stands in for an empty variable, too.
            (Ok(text), default) if default.is_none() || !text.is_empty() => {
                self.variables.insert(text.clone(), name.to_owned());
                text
            }
            (Err(VarError::NotUnicode(_)), _) => {
                self.problems.push(format!("the environment variable `{name}` is no UTF-8 text"));
                String::new()
            }
            (_, Some(default)) => self.expand(default, depth + 1),
            (_, None) => {
                self.problems.push(format!(
                    "the environment variable `{name}` is not set; set it, or give a default: `${{{name}:-…}}`"
                ));
                String::new()
            }
        }
    }
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The `}` that closes what stands before `text`; braces inside come in pairs.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn environment(name: &str) -> Result<String, VarError> {
        match name {
            "HOST" => Ok("kafka-1".to_owned()),
            "SECRET" => Ok("{a: \"b\"} # ${HOST} \n- c".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        }
    }

    fn expanded(text: &str) -> Result<String, Vec<String>> {
        let mut value = json!({"key": text});
        let expansion = expand(&mut value, &environment);
        if expansion.problems.is_empty() {
            return Ok(value["key"].as_str().unwrap().to_owned());
        }
        Err(expansion.problems.into_iter().map(|problem| problem.sentence).collect())
    }

    #[test]
    fn variables_become_their_text_and_defaults_stand_in() {
        assert_eq!(expanded("${HOST}:9092,${HOST}:9093").unwrap(), "kafka-1:9092,kafka-1:9093");
        assert_eq!(expanded("${NOT_SET:-localhost}:9092").unwrap(), "localhost:9092");
        assert_eq!(expanded("${EMPTY}|${EMPTY:-default}").unwrap(), "|default");
        assert_eq!(expanded("${NOT_SET:-${ALSO_NOT:-${HOST}}}").unwrap(), "kafka-1");
        assert_eq!(expanded("${NOT_SET:-{request.model}}").unwrap(), "{request.model}");
    }

    #[test]
    fn a_secret_is_taken_as_it_is() {
        assert_eq!(expanded("${SECRET}").unwrap(), environment("SECRET").unwrap());
    }

    #[test]
    fn what_is_escaped_or_no_variable_stays() {
        assert_eq!(expanded("$${HOST} $HOST 5$ $").unwrap(), "${HOST} $HOST 5$ $");
    }

    #[test]
    fn every_missing_variable_is_named() {
        let sentences = expanded("${FIRST}${HOST}${SECOND}").unwrap_err();
        assert_eq!(
            sentences,
            [
                "the environment variable `FIRST` is not set; set it, or give a default: `${FIRST:-…}`",
                "the environment variable `SECOND` is not set; set it, or give a default: `${SECOND:-…}`",
            ]
        );
    }

    #[test]
    fn what_looks_like_a_variable_and_is_none_says_how_to_keep_it() {
        assert_eq!(
            expanded("${1}").unwrap_err(),
            ["`${1}` is no variable: write `${NAME}` or `${NAME:-default}`, and `$${` for a `${` that stays"]
        );
        assert_eq!(
            expanded("a ${HOST").unwrap_err(),
            ["`${HOST` has no closing `}`; for a `${` that stays, write `$${`"]
        );
        let deep = format!("{}x{}", "${A:-".repeat(10_000), "}".repeat(10_000));
        assert_eq!(expanded(&deep).unwrap_err().len(), 1);
    }

    proptest! {
        #[test]
        fn text_without_a_variable_is_unchanged(text in "[^$]*(\\$[^{$])?[^$]*") {
            prop_assert_eq!(expanded(&text).unwrap(), text);
        }

        #[test]
        fn an_escaped_text_comes_back(text: String) {
            let escaped = text.replace("${", "$${");
            // `$` before `${` would be read as part of the escape.
            prop_assume!(!text.contains("$${"));
            prop_assert_eq!(expanded(&escaped).unwrap(), text);
        }

        #[test]
        fn no_text_panics(text in "[${}:A_1é -]{0,40}") {
            let _ = expanded(&text);
        }
    }
}
