//! What becomes of a model version, as a record for other programs: one JSON object, whose keys stay.

use std::time::SystemTime;

use serde::Serialize;

/// A version is in another state.
#[derive(Clone, Debug, Serialize)]
pub struct ModelEvent<'a> {
    /// The model.
    pub model: &'a str,
    /// Its version.
    pub version: u64,
    /// `aspired`, `loading`, `available`, `unloaded`, `retiring`, `failed`, or `gone`.
    pub state: &'a str,
    /// Why, where that needs saying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// First 16 hex digits of the model file's sha256, once it is in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<&'a str>,
    /// Bytes that it takes in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Which worker: its host and process.
    pub worker: &'a str,
    /// When, in RFC 3339, UTC.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
}

fn rfc3339<S: serde::Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}

impl ModelEvent<'_> {
    /// The record's value.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names, numbers and a time can be written")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_event_says_who_what_why_and_when() {
        let event = ModelEvent {
            model: "iris",
            version: 3,
            state: "failed",
            reason: Some("its golden sample \"a\" is wrong"),
            digest: None,
            memory_bytes: None,
            worker: "host-1:77",
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        };
        let expected = r#"{"model":"iris","version":3,"state":"failed","reason":"its golden sample \"a\" is wrong","worker":"host-1:77","time":"2023-11-14T22:13:20.123Z"}"#;
        assert_eq!(event.to_json(), expected);
    }
}
