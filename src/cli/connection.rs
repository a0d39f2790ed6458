//! The flags of every subcommand that talks to Kafka itself, and how their values are read.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

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
    /// A file of such properties, one on each line, so that no password stands on the command line.
    #[arg(long, value_name = "FILE", env = "MODELMILL_PROPERTIES")]
    pub properties_file: Option<PathBuf>,
}

impl ConnectionArgs {
    /// The properties as the client takes them: those of the file, then those of the command line.
    ///
    /// # Errors
    /// If the file cannot be read, or a line of it is none.
    pub fn properties(&self) -> anyhow::Result<Properties> {
        let mut pairs = self.properties_file.as_deref().map_or_else(|| Ok(Vec::new()), read_pairs)?;
        pairs.extend(self.properties.iter().cloned());
        Ok(pairs.into_iter().map(|pair| (pair.name, pair.value)).collect())
    }
}

/// Lines of `name=value`; empty ones and those that begin with `#` say nothing.
fn read_pairs(file: &Path) -> anyhow::Result<Vec<Pair>> {
    let text = fs::read_to_string(file)
        .map_err(|error| wrong_usage(format!("the properties in {} cannot be read: {error}", file.display())))?;
    parse_pairs(&text).map_err(|line| {
        // The line itself may hold a secret.
        wrong_usage(format!("{}, line {line}: expected NAME=VALUE", file.display()))
    })
}

/// The pairs, or the number of the first line that is none.
fn parse_pairs(text: &str) -> Result<Vec<Pair>, usize> {
    let lines = text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let pair = |(line, number): (&str, usize)| {
        let pair: Pair = line.parse().map_err(|_| number)?;
        Ok(Pair { name: pair.name.trim_end().to_owned(), value: pair.value.trim_start().to_owned() })
    };
    lines.map(pair).collect()
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
    fn a_file_of_properties_has_one_on_each_line_and_remarks() {
        let text = "# who\nsasl.username = caller\n\n  sasl.password=a=b c \n";
        let pair = |name: &str, value: &str| Pair { name: name.into(), value: value.into() };
        assert_eq!(parse_pairs(text), Ok(vec![pair("sasl.username", "caller"), pair("sasl.password", "a=b c")]));
        assert_eq!(parse_pairs("a=b\n\nsecret"), Err(3));
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("30").unwrap_err().contains("unit"));
    }
}
