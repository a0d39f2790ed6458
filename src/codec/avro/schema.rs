//! Avro schemas: from JSON to nodes that refer to each other by index.
//!
//! Named types are resolved here once, so that a type which holds itself is a node that refers to itself. Logical types change
//! what a node is where that matters: dates and times are `long`s whatever they are written as (an `int` is written alike), and
//! a decimal is one.
//!
//! Source: <https://avro.apache.org/docs/1.12.0/specification/>.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Types within types; far more than anybody writes.
const DEEPEST: usize = 64;

/// What a value is, as far as reading it must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// `bytes` or `string`: both are a length and as many bytes.
    Bytes,
    /// So many bytes.
    Fixed(usize),
    /// The names that it may have.
    Enum(Vec<Box<str>>),
    /// A decimal with so many digits behind its point, in so many bytes if that is `fixed`.
    Decimal {
        scale: u32,
        size: Option<usize>,
    },
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Box<str>,
    /// Its node.
    pub node: usize,
}

/// A schema whose names are resolved.
#[derive(Clone, Debug)]
pub struct Schema {
    pub nodes: Vec<Node>,
    /// The node of the whole.
    pub root: usize,
}

impl Schema {
    /// The schema in `text`; `references` are the texts of schemas whose names it may use, each behind those that it uses itself.
    ///
    /// # Errors
    /// A sentence on what is no Avro schema.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, String> {
        let mut parser = Parser::default();
        for reference in references {
            parser.text(reference)?;
        }
        let root = parser.text(text)?;
        Ok(Self { nodes: parser.nodes, root })
    }
}

#[derive(Default)]
struct Parser {
    nodes: Vec<Node>,
    /// Named types by their full names.
    named: HashMap<String, usize>,
}

impl Parser {
    fn text(&mut self, text: &str) -> Result<usize, String> {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => self.value(&value, "", 0),
            // A primitive alone may stand there as a bare word.
            Err(_) if primitive(text.trim()).is_some() => self.name(text.trim(), ""),
            Err(error) => Err(format!("it is no JSON: {error}")),
        }
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn value(&mut self, value: &Value, namespace: &str, depth: usize) -> Result<usize, String> {
        if depth > DEEPEST {
            return Err(format!("its types are more than {DEEPEST} deep"));
        }
        match value {
            Value::String(name) => self.name(name, namespace),
            Value::Array(branches) => {
                let branches = branches.iter().map(|branch| self.value(branch, namespace, depth + 1));
                let branches = branches.collect::<Result<Vec<_>, _>>()?;
                if branches.is_empty() {
                    return Err("it has a union of nothing".to_owned());
                }
                Ok(self.push(Node::Union(branches)))
            }
            Value::Object(object) => self.object(object, namespace, depth),
            other => Err(format!("a type is a name, a list or an object, but `{other}` came")),
        }
    }

    fn name(&mut self, name: &str, namespace: &str) -> Result<usize, String> {
        if let Some(node) = primitive(name) {
            return Ok(self.push(node));
        }
        let full = full_name(name, namespace);
        let found = self.named.get(&full).or_else(|| self.named.get(name));
        found.copied().ok_or_else(|| format!("it names a type `{}` that it does not define", name.escape_debug()))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<usize, String> {
        let kind = object.get("type").ok_or("a type has no `type`")?;
        let Value::String(kind) = kind else { return self.value(kind, namespace, depth + 1) };
        match kind.as_str() {
            "record" | "error" => self.record(object, namespace, depth),
            "enum" => {
                let symbols = object.get("symbols").and_then(Value::as_array).ok_or("an enum has no `symbols`")?;
                let symbols = symbols.iter().map(|symbol| symbol.as_str().map(Into::into)).collect::<Option<_>>();
                let (name, _) = own_name(object, namespace)?;
                self.define(name, Node::Enum(symbols.ok_or("the symbols of an enum are texts")?))
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("a fixed has no `size`")?;
                let (name, _) = own_name(object, namespace)?;
                let node = decimal(object, Some(size)).unwrap_or(Node::Fixed(size));
                self.define(name, node)
            }
            "array" => {
                let items = object.get("items").ok_or("an array has no `items`")?;
                let items = self.value(items, namespace, depth + 1)?;
                Ok(self.push(Node::Array(items)))
            }
            "map" => {
                let values = object.get("values").ok_or("a map has no `values`")?;
                let values = self.value(values, namespace, depth + 1)?;
                Ok(self.push(Node::Map(values)))
            }
            "bytes" => Ok(self.push(decimal(object, None).unwrap_or(Node::Bytes))),
            "int" if object.contains_key("logicalType") => Ok(self.push(logical_int(object))),
            name => self.name(name, namespace),
        }
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str, depth: usize) -> Result<usize, String> {
        let (name, namespace) = own_name(object, namespace)?;
        // Known before its fields are read: one of them may be a record of the same type.
        let index = self.define(name, Node::Record(Vec::new()))?;
        let fields = object.get("fields").and_then(Value::as_array).ok_or("a record has no `fields`")?;
        let mut read: Vec<Field> = Vec::with_capacity(fields.len());
        for field in fields {
            let name = field.get("name").and_then(Value::as_str).ok_or("a field of a record has no `name`")?;
            let kind = field.get("type").ok_or_else(|| format!("the field `{}` has no `type`", name.escape_debug()))?;
            let node = self.value(kind, &namespace, depth + 1)?;
            read.push(Field { name: name.into(), node });
        }
        self.nodes[index] = Node::Record(read);
        Ok(index)
    }

    fn define(&mut self, name: String, node: Node) -> Result<usize, String> {
        let index = self.push(node);
        match self.named.insert(name, index) {
            None => Ok(index),
            Some(_) => Err("it defines a name twice".to_owned()),
        }
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" | "string" => Node::Bytes,
        _ => return None,
    })
}

