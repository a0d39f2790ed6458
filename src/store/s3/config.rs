//! The `models.s3:` part of `server.yaml`: how a bucket is reached. What it does not say, the environment says, as for every
//! program that speaks to S3.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a bucket is reached. Credentials come from the standard chain (environment, profile, web identity, container, instance).
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// The server's address, such as `http://minio:9000`. `null`: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, the profile's
    /// `endpoint_url`, or else AWS.
    pub endpoint: Option<String>,
    /// The region. `null`: `AWS_REGION`, the profile's, or the instance's; `us-east-1` for an endpoint of one's own.
    pub region: Option<String>,
    /// Whether the bucket stands in the path (`https://host/bucket`) and not before the host. `null`: it does for an endpoint
    /// of one's own.
    pub path_style: Option<bool>,
    /// Ask without credentials, for public buckets.
    pub anonymous: bool,
    /// The profile of the shared credentials and configuration files. `null`: `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// A file of credentials in the form of `~/.aws/credentials`, such as a mounted secret, used instead of the chain. `null`:
    /// the chain.
    pub credentials_file: Option<PathBuf>,
    /// A PEM file of authorities that are trusted beside the system's, for a server whose certificate a private one has signed.
    /// `null`: that of `AWS_CA_BUNDLE`, or none.
    pub ca_file: Option<PathBuf>,
}

impl S3Config {
    /// What is wrong with it: the key, and a sentence.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if let Some(endpoint) = &self.endpoint
            && !is_address(endpoint)
        {
            let sentence = format!("`{endpoint}` is no address: write `https://host` or `http://host:port`");
            problems.push(("endpoint", sentence));
        }
        if self.anonymous && (self.profile.is_some() || self.credentials_file.is_some()) {
            problems.push((
                "anonymous",
                "`true` asks without credentials, and `profile` or `credentials_file` says which: keep one".to_owned(),
            ));
        }
        problems
    }
}

/// Whether it is `http(s)://host`, maybe with a port and a path.
fn is_address(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    host.is_some_and(|host| {
        let host = host.split('/').next().unwrap_or_default();
        // A user or a password has no place in it: it would be printed.
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '?' | '#'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_scheme_and_no_secrets() {
        let problems =
            |endpoint: &str| S3Config { endpoint: Some(endpoint.to_owned()), ..S3Config::default() }.problems();
        for right in ["http://minio:9000", "https://s3.example.com", "http://[::1]:9000/"] {
            assert_eq!(problems(right), [], "{right}");
        }
        for wrong in ["minio:9000", "http://", "s3://x", "https://user:secret@host", ""] {
            assert_eq!(problems(wrong)[0].0, "endpoint", "{wrong}");
        }
    }

    #[test]
    fn anonymous_with_credentials_is_a_contradiction() {
        let config = S3Config { anonymous: true, profile: Some("a".to_owned()), ..S3Config::default() };
        assert_eq!(config.problems()[0].0, "anonymous");
    }
}
