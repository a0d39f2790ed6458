//! Strings inside JSON text: where they end, and what their escapes mean.
//!
//! Eight bytes are looked at in one step, since a text column is mostly plain letters. All positions are byte offsets; a
//! string begins after its opening quote and its end is the offset after the closing one.

use super::scan::Broken;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The first position from `at` on that holds a quote, a backslash or a control character; the length if none does.
#[inline(always)]
pub(super) fn stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let found = stops(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte != b'"' && byte != b'\\' && byte >= 0x20) {
        at += 1;
    }
    at
}

/// The high bit of each byte that ends a plain run. Bytes above the first hit may be wrong, the first is right.
#[inline(always)]
pub(super) fn stops(word: u64) -> u64 {
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslashes = zero_bytes(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHS
}

/// Skips a string. Escapes are checked for their form; half a surrogate pair is nobody's business in what is ignored.
pub(super) fn skip(bytes: &[u8], mut at: usize) -> Result<usize, Broken> {
    loop {
        at = stop(bytes, at);
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = skip_escape(bytes, at)?,
            _ => return Err(unfinished(at)),
        }
    }
}

fn skip_escape(bytes: &[u8], at: usize) -> Result<usize, Broken> {
    match bytes.get(at + 1) {
        Some(b'u') => hex(bytes, at).map(|_| at + 6),
        Some(&letter) if simple(letter).is_some() => Ok(at + 2),
        _ => Err(no_escape(at)),
    }
}

/// Appends what a string means to `out`; returns its end.
pub(super) fn unescape(bytes: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, Broken> {
    loop {
        let plain = stop(bytes, at);
        out.extend_from_slice(&bytes[at..plain]);
        match bytes.get(plain) {
            Some(b'"') => return Ok(plain + 1),
            Some(b'\\') => at = escape(bytes, plain, out)?,
            _ => return Err(unfinished(plain)),
        }
    }
}

fn escape(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize, Broken> {
    let letter = *bytes.get(at + 1).ok_or_else(|| no_escape(at))?;
    if letter == b'u' {
        let (character, end) = code_point(bytes, at)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return Ok(end);
    }
    out.push(simple(letter).ok_or_else(|| no_escape(at))?);
    Ok(at + 2)
}

/// `\uXXXX`, or two of them that make a pair.
fn code_point(bytes: &[u8], at: usize) -> Result<(char, usize), Broken> {
    let lone = || Broken { at, expected: "a whole surrogate pair" };
    let first = hex(bytes, at)?;
    if !(0xD800..0xE000).contains(&first) {
        return Ok((char::from_u32(first).ok_or_else(lone)?, at + 6));
    }
    if bytes.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(lone());
    }
    let second = hex(bytes, at + 6)?;
    if first >= 0xDC00 || !(0xDC00..0xE000).contains(&second) {
        return Err(lone());
    }
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Ok((char::from_u32(code).ok_or_else(lone)?, at + 12))
}

/// The four hexadecimal digits of the escape at `at`.
fn hex(bytes: &[u8], at: usize) -> Result<u32, Broken> {
    let digits = bytes.get(at + 2..at + 6).ok_or_else(|| no_escape(at))?;
    let mut code = 0;
    for &digit in digits {
        code = code * 16 + (digit as char).to_digit(16).ok_or_else(|| no_escape(at))?;
    }
    Ok(code)
}

/// What an escape of one letter stands for.
fn simple(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

fn no_escape(at: usize) -> Broken {
    Broken { at, expected: "an escape that JSON knows" }
}

fn unfinished(at: usize) -> Broken {
    Broken { at, expected: "the rest of a string (control characters must be escaped)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_stops_at_every_special_byte_and_at_no_other() {
        for byte in 0..=u8::MAX {
            for at in 0..20 {
                let mut bytes = vec![b'x'; 20];
                bytes[at] = byte;
                let special = byte == b'"' || byte == b'\\' || byte < 0x20;
                assert_eq!(stop(&bytes, 0), if special { at } else { 20 }, "byte {byte} at {at}");
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_an_error_where_it_stands() {
        for text in [r#"a\ud83d""#, r#"a\ud83d\n""#, r#"a\ude00\ud83d""#, r#"a\ud83d\ud83d""#] {
            let broken = unescape(text.as_bytes(), 0, &mut Vec::new()).unwrap_err();
            assert_eq!((broken.at, broken.expected), (1, "a whole surrogate pair"), "{text}");
        }
        let mut out = Vec::new();
        assert_eq!(unescape(br#"\ud83d\ude00""#, 0, &mut out), Ok(13));
        assert_eq!(out, "😀".as_bytes());
    }
}
