//! What the keywords of a JSON Schema say, as far as the schemas of our settings use them.

use serde_json::Value;

/// The schema behind references.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(reference.strip_prefix('#')?)) {
        Some(target) => target,
        None => schema,
    }
}

/// What a schema or, failing that, what it refers to says about itself.
pub fn description<'a>(root: &'a Value, schema: &'a Value) -> &'a str {
    let described = if schema.get("description").is_some() { schema } else { resolve(root, schema) };
    described.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// What may stand here besides nothing, choices within choices included; `None` if the schema is no choice.
pub fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Option<Vec<&'a Value>> {
    let choice = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let mut all = Vec::new();
    for alternative in choice.iter().map(|one| resolve(root, one)) {
        let inner = alternative.get("anyOf").and_then(|_| alternatives(root, alternative));
        match inner {
            Some(inner) => all.extend(inner),
            None if alternative.get("type") == Some(&"null".into()) => {}
            None => all.push(alternative),
        }
    }
    Some(all)
}

/// Whether one of the alternatives is nothing.
pub fn takes_null(schema: &Value) -> bool {
    let choice = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    choice.is_some_and(|choice| choice.iter().any(|one| one.get("type") == Some(&"null".into())))
}

/// The names that an alternative stands for: its constants, or the one key of its map. None if it is something else (such
/// as a map whose one key tells it from others by a constant).
pub fn names(alternative: &Value) -> Vec<&str> {
    if let Some(constant) = alternative.get("const").and_then(Value::as_str) {
        return vec![constant];
    }
    if alternative.get("enum").is_some() {
        return strings(alternative, "enum").collect();
    }
    let properties = alternative.get("properties").and_then(Value::as_object);
    match (properties, strings(alternative, "required").collect::<Vec<_>>().as_slice()) {
        (Some(properties), [only]) if properties.get(*only).is_some_and(|inner| inner.get("const").is_none()) => {
            if properties.len() == 1 {
                vec![*only]
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

/// A choice between names.
pub struct Choice<'a> {
    /// The schema of the choice as a whole.
    pub schema: &'a Value,
    /// One for each name, or for several without properties.
    pub alternatives: Vec<&'a Value>,
}

impl<'a> Choice<'a> {
    /// All names.
    pub fn known(&self) -> Vec<&'a str> {
        self.alternatives.iter().flat_map(|alternative| names(alternative)).collect()
    }

    /// What stands behind a name that has properties.
    pub fn inside(&self, name: &str) -> Option<&'a Value> {
        self.alternatives.iter().find_map(|alternative| alternative.get("properties")?.get(name))
    }
}

/// The texts under a keyword that holds a list.
pub fn strings<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a str> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A value that the types take, for the place of one that is missing or wrong.
pub fn stand_in(root: &Value, schema: &Value, depth: usize) -> Value {
    let own = |schema: &Value| {
        let list = |keyword: &str| schema.get(keyword)?.as_array()?.first().cloned();
        schema.get("default").or(schema.get("const")).cloned().or_else(|| list("enum")).or_else(|| list("examples"))
    };
    let resolved = resolve(root, schema);
    if let Some(value) = own(schema).or_else(|| own(resolved)) {
        return value;
    }
    if depth > 16 {
        return Value::Null;
    }
    if let Some(first) = alternatives(root, resolved).and_then(|alternatives| alternatives.first().copied()) {
        return stand_in(root, first, depth + 1);
    }
    match first_type(resolved) {
        Some("string") => Value::String(String::new()),
        Some("integer" | "number") => resolved.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => Value::Bool(false),
        Some("array") => {
            let entry = resolved.get("items").unwrap_or(&Value::Null);
            let least = resolved.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(64);
            (0..least).map(|_| stand_in(root, entry, depth + 1)).collect()
        }
        Some("object") => {
            let property = |key| resolved.get("properties").and_then(|all| all.get(key)).unwrap_or(&Value::Null);
            let inside = strings(resolved, "required");
            Value::Object(inside.map(|key| (key.to_owned(), stand_in(root, property(key), depth + 1))).collect())
        }
        _ => Value::Null,
    }
}

/// Whether `value` is of one of the schema's types.
pub fn is_of_kind(schema: &Value, value: &Value) -> bool {
    let fits = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true,
    };
    let mut types = types(schema).peekable();
    types.peek().is_none() || types.any(fits)
}

/// The first type that is not null.
pub fn first_type(schema: &Value) -> Option<&str> {
    types(schema).find(|name| *name != "null")
}

/// The types by name; none if the schema takes any.
pub fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Value::String(name)) => (Some(name.as_str()), None),
        Some(Value::Array(names)) => (None, Some(names)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}
