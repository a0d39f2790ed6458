//! Holds a document against the JSON Schema of its settings: unknown keys, missing keys and wrong kinds of values, all of
//! them in one walk.
//!
//! What is wrong is reported and *mended* (unknown keys removed, a stand-in put where a value is missing or wrong), so that
//! the rules beyond the schema can be applied to the rest in the same go. The schema is generated from the settings' types,
//! hence this walk and the types cannot disagree.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::{
    problem::{KeyPath, Problem},
    words,
};

/// The form that settings have in a file.
pub struct Shape {
    schema: Value,
}

impl Shape {
    /// The form of `T`.
    pub fn of<T: JsonSchema>() -> Self {
        Self { schema: schemars::schema_for!(T).to_value() }
    }

    /// Reports what does not fit and mends it in place. `written` holds the text of values that came from the environment:
    /// these may become numbers, and sentences show them as they were written.
    pub fn mend(&self, document: &mut Value, written: &BTreeMap<KeyPath, String>) -> Mended {
        let mut mender = Mender { root: &self.schema, written, mended: Mended::default() };
        mender.fit(&self.schema, document, &KeyPath::root());
        mender.mended
    }
}

/// What did not fit.
#[derive(Debug, Default)]
pub struct Mended {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// The values that are no longer what was written.
    pub places: Vec<KeyPath>,
}

struct Mender<'a> {
    root: &'a Value,
    written: &'a BTreeMap<KeyPath, String>,
    mended: Mended,
}

impl<'a> Mender<'a> {
    fn fit(&mut self, schema: &'a Value, value: &mut Value, path: &KeyPath) {
        let schema = resolve(self.root, schema);
        if let Some(alternatives) = alternatives(self.root, schema) {
            let named = schema.get("oneOf").is_some() && alternatives.iter().all(|one| !names(one).is_empty());
            return match alternatives.as_slice() {
                _ if value.is_null() && takes_null(schema) => {}
                _ if named => self.fit_named(schema, &alternatives, value, path),
                [only] => self.fit(only, value, path),
                _ => self.fit_any(&alternatives, value, path),
            };
        }
        self.take_from_environment(schema, value, path);
        if !words::is_of_kind(schema, value) {
            return self.mismatch(schema, value, path);
        }
        if let Some(sentence) = words::value_problem(schema, value, &self.shown(value, path)) {
            return self.wrong(schema, value, path, sentence);
        }
        match value {
            Value::Object(entries) => self.fit_map(schema, entries, path),
            Value::Array(entries) => {
                for (index, entry) in entries.iter_mut().enumerate() {
                    self.fit(schema.get("items").unwrap_or(&Value::Bool(true)), entry, &path.index(index));
                }
            }
            _ => {}
        }
    }

    fn fit_map(&mut self, schema: &'a Value, entries: &mut Map<String, Value>, path: &KeyPath) {
        let required: BTreeSet<&str> = strings(schema, "required").collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let property = |key: &str| properties.and_then(|properties| properties.get(key));
        // A key whose value was commented out is one that was not written, where it may be left out.
        entries.retain(|key, value| !value.is_null() || property(key).is_none() || required.contains(key.as_str()));
        let mut misspelt = BTreeSet::new();
        for key in entries.keys().cloned().collect::<Vec<_>>() {
            let Some(inner) = property(&key).or_else(|| schema.get("additionalProperties")) else { continue };
            if *inner == Value::Bool(false) {
                entries.shift_remove(&key);
                let known: Vec<_> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                misspelt.extend(words::nearest(&key, &known).map(str::to_owned));
                self.report(&path.key(&key), words::unknown_key(&key, &known));
            } else if let Some(value) = entries.get_mut(&key) {
                self.fit(inner, value, &path.key(&key));
            }
        }
        for key in required.into_iter().filter(|key| !entries.contains_key(*key)).collect::<Vec<_>>() {
            let inner = property(key).unwrap_or(&Value::Bool(true));
            // The misspelt key has been reported, and says the same.
            if !misspelt.contains(key) {
                self.report(&path.key(key), words::missing(resolve_description(self.root, inner)));
            }
            self.mended.places.push(path.key(key));
            entries.insert(key.to_owned(), stand_in(self.root, inner, 0));
        }
    }

