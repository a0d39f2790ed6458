//! A message type as what is to be done with a message: by number, fields that become columns; all others are read over.
//!
//! Nested messages are flattened, their names joined by dots. A wrapper is the value that it wraps, where it may be missing; a
//! timestamp or duration is a number of microseconds. A field that no column can hold (maps, lists of messages, groups, messages
//! within themselves) is read over: a pipeline that needs it says that it is missing.
//!
//! What is read goes into slots, of which a column has one, or two if it is a time. Where a member of a `oneof` comes, the
//! others are there no more; so those that are read over have their place here, too.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::scalar::{Enum, Scalar};
use crate::{codec::framed::Field, tensor::DataType};

/// What a request may have of columns.
const MOST_COLUMNS: usize = 10_000;
/// Bytes of all their names, each of which has the names of the messages that it is in before it.
const MOST_NAMES: usize = 4 << 20;
/// Fields of all messages within messages, as often as they are there.
const MOST_WEIGHT: usize = 100_000;
/// Messages within messages.
const DEEPEST: usize = 64;

/// What to do with a message.
#[derive(Debug, Default)]
pub struct Program {
    /// The message, and those that are flattened, each behind the one that it is in.
    pub nodes: Vec<Node>,
    pub slots: Vec<Slot>,
    /// How many `oneof`s there are.
    pub oneofs: usize,
    pub enums: Vec<Enum>,
    pub fields: Vec<Field>,
    /// Where the value of each column stands.
    pub sources: Vec<Source>,
}

/// A message that is flattened.
#[derive(Debug)]
pub struct Node {
    /// The one that it is in; its own if it is in none.
    pub parent: usize,
    pub is_required: bool,
    /// By number.
    pub members: Vec<Member>,
}

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub number: u32,
    /// The `oneof` that it is in.
    pub oneof: Option<usize>,
    pub what: What,
}

/// What to do with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Read over it.
    Nothing,
    /// Its value goes into this slot.
    Value(usize),
    /// Its items go behind those of this slot.
    List(usize),
    /// It is this node.
    Message(usize),
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// The message that it is in.
    pub node: usize,
    pub scalar: Scalar,
    pub presence: Presence,
}

/// What a value is that does not come, in a message that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Zero, or an empty text.
    Implicit,
    /// Missing.
    Explicit,
    /// Missing, which must not be.
    Required,
    /// A list without items.
    List,
}

/// Where the value of a column stands.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    Slot(usize),
    /// Seconds in this slot, nanoseconds in the next.
    Time(usize),
}

impl Program {
    /// What to do with messages of this type.
    ///
    /// # Errors
    /// A sentence if it is too large.
    pub fn of(message: &MessageDescriptor) -> Result<Self, String> {
        let mut compiler = Compiler::default();
        compiler.program.nodes.push(Node { parent: 0, is_required: true, members: Vec::new() });
        compiler.message(message, 0, "", false)?;
        Ok(compiler.program)
    }
}

#[derive(Default)]
struct Compiler {
    program: Program,
    /// The names of the messages that are being flattened.
    within: Vec<String>,
    /// The place of an enum, by its name.
    enums: HashMap<String, usize>,
    weight: usize,
    /// Bytes of the columns' names.
    names: usize,
}

/// A nested message that is one column.
enum Known {
    Wrapper(FieldDescriptor),
    Time(FieldDescriptor, FieldDescriptor),
}

