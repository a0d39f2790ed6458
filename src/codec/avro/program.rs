//! A schema as what is to be done with a body, in its order: fields that become columns, and what is read over.
//!
//! Nested records are flattened, their names joined by dots. A field that no column can hold (maps, lists of lists or of records,
//! unions of several types, records within themselves) is read over: a pipeline that needs it says that it is missing. What
//! is no record is one column without a name.

use super::schema::{Node, Schema};
use crate::{codec::framed::Field, request::UNNAMED, tensor::DataType};

/// What a request may have of columns, and what may have to be read over at once.
const MOST_COLUMNS: usize = 10_000;
const MOST_WEIGHT: usize = 100_000;
/// Bytes of all columns' names, each of which has the names of the fields that it is in before it.
const MOST_NAMES: usize = 4 << 20;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Read over a value of this node.
    Skip(usize),
    /// A value becomes the next column.
    Value(Kind),
    /// The index of a branch: of this one, there is nothing, and the columns and the ops before these are left out.
    Null { branch: i64, op: usize, column: usize },
    /// A union of one.
    Only,
}

/// What a value is that becomes a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    One(Scalar),
    /// A list, whose items may be null if this is the index of their null branch.
    List(Scalar, Option<i64>),
}

impl Kind {
    /// The datatype whose NaN stands for a missing one.
    fn missing(self) -> Option<DataType> {
        match self {
            Self::One(Scalar::Float) => Some(DataType::Fp32),
            Self::One(Scalar::Int | Scalar::Long | Scalar::Double | Scalar::Decimal { .. }) => Some(DataType::Fp64),
            Self::One(Scalar::Boolean | Scalar::Bytes | Scalar::Fixed(_) | Scalar::Enum(_)) | Self::List(..) => None,
        }
    }
}

/// A value that is one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Fixed(usize),
    /// Of this node.
    Enum(usize),
    Decimal {
        scale: u32,
        size: Option<usize>,
    },
}

/// What to do with a body.
#[derive(Clone, Debug)]
pub struct Program {
    pub nodes: Vec<Node>,
    pub ops: Vec<Op>,
    /// In the order in which [`Op::Value`] fills them.
    pub fields: Vec<Field>,
}

impl Program {
    /// What to do with bodies of this schema.
    ///
    /// # Errors
    /// A sentence if the schema is too large.
    pub fn of(schema: Schema) -> Result<Self, String> {
        if weight(&schema.nodes, schema.root, &mut vec![None; schema.nodes.len()]) > MOST_WEIGHT {
            return Err(format!("its records within records have more than {MOST_WEIGHT} fields"));
        }
        let mut compiler =
            Compiler { nodes: &schema.nodes, ops: Vec::new(), fields: Vec::new(), names: 0, within: Vec::new() };
        compiler.node(schema.root, UNNAMED, false)?;
        let Compiler { ops, fields, .. } = compiler;
        Ok(Self { ops, fields, nodes: schema.nodes })
    }
}

/// How many values a node has, records within records included.
fn weight(nodes: &[Node], node: usize, known: &mut Vec<Option<usize>>) -> usize {
    if let Some(weight) = known[node] {
        return weight;
    }
    // What holds itself is there once.
    known[node] = Some(1);
    let inner: Vec<usize> = match &nodes[node] {
        Node::Record(fields) => fields.iter().map(|field| field.node).collect(),
        Node::Union(branches) => branches.clone(),
        Node::Array(items) => vec![*items],
        Node::Map(values) => vec![*values],
        _ => Vec::new(),
    };
    let sum = inner.into_iter().fold(1_usize, |sum, inner| sum.saturating_add(weight(nodes, inner, known)));
    known[node] = Some(sum);
    sum
}

struct Compiler<'a> {
    nodes: &'a [Node],
    ops: Vec<Op>,
    fields: Vec<Field>,
    /// Bytes of the columns' names.
    names: usize,
    /// The records that are being flattened.
    within: Vec<usize>,
}

