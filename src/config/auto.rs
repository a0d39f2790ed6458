//! A number that may be left to the program: `auto`, or a whole number from 1 up.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// `auto`, or a whole number from 1 up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auto {
    /// As the machine and the models suggest.
    #[default]
    Auto,
    /// Exactly so many.
    Exactly(NonZeroUsize),
}

impl Auto {
    /// The number, if the file says one.
    pub fn exactly(self) -> Option<usize> {
        match self {
            Self::Auto => None,
            Self::Exactly(count) => Some(count.get()),
        }
    }
}

impl FromStr for Auto {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(count)) => Ok(Self::Exactly(count)),
            _ => Err(format!("expected `auto` or a whole number from 1 up, found `{text}`")),
        }
    }
}

impl fmt::Display for Auto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(count) => count.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(NonZeroUsize),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(count) => Ok(Self::Exactly(count)),
            Written::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

impl Serialize for Auto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Exactly(count) => count.serialize(serializer),
        }
    }
}

impl JsonSchema for Auto {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Auto".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "minimum": 1,
            "pattern": r"^\s*(auto|[1-9][0-9]*)\s*$",
            "examples": ["auto", 4],
            "x-kind": "auto",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_number_and_auto_is_none() {
        let read = |text: &str| serde_json::from_str::<Auto>(text);
        assert_eq!(read("\"auto\"").unwrap().exactly(), None);
        assert_eq!((read("4").unwrap().exactly(), read("\"4\"").unwrap().exactly()), (Some(4), Some(4)));
        assert!(read("0").is_err() && read("-1").is_err());
        let why = read("\"many\"").unwrap_err().to_string();
        assert!(why.contains("expected `auto` or a whole number from 1 up, found `many`"), "{why}");
    }

    #[test]
    fn what_is_written_reads_back() {
        for auto in [Auto::Auto, "3".parse().unwrap()] {
            assert_eq!(serde_json::from_str::<Auto>(&serde_json::to_string(&auto).unwrap()).unwrap(), auto);
            assert_eq!(auto.to_string().parse::<Auto>().unwrap(), auto);
        }
    }
}
