//! What the examples and `docs/configuration.md` are held against: every key that the schemas know.
//!
//! The tables of the page are written by the test below when `MODELMILL_UPDATE_DOCS` is set; the words are those of the
//! settings' own descriptions.

use serde_json::Value;

use super::{PipelineConfig, ServerConfig};

/// One key of a file.
struct Row {
    /// `kafka.group`, `models.per_model.<name>.versions`, `steps[].predict.model`.
    path: String,
    /// Its default as it would be written.
    default: String,
    /// What it means.
    meaning: String,
    /// Whether an example shows it as a value; otherwise (one of several forms, the key of a free map) it is mentioned.
    shown: bool,
}

/// Walks a schema down to its last keys.
struct Rows<'a> {
    root: &'a Value,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    fn of(root: &'a Value) -> Vec<Row> {
        let mut rows = Rows { root, rows: Vec::new() };
        rows.walk(root, "", true);
        rows.rows
    }

    fn walk(&mut self, schema: &'a Value, path: &str, shown: bool) {
        let schema = self.resolve(schema);
        let required = entries(schema, "required");
        for (key, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.row(&path, inner, required.contains(&&Value::from(key.as_str())), shown);
            // An example has `null` where a whole map may be left out.
            self.walk(inner, &path, shown && optional(inner).is_none());
        }
        if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            self.walk(inner, &format!("{path}.<name>"), false);
        }
        if let Some(inner) = schema.get("items") {
            self.walk(inner, &format!("{path}[]"), shown);
        }
        for alternative in entries(schema, "oneOf") {
            for (key, inner) in alternative.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let path = format!("{path}.{key}");
                self.rows.push(Row {
                    path: path.clone(),
                    default: String::new(),
                    meaning: text(alternative),
                    shown: false,
                });
                self.walk(inner, &path, shown);
            }
        }
    }

    fn row(&mut self, path: &str, schema: &Value, required: bool, shown: bool) {
        let resolved = self.resolve(schema);
        let inner = resolved.get("properties").is_some();
        let default = match schema.get("default") {
            _ if required && !inner => "required".to_owned(),
            Some(default) if !inner || default.is_null() => format!("`{}`", flow(default)),
            _ => String::new(),
        };
        let mut meaning = text(if schema.get("description").is_some() { schema } else { resolved });
        for value in entries(resolved, "oneOf") {
            if let Some(name) = value.get("const").and_then(Value::as_str) {
                meaning += &format!(" `{name}`: {}", text(value));
            }
        }
        self.rows.push(Row { path: path.to_owned(), default, meaning, shown });
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let schema = optional(schema).unwrap_or(schema);
        let reference = schema.get("$ref").and_then(Value::as_str);
        reference.and_then(|reference| self.root.pointer(reference.strip_prefix('#')?)).unwrap_or(schema)
    }
}

/// The schema of what may be `null` instead.
fn optional(schema: &Value) -> Option<&Value> {
    match schema.get("anyOf")?.as_array()?.as_slice() {
        [inner, null] if null.get("type").is_some_and(|kind| kind == "null") => Some(inner),
        _ => None,
    }
}

/// The description on one line of a table.
fn text(schema: &Value) -> String {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    description.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn entries<'a>(schema: &'a Value, keyword: &str) -> Vec<&'a Value> {
    schema.get(keyword).and_then(Value::as_array).into_iter().flatten().collect()
}

/// A value as it stands on one line of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<_> = map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn table<'a>(rows: impl Iterator<Item = (&'a str, &'a Row)>) -> String {
    let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
    for (path, row) in rows {
        table += &format!("| `{path}` | {} | {} |\n", row.default, row.meaning);
    }
    table
}

fn repository_file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

mod tests {
    use super::*;
    use crate::config::{document, load, schema};

    const STEP: &str = "steps[].";

    fn server_rows() -> Vec<Row> {
        Rows::of(&schemars::schema_for!(ServerConfig).to_value())
    }

    fn pipeline_rows() -> Vec<Row> {
        Rows::of(&schemars::schema_for!(PipelineConfig).to_value())
    }