impl Compiler {
    /// Flattens a message into its node; `prefix` stands before the names of its columns.
    fn message(
        &mut self,
        message: &MessageDescriptor,
        node: usize,
        prefix: &str,
        nullable: bool,
    ) -> Result<(), String> {
        if self.within.len() >= DEEPEST {
            return Err(format!("its messages are more than {DEEPEST} deep"));
        }
        self.within.push(message.full_name().to_owned());
        let mut oneofs = HashMap::new();
        for field in message.fields() {
            self.weight += 1;
            if self.weight > MOST_WEIGHT {
                return Err(format!("its messages within messages have more than {MOST_WEIGHT} fields"));
            }
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| {
                *oneofs.entry(oneof.full_name().to_owned()).or_insert_with(|| {
                    self.program.oneofs += 1;
                    self.program.oneofs - 1
                })
            });
            let what = self.field(&field, node, prefix, nullable)?;
            if what != What::Nothing || oneof.is_some() {
                self.program.nodes[node].members.push(Member { number: field.number(), oneof, what });
            }
        }
        self.within.pop();
        self.program.nodes[node].members.sort_unstable_by_key(|member| member.number);
        Ok(())
    }

    fn field(&mut self, field: &FieldDescriptor, node: usize, prefix: &str, nullable: bool) -> Result<What, String> {
        let name = format!("{prefix}{}", field.name());
        if field.is_map() || field.is_group() {
            return Ok(What::Nothing);
        }
        match (field.is_list(), field.kind()) {
            (true, Kind::Message(_)) => Ok(What::Nothing),
            (true, kind) => self.value(node, &name, &kind, Presence::List, nullable).map(What::List),
            (false, Kind::Message(message)) => self.nested(field, &message, node, &name, nullable),
            (false, kind) => {
                let presence = presence(field);
                let nullable = nullable || presence == Presence::Explicit;
                self.value(node, &name, &kind, presence, nullable).map(What::Value)
            }
        }
    }

    fn nested(
        &mut self,
        field: &FieldDescriptor,
        message: &MessageDescriptor,
        parent: usize,
        name: &str,
        nullable: bool,
    ) -> Result<What, String> {
        if self.within.iter().any(|within| within == message.full_name()) {
            return Ok(What::Nothing);
        }
        let (node, slots, oneofs) = (self.program.nodes.len(), self.program.slots.len(), self.program.oneofs);
        let is_required = field.is_required();
        let nullable = nullable || !is_required;
        self.program.nodes.push(Node { parent, is_required, members: Vec::new() });
        match known(message) {
            Some(Known::Wrapper(value)) => {
                let slot = self.value(node, name, &value.kind(), Presence::Implicit, nullable)?;
                self.member(node, &value, slot);
            }
            Some(Known::Time(seconds, nanos)) => {
                let slot = self.program.slots.len();
                for (field, scalar) in [(&seconds, Scalar::Int64), (&nanos, Scalar::Int32)] {
                    let slot = self.slot(node, scalar, Presence::Implicit);
                    self.member(node, field, slot);
                }
                self.column(name, nullable, Some(DataType::Fp64), Source::Time(slot))?;
            }
            None => self.message(message, node, &format!("{name}."), nullable)?,
        }
        if self.program.slots.len() == slots {
            // There is nothing to be had of it.
            self.program.nodes.truncate(node);
            self.program.oneofs = oneofs;
            return Ok(What::Nothing);
        }
        Ok(What::Message(node))
    }

    fn value(
        &mut self,
        node: usize,
        name: &str,
        kind: &Kind,
        presence: Presence,
        nullable: bool,
    ) -> Result<usize, String> {
        let scalar = self.scalar(kind);
        let slot = self.slot(node, scalar, presence);
        let missing = if presence == Presence::List { None } else { scalar.missing() };
        self.column(name, nullable, missing, Source::Slot(slot))?;
        Ok(slot)
    }

    fn slot(&mut self, node: usize, scalar: Scalar, presence: Presence) -> usize {
        self.program.slots.push(Slot { node, scalar, presence });
        self.program.slots.len() - 1
    }

    fn member(&mut self, node: usize, field: &FieldDescriptor, slot: usize) {
        let member = Member { number: field.number(), oneof: None, what: What::Value(slot) };
        self.program.nodes[node].members.push(member);
    }

    fn column(&mut self, name: &str, nullable: bool, missing: Option<DataType>, source: Source) -> Result<(), String> {
        if self.program.fields.len() >= MOST_COLUMNS {
            return Err(format!("it has more than {MOST_COLUMNS} fields"));
        }
        self.names += name.len();
        if self.names > MOST_NAMES {
            return Err(format!("the names of its fields have more than {MOST_NAMES} bytes"));
        }
        self.program.fields.push(Field { name: name.into(), nullable, missing });
        self.program.sources.push(source);
        Ok(())
    }

    fn scalar(&mut self, kind: &Kind) -> Scalar {
        match kind {
            Kind::Enum(list) => {
                let place = *self.enums.entry(list.full_name().to_owned()).or_insert_with(|| {
                    let values = list.values().map(|value| (value.number(), value.name().into()));
                    self.program.enums.push(Enum::of(values));
                    self.program.enums.len() - 1
                });
                Scalar::Enum(place)
            }
            Kind::Double => Scalar::Double,
            Kind::Float => Scalar::Float,
            Kind::Int32 => Scalar::Int32,
            Kind::Int64 => Scalar::Int64,
            Kind::Uint32 => Scalar::Uint32,
            Kind::Uint64 => Scalar::Uint64,
            Kind::Sint32 => Scalar::Sint32,
            Kind::Sint64 => Scalar::Sint64,
            Kind::Fixed32 => Scalar::Fixed32,
            Kind::Fixed64 => Scalar::Fixed64,
            Kind::Sfixed32 => Scalar::Sfixed32,
            Kind::Sfixed64 => Scalar::Sfixed64,
            Kind::Bool => Scalar::Boolean,
            Kind::String => Scalar::String,
            Kind::Bytes => Scalar::Bytes,
            Kind::Message(_) => unreachable!("messages are no values"),
        }
    }
}

fn presence(field: &FieldDescriptor) -> Presence {
    if field.is_required() {
        Presence::Required
    } else if field.supports_presence() {
        Presence::Explicit
    } else {
        Presence::Implicit
    }
}

/// What a well-known type is; one that goes by its name and is another is a message like any.
fn known(message: &MessageDescriptor) -> Option<Known> {
    let field = |number: u32, is_right: &dyn Fn(&Kind) -> bool| {
        message.get_field(number).filter(|field| !field.is_list() && !field.is_required() && is_right(&field.kind()))
    };
    match message.full_name().strip_prefix("google.protobuf.")? {
        "Timestamp" | "Duration" => {
            let seconds = field(1, &|kind| *kind == Kind::Int64)?;
            Some(Known::Time(seconds, field(2, &|kind| *kind == Kind::Int32)?))
        }
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => {
            let value = field(1, &|kind| !matches!(kind, Kind::Message(_)))?;
            Some(Known::Wrapper(value))
        }
        _ => None,
    }
}
