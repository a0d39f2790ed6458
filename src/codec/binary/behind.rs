//! The bytes behind the JSON of a body, handed out input by input.

/// A cursor over the bytes behind the JSON; nothing but JSON has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Behind<'a>(Option<&'a [u8]>);

impl<'a> Behind<'a> {
    /// At the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Some(bytes))
    }

    /// Whether the body is of a kind that may have bytes behind its JSON.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// How many bytes were not taken yet.
    pub fn left(&self) -> usize {
        self.0.map_or(0, <[u8]>::len)
    }

    /// The next `size` bytes; `None`, and nothing is taken, if there are fewer. No bytes are there where nothing is: KServe's client
    /// writes inputs without rows so into a body of JSON alone.
    pub fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        if size == 0 {
            return Some(&[]);
        }
        let (taken, rest) = self.0?.split_at_checked(size)?;
        self.0 = Some(rest);
        Some(taken)
    }
}
