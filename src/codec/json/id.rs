//! The id of a body that cannot be decoded, as far as it can be found: an answer that bears it finds its caller.
//!
//! Looks at brackets and strings only, so that whatever else is wrong with the body does not matter: the id is found
//! wherever the brackets before it are balanced. In a body that is right, it is the id that decoding would have found.

use std::{borrow::Cow, str::from_utf8};

use super::{
    body::string_or_number,
    scan::{Scanner, space},
    text,
};

/// The id of a body; `None` if there is none to be found, or it is empty.
pub(super) fn find(body: &[u8]) -> Option<Cow<'_, str>> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = body.get(at) {
        if byte == b'"' {
            let end = text::skip(body, at + 1).ok()?;
            let after = space(body, end);
            if depth == 1 && body.get(after) == Some(&b':') && is_id(&body[at..end]) {
                return value(&body[space(body, after + 1)..]);
            }
            at = end;
            continue;
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn is_id(key: &[u8]) -> bool {
    from_utf8(key).is_ok_and(|key| Scanner::new(key).string().is_ok_and(|key| key == "id"))
}

/// The string or number that the text begins with; what follows it may be anything.
fn value(text: &[u8]) -> Option<Cow<'_, str>> {
    let end = match text.first()? {
        b'"' => text::skip(text, 1).ok()?,
        _ => text
            .iter()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            .unwrap_or(text.len()),
    };
    let mut scanner = Scanner::new(from_utf8(&text[..end]).ok()?);
    string_or_number(&mut scanner, "`id`").ok().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_on_either_side_of_the_fault() {
        for body in [
            r#"{"id": "a-1", "inputs": [{]"#,
            r#"{"inputs": [01, nul, "\"}"], "id":"a-1""#,
            r#"{"\u0069d" : "a\u002d1""#,
            r#"{"parameters": {"id": "other"}, "id": "a-1", "id": "b"}"#,
        ] {
            assert_eq!(find(body.as_bytes()).as_deref(), Some("a-1"), "{body}");
        }
        assert_eq!(find(b"{\"inputs\": \"\xFF\", \"id\": 17e1 }").as_deref(), Some("17e1"));
    }

    #[test]
    fn what_is_no_id_is_not_taken_for_one() {
        for body in [
            r#"{"id": null}"#,
            r#"{"id": ""}"#,
            r#"{"id": {"id": "a"}}"#,
            r#"{"inputs": {"id": "a"}}"#,
            r#"{"id": "\ud800"}"#,
            r#"{"name": "id"}"#,
            r#"{"id": "unfinished"#,
            r#"{"id""#,
            r#"{"id":"#,
            "",
            "id",
            r#"{"id": 01}"#,
        ] {
            assert_eq!(find(body.as_bytes()), None, "{body}");
        }
        assert_eq!(find(b"{\"id\": \"\xFF\"}"), None);
    }
}
