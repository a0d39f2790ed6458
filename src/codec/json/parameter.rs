//! One of the body's parameters, found without reading the others further than their ends.

use super::{
    fault::{Fault, unexpected},
    scan::{Bare, Scanner},
};
use crate::codec::Parameter;

/// Of an input: how many bytes of its data stand behind the JSON.
pub const BINARY_DATA_SIZE: &str = "binary_data_size";
/// Of an output that is asked for: whether its data stand behind the JSON.
pub const BINARY_DATA: &str = "binary_data";
/// Of a request: the same for all outputs that say nothing themselves.
pub const BINARY_DATA_OUTPUT: &str = "binary_data_output";

/// The parameter called `name` of a JSON object; of several, the last.
pub(in crate::codec) fn find<'a>(object: &'a str, name: &str) -> Parameter<'a> {
    let mut found = Parameter::Missing;
    let walk = Scanner::new(object).members(|scanner, key| {
        if key == name {
            found = read(scanner)?;
            return Ok::<_, Fault>(());
        }
        Ok(scanner.skip(Bare::Allowed).map(drop)?)
    });
    // Whoever hands over a text has walked it once: it is an object.
    if walk.is_ok() { found } else { Parameter::Other }
}

/// Whether an object may have a parameter called `name`; `false` is certain. Most have none, and need not be walked for it.
pub(super) fn may_hold(object: &str, name: &str) -> bool {
    object.contains(name) || object.contains('\\')
}

/// The parameter called `name`, `true` or `false`; of several, the last. `None` if it is null or not there.
pub(super) fn switch(object: &str, name: &str, whose: &str) -> Result<Option<bool>, Fault> {
    value(object, name, |scanner| match scanner.peek() {
        Some(b't' | b'f') => Ok(scanner.skip(Bare::Refused)? == "true"),
        _ => Err(unexpected(scanner, format_args!("`{name}` in {whose}"), "true or false")),
    })
}

/// The parameter called `name`, a whole number; of several, the last. `None` if it is null or not there.
pub(super) fn size(object: &str, name: &str, whose: &str) -> Result<Option<usize>, Fault> {
    value(object, name, |scanner| {
        let start = scanner.at();
        let digits = scanner.number().ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            scanner.go(start);
            unexpected(scanner, format_args!("`{name}` in {whose}"), "a whole number, 0 or more")
        })
    })
}

fn value<T>(
    object: &str,
    name: &str,
    mut read: impl FnMut(&mut Scanner<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut found = None;
    if may_hold(object, name) {
        Scanner::new(object).members(|scanner, key| {
            if key != name {
                return Ok(scanner.skip(Bare::Allowed).map(drop)?);
            }
            found = if scanner.null() { None } else { Some(read(scanner)?) };
            Ok::<_, Fault>(())
        })?;
    }
    Ok(found)
}

fn read<'a>(scanner: &mut Scanner<'a>) -> Result<Parameter<'a>, Fault> {
    Ok(match scanner.peek() {
        Some(b'"') => Parameter::Text(scanner.string()?),
        Some(b'-' | b'0'..=b'9') => {
            let number = scanner.number()?;
            let is_whole = !number.contains(['.', 'e', 'E']);
            if is_whole { Parameter::Text(number.into()) } else { Parameter::Other }
        }
        _ if scanner.null() => Parameter::Missing,
        _ => {
            scanner.skip(Bare::Allowed)?;
            Parameter::Other
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_and_a_whole_number_are_text_and_the_last_of_a_name_counts() {
        let object = r#"{"a": {"b": "inner"}, "b": "x\"y", "n": -7, "f": 1.0, "t": true, "null": null, "a": "last"}"#;
        let text = |text: &'static str| Parameter::Text(text.into());
        for (name, expected) in [
            ("b", text("x\"y")),
            ("n", text("-7")),
            ("a", text("last")),
            ("f", Parameter::Other),
            ("t", Parameter::Other),
            ("null", Parameter::Missing),
            ("c", Parameter::Missing),
        ] {
            assert_eq!(find(object, name), expected, "{name}");
        }
    }
}
