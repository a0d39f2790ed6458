//! One of the body's parameters, found without reading the others further than their ends.

use super::{
    fault::Fault,
    scan::{Bare, Scanner},
};
use crate::codec::Parameter;

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
