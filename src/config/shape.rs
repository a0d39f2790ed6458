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
    keywords::{Choice, alternatives, description, is_of_kind, names, resolve, stand_in, strings, takes_null},
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
                // Keys of its own beside a choice (a flattened enum) are for the types to judge.
                _ if schema.get("properties").is_some() => {}
                _ if named => self.fit_named(&Choice { schema, alternatives }, value, path),
                [only] => self.fit(only, value, path),
                _ => self.fit_any(&alternatives, value, path),
            };
        }
        self.take_from_environment(schema, value, path);
        if !is_of_kind(schema, value) {
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
                self.report(&path.key(key), words::missing(description(self.root, inner)));
            }
            self.mended.places.push(path.key(key));
            entries.insert(key.to_owned(), stand_in(self.root, inner, 0));
        }
    }

    /// One of several names, some with properties (`predict: {…}`), some without (`all`).
    fn fit_named(&mut self, choice: &Choice<'a>, value: &mut Value, path: &KeyPath) {
        let known = choice.known();
        let sentence = match value {
            Value::String(name) => match choice.inside(name) {
                Some(inside) => words::with_properties(name, resolve(self.root, inside)),
                None if known.contains(&name.as_str()) => return,
                None => words::unknown_name(name, &self.shown_text(name, path), &known),
            },
            Value::Object(entries) if entries.len() == 1 => return self.fit_entry(choice, value, path),
            Value::Object(entries) if entries.len() > 1 => {
                let found: Vec<_> = entries.keys().map(String::as_str).collect();
                format!("expected one key, found {}: write each as an entry of its own", words::listing(&found, "and"))
            }
            _ => format!("expected {}, found {}", words::listing(&known, "or"), self.shown(value, path)),
        };
        self.wrong(choice.schema, value, path, sentence);
    }

    /// A name with what stands behind its colon.
    fn fit_entry(&mut self, choice: &Choice<'a>, value: &mut Value, path: &KeyPath) {
        let Some((name, inside)) = value.as_object_mut().and_then(|entries| entries.iter_mut().next()) else { return };
        let entry = path.key(name);
        if let Some(schema) = choice.inside(name) {
            // `- softmax:` with nothing behind it is a step without properties.
            if inside.is_null() {
                *inside = Value::Object(Map::new());
            }
            return self.fit(schema, inside, &entry);
        }
        let known = choice.known();
        let sentence = match known.contains(&name.as_str()) {
            true => format!("`{name}` stands alone, without `:`"),
            false => words::unknown_key(name, &known),
        };
        self.report(&entry, sentence);
        self.replace(choice.schema, value, path);
    }

    /// The first alternative that fits, else the problems of the one that comes closest.
    fn fit_any(&mut self, alternatives: &[&'a Value], value: &mut Value, path: &KeyPath) {
        let mut closest: Option<(usize, Value, Mended)> = None;
        for alternative in alternatives {
            let mut attempt = Mender { root: self.root, written: self.written, mended: Mended::default() };
            let mut mended = value.clone();
            attempt.fit(alternative, &mut mended, path);
            let distance = match attempt.mended.problems.len() {
                0 => 0,
                problems if is_of_kind(alternative, value) => problems,
                _ => usize::MAX,
            };
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
                let kinds: Vec<_> = alternatives.iter().map(|one| words::kind(one)).collect();
                let sentence = format!("expected {}, found {}", words::joined(&kinds, "or"), self.shown(value, path));
                let first = alternatives.first().copied().unwrap_or(&Value::Null);
                self.wrong(first, value, path, sentence);
            }
        }
    }

    /// Text from the environment becomes a number or a truth value where one is expected.
    fn take_from_environment(&self, schema: &Value, value: &mut Value, path: &KeyPath) {
        let Value::String(text) = &*value else { return };
        if is_of_kind(schema, value) || !self.written.contains_key(path) {
            return;
        }
        if let Ok(read @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str::<Value>(text.trim())
            && is_of_kind(schema, &read)
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Everything {
        name: String,
        #[serde(default)]
        numbers: Numbers,
        fill: Option<Fill>,
        maybe: Option<Inner>,
        #[serde(default)]
        pair: [u8; 2],
        tagged: Option<Tagged>,
        steps: Option<Vec<Step>>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Numbers {
        One(f64),
        Many(Vec<f64>),
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Fill {
        Number(Numbers),
        Text(String),
    }

    impl Default for Numbers {
        fn default() -> Self {
            Self::One(0.0)
        }
    }

    impl serde::Serialize for Numbers {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_f64(0.0)
        }
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        only: u8,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Tagged {
        Plain,
        Deep { depth: u8 },
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Step {
        Bare,
        Deep(Inner),
    }

    fn misfits(mut document: Value) -> Vec<String> {
        let mended = Shape::of::<Everything>().mend(&mut document, &BTreeMap::new());
        let told = mended.problems.iter().map(|problem| format!("{}: {}", problem.path, problem.sentence)).collect();
        serde_json::from_value::<Everything>(document).map(|_| told).expect("mended documents fit the types")
    }

    #[test]
    fn every_form_of_type_that_fits_is_taken() {
        let fitting = [
            json!({"name": "a"}),
            json!({"name": "a", "fill": [1]}),
            json!({"name": "a", "fill": "text"}),
            json!({"name": "a", "numbers": 1, "maybe": {"only": 1}, "pair": [1, 2]}),
            json!({"name": "a", "numbers": [1.5, 2], "maybe": null, "tagged": {"kind": "plain"}}),
            json!({"name": "a", "tagged": {"kind": "deep", "depth": 3}, "steps": ["bare", {"deep": {"only": 1}}]}),
        ];
        for document in fitting {
            assert_eq!(misfits(document.clone()), [] as [String; 0], "{document}");
        }
    }

    #[test]
    fn a_choice_between_kinds_names_them_all() {
        assert_eq!(
            misfits(json!({"name": "a", "numbers": "many"})),
            ["numbers: expected a number or a list, found the text `many`"]
        );
        assert_eq!(
            misfits(json!({"name": "a", "numbers": [1, "two"]})),
            ["numbers[1]: expected a number, found the text `two`"]
        );
        assert_eq!(
            misfits(json!({"name": "a", "fill": true})),
            ["fill: expected a number, a list or text, found `true`"]
        );
    }

    #[test]
    fn what_may_be_left_out_is_checked_when_it_is_there() {
        assert_eq!(
            misfits(json!({"name": "a", "maybe": {"onyl": 300}})),
            ["maybe.onyl: unknown key `onyl`; did you mean `only`?"]
        );
        assert_eq!(
            misfits(json!({"name": "a", "maybe": {"only": 300}})),
            ["maybe.only: must be at most 255, found the number 300"]
        );
    }

    #[test]
    fn names_with_and_without_properties_are_told_apart() {
        assert_eq!(
            misfits(json!({"name": "a", "steps": ["deep", {"bare": 1}, "bear", {"depe": {}}]})),
            [
                "steps[0]: `deep` needs a value: write `deep: {only: …}`",
                "steps[1].bare: `bare` stands alone, without `:`",
                "steps[2]: expected `bare` or `deep`, found `bear`",
                "steps[3].depe: unknown key `depe`; did you mean `deep`?",
            ]
        );
    }

    #[test]
    fn text_from_the_environment_becomes_what_is_expected_and_only_that() {
        let mut document = json!({"name": "7", "numbers": "2.5", "maybe": {"only": "8"}});
        let paths = [KeyPath::from("name"), KeyPath::from("numbers"), KeyPath::from("maybe.only")];
        let written = paths.into_iter().map(|path| (path, "${VARIABLE}".to_owned())).collect();
        let mended = Shape::of::<Everything>().mend(&mut document, &written);
        assert_eq!(mended.problems, []);
        assert_eq!(document, json!({"name": "7", "numbers": 2.5, "maybe": {"only": 8}}));
    }
}
