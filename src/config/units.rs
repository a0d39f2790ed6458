//! Durations and sizes as people write them: `5ms`, `1h 30m`, `64MiB`.
//!
//! Both come back from their text unchanged, so that what a default serialises to is what a file may say.

use std::{fmt, ops::Deref, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The longest duration taken: beyond it, "now plus duration" could leave what clocks can say.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The units that sizes are shown in, largest first.
const BINARY_UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// A duration that reads `250ms`, `30s` or `1h 30m` in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// A whole number of seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A whole number of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl From<HumanDuration> for Duration {
    fn from(duration: HumanDuration) -> Self {
        duration.0
    }
}

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= LONGEST => Ok(Self(duration)),
            Ok(_) => Err(format!("`{text}` is too long: the longest duration is 365days")),
            Err(_) => Err(format!("expected a duration such as `5ms`, `30s` or `1h 30m`, found `{text}`")),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // humantime would write `0s`, but the zeros of a configuration are delays of milliseconds.
            Duration::ZERO => f.write_str("0ms"),
            duration => humantime::format_duration(duration).fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HumanDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zµ]+\s*)+$",
            "examples": ["30s"],
            "x-kind": "duration",
        })
    }
}

/// A size in bytes that reads `64MiB` (or a plain number of bytes) in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanSize(u64);

impl HumanSize {
    /// A whole number of mebibytes.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for HumanSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: Result<bytesize::ByteSize, _> = text.trim().parse();
        size.map(|size| Self(size.as_u64()))
            .map_err(|_| format!("expected a size such as `512KiB`, `64MiB` or `2GiB`, found `{text}`"))
    }
}

impl fmt::Display for HumanSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BINARY_UNITS.iter().find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for HumanSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl Serialize for HumanSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for HumanSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HumanSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT]i?)?[bB]?\s*$",
            "examples": ["64MiB"],
            "x-kind": "size",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_read_as_people_write_them() {
        assert_eq!("1h 30m".parse::<HumanDuration>().unwrap(), HumanDuration::from_secs(5400));
        assert_eq!(HumanDuration::from_millis(0).to_string(), "0ms");
        assert_eq!("64MiB".parse::<HumanSize>().unwrap(), HumanSize::from_mib(64));
        assert_eq!("1.5 GiB".parse::<HumanSize>().unwrap().bytes(), 3 << 29);
        assert_eq!("1000".parse::<HumanSize>().unwrap().bytes(), 1000);
        assert_eq!(serde_json::from_str::<HumanSize>("1048576").unwrap(), HumanSize::from_mib(1));
    }

    #[test]
    fn what_is_no_duration_or_size_is_refused_with_an_example() {
        let duration = "5 parsecs".parse::<HumanDuration>().unwrap_err();
        assert_eq!(duration, "expected a duration such as `5ms`, `30s` or `1h 30m`, found `5 parsecs`");
        let size = "much".parse::<HumanSize>().unwrap_err();
        assert_eq!(size, "expected a size such as `512KiB`, `64MiB` or `2GiB`, found `much`");
        assert!("-1s".parse::<HumanDuration>().is_err() && "10000days".parse::<HumanDuration>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(millis in 0_u64..1 << 34, bytes: u64) {
            let duration = HumanDuration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
            let size = HumanSize(bytes);
            prop_assert_eq!(size.to_string().parse::<HumanSize>().unwrap(), size);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = (text.parse::<HumanDuration>(), text.parse::<HumanSize>());
        }
    }
}
