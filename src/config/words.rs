//! The words in which a mismatch between a document and its schema is told.

use serde_json::Value;

use super::{
    auto::Auto,
    keywords::{first_type, types},
    units::{HumanDuration, HumanSize},
};

/// What the schema expects: `a whole number`, `a duration such as …`.
pub fn kind(schema: &Value) -> String {
    if let Some(constant) = schema.get("const") {
        return value(constant);
    }
    match schema.get("x-kind").and_then(Value::as_str) {
        Some("duration") => return "a duration such as `5ms`, `30s` or `1h 30m`".to_owned(),
        Some("size") => return "a size such as `512KiB`, `64MiB` or `2GiB`".to_owned(),
        Some("auto") => return "`auto` or a whole number from 1 up".to_owned(),
        Some("socket-address") => return SOCKET_ADDRESS.to_owned(),
        _ => {}
    }
    let names = types(schema).filter(|name| *name != "null").map(|name| match name {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a map of keys",
        _ => "a value",
    });
    joined(&names.map(str::to_owned).collect::<Vec<_>>(), "or")
}

const SOCKET_ADDRESS: &str = "an IP address and a port such as `127.0.0.1:9644` or `[::]:9644`";

/// What was found: ``the text `abc` ``, `the number 5`, `a list`.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text `{}`", shortened(text)),
        Value::Array(entries) => if entries.is_empty() { "an empty list" } else { "a list" }.to_owned(),
        Value::Object(entries) => if entries.is_empty() { "an empty map" } else { "a map" }.to_owned(),
    }
}

/// Long text would hide the sentence.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.escape_debug().to_string();
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How a value of the wrong kind is written in the right one, where that can be told; begins with `; `.
pub fn advice(schema: &Value, value: &Value) -> String {
    match (schema.get("x-kind").and_then(Value::as_str), first_type(schema), value) {
        (Some("duration"), _, Value::Number(number)) => format!("; add a unit: `{number}s` or `{number}ms`"),
        (None, Some("string"), Value::Number(_) | Value::Bool(_)) => format!("; put it in quotes: \"{value}\""),
        (None, Some("array"), Value::String(text)) => format!("; write `[{}]`", shortened(text)),
        (None, Some("array"), Value::Number(number)) => format!("; write `[{number}]`"),
        (None, Some("boolean"), Value::String(text)) => match text.to_lowercase().as_str() {
            "yes" | "on" | "true" => "; write `true`".to_owned(),
            "no" | "off" | "false" => "; write `false`".to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// What is wrong with a value of the right kind; `found` is how it is shown.
pub fn value_problem(schema: &Value, value: &Value, found: &str) -> Option<String> {
    if let (Value::String(text), Some(kind)) = (value, schema.get("x-kind").and_then(Value::as_str)) {
        let readable = match kind {
            "duration" => text.parse::<HumanDuration>().is_ok(),
            "size" => text.parse::<HumanSize>().is_ok(),
            "auto" => text.parse::<Auto>().is_ok(),
            "socket-address" => text.parse::<std::net::SocketAddr>().is_ok(),
            _ => true,
        };
        return (!readable).then(|| format!("expected {}, found {found}", self::kind(schema)));
    }
    if let Some(constant) = schema.get("const").filter(|constant| *constant != value) {
        return Some(format!("expected {}, found {found}", self::value(constant)));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        return Some(unknown_name(value.as_str().unwrap_or_default(), found, &names));
    }
    let number = value.as_f64()?;
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let Some(least) = bound("minimum").filter(|least| number < *least) {
        return Some(format!("must be at least {least}, found {found}"));
    }
    if let Some(bound) = bound("exclusiveMinimum").filter(|bound| number <= *bound) {
        return Some(format!("must be greater than {bound}, found {found}"));
    }
    if let Some(bound) = bound("exclusiveMaximum").filter(|bound| number >= *bound) {
        return Some(format!("must be less than {bound}, found {found}"));
    }
    let most = bound("maximum").filter(|most| number > *most)?;
    Some(format!("must be at most {most}, found {found}"))
}

/// A key that nobody knows.
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let shown = shortened(key);
    match nearest(key, known) {
        Some(near) => format!("unknown key `{shown}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown key `{shown}`; no keys are known here"),
        None => format!("unknown key `{shown}`; known here: {}", listing(known, "and")),
    }
}

/// A name that is none of those that may stand here; `found` is how it is shown.
pub fn unknown_name(name: &str, found: &str, known: &[&str]) -> String {
    let expected = listing(known, "or");
    match nearest(name, known) {
        Some(near) if known.len() > 1 => format!("expected {expected}, found {found}; did you mean `{near}`?"),
        _ => format!("expected {expected}, found {found}"),
    }
}

/// How a name that has properties is written.
pub fn with_properties(name: &str, inner: &Value) -> String {
    let keys = inner.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let value = match first_type(inner) {
        Some("object") => format!("{{{}}}", keys.map(|key| format!("{key}: …")).collect::<Vec<_>>().join(", ")),
        Some("array") => "[…]".to_owned(),
        _ => "…".to_owned(),
    };
    format!("`{name}` needs a value: write `{name}: {value}`")
}

/// A key that must be there and is not; `description` is the schema's.
pub fn missing(description: &str) -> String {
    let first = description.split_inclusive(". ").next().unwrap_or_default();
    let line: Vec<_> = first.split_whitespace().collect();
    match line.join(" ").trim_end_matches('.') {
        "" => "is required and missing".to_owned(),
        described => format!("is required and missing: {}", decapitalised(described)),
    }
}

fn decapitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// The known key that `key` was most likely meant to be.
pub fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    // Distances are quadratic in length, and no key is this long.
    if key.len() > 64 {
        return None;
    }
    let key = key.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&key, candidate);
    let near = known.iter().copied().min_by_key(|candidate| distance(candidate))?;
    if distance(near) <= near.len().max(3) / 3 {
        return Some(near);
    }
    let mut longer = known.iter().copied().filter(|candidate| key.len() > 2 && candidate.starts_with(&key));
    longer.next().filter(|_| longer.next().is_none())
}

/// `` `a`, `b` or `c` ``.
pub fn listing(names: &[&str], last: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", shortened(name))).collect();
    joined(&quoted, last)
}

/// `a, b or c`.
pub fn joined(parts: &[String], last: &str) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_a_stranger_none() {
        let known = ["topics", "codec", "headers", "dead_letter_topic"];
        assert_eq!(nearest("toppic", &known), Some("topics"));
        assert_eq!(nearest("Codec", &known), Some("codec"));
        assert_eq!(nearest("dead_letter", &known), Some("dead_letter_topic"));
        assert_eq!(nearest("batching", &known), None);
        assert_eq!(nearest(&"x".repeat(10_000), &known), None);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(listing(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
        assert_eq!(listing(&["a"], "or"), "`a`");
    }
}
