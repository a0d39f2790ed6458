//! What a protobuf message comes to, worked out from a whole message of `prost-reflect`, which the decoder never builds.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use crate::{
    request::Group,
    tensor::{DataType, Elements},
};

/// What must become of a message.
#[derive(Debug)]
pub enum Verdict {
    /// These columns.
    Columns(Columns),
    /// It is no message.
    Broken(String),
    /// It is one, and cannot be a row.
    Refused(String),
}

/// By name: the datatype, and the elements as texts.
pub type Columns = HashMap<String, (DataType, Vec<String>)>;

/// The message type behind the indexes that a body begins with, and what is left of it.
pub fn chosen<'a>(schema: &str, body: &'a [u8]) -> Result<(MessageDescriptor, &'a [u8]), String> {
    let (count, mut rest) = index(body)?;
    let mut path = Vec::new();
    if count == 0 {
        path.push(0);
    }
    for _ in 0..count {
        // No type is deeper.
        if path.len() > 20 {
            return Err("no such message type".to_owned());
        }
        let (index, behind) = index(rest)?;
        path.push(index);
        rest = behind;
    }
    if count < 0 {
        return Err("no such message type".to_owned());
    }
    let mut among: Vec<_> = file(schema).messages().collect();
    let mut found = None;
    for index in path {
        let message = usize::try_from(index).ok().and_then(|index| among.get(index).cloned());
        let message = message.ok_or("no such message type")?;
        among = message.child_messages().collect();
        found = Some(message);
    }
    Ok((found.ok_or("no such message type")?, rest))
}

fn index(body: &[u8]) -> Result<(i64, &[u8]), String> {
    let mut rest = body;
    let bits = prost_reflect::prost::encoding::decode_varint(&mut rest).map_err(|error| error.to_string())?;
    Ok(((bits >> 1) as i64 ^ -((bits & 1) as i64), rest))
}

/// A map, and what it is to who reads over it. `prost-reflect` takes one for a length whatever its wire type says.
const MAP: (&str, &str) =
    ("map<string, Leaf> named = 1;", "message NamedEntry { string key = 1; Leaf value = 2; } reserved 1;");

/// The file of a schema that imports well-known types alone.
fn file(schema: &str) -> prost_reflect::FileDescriptor {
    thread_local! {
        static KNOWN: std::cell::RefCell<HashMap<String, prost_reflect::FileDescriptor>> = Default::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let compiled = || {
            let mut pool = DescriptorPool::global();
            let schema = schema.replace(MAP.0, MAP.1);
            pool.add_file_descriptor_proto(protox_parse::parse("oracle.proto", &schema).unwrap()).unwrap();
            pool.get_file_by_name("oracle.proto").unwrap()
        };
        known.entry(schema.to_owned()).or_insert_with(compiled).clone()
    })
}

/// What must become of the bytes behind a schema's id.
pub fn verdict(schema: &str, body: &[u8]) -> Verdict {
    let (descriptor, rest) = match chosen(schema, body) {
        Ok(chosen) => chosen,
        Err(why) => return Verdict::Refused(why),
    };
    let message = match DynamicMessage::decode(descriptor.clone(), rest) {
        Ok(message) => message,
        Err(error) => return Verdict::Broken(error.to_string()),
    };
    let (mut columns, mut within) = (Columns::new(), Vec::new());
    match add(Some(&message), &descriptor, "", false, &mut within, &mut columns) {
        Ok(()) => Verdict::Columns(columns),
        Err(why) => Verdict::Refused(why),
    }
}

/// Adds the columns of a message, which may not be there.
fn add(
    message: Option<&DynamicMessage>,
    descriptor: &MessageDescriptor,
    prefix: &str,
    nullable: bool,
    within: &mut Vec<String>,
    columns: &mut Columns,
) -> Result<(), String> {
    within.push(descriptor.full_name().to_owned());
    for field in descriptor.fields() {
        let name = format!("{prefix}{}", field.name());
        let has = message.is_some_and(|message| message.has_field(&field));
        if field.is_map() || field.is_group() {
            continue;
        }
        if field.is_required() && message.is_some() && !has {
            return Err(format!("{name} is required"));
        }
        match field.kind() {
            Kind::Message(_) if field.is_list() => {}
            Kind::Message(inner) => {
                if within.contains(&inner.full_name().to_owned()) {
                    continue;
                }
                let value = message.filter(|_| has).map(|message| message.get_field(&field).into_owned());
                let value = value.as_ref().and_then(Value::as_message);
                let nullable = nullable || !field.is_required();
                nested(value, &inner, &name, nullable, within, columns)?;
            }
            kind if field.is_list() => {
                let Some(message) = message else { continue };
                let list = message.get_field(&field).into_owned();
                let items: Result<Vec<_>, _> = list.as_list().unwrap().iter().map(|item| text(item, &kind)).collect();
                columns.insert(name, (datatype(&kind), items?));
            }
            kind => {
                let is_there = message.is_some() && (has || !field.supports_presence());
                let value = message.filter(|_| is_there).map(|message| message.get_field(&field).into_owned());
                let nullable = nullable || (field.supports_presence() && !field.is_required());
                single(value.as_ref(), &kind, name, nullable, columns)?;
            }
        }
    }
    within.pop();
    Ok(())
}

