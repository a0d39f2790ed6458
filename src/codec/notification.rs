//! What an object store publishes when its objects change: does it concern the repository?
//!
//! Format: the event message of S3 as AWS, MinIO, Ceph and versitygw write it, `{"Records": [{"eventName": "ObjectCreated:Put",
//! "s3": {"bucket": {"name": …}, "object": {"key": …}}}]}` (MinIO adds `EventName` and `Key` around it). How keys are written, the
//! store knows. It only hastens a look at the repository: a wrong guess costs one, or leaves it to the next poll. So whatever is
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

/// Whether a record's value may tell of a change of an object in `bucket` that the repository may hold, which `may_hold` says of
/// a key as it stands in the event.
pub fn concerns(value: &[u8], bucket: &str, may_hold: impl Fn(&str) -> bool) -> bool {
    let Ok(notification) = serde_json::from_slice::<Notification>(value) else { return true };
    let is_ours = |change: &Change| {
        let Subject { bucket: Bucket { name }, object: Object { key } } = &change.s3;
        // MinIO tells of objects that are only read, too, and we read.
        !change.event.contains("ObjectAccessed") && name == bucket && may_hold(key)
    };
    notification.records.is_empty() || notification.records.iter().any(is_ours)
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
        concerns(text.as_bytes(), "models", |key| key.starts_with("prod%2Fgr"))
    }

    #[test]
    fn a_change_in_our_bucket_of_what_the_repository_may_hold_concerns_us() {
        let key = "prod%2Fgr%c3%b6%c3%9fe%201%2Firis%2F1%2Fmodel.onnx";
        assert!(hastens(&records(&[record("ObjectCreated:Put", "models", key)])));
    }

    #[test]
    fn changes_elsewhere_and_reads_do_not() {
        let key = "prod%2Fgr%C3%B6%C3%9Fe+1%2Firis%2F1%2Fmodel.onnx";
        let elsewhere = record("ObjectCreated:Put", "models", "prod%2Feu%2Firis%2F1%2Fmodel.onnx");
        let other = record("ObjectRemoved:Delete", "models-2", key);
        let read = record("s3:ObjectAccessed:Get", "models", key);
        assert!(!hastens(&records(&[elsewhere.clone(), other, read])));
        let ours = record("s3:ObjectRemoved:Delete", "models", key);
        assert!(hastens(&records(&[elsewhere, ours])), "one of several is enough");
    }

    #[test]
    fn minio_puts_an_event_into_an_envelope() {
        let key = "prod%2Firis%2F1%2Fmodel.onnx";
        let event = record("s3:ObjectCreated:CompleteMultipartUpload", "models", key);
        let text = format!(
            r#"{{"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": "models/prod/iris/1/model.onnx",
                "Records": [{event}]}}"#
        );
        assert!(concerns(text.as_bytes(), "models", |told| told == key));
        assert!(!concerns(text.as_bytes(), "models", |_| false));
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

    proptest! {
        #[test]
        fn no_bytes_do_any_harm(value in prop::collection::vec(any::<u8>(), 0..200), key in "[%+a-f0-9/]{0,20}") {
            concerns(&value, "models", |_| true);
            let event = records(&[record("ObjectCreated:Put", "models", &key)]);
            prop_assert!(concerns(event.as_bytes(), "models", |told| told == key));
            let cut = &event.as_bytes()[..value.len().min(event.len())];
            prop_assert!(concerns(cut, "models", |_| false), "half an event is none");
        }
    }
}
