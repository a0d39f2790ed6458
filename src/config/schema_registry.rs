//! `schema_registry:` of `server.yaml`: where the schemas of requests and answers are that need one.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    kafka::Property,
    problem::{KeyPath, Problem},
    units::HumanDuration,
};

/// The schema registry of pipelines that read or write Avro, or read protobuf behind a registry: Confluent's, or one that speaks its HTTP interface.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SchemaRegistryConfig {
    /// Where it is: `https://registry:8081`; with Apicurio the path of Confluent's interface belongs to it
    /// (`http://apicurio:8080/apis/ccompat/v7`).
    #[schemars(extend("examples" = ["http://localhost:8081"]))]
    pub url: String,
    /// The user, where it asks for one.
    #[serde(default)]
    pub username: Option<String>,
    /// The user's password; write `${VARIABLE}`, so that it stands in no file.
    #[serde(default)]
    pub password: Option<Property>,
    /// A file that holds the user's password. It is read at each call: a new one counts at once.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A bearer token, instead of a user.
    #[serde(default)]
    pub token: Option<Property>,
    /// A file that holds the bearer token, read at each call.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// PEM file of the authorities that sign its certificate, instead of the system's (or of those in `SSL_CERT_FILE`).
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The longest that one call may take.
    #[serde(default = "five_seconds")]
    pub timeout: HumanDuration,
}

fn five_seconds() -> HumanDuration {
    HumanDuration::from_secs(5)
}

impl SchemaRegistryConfig {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("schema_registry");
        let mut problems = Vec::new();
        let rest = self.url.strip_prefix("http://").or_else(|| self.url.strip_prefix("https://"));
        let is_plain = |c: char| {
            c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}')
        };
        if rest.is_none_or(|rest| rest.starts_with('/') || rest.is_empty() || !rest.chars().all(is_plain)) {
            let sentence = "is no URL of a registry: expected `http://HOST:PORT` or `https://HOST:PORT`, perhaps with a path; a user \
                            goes to `username`";
            problems.push(Problem::new(at.key("url"), sentence));
        }
        let passwords = usize::from(self.password.is_some()) + usize::from(self.password_file.is_some());
        let tokens = usize::from(self.token.is_some()) + usize::from(self.token_file.is_some());
        if passwords > 1 {
            problems.push(Problem::new(at.clone(), "has `password` and `password_file`: one of them must go"));
        }
        if tokens > 1 {
            problems.push(Problem::new(at.clone(), "has `token` and `token_file`: one of them must go"));
        }
        if tokens > 0 && (self.username.is_some() || passwords > 0) {
            problems.push(Problem::new(at.clone(), "has a user and a token: one of them must go"));
        }
        if self.username.is_some() != (passwords > 0) {
            problems.push(Problem::new(
                at.clone(),
                "has a user without a password or a password without a user: both belong together",
            ));
        }
        if self.timeout.is_zero() {
            problems.push(Problem::new(at.key("timeout"), "must be longer than 0, or no schema could be fetched"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(yaml: &str) -> Vec<String> {
        let config: SchemaRegistryConfig = serde_yaml::from_str(yaml).unwrap();
        config.problems().iter().map(|problem| format!("{problem:?}")).collect()
    }

    #[test]
    fn a_registry_has_a_url_and_one_way_to_be_asked() {
        for right in [
            "url: http://a:8081",
            "url: https://a/apis/ccompat/v7\nusername: u\npassword: p",
            "url: http://a\ntoken: t",
        ] {
            assert_eq!(problems(right), Vec::<String>::new(), "{right}");
        }
        for wrong in [
            "url: a:8081",
            "url: http://user:secret@a",
            "url: http://a\nusername: u",
            "url: http://a\npassword: p",
            "url: http://a\ntoken: t\ntoken_file: f",
            "url: http://a\nusername: u\npassword: p\ntoken: t",
            "url: http://a\nusername: u\npassword: p\npassword_file: f",
            "url: http://a\ntimeout: 0s",
        ] {
            assert_eq!(problems(wrong).len(), 1, "{wrong}: {:?}", problems(wrong));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let config: SchemaRegistryConfig =
            serde_yaml::from_str("url: http://a\nusername: u\npassword: geheim").unwrap();
        assert!(!format!("{config:?}").contains("geheim"));
    }
}