impl Compiler<'_> {
    fn node(&mut self, node: usize, name: &str, nullable: bool) -> Result<(), String> {
        match &self.nodes[node] {
            Node::Record(_) if self.within.contains(&node) => self.skip(node),
            Node::Record(fields) => {
                self.within.push(node);
                for field in fields {
                    let name = if name.is_empty() { field.name.to_string() } else { format!("{name}.{}", field.name) };
                    self.node(field.node, &name, nullable)?;
                }
                self.within.pop();
            }
            Node::Union(branches) => self.union(node, branches, name, nullable)?,
            Node::Array(items) => match self.items(*items) {
                Some((scalar, null)) => self.value(Kind::List(scalar, null), name, nullable)?,
                None => self.skip(node),
            },
            _ => match self.scalar(node) {
                Some(scalar) => self.value(Kind::One(scalar), name, nullable)?,
                None => self.skip(node),
            },
        }
        Ok(())
    }

    fn union(&mut self, node: usize, branches: &[usize], name: &str, nullable: bool) -> Result<(), String> {
        match *branches {
            [only] => {
                self.ops.push(Op::Only);
                self.node(only, name, nullable)
            }
            [first, second] if self.nodes[first] == Node::Null => self.optional(0, second, name),
            [first, second] if self.nodes[second] == Node::Null => self.optional(1, first, name),
            _ => {
                self.skip(node);
                Ok(())
            }
        }
    }

    fn optional(&mut self, branch: i64, other: usize, name: &str) -> Result<(), String> {
        let at = self.ops.len();
        self.ops.push(Op::Only);
        self.node(other, name, true)?;
        self.ops[at] = Op::Null { branch, op: self.ops.len(), column: self.fields.len() };
        Ok(())
    }

    fn skip(&mut self, node: usize) {
        self.ops.push(Op::Skip(node));
    }

    fn value(&mut self, kind: Kind, name: &str, nullable: bool) -> Result<(), String> {
        if self.fields.len() >= MOST_COLUMNS {
            return Err(format!("it has more than {MOST_COLUMNS} fields"));
        }
        self.names += name.len();
        if self.names > MOST_NAMES {
            return Err(format!("the names of its fields have more than {MOST_NAMES} bytes"));
        }
        self.ops.push(Op::Value(kind));
        self.fields.push(Field { name: name.into(), nullable, missing: kind.missing() });
        Ok(())
    }

    fn scalar(&self, node: usize) -> Option<Scalar> {
        Some(match self.nodes[node] {
            Node::Boolean => Scalar::Boolean,
            Node::Int => Scalar::Int,
            Node::Long => Scalar::Long,
            Node::Float => Scalar::Float,
            Node::Double => Scalar::Double,
            Node::Bytes => Scalar::Bytes,
            Node::Fixed(size) => Scalar::Fixed(size),
            Node::Enum(_) => Scalar::Enum(node),
            Node::Decimal { scale, size } => Scalar::Decimal { scale, size },
            Node::Null | Node::Array(_) | Node::Map(_) | Node::Union(_) | Node::Record(_) => return None,
        })
    }

    /// What the items of a list are, if a column can hold them, and which branch of them is null.
    fn items(&self, node: usize) -> Option<(Scalar, Option<i64>)> {
        let is_number = |scalar: &Scalar| {
            matches!(scalar, Scalar::Int | Scalar::Long | Scalar::Float | Scalar::Double | Scalar::Decimal { .. })
        };
        match &self.nodes[node] {
            Node::Union(branches) => match **branches {
                // Among numbers there may be missing ones; of texts and truth values, nobody could say which.
                [first, second] if self.nodes[first] == Node::Null => {
                    self.scalar(second).filter(is_number).map(|scalar| (scalar, Some(0)))
                }
                [first, second] if self.nodes[second] == Node::Null => {
                    self.scalar(first).filter(is_number).map(|scalar| (scalar, Some(1)))
                }
                _ => None,
            },
            // A list of nothing may be as long as it says.
            Node::Fixed(0) | Node::Decimal { size: Some(0), .. } => None,
            _ => self.scalar(node).map(|scalar| (scalar, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(text: &str) -> Program {
        Program::of(Schema::parse(text, &[]).unwrap()).unwrap()
    }

    fn names(program: &Program) -> Vec<(&str, bool)> {
        program.fields.iter().map(|field| (&*field.name, field.nullable)).collect()
    }

    #[test]
    fn long_names_of_many_fields_are_too_much() {
        let fields: Vec<_> = (0..2000).map(|field| format!(r#"{{"name": "f{field}", "type": "int"}}"#)).collect();
        let schema = |outer: usize| {
            let (name, inner) = ("o".repeat(outer), fields.join(","));
            let record = format!(r#"{{"type": "record", "name": "I", "fields": [{inner}]}}"#);
            format!(r#"{{"type": "record", "name": "R", "fields": [{{"name": "{name}", "type": {record}}}]}}"#)
        };
        assert_eq!(program(&schema(2000)).fields.len(), 2000);
        let why = Program::of(Schema::parse(&schema(3000), &[]).unwrap()).unwrap_err();
        assert!(why.contains("names of its fields"), "{why}");
    }

    #[test]
    fn nested_records_are_flattened_and_what_no_column_holds_is_read_over() {
        let program = program(
            r#"{"type": "record", "name": "R", "fields": [
                {"name": "a", "type": "float"},
                {"name": "tags", "type": {"type": "map", "values": "string"}},
                {"name": "home", "type": ["null", {"type": "record", "name": "Place", "fields": [
                    {"name": "city", "type": "string"},
                    {"name": "next", "type": ["null", "Place"]}]}]},
                {"name": "either", "type": ["int", "string"]},
                {"name": "work", "type": "Place"}]}"#,
        );
        assert_eq!(names(&program), [("a", false), ("home.city", true), ("work.city", false)]);
        assert!(program.ops.contains(&Op::Null { branch: 0, op: 6, column: 2 }), "{:?}", program.ops);
    }

    #[test]
    fn what_is_no_record_has_no_name() {
        let program = program(r#"{"type": "array", "items": ["null", "double"]}"#);
        assert_eq!(names(&program), [("", false)]);
        assert_eq!(program.ops, [Op::Value(Kind::List(Scalar::Double, Some(0)))]);
    }

    #[test]
    fn records_that_double_at_every_level_are_refused() {
        let level = |level: usize, inner: &str| {
            format!(
                r#"{{"type": "record", "name": "L{level}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": "L{}"}}]}}"#,
                level + 1
            )
        };
        let last = r#"{"type": "record", "name": "L40", "fields": []}"#.to_owned();
        let text = (0..40).rev().fold(last, |inner, at| level(at, &inner));
        let error = Program::of(Schema::parse(&text, &[]).unwrap()).unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
}
