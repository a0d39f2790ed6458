//! The JSON Schemas that editors check and complete files with.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{pipeline::PipelineConfig, server::ServerConfig};

/// The JSON Schema of `server.yaml`, as text for a file.
pub fn server_schema() -> String {
    published::<ServerConfig>()
}

/// The JSON Schema of `pipeline.yaml`, as text for a file.
pub fn pipeline_schema() -> String {
    published::<PipelineConfig>()
}

fn published<T: JsonSchema>() -> String {
    let mut schema = schemars::schema_for!(T).to_value();
    publish(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).expect("a value has text keys only");
    text.push('\n');
    text
}

/// Takes out our own keywords, which strict validators refuse, and lets `${NAME}` stand for every scalar.
fn publish(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            keywords.retain(|keyword, _| !keyword.starts_with("x-"));
            if let Some(types) = keywords.get("type").map(scalar_types).filter(|types| !types.is_empty()) {
                let pattern = keywords.get("pattern").and_then(Value::as_str).map(str::to_owned);
                let takes_text = types.contains(&"string".to_owned());
                match pattern {
                    Some(pattern) => _ = keywords.insert("pattern".to_owned(), json!(format!("{pattern}|{VARIABLE}"))),
                    None if !takes_text => {
                        let types: Vec<_> = types.into_iter().chain(["string".to_owned()]).collect();
                        keywords.insert("type".to_owned(), json!(types));
                        keywords.insert("pattern".to_owned(), json!(VARIABLE));
                    }
                    None => {}
                }
            }
            keywords.values_mut().for_each(publish);
        }
        Value::Array(entries) => entries.iter_mut().for_each(publish),
        _ => {}
    }
}

/// Matches text that holds a variable.
const VARIABLE: &str = r"\$\{";

fn scalar_types(types: &Value) -> Vec<String> {
    let names = types.as_str().into_iter().chain(types.as_array().into_iter().flatten().filter_map(Value::as_str));
    let names: Vec<_> = names.map(str::to_owned).collect();
    let scalar = names.iter().any(|name| matches!(name.as_str(), "string" | "integer" | "number" | "boolean"));
    if scalar { names } else { Vec::new() }
}
