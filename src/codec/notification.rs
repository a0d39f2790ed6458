//! What an object store publishes when its objects change: does it concern the repository?
//!
//! Format: the event message of S3 as AWS, MinIO, Ceph and versitygw write it, `{"Records": [{"eventName": "ObjectCreated:Put",
//! "s3": {"bucket": {"name": …}, "object": {"key": …}}}]}`, keys URL-encoded as a query's are (MinIO adds `EventName` and `Key`
//! around it). It only hastens a look at the repository: a wrong guess costs one, or leaves it to the next poll. So whatever is
//! not surely about something else concerns us: a test message, an envelope that wraps the event, anything that cannot be read.

use serde::Deserialize;

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Records")]
    records: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "eventName", default)]
    event: String,
    s3: Subject,
}

#[derive(Deserialize)]
struct Subject {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// Whether a record's value may tell of a change below `prefix` in `bucket`.
pub fn concerns(value: &[u8], bucket: &str, prefix: &str) -> bool {
    let Ok(notification) = serde_json::from_slice::<Notification>(value) else { return true };
    let is_ours = |change: &Change| {
        let Subject { bucket: Bucket { name }, object: Object { key } } = &change.s3;
        // MinIO tells of objects that are only read, too, and we read.
        !change.event.contains("ObjectAccessed") && name == bucket && is_below(key, prefix)
    };
    notification.records.is_empty() || notification.records.iter().any(is_ours)
}

/// Not every server encodes the key.
fn is_below(key: &str, prefix: &str) -> bool {
    key.starts_with(prefix) || decoded(key).starts_with(prefix.as_bytes())
}

/// A key without its URL encoding; what is none stays as it is.
fn decoded(key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match (*first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high << 4 | low
                }
                _ => b'%',
            },
            (plain, _) => plain,
        });
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    // A hex digit is less than 16.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Shortened by what is the same in all: who, when, which request.
    fn record(event: &str, bucket: &str, key: &str) -> String {
        format!(
            r#"{{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime":
                "2026-11-21T10:00:00.000Z", "eventName": "{event}", "s3": {{"s3SchemaVersion": "1.0", "configurationId": "models",
                "bucket": {{"name": "{bucket}", "arn": "arn:aws:s3:::{bucket}"}}, "object": {{"key": "{key}", "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"}}}}}}"#
        )
    }

    fn records(records: &[String]) -> String {
        format!(r#"{{"Records": [{}]}}"#, records.join(", "))
    }

    fn hastens(text: &str) -> bool {
        concerns(text.as_bytes(), "models", "prod/größe 1/")
    }

    #[test]
    fn a_change_in_our_bucket_below_our_prefix_concerns_us_however_the_key_is_written() {
        for key in [
            "prod/gr%C3%B6%C3%9Fe+1/iris/1/model.onnx",
            "prod%2Fgr%c3%b6%c3%9fe%201%2Firis%2F1%2Fmodel.onnx",
            "prod/größe 1/iris/1/100%.txt",
        ] {
            assert!(hastens(&records(&[record("ObjectCreated:Put", "models", key)])), "{key}");
        }
    }

    #[test]
    fn changes_elsewhere_and_reads_do_not() {
        let key = "prod/gr%C3%B6%C3%9Fe+1/iris/1/model.onnx";
        let elsewhere = record("ObjectCreated:Put", "models", "prod/eu/iris/1/model.onnx");
        let other = record("ObjectRemoved:Delete", "models-2", key);
        let read = record("s3:ObjectAccessed:Get", "models", key);
        assert!(!hastens(&records(&[elsewhere.clone(), other, read])));
        let ours = record("s3:ObjectRemoved:Delete", "models", key);
        assert!(hastens(&records(&[elsewhere, ours])), "one of several is enough");
    }

    #[test]
    fn minio_puts_an_event_into_an_envelope() {
        let event = record("s3:ObjectCreated:CompleteMultipartUpload", "models", "prod%2Firis%2F1%2Fmodel.onnx");
        let text = format!(
            r#"{{"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": "models/prod/iris/1/model.onnx",
                "Records": [{event}]}}"#
        );
        assert!(concerns(text.as_bytes(), "models", "prod/"));
        assert!(concerns(text.as_bytes(), "models", ""), "a whole bucket has no prefix");
        assert!(!concerns(text.as_bytes(), "models", "test/"));
    }

    #[test]
    fn what_is_no_event_of_s3_costs_a_look_rather_than_a_version() {
        for text in [
            "",
            "{",
            r#"{"Records": []}"#,
            r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "another"}"#,
            r#"{"detail": {"bucket": {"name": "another"}, "object": {"key": "iris/1/model.onnx"}}}"#,
            r#"{"Records": [{"eventName": "ObjectCreated:Put"}]}"#,
            "look, please",
        ] {
            assert!(hastens(text), "{text}");
        }
    }

    /// As MinIO and AWS write keys.
    fn encoded(key: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let escape = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        key.bytes().map(escape).collect()
    }

    proptest! {
        #[test]
        fn no_bytes_do_any_harm(value in prop::collection::vec(any::<u8>(), 0..200), key in "[%+a-f0-9/]{0,20}") {
            concerns(&value, "models", "prod/");
            let event = records(&[record("ObjectCreated:Put", "models", &key)]);
            concerns(event.as_bytes(), "models", "prod/");
            let cut = &event.as_bytes()[..value.len().min(event.len())];
            prop_assert!(concerns(cut, "models", "prod/"), "half an event is none");
        }

        #[test]
        fn every_key_below_the_prefix_is_known_however_it_is_encoded(prefix in "\\PC{0,9}/", rest in "\\PC{0,9}") {
            let event = records(&[record("ObjectCreated:Put", "models", &encoded(&format!("{prefix}{rest}")))]);
            prop_assert!(concerns(event.as_bytes(), "models", &prefix));
        }
    }
}
