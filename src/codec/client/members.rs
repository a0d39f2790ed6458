//! A walk over the members of a JSON object that builds nothing: names and values come back as places in the text.
//!
//! It skips what it is not asked for and can be left half-way, so the id of an answer is found without reading its
//! tensors. It trusts the text to be JSON: on anything else the walk ends early, and never panics.

use std::{borrow::Cow, ops::Range};

/// The members of the object that a text consists of.
///
/// Call [`name`](Self::name), then [`value`](Self::value), in turn; leave it at any point.
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Members<'a> {
    /// The members of `text`, if it opens an object.
    pub fn of(text: &'a [u8]) -> Option<Self> {
        let mut members = Self { text, at: 0 };
        members.skip_space();
        members.take(b'{').then_some(members)
    }

    /// Where the next thing to be read stands; right after [`of`](Self::of), behind the opening brace.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next member's name as it stands between its quotes (escapes and all); `None` at the end.
    pub fn name(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        let start = self.at + 1;
        if !self.skip_string() {
            return None;
        }
        let name = self.text.get(start..self.at - 1)?;
        self.skip_space();
        if !self.take(b':') {
            return None;
        }
        self.skip_space();
        Some(name)
    }

    /// Skips the value of the member just named, and says where it stands.
    pub fn value(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        match self.text.get(start)? {
            b'"' => {
                if !self.skip_string() {
                    return None;
                }
            }
            b'{' | b'[' => self.skip_nested()?,
            _ => self.skip_scalar(),
        }
        let value = start..self.at;
        self.skip_space();
        self.take(b',');
        Some(value)
    }

    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(taken);
        taken
    }

    /// Moves behind the string that begins here; false if none does, or if it has no end.
    fn skip_string(&mut self) -> bool {
        if !self.take(b'"') {
            return false;
        }
        while let Some(found) = memchr::memchr2(b'"', b'\\', &self.text[self.at..]) {
            self.at += found + 1;
            if self.text[self.at - 1] == b'"' {
                return true;
            }
            if self.at == self.text.len() {
                return false;
            }
            self.at += 1;
        }
        false
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.text.get(self.at)? {
                b'"' => {
                    if !self.skip_string() {
                        return None;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_scalar(&mut self) {
        let rest = &self.text[self.at..];
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']');
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
    }
}

/// A JSON scalar as text: a string without its quotes and escapes, a number as it stands; `None` for anything else.
pub fn text_of(value: &[u8]) -> Option<Cow<'_, str>> {
    match value.first()? {
        b'"' if value.contains(&b'\\') => serde_json::from_slice::<String>(value).ok().map(Cow::Owned),
        b'"' => std::str::from_utf8(value.get(1..value.len() - 1)?).ok().map(Cow::Borrowed),
        b'-' | b'0'..=b'9' => std::str::from_utf8(value).ok().map(Cow::Borrowed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(text: &[u8]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let Some(mut members) = Members::of(text) else { return found };
        while let Some(name) = members.name() {
            let Some(value) = members.value() else { break };
            found
                .push((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(&text[value]).into_owned()));
        }
        found
    }

    #[test]
    fn values_are_found_whole_whatever_they_hold() {
        let text = br#" { "a" : [1, {"x": "]}\""}] , "b":"\\","c" : -1.5e3 ,"d":{},"e":null } "#;
        let expected = [("a", r#"[1, {"x": "]}\""}]"#), ("b", r#""\\""#), ("c", "-1.5e3"), ("d", "{}"), ("e", "null")];
        assert_eq!(walk(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn scalars_read_as_text_and_nothing_else_does() {
        assert_eq!(text_of(br#""plain""#).as_deref(), Some("plain"));
        assert_eq!(text_of(br#""a\"\u00e4""#).as_deref(), Some("a\"ä"));
        assert_eq!(text_of(b"17").as_deref(), Some("17"));
        assert_eq!((text_of(b"null"), text_of(b"[1]"), text_of(b"\"\xff\"")), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_end_the_walk_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut object = b"{".to_vec();
            object.extend_from_slice(&text);
            walk(&object);
        }

        #[test]
        fn nearly_json_ends_the_walk_without_a_panic(text in r#"\{["\\a:,\[\]{} ]{0,40}"#) {
            walk(text.as_bytes());
        }

        #[test]
        fn what_json_writes_is_walked_whole(
            members in proptest::collection::btree_map("[a-z\"\\\\ä]{0,6}", proptest::collection::vec(".{0,8}", 0..4), 0..6)
        ) {
            let text = serde_json::to_vec_pretty(&members).unwrap();
            let found: std::collections::BTreeMap<String, Vec<String>> = walk(&text)
                .into_iter()
                .map(|(name, value)| {
                    let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
                    (name, serde_json::from_str(&value).unwrap())
                })
                .collect();
            prop_assert_eq!(found, members);
        }
    }
}
