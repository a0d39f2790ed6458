//! Random files: whatever they say, they are taken or refused with a sentence, and nothing panics.

use std::env::VarError;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use serde_json::{Map, Value, json};

use super::{read::FileRead, *};

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..2000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        "[a-z*{}$./ -]{0,8}".prop_map(Value::from),
        select(&["latest", "all", "1s", "1MiB", "iris", "predict", "${SECRET}", "${NONE}"][..]).prop_map(Value::from),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        let known = select(&["predict", "model", "latest", "specific", "topics"][..]).prop_map(str::to_owned);
        let key = prop_oneof![known, "[a-z.]{0,6}"];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((key, inner), 0..4).prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

/// Replaces, removes or adds something at a random place.
fn change(document: &mut Value, way: &[Index], new: &Value, how: u8) {
    let Some((turn, rest)) = way.split_first() else {
        *document = new.clone();
        return;
    };
    match document {
        Value::Array(entries) if !entries.is_empty() => {
            let place = turn.index(entries.len());
            match how {
                0 if rest.is_empty() => _ = entries.remove(place),
                1 if rest.is_empty() => entries.push(new.clone()),
                _ => change(&mut entries[place], rest, new, how),
            }
        }
        Value::Object(entries) if !entries.is_empty() => {
            let key = entries.keys().nth(turn.index(entries.len())).cloned().unwrap();
            match how {
                0 if rest.is_empty() => _ = entries.remove(&key),
                1 if rest.is_empty() => _ = entries.insert(format!("{key}x"), new.clone()),
                _ => change(entries.get_mut(&key).unwrap(), rest, new, how),
            }
        }
        other => *other = new.clone(),
    }
}

fn example(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    document::parse(&std::fs::read_to_string(path).unwrap()).unwrap().value
}

/// Reads the document: it is taken, or its problems are told.
fn check<T: read::Settings>(document: &Value) {
    check_text::<T>(serde_yaml::to_string(document).unwrap());
}

fn check_text<T: read::Settings>(text: String) {
    let environment = |name: &str| if name == "SECRET" { Ok("7".to_owned()) } else { Err(VarError::NotPresent) };
    let read = FileRead::<T>::of_text("file.yaml".as_ref(), text, &environment);
    // What the schema cannot say (a number beyond 32 bits) is a problem of its own.
    assert!(read.settings.is_some() || !read.problems.is_empty());
    if read.problems.is_empty() {
        assert!(read.settings.unwrap().problems().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_changed_example_is_taken_or_refused_but_never_panics(
        changes in vec((vec(any::<Index>(), 0..5), value(), 0_u8..3), 1..5)
    ) {
        let (mut server, mut pipeline) = (example("server.yaml"), example("pipeline.yaml"));
        for (way, new, how) in &changes {
            change(&mut server, way, new, *how);
            change(&mut pipeline, way, new, *how);
        }
        check::<ServerConfig>(&server);
        check::<PipelineConfig>(&pipeline);
    }

    #[test]
    fn mending_makes_documents_that_the_types_take(
        changes in vec((vec(any::<Index>(), 0..5), value(), 0_u8..3), 1..5)
    ) {
        let mut pipeline = example("pipeline.yaml");
        for (way, new, how) in &changes {
            change(&mut pipeline, way, new, *how);
        }
        shape::Shape::of::<PipelineConfig>().mend(&mut pipeline, &std::collections::BTreeMap::new());
        let mended = serde_json::from_value::<PipelineConfig>(pipeline.clone());
        prop_assert!(mended.is_ok(), "{pipeline:#}: {:?}", mended.err());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        check_text::<ServerConfig>(text.clone());
        check_text::<PipelineConfig>(text);
    }
}
