//! `s3://bucket/prefix`: where in which bucket a repository lies, and how paths become keys.

use aws_sdk_s3::types::EncodingType;

use crate::store::{StoreError, is_listed};

/// A bucket and what the keys in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// Empty, or ends with `/`.
    pub prefix: String,
}

impl Place {
    /// Reads `s3://bucket` or `s3://bucket/prefix`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let unsupported = || {
            StoreError::Unsupported(format!(
                "`{url}` is no place in a bucket: expected s3://bucket or s3://bucket/prefix"
            ))
        };
        let rest = url.strip_prefix("s3://").ok_or_else(unsupported)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let in_parts = prefix.is_empty() || prefix.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if bucket.is_empty() || !bucket.chars().all(is_name) || !in_parts {
            return Err(unsupported());
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// Whether the repository may hold the object of a key that a stranger wrote, URL-encoded or not, for not every server encodes
    /// the keys that it tells of. It may if the key cannot be read.
    pub fn may_hold(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) || decoded(key).is_none_or(|key| key.starts_with(&self.prefix))
    }

    /// The key of a file.
    pub(super) fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The file of a key as it stands in a listing; `None` for what is not listed.
    pub(super) fn path(&self, key: &str, encoding: Option<&EncodingType>) -> Option<String> {
        let key = if encoding == Some(&EncodingType::Url) { decoded(key)? } else { key.to_owned() };
        key.strip_prefix(&self.prefix).filter(|path| is_listed(path)).map(str::to_owned)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// A key that came URL-encoded as a query is, as events tell it and as listings are asked for: XML cannot hold every character
/// that a key may have, and one strange key would make the whole listing unreadable.
fn decoded(key: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_maybe_a_prefix() {
        let place = Place::parse("s3://models/prod/eu/").unwrap();
        assert_eq!((place.bucket.as_str(), place.prefix.as_str()), ("models", "prod/eu/"));
        assert_eq!(place.key("iris/1/model.onnx"), "prod/eu/iris/1/model.onnx");
        assert_eq!(Place::parse("s3://models").unwrap().key("a"), "a");
        for wrong in ["s3://", "s3:///a", "s3://a b", "s3://a//b", "s3://a/../b", "http://a"] {
            assert!(matches!(Place::parse(wrong), Err(StoreError::Unsupported(_))), "{wrong}");
        }
    }

    #[test]
    fn keys_come_back_as_paths_and_strangers_do_not() {
        let place = Place::parse("s3://models/prod").unwrap();
        let url = Some(EncodingType::Url);
        assert_eq!(place.path("prod/a/1/x+y", None).unwrap(), "a/1/x+y");
        assert_eq!(place.path("prod/Gr%C3%B6%C3%9Fe/1/a+b%2Bc", url.as_ref()).unwrap(), "Größe/1/a b+c");
        for strange in ["prod/", "prod/a/", "prod/.hidden", "prod/a%0Ab", "prod/%ff", "prod/%f", "other/a", "prod//a"] {
            assert_eq!(place.path(strange, url.as_ref()), None, "{strange}");
        }
    }

    #[test]
    fn a_repository_may_hold_what_is_below_its_prefix_however_the_key_is_written() {
        let place = Place::parse("s3://models/prod/größe 1").unwrap();
        for ours in [
            "prod/gr%C3%B6%C3%9Fe+1/iris/1/model.onnx",
            "prod%2Fgr%c3%b6%c3%9fe%201%2Firis%2F1%2Fmodel.onnx",
            "prod/größe 1/iris/1/100%.txt",
        ] {
            assert!(place.may_hold(ours), "{ours}");
        }
        for other in ["prod/eu/iris/1/model.onnx", "prod%2Feu%2Firis%2F1%2Fmodel.onnx", "prod/größe 1", ""] {
            assert!(!place.may_hold(other), "{other}");
        }
        assert!(place.may_hold("prod/eu/%ff"), "what cannot be read may be anything");
        assert!(Place::parse("s3://models").unwrap().may_hold("prod%2Firis"), "a whole bucket has no prefix");
    }

    /// As MinIO and AWS write keys.
    fn encoded(key: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let escape = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        key.bytes().map(escape).collect()
    }

    proptest! {
        #[test]
        fn every_key_below_the_prefix_is_known_however_it_is_encoded(prefix in "\\PC{0,9}/", rest in "\\PC{0,9}") {
            let key = format!("{prefix}{rest}");
            let place = Place { bucket: "models".to_owned(), prefix };
            prop_assert!(place.may_hold(&key) && place.may_hold(&encoded(&key)));
            prop_assert_eq!(decoded(&encoded(&key)), Some(key));
        }

        #[test]
        fn no_key_does_any_harm(key in "[%+a-f0-9/]{0,20}|\\PC{0,20}") {
            let place = Place { bucket: "models".to_owned(), prefix: "prod/".to_owned() };
            prop_assert_eq!(place.may_hold(&key), decoded(&key).is_none_or(|key| key.starts_with("prod/")));
        }
    }
}
