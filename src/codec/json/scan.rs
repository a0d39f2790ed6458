//! A cursor over JSON text: white space, strings, numbers, objects and arrays, strictly by RFC 8259.
//!
//! Both decoding paths read through it. Of broken text it says where it breaks and what was expected there. Whole values
//! that nobody wants are skipped by [`skip`].

use std::borrow::Cow;

use super::{number, text};
pub(super) use skip::Bare;

mod skip;

/// Where text breaks the grammar, and what it wanted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Byte offset in the body.
    pub at: usize,
    /// What would have been right.
    pub expected: &'static str,
}

/// A position in a text.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// The first position from `at` on that holds no white space: mostly `at`.
#[inline(always)]
pub(super) fn space(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(&byte) if byte > b' ' => at,
        _ => spaces(bytes, at),
    }
}

#[inline(never)]
fn spaces(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

impl<'a> Scanner<'a> {
    /// At the start of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// At the byte offset `at` of a text.
    pub fn starting(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// The byte offset.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The bytes of the whole text.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Goes to the byte offset `at`.
    #[inline(always)]
    pub fn go(&mut self, at: usize) {
        self.at = at;
    }

    /// The next byte that is no white space; the cursor stands on it. `None` at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        self.at = space(self.bytes(), self.at);
        self.bytes().get(self.at).copied()
    }

    /// Takes `byte` if it comes next.
    #[inline(always)]
    pub fn take(&mut self, byte: u8) -> bool {
        // A branch, not an addition of the comparison: what follows need not wait for the byte.
        if self.peek() != Some(byte) {
            return false;
        }
        self.at += 1;
        true
    }

    /// Takes the string `name`, written without escapes, if it comes next; cheaper than reading any string.
    #[inline(always)]
    pub fn take_name(&mut self, name: &str) -> bool {
        let found = self.peek() == Some(b'"')
            && self.bytes()[self.at + 1..].starts_with(name.as_bytes())
            && self.bytes().get(self.at + 1 + name.len()) == Some(&b'"');
        if !found {
            return false;
        }
        self.at += name.len() + 2;
        true
    }

    /// Takes `byte`, which must come next.
    pub fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Broken> {
        if self.take(byte) { Ok(()) } else { Err(self.broken(expected)) }
    }

    /// Takes `null` if it comes next.
    #[inline(always)]
    pub fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null")
    }

    /// A string without escapes, which must come next; the fast path's.
    #[inline(always)]
    pub fn plain(&mut self) -> Option<&'a str> {
        if !self.take(b'"') {
            return None;
        }
        let end = text::stop(self.bytes(), self.at);
        if self.bytes().get(end) != Some(&b'"') {
            return None;
        }
        let string = self.text.get(self.at..end);
        self.at = end + 1;
        string
    }

    /// A string, which must come next.
    pub fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        let end = text::stop(self.bytes(), start);
        if self.bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        let mut owned = Vec::new();
        self.at = text::unescape(self.bytes(), start, &mut owned)?;
        Ok(Cow::Owned(String::from_utf8(owned).expect("UTF-8 between escapes, and escapes are written as UTF-8")))
    }

    /// A number's text, which must come next.
    pub fn number(&mut self) -> Result<&'a str, Broken> {
        self.peek();
        let start = self.at;
        self.at = number::end(self.bytes(), start).ok_or_else(|| self.broken("a number"))?;
        Ok(&self.text[start..self.at])
    }

    /// The end of the text, but for white space.
    pub fn end(&mut self) -> Result<(), Broken> {
        if self.peek().is_none() { Ok(()) } else { Err(self.broken("the end of the body")) }
    }

    /// What is wrong here.
    pub fn broken(&self, expected: &'static str) -> Broken {
        Broken { at: self.at, expected }
    }

    /// Walks an object, which must come next: `each` is called with its keys, the cursor on the value.
    pub fn members<E: From<Broken>>(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{', "`{`")?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "`:`")?;
            each(self, &key)?;
            if !self.take(b',') {
                return Ok(self.expect(b'}', "`,` or `}`")?);
            }
        }
    }

    /// Walks an array, which must come next: `each` is called with the index of an entry, the cursor on it. Returns the
    /// number of entries.
    pub fn entries<E: From<Broken>>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<usize, E> {
        self.expect(b'[', "`[`")?;
        if self.take(b']') {
            return Ok(0);
        }
        for index in 0.. {
            each(self, index)?;
            if !self.take(b',') {
                self.expect(b']', "`,` or `]`")?;
                return Ok(index + 1);
            }
        }
        unreachable!("a text has fewer entries than usize::MAX")
    }

    #[inline(always)]
    fn word(&mut self, word: &str) -> bool {
        let found = self.bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_read_as_serde_json_reads_it(text in r#""([ -~é\x01]|\\[\\"/bfnrtu0]|\\u[dD][89cdCD][0-9a-f]{2}){0,8}"?"#) {
            let mut scanner = Scanner::new(&text);
            let ours = scanner.string().ok().filter(|_| scanner.end().is_ok()).map(Cow::into_owned);
            prop_assert_eq!(ours, serde_json::from_str::<String>(&text).ok());
        }
    }
}