fn nested(
    value: Option<&DynamicMessage>,
    inner: &MessageDescriptor,
    name: &str,
    nullable: bool,
    within: &mut Vec<String>,
    columns: &mut Columns,
) -> Result<(), String> {
    let part = |field: &str| value.map(|value| value.get_field_by_name(field).unwrap().into_owned());
    match inner.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            let whole = part("seconds").zip(part("nanos")).map(|(seconds, nanos)| {
                let (seconds, nanos) = (i128::from(seconds.as_i64().unwrap()), i128::from(nanos.as_i32().unwrap()));
                i64::try_from(seconds * 1_000_000 + nanos / 1000).map(Value::I64).map_err(|_| "too far".to_owned())
            });
            single(whole.transpose()?.as_ref(), &Kind::Int64, name.to_owned(), nullable, columns)
        }
        wrapper
            if wrapper.starts_with("google.protobuf.")
                && wrapper.ends_with("Value")
                && !wrapper.ends_with(".Value") =>
        {
            let kind = inner.get_field_by_name("value").as_ref().map(FieldDescriptor::kind);
            match kind {
                Some(kind) => single(part("value").as_ref(), &kind, name.to_owned(), nullable, columns),
                // A list of values.
                None => add(value, inner, &format!("{name}."), nullable, within, columns),
            }
        }
        _ => add(value, inner, &format!("{name}."), nullable, within, columns),
    }
}

/// Adds the column of one value.
fn single(
    value: Option<&Value>,
    kind: &Kind,
    name: String,
    nullable: bool,
    columns: &mut Columns,
) -> Result<(), String> {
    let own = datatype(kind);
    let is_whole = !matches!(own, DataType::Fp32 | DataType::Fp64 | DataType::Bool | DataType::Bytes);
    let missing = match own {
        DataType::Bool | DataType::Bytes => None,
        DataType::Fp32 => Some(DataType::Fp32),
        _ => Some(DataType::Fp64),
    };
    let Some(value) = value else {
        if let Some(missing) = missing {
            columns.insert(name, (missing, vec!["NaN".to_owned()]));
        }
        return Ok(());
    };
    let text = text(value, kind)?;
    let column = match text.parse::<i128>() {
        Ok(whole) if is_whole && nullable && whole.unsigned_abs() <= 1 << 53 => {
            (DataType::Fp64, format!("{:?}", whole as f64))
        }
        _ => (own, text),
    };
    columns.insert(name, (column.0, vec![column.1]));
    Ok(())
}

fn datatype(kind: &Kind) -> DataType {
    match kind {
        Kind::Double => DataType::Fp64,
        Kind::Float => DataType::Fp32,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => DataType::Int64,
        Kind::Uint32 | Kind::Fixed32 => DataType::Uint32,
        Kind::Uint64 | Kind::Fixed64 => DataType::Uint64,
        Kind::Bool => DataType::Bool,
        Kind::String | Kind::Bytes | Kind::Enum(_) => DataType::Bytes,
        Kind::Message(_) => panic!("no value"),
    }
}

fn text(value: &Value, kind: &Kind) -> Result<String, String> {
    Ok(match (value, kind) {
        (Value::Bool(value), _) => value.to_string(),
        (Value::I32(value), _) => value.to_string(),
        (Value::I64(value), _) => value.to_string(),
        (Value::U32(value), _) => value.to_string(),
        (Value::U64(value), _) => value.to_string(),
        (Value::F32(value), _) => format!("{value:?}"),
        (Value::F64(value), _) => format!("{value:?}"),
        (Value::String(value), _) => format!("{:?}", value.as_bytes()),
        (Value::Bytes(value), _) => format!("{:?}", &value[..]),
        (Value::EnumNumber(number), Kind::Enum(list)) => {
            format!("{:?}", list.get_value(*number).ok_or("no value of the enum")?.name().as_bytes())
        }
        other => panic!("{other:?}"),
    })
}

/// The columns that a request of a group of single rows has.
pub fn row(group: &Group, row: usize) -> Columns {
    let column = |column: &crate::tensor::Column| {
        let width: usize = column.tensor.row_shape().iter().product();
        let all: Vec<String> = match column.tensor.elements() {
            Elements::Bool(all) => all.iter().map(ToString::to_string).collect(),
            Elements::Int32(all) => all.iter().map(ToString::to_string).collect(),
            Elements::Uint32(all) => all.iter().map(ToString::to_string).collect(),
            Elements::Int64(all) => all.iter().map(ToString::to_string).collect(),
            Elements::Uint64(all) => all.iter().map(ToString::to_string).collect(),
            Elements::Fp32(all) => all.iter().map(|one| format!("{one:?}")).collect(),
            Elements::Fp64(all) => all.iter().map(|one| format!("{one:?}")).collect(),
            Elements::Bytes(all) => all.iter().map(|one| format!("{one:?}")).collect(),
            other => panic!("{}", other.datatype()),
        };
        let datatype = column.tensor.datatype();
        (column.name.to_string(), (datatype, all[row * width..(row + 1) * width].to_vec()))
    };
    group.columns.iter().map(column).collect()
}
