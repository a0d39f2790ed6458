//! Holds `docs/steps.md` against the steps: each has its heading, its properties and an example that works.

use std::collections::BTreeSet;

use modelmill::steps::StepConfig;
use serde_json::Value;

const REFERENCE: &str = include_str!("../docs/steps.md");

/// What editors are told of each step: its name and its properties.
fn variants() -> Vec<(String, BTreeSet<String>)> {
    let schema = serde_json::to_value(schemars::schema_for!(StepConfig)).unwrap();
    let mut variants = Vec::new();
    for variant in schema["oneOf"].as_array().unwrap() {
        let (name, reference) = variant["properties"].as_object().unwrap().iter().next().unwrap();
        let definition = schema.pointer(&reference["$ref"].as_str().unwrap()[1..]).unwrap();
        let properties = definition["properties"].as_object().unwrap();
        variants.push((name.clone(), properties.keys().cloned().collect()));
    }
    variants
}

/// The text under each heading that names a step.
fn sections() -> Vec<(String, &'static str)> {
    let mut sections = Vec::new();
    for section in REFERENCE.split("\n### `").skip(1) {
        let (name, text) = section.split_once("`\n").unwrap();
        let end = text.find("\n## ").unwrap_or(text.len());
        sections.push((name.to_owned(), &text[..end]));
    }
    sections
}

#[test]
fn every_step_has_a_heading_and_every_heading_a_step() {
    let steps: BTreeSet<_> = variants().into_iter().map(|(name, _)| name).collect();
    let headings: Vec<_> = sections().into_iter().map(|(name, _)| name).collect();
    assert_eq!(headings.iter().cloned().collect::<BTreeSet<_>>(), steps);
    assert_eq!(headings.len(), steps.len(), "a heading twice");
}

#[test]
fn every_property_has_a_line_and_every_line_a_property() {
    let sections = sections();
    for (name, properties) in variants() {
        let (_, text) = sections.iter().find(|(heading, _)| *heading == name).unwrap();
        // Tables behind the example are about something else.
        let table = text.split("```yaml").next().unwrap();
        let lines = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let documented: BTreeSet<_> = lines.map(|(property, _)| property.to_owned()).collect();
        assert_eq!(documented, properties, "`{name}`");
    }
}

#[test]
fn every_step_has_an_example_and_every_example_is_without_problems() {
    for (name, text) in sections() {
        let block = text.split("```yaml\n").nth(1).unwrap_or_else(|| panic!("`{name}` has no example"));
        let steps: Value = serde_yaml::from_str(block.split("```").next().unwrap()).unwrap();
        let mut shown = false;
        for step in steps.as_array().unwrap() {
            let config: StepConfig =
                serde_json::from_value(step.clone()).unwrap_or_else(|error| panic!("{step}: {error}"));
            assert_eq!(config.problems(), [""; 0], "{step}");
            shown |= config.name() == name;
        }
        assert!(shown, "the example of `{name}` is of another step");
    }
}
