//! Strings of an answer: quoted, escaped where JSON asks for it, and valid UTF-8 whatever the bytes were.

use super::super::text::stop;

/// Appends a JSON string.
pub(super) fn string(out: &mut Vec<u8>, string: &str) {
    out.push(b'"');
    escaped(out, string.as_bytes());
    out.push(b'"');
}

/// Appends bytes as a JSON string. Sequences that are no UTF-8 become U+FFFD.
pub(super) fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(valid) = simdutf8::basic::from_utf8(bytes) {
        return string(out, valid);
    }
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
}

fn escaped(out: &mut Vec<u8>, mut bytes: &[u8]) {
    loop {
        let plain = stop(bytes, 0);
        out.extend_from_slice(&bytes[..plain]);
        let Some(&special) = bytes.get(plain) else { return };
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(special >> 4), digit(special & 15)]);
            }
        }
        bytes = &bytes[plain + 1..];
    }
}
