//! Values that are passed over, their grammar checked: unknown keys, and data before their turn.
//!
//! It never recurses, so that brackets nested a hundred thousand deep are an error like any other. The one liberty is
//! Python's: where a caller allows it, bare `NaN`, `Infinity` and `-Infinity` are values.

use super::{Broken, Scanner};
use crate::codec::json::{number, text};

/// How deep objects and arrays may be nested: as deep as `serde_json` goes, and one bit each in a `u128`.
const MAX_DEPTH: u32 = 128;

/// Whether the bare words `NaN`, `Infinity` and `-Infinity` count as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    Allowed,
    Refused,
}

impl<'a> Scanner<'a> {
    /// Skips one value of any kind, which must come next, and returns its text.
    pub fn skip(&mut self, bare: Bare) -> Result<&'a str, Broken> {
        self.peek();
        let start = self.at;
        let mut nest = Nest::default();
        loop {
            self.open_value(&mut nest, bare)?;
            while !nest.wants_value {
                if nest.depth == 0 {
                    return Ok(&self.text[start..self.at]);
                }
                self.after_value(&mut nest)?;
            }
        }
    }

    /// A scalar whole, or the opening of an object or array up to its first value.
    fn open_value(&mut self, nest: &mut Nest, bare: Bare) -> Result<(), Broken> {
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                nest.push(open == b'{').ok_or_else(|| self.broken("at most 128 nested brackets"))?;
                self.at += 1;
                if self.take(if open == b'{' { b'}' } else { b']' }) {
                    nest.pop();
                } else if open == b'{' {
                    self.key()?;
                }
                Ok(())
            }
            _ => {
                nest.wants_value = false;
                self.scalar(bare)
            }
        }
    }

    /// What follows a value inside an object or array: the next one, or the end.
    fn after_value(&mut self, nest: &mut Nest) -> Result<(), Broken> {
        if self.take(b',') {
            nest.wants_value = true;
            return if nest.in_object() { self.key() } else { Ok(()) };
        }
        if nest.in_object() {
            self.expect(b'}', "`,` or `}`")?;
        } else {
            self.expect(b']', "`,` or `]`")?;
        }
        nest.pop();
        Ok(())
    }

    fn key(&mut self) -> Result<(), Broken> {
        self.expect(b'"', "a string as a key")?;
        self.at = text::skip(self.bytes(), self.at)?;
        self.expect(b':', "`:`")
    }

    fn scalar(&mut self, bare: Bare) -> Result<(), Broken> {
        let known = match self.bytes().get(self.at) {
            Some(b'"') => {
                self.at = text::skip(self.bytes(), self.at + 1)?;
                true
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'N') if bare == Bare::Allowed => self.word("NaN"),
            Some(b'I') if bare == Bare::Allowed => self.word("Infinity"),
            Some(b'-') if bare == Bare::Allowed && self.word("-Infinity") => true,
            _ => {
                let end = number::end(self.bytes(), self.at);
                self.at = end.unwrap_or(self.at);
                end.is_some()
            }
        };
        if known { Ok(()) } else { Err(self.broken("a value")) }
    }
}

/// Which brackets are open: one bit a level, 1 for an object, the innermost lowest.
struct Nest {
    objects: u128,
    depth: u32,
    wants_value: bool,
}

impl Default for Nest {
    fn default() -> Self {
        Self { objects: 0, depth: 0, wants_value: true }
    }
}

impl Nest {
    fn push(&mut self, object: bool) -> Option<()> {
        if self.depth == MAX_DEPTH {
            return None;
        }
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        self.wants_value = true;
        Some(())
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
        self.wants_value = false;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skips(text: &str, bare: Bare) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip(bare).and_then(|_| scanner.end()).is_ok()
    }

    #[test]
    fn brackets_nested_beyond_the_limit_are_an_error_at_their_place() {
        let deep = "[".repeat(100_000);
        let broken = Scanner::new(&deep).skip(Bare::Refused).unwrap_err();
        assert_eq!((broken.at, broken.expected), (128, "at most 128 nested brackets"));
        assert!(skips(&format!("{}1{}", "[".repeat(128), "]".repeat(128)), Bare::Refused));
    }

    #[test]
    fn pythons_bare_words_are_values_where_they_are_allowed() {
        for text in ["NaN", "[Infinity, -Infinity]", "{\"a\": NaN}"] {
            assert!(skips(text, Bare::Allowed) && !skips(text, Bare::Refused), "{text}");
        }
        assert!(!skips("-NaN", Bare::Allowed) && !skips("nan", Bare::Allowed));
    }

    /// Pieces of JSON in any order: now and then they make a value.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\":",
            "\"a\"",
            "1",
            "-",
            "0.5",
            "1e5",
            "e",
            ".",
            "true",
            "null",
            " ",
            "\n",
            "\\u00e9",
            "\"\\n\"",
            "\"\\x\"",
            "\"",
            "01",
            "tru",
            "{\"k\":[1,2]}",
            "[]",
            "{}",
            "\u{7f}",
            "\u{1}",
            "é",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_skipped_is_what_serde_json_takes(text in pieces()) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(skips(&text, Bare::Refused), theirs, "{}", text);
        }
    }
}