    /// The page with the table between its markers replaced.
    fn with_table(page: &str, name: &str, table: &str) -> String {
        let begin = format!("<!-- {name}: written from the code -->\n");
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no marker for {name}"));
        let (_, after) = rest.split_once("<!-- end -->").unwrap();
        format!("{before}{begin}{table}<!-- end -->{after}")
    }

    #[test]
    fn the_reference_page_lists_every_key_with_its_default_and_meaning() {
        let path = repository_file("docs/configuration.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (server, pipeline) = (server_rows(), pipeline_rows());
        let keys = pipeline.iter().filter(|row| !row.path.starts_with(STEP));
        let steps = pipeline.iter().filter_map(|row| Some((row.path.strip_prefix(STEP)?, row)));
        let mut fresh = with_table(&page, "server", &table(server.iter().map(|row| (row.path.as_str(), row))));
        fresh = with_table(&fresh, "pipeline", &table(keys.map(|row| (row.path.as_str(), row))));
        fresh = with_table(&fresh, "steps", &table(steps));
        if std::env::var_os("MODELMILL_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        } else {
            assert!(page == fresh, "stale: run `MODELMILL_UPDATE_DOCS=1 cargo test --lib config::reference`");
        }
    }

    #[test]
    fn every_key_says_what_it_means() {
        for row in server_rows().iter().chain(&pipeline_rows()) {
            assert!(row.meaning.len() > 10, "`{}` needs a description", row.path);
        }
    }

    #[test]
    fn the_examples_state_every_key() {
        for (name, rows) in [("config/server.yaml", server_rows()), ("config/pipeline.yaml", pipeline_rows())] {
            let text = std::fs::read_to_string(repository_file(name)).unwrap();
            let example = document::parse(&text).unwrap().value;
            // Steps are listed by the reference page; the example shows the one that every pipeline needs.
            for row in rows.iter().filter(|row| !row.path.starts_with(STEP) || row.path.contains(".predict.")) {
                let key = row.path.rsplit('.').next().unwrap();
                let pointer = format!("/{}", row.path.replace("[]", "/1").replace('.', "/"));
                let stated = example.pointer(&pointer).is_some() || (!row.shown && text.contains(&format!("{key}:")));
                assert!(stated, "{name} does not state `{}`", row.path);
            }
        }
    }

    #[test]
    fn the_examples_state_the_defaults() {
        let settings =
            load(&repository_file("config/server.yaml"), &[repository_file("config/pipeline.yaml")]).unwrap();
        assert_eq!(settings.server, ServerConfig::new("localhost:9092", "sentiment", "models"));
        let [pipeline] = settings.pipelines.as_slice() else { panic!("one pipeline") };
        let steps = pipeline.steps.clone();
        let mut defaults = PipelineConfig::new("sentiment", "sentiment.requests", "sentiment.results", steps);
        defaults.output.dead_letter_topic = Some("sentiment.dead-letters".to_owned());
        assert_eq!(*pipeline, defaults);
        let bare = serde_json::json!({"model": "sentiment"});
        let (_, predict) = pipeline.predicts().next().unwrap();
        assert_eq!(*predict, serde_json::from_value(bare).unwrap());
    }

    #[test]
    fn the_examples_name_their_schema() {
        for name in ["server", "pipeline"] {
            let text = std::fs::read_to_string(repository_file(&format!("config/{name}.yaml"))).unwrap();
            assert!(text.starts_with(&format!("# yaml-language-server: $schema={name}.schema.json\n")));
        }
    }

    #[test]
    fn published_schemas_know_none_of_our_own_keywords_and_let_variables_stand_for_numbers() {
        let published = schema::server_schema();
        assert!(!published.contains("\"x-"), "strict validators refuse unknown keywords");
        let schema: Value = serde_json::from_str(&published).unwrap();
        let messages = schema.pointer("/$defs/LimitsConfig/properties/chunk_messages").unwrap();
        assert_eq!(messages["type"], serde_json::json!(["integer", "string"]));
        assert_eq!(messages["pattern"], r"\$\{");
    }
}