/// An `int` that is a date or a time of day; a logical type that is not known leaves it as it is.
fn logical_int(object: &Map<String, Value>) -> Node {
    match object.get("logicalType").and_then(Value::as_str) {
        Some("date" | "time-millis") => Node::Long,
        _ => Node::Int,
    }
}

/// The decimal that `bytes` or a `fixed` of so many bytes is; one that breaks Avro's rules is what it is written as.
fn decimal(object: &Map<String, Value>, size: Option<usize>) -> Option<Node> {
    if object.get("logicalType").and_then(Value::as_str) != Some("decimal") {
        return None;
    }
    let precision = object.get("precision")?.as_u64()?;
    let scale = object.get("scale").map_or(Some(0), Value::as_u64)?;
    let scale = u32::try_from(scale).ok().filter(|_| precision > 0 && scale <= precision)?;
    Some(Node::Decimal { scale, size })
}

/// The full name of a type that is defined here, and the namespace of what stands inside.
fn own_name(object: &Map<String, Value>, namespace: &str) -> Result<(String, String), String> {
    let name = object.get("name").and_then(Value::as_str).ok_or("a record, enum or fixed has no `name`")?;
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
    let full = full_name(name, namespace);
    let inside = full.rsplit_once('.').map(|(namespace, _)| namespace.to_owned()).unwrap_or_default();
    Ok((full, inside))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Node {
        let schema = Schema::parse(text, &[]).unwrap();
        schema.nodes[schema.root].clone()
    }

    #[test]
    fn names_are_looked_for_in_their_namespace_and_types_may_hold_themselves() {
        let text = r#"{"type": "record", "name": "Node", "namespace": "a.b", "fields": [
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["X", "Y"]}},
            {"name": "again", "type": "Kind"}, {"name": "far", "type": "a.b.Kind"},
            {"name": "next", "type": ["null", "Node"]}]}"#;
        let schema = Schema::parse(text, &[]).unwrap();
        let Node::Record(fields) = &schema.nodes[schema.root] else { panic!("a record") };
        assert_eq!((fields[0].node, fields[0].node), (fields[1].node, fields[2].node));
        let Node::Union(branches) = &schema.nodes[fields[3].node] else { panic!("a union") };
        assert_eq!(branches[1], schema.root);
    }

    #[test]
    fn a_schema_may_use_the_names_of_others() {
        let reference = r#"{"type": "fixed", "name": "x.Key", "size": 4}"#.to_owned();
        let schema = Schema::parse(r#"{"type": "array", "items": "x.Key"}"#, &[reference]).unwrap();
        assert_eq!(schema.nodes[schema.root], Node::Array(0));
        assert_eq!(schema.nodes[0], Node::Fixed(4));
    }

    #[test]
    fn logical_types_that_break_their_rules_are_what_they_are_written_as() {
        let right = r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#;
        assert_eq!(root(right), Node::Decimal { scale: 2, size: None });
        assert_eq!(root(r#"{"type": "bytes", "logicalType": "decimal", "precision": 1, "scale": 2}"#), Node::Bytes);
        assert_eq!(root(r#"{"type": "int", "logicalType": "date"}"#), Node::Long);
        assert_eq!(root(r#"{"type": "int", "logicalType": "new"}"#), Node::Int);
        assert_eq!(root(r#"{"type": {"type": "string", "avro.java.string": "String"}}"#), Node::Bytes);
        assert_eq!(root("\"long\""), Node::Long);
    }

    #[test]
    fn what_is_no_schema_is_refused_in_a_sentence() {
        for (text, why) in [
            ("{", "no JSON"),
            ("7", "`7` came"),
            ("[]", "union of nothing"),
            (r#""Missing""#, "`Missing`"),
            (r#"{"type": "record", "name": "R"}"#, "no `fields`"),
            (r#"{"type": "fixed", "name": "F", "size": -1}"#, "no `size`"),
            (r#"[{"type": "fixed", "name": "F", "size": 1}, {"type": "fixed", "name": "F", "size": 1}]"#, "twice"),
            (&format!("{}1{}", "[".repeat(100), "]".repeat(100)), "deep"),
        ] {
            let error = Schema::parse(text, &[]).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
