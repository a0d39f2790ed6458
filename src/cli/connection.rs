//! The flags of every subcommand that talks to Kafka itself, and how their values are read.

use std::{str::FromStr, time::Duration};

use crate::broker::kafka::client::Properties;

/// Where the brokers are and how to reach them.
#[derive(Clone, Debug, clap::Args)]
pub struct ConnectionArgs {
    /// Bootstrap servers of the cluster, with commas between them.
    #[arg(long, value_name = "HOST:PORT", env = "MODELMILL_BROKERS", default_value = "localhost:9092")]
    pub brokers: String,
    /// A librdkafka property for this client, such as `security.protocol=SASL_SSL`; repeatable.
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub properties: Vec<Pair>,
}

impl ConnectionArgs {
    /// The properties as the client takes them.
    pub fn properties(&self) -> Properties {
        self.properties.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
    }
}

/// `name=value`: a header or a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Before the first `=`.
    pub name: String,
    /// Behind it; may be empty.
    pub value: String,
}

impl Pair {
    /// As the client takes headers.
    pub fn as_header(&self) -> (&str, &[u8]) {
        (&self.name, self.value.as_bytes())
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

/// A duration with its unit.
///
/// # Errors
/// Says how one is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a number with its unit, such as 500ms, 30s or 5m".to_owned())
}

/// Wrong usage that only shows once the arguments are looked at together, or the files they name: exit code 2.
pub fn wrong_usage(message: impl std::fmt::Display) -> anyhow::Error {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{message}\n")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_ends_its_name_at_the_first_equals_sign() {
        assert_eq!("a=b=c".parse(), Ok(Pair { name: "a".into(), value: "b=c".into() }));
        assert_eq!("a=".parse(), Ok(Pair { name: "a".into(), value: String::new() }));
        assert!("a".parse::<Pair>().is_err() && "=b".parse::<Pair>().is_err());
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("30").unwrap_err().contains("unit"));
    }
}