    /// One of several names, some with properties (`predict: {…}`), some without (`all`).
    fn fit_named(&mut self, schema: &'a Value, alternatives: &[&'a Value], value: &mut Value, path: &KeyPath) {
        let known: Vec<&str> = alternatives.iter().flat_map(|alternative| names(alternative)).collect();
        let with_properties = |name: &str| {
            alternatives.iter().find_map(|alternative| alternative.get("properties").and_then(|inner| inner.get(name)))
        };
        let sentence = match value {
            Value::String(name) if !known.contains(&name.as_str()) => {
                let later: Vec<&str> = strings(schema, "x-not-built-yet").collect();
                words::unknown_name(name, &self.shown_text(name, path), &known, &later)
            }
            Value::String(name) => match with_properties(name) {
                None => return,
                Some(inner) => words::with_properties(name, resolve(self.root, inner)),
            },
            Value::Object(entries) if entries.len() == 1 => {
                let (name, inner) = entries.iter_mut().next().expect("there is one");
                let path_of_choice = path;
                let path = path.key(name);
                match with_properties(name) {
                    Some(inner_schema) => {
                        // `- lowercase:` with nothing behind it is a step without properties.
                        if inner.is_null() {
                            *inner = Value::Object(Map::new());
                        }
                        return self.fit(inner_schema, inner, &path);
                    }
                    None if known.contains(&name.as_str()) => format!("`{name}` stands alone, without `:`"),
                    None => {
                        self.report(&path, words::unknown_key(name, &known));
                        return self.replace(schema, value, path_of_choice);
                    }
                }
            }
            Value::Object(entries) if entries.len() > 1 => {
                let found: Vec<_> = entries.keys().map(String::as_str).collect();
                format!("expected one key, found {}: write each as an entry of its own", words::listing(&found, "and"))
            }
            _ => format!("expected {}, found {}", words::listing(&known, "or"), self.shown(value, path)),
        };
        self.wrong(schema, value, path, sentence);
    }

    /// The first alternative that fits, else the problems of the one that comes closest.
    fn fit_any(&mut self, alternatives: &[&'a Value], value: &mut Value, path: &KeyPath) {
        let mut closest: Option<(usize, Value, Mended)> = None;
        for alternative in alternatives {
            let mut attempt = Mender { root: self.root, written: self.written, mended: Mended::default() };
            let mut mended = value.clone();
            attempt.fit(alternative, &mut mended, path);
            let of_kind = words::is_of_kind(resolve(self.root, alternative), value);
            let distance = if of_kind { attempt.mended.problems.len() } else { usize::MAX };
            if closest.as_ref().is_none_or(|(least, ..)| distance < *least) {
                closest = Some((distance, mended, attempt.mended));
            }
        }
        match closest {
            Some((distance, fitted, mended)) if distance < usize::MAX => {
                self.mended.problems.extend(mended.problems);
                self.mended.places.extend(mended.places);
                *value = fitted;
            }
            _ => {
                let kinds = alternatives.iter().map(|one| words::kind(one)).collect::<Vec<_>>().join(" or ");
                let sentence = format!("expected {kinds}, found {}", self.shown(value, path));
                let first = alternatives.first().copied().unwrap_or(&Value::Null);
                self.wrong(first, value, path, sentence);
            }
        }
    }

    /// Text from the environment becomes a number or a truth value where one is expected.
    fn take_from_environment(&self, schema: &Value, value: &mut Value, path: &KeyPath) {
        let Value::String(text) = &*value else { return };
        if words::is_of_kind(schema, value) || !self.written.contains_key(path) {
            return;
        }
        if let Ok(read @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str::<Value>(text.trim())
            && words::is_of_kind(schema, &read)
        {
            *value = read;
        }
    }

    fn mismatch(&mut self, schema: &'a Value, value: &mut Value, path: &KeyPath) {
        let found = self.shown(value, path);
        let mut sentence = format!("expected {}, found {found}", words::kind(schema));
        if !self.written.contains_key(path) {
            sentence += &words::advice(schema, value);
        }
        self.wrong(schema, value, path, sentence);
    }

    fn wrong(&mut self, schema: &'a Value, value: &mut Value, path: &KeyPath, sentence: String) {
        self.report(path, sentence);
        self.replace(schema, value, path);
    }

    fn report(&mut self, path: &KeyPath, sentence: String) {
        self.mended.problems.push(Problem::new(path.clone(), sentence));
        self.mended.places.push(path.clone());
    }

    fn replace(&mut self, schema: &'a Value, value: &mut Value, path: &KeyPath) {
        self.mended.places.push(path.clone());
        *value = stand_in(self.root, schema, 0);
    }

    fn shown(&self, value: &Value, path: &KeyPath) -> String {
        match (self.written.get(path), value) {
            (Some(written), _) => format!("what `{written}` stands for"),
            (None, value) => words::value(value),
        }
    }

    fn shown_text(&self, text: &str, path: &KeyPath) -> String {
        match self.written.get(path) {
            Some(written) => format!("what `{written}` stands for"),
            None => format!("`{text}`"),
        }
    }
}

/// The schema behind references.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(reference.strip_prefix('#')?)) {
        Some(target) => target,
        None => schema,
    }
}

fn resolve_description<'a>(root: &'a Value, schema: &'a Value) -> &'a str {
    let described = if schema.get("description").is_some() { schema } else { resolve(root, schema) };
    described.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// What may stand here besides nothing; `None` if the schema is no choice.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Option<Vec<&'a Value>> {
    let choice = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    Some(choice.iter().map(|one| resolve(root, one)).filter(|one| one.get("type") != Some(&"null".into())).collect())
}

fn takes_null(schema: &Value) -> bool {
    let choice = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    choice.is_some_and(|choice| choice.iter().any(|one| one.get("type") == Some(&"null".into())))
}

/// The names that an alternative stands for: its constants, or the one key of its map. None if it is something else.
fn names(alternative: &Value) -> Vec<&str> {
    if let Some(constant) = alternative.get("const").and_then(Value::as_str) {
        return vec![constant];
    }
    if alternative.get("enum").is_some() {
        return strings(alternative, "enum").collect();
    }
    let properties = alternative.get("properties").and_then(Value::as_object);
    match (properties, strings(alternative, "required").collect::<Vec<_>>().as_slice()) {
        (Some(properties), [only]) if properties.len() == 1 => vec![*only],
        _ => Vec::new(),
    }
}

fn strings<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = &'a str> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A value that the types take, for the place of one that is missing or wrong.
fn stand_in(root: &Value, schema: &Value, depth: usize) -> Value {
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
    match words::first_type(resolved) {
        Some("string") => Value::String(String::new()),
        Some("integer" | "number") => resolved.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => Value::Bool(false),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let property = |key| resolved.get("properties").and_then(|all| all.get(key)).unwrap_or(&Value::Null);
            let inside = strings(resolved, "required");
            Value::Object(inside.map(|key| (key.to_owned(), stand_in(root, property(key), depth + 1))).collect())
        }
        _ => Value::Null,
    }
}
