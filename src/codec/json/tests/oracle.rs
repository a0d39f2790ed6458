//! What a body means, by `serde_json` and the standard library alone: slow, simple, and written apart from the decoder.
//!
//! Names nothing that is private to the crate: the fuzzer (`fuzz/`) compiles this file, too.

use std::fmt;

use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::{
    request::Form,
    tensor::{DataType, Elements},
};
use elements::{elements, float, from_bytes, integer};

// Said, as a file that is compiled twice has two places for its parts.
#[path = "oracle_elements.rs"]
mod elements;

/// A request as it should be decoded.
#[derive(Debug)]
pub struct Expected {
    pub id: Option<String>,
    pub form: Form,
    /// Names, and whether they are binary.
    pub outputs: Option<Vec<(String, bool)>>,
    pub parameters: Option<String>,
    pub columns: Vec<Meant>,
}

/// A column: its name, shape and elements, and whether they were binary.
pub type Meant = (String, Vec<usize>, Elements, bool);

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model_name: Option<&'a RawValue>,
    #[serde(borrow)]
    model_version: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    inputs: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    outputs: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    instances: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    name: Option<String>,
    #[serde(borrow)]
    shape: Option<Vec<&'a RawValue>>,
    datatype: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    name: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

/// An object's members in order, doubles included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> de::Visitor<'de> for Collect<'a> {
            type Value = Members<'a>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect(std::marker::PhantomData))
    }
}

/// A struct, which `serde` would take from an array, too.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    is_object.then(|| serde_json::from_str(text).ok())?
}

/// The meaning of a body; `None` if it must be refused. Bare `NaN` is beyond the oracle.
pub fn expected(body: &[u8], unnamed: &str) -> Option<Expected> {
    expected_mixed(body, None, unnamed)
}

/// The meaning of a body with bytes behind its JSON, if it is of a kind that may have any.
pub fn expected_mixed(json: &[u8], behind: Option<&[u8]>, unnamed: &str) -> Option<Expected> {
    let body: Body = object(std::str::from_utf8(json).ok()?)?;
    body.model_name.is_none_or(|name| serde_json::from_str::<String>(name.get()).is_ok()).then_some(())?;
    id(body.model_version)?;
    let id = id(body.id)?;
    let is_object = |value: Option<&RawValue>| value.is_none_or(|value| value.get().starts_with('{'));
    let parameters = body.parameters.map(|parameters| parameters.get().to_owned());
    let outputs = body.outputs.unwrap_or_default();
    let (mut names, mut binary) = (Vec::new(), Vec::new());
    for output in outputs {
        let output: Output = object(output.get())?;
        let name = output.name.filter(|name| !name.is_empty() && !names.contains(name))?;
        names.push(name);
        is_object(output.parameters).then_some(())?;
        binary.push(parameter(output.parameters, "binary_data", switch)?);
    }
    is_object(body.parameters).then_some(())?;
    let all_binary = parameter(body.parameters, "binary_data_output", switch)?.unwrap_or(false);
    let is_binary: Vec<bool> = binary.into_iter().map(|binary| binary.unwrap_or(all_binary)).collect();
    let mut rest = behind;
    let (form, columns) = match (body.inputs, body.instances) {
        (Some(inputs), None) => {
            let inputs = inputs.into_iter().map(|input| object(input.get())).collect::<Option<Vec<Input>>>()?;
            inputs.iter().all(|input| is_object(input.parameters)).then_some(())?;
            (Form::Tensors, inputs.into_iter().map(|given| input(given, &mut rest)).collect::<Option<Vec<_>>>()?)
        }
        (None, Some(instances)) => (Form::Rows, rows(&instances, unnamed)?),
        _ => return None,
    };
    let distinct = (1..columns.len()).all(|index| columns[..index].iter().all(|column| column.0 != columns[index].0));
    rest.is_none_or(<[u8]>::is_empty).then_some(())?;
    let any_binary = if names.is_empty() { all_binary } else { is_binary.contains(&true) };
    let outputs = (!names.is_empty()).then(|| names.into_iter().zip(is_binary).collect());
    let complete = form == Form::Tensors || !columns.is_empty();
    let form = if any_binary { Form::Binary } else { form };
    (distinct && complete).then_some(Expected { id, form, outputs, parameters, columns })
}

/// What the last member `name` of some parameters says, read by `read`, which must take all of that name.
fn parameter<T>(parameters: Option<&RawValue>, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    let Some(parameters) = parameters else { return Some(None) };
    let mut found = None;
    for (key, value) in object::<Members>(parameters.get())?.0 {
        if key == name {
            found = if value.get() == "null" { None } else { Some(read(value.get())?) };
        }
    }
    Some(found)
}

fn switch(value: &str) -> Option<bool> {
    value.parse().ok()
}

/// A string's contents or a number's text, if there is one.
fn id(value: Option<&RawValue>) -> Option<Option<String>> {
    match value.map(RawValue::get) {
        None => Some(None),
        Some(text) if text.starts_with('"') => serde_json::from_str(text).ok().map(Some),
        Some(text) if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            Some(Some(text.to_owned()))
        }
        Some(_) => None,
    }
}

enum Node<'a> {
    Leaf(&'a str),
    List(Vec<Node<'a>>),
}

impl<'a> Node<'a> {
    fn of(value: &'a RawValue) -> Self {
        match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(list) => Self::List(list.into_iter().map(Self::of).collect()),
            Err(_) => Self::Leaf(value.get()),
        }
    }

    /// The shape of exact nesting, with all leaves; `None` if ragged.
    fn flatten(&self, leaves: &mut Vec<&'a str>) -> Option<Vec<usize>> {
        match self {
            Self::Leaf(text) => {
                leaves.push(text);
                Some(Vec::new())
            }
            Self::List(list) => {
                let mut inner = None;
                for node in list {
                    let shape = node.flatten(leaves)?;
                    if *inner.get_or_insert_with(|| shape.clone()) != shape {
                        return None;
                    }
                }
                Some(std::iter::once(list.len()).chain(inner.unwrap_or_default()).collect())
            }
        }
    }
}

fn input(input: Input<'_>, behind: &mut Option<&[u8]>) -> Option<Meant> {
    let name = input.name.filter(|name| !name.is_empty())?;
    let datatype: DataType = input.datatype?.parse().ok()?;
    let axis = |axis: &&RawValue| usize::try_from(integer(axis.get())?).ok();
    let shape = input.shape?.iter().map(axis).collect::<Option<Vec<usize>>>()?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let size: Option<usize> = parameter(input.parameters, "binary_data_size", digits)?;
    let endless = shape.contains(&0) && shape.first().is_some_and(|&rows| rows > 1 << 20);
    if let Some(size) = size {
        let bytes = (*behind)?.get(..size)?;
        *behind = Some(&(*behind)?[size..]);
        let elements = from_bytes(datatype, bytes)?;
        let count: u128 = shape.iter().try_fold(1_u128, |count, &axis| count.checked_mul(axis as u128)).unwrap_or(0);
        let fits = if shape.contains(&0) { elements.is_empty() } else { elements.len() as u128 == count };
        return (input.data.is_none() && fits && !endless).then_some((name, shape, elements, true));
    }
    let mut leaves = Vec::new();
    let found = Node::of(input.data?).flatten(&mut leaves)?;
    let count =
        if shape.contains(&0) { 0 } else { shape.iter().try_fold(1_usize, |count, &axis| count.checked_mul(axis))? };
    // An inner axis of an empty outer one cannot be seen.
    let nested = found == shape
        || (leaves.is_empty() && !shape.is_empty() && shape.starts_with(&found) && shape[found.len() - 1] == 0);
    let flat = found == [count];
    (!endless && (nested || flat)).then_some((name, shape, elements(datatype, &leaves)?, false))
}

fn rows(instances: &[&RawValue], unnamed: &str) -> Option<Vec<Meant>> {
    let mut features: Vec<(String, Vec<&RawValue>)> = Vec::new();
    for (index, instance) in instances.iter().enumerate() {
        let members = match serde_json::from_str::<Members>(instance.get()) {
            Ok(Members(members)) => members,
            Err(_) => vec![(String::new(), *instance)],
        };
        for (position, (name, value)) in members.iter().enumerate() {
            members[..position].iter().all(|(other, _)| other != name).then_some(())?;
            match features.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(value),
                None if index == 0 => features.push((name.clone(), vec![value])),
                None => return None,
            }
            (!name.is_empty() || !instance.get().starts_with('{')).then_some(())?;
        }
        features.iter().all(|(_, values)| values.len() == index + 1).then_some(())?;
    }
    features
        .into_iter()
        .map(|(name, values)| feature(if name.is_empty() { unnamed.to_owned() } else { name }, &values))
        .collect()
}

fn feature(name: String, values: &[&RawValue]) -> Option<Meant> {
    let (mut leaves, mut row_shape) = (Vec::new(), None);
    for value in values {
        let mut shape = Node::of(value).flatten(&mut leaves)?;
        if shape.is_empty() {
            shape.push(1);
        }
        (*row_shape.get_or_insert_with(|| shape.clone()) == shape).then_some(())?;
    }
    let shape = std::iter::once(values.len()).chain(row_shape?).collect();
    Some((name, shape, elements(datatype(&leaves)?, &leaves)?, false))
}

fn datatype(leaves: &[&str]) -> Option<DataType> {
    let is_special = |leaf: &&str| leaf.starts_with('"') && float(leaf).is_some();
    let is_text = |leaf: &&str| leaf.starts_with('"') && !is_special(leaf);
    let is_bool = |leaf: &&str| matches!(*leaf, "true" | "false");
    let is_null = |leaf: &&str| *leaf == "null";
    let is_number = |leaf: &&str| leaf.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let is_fraction = |leaf: &&str| is_number(leaf) && leaf.contains(['.', 'e', 'E']);
    if leaves.iter().any(|leaf| leaf.starts_with('{')) {
        return None;
    }
    if leaves.iter().any(is_bool) {
        return leaves.iter().all(is_bool).then_some(DataType::Bool);
    }
    if leaves.iter().any(is_text) {
        return leaves.iter().all(|leaf| leaf.starts_with('"')).then_some(DataType::Bytes);
    }
    if !leaves.is_empty() && leaves.iter().all(is_special) {
        return Some(DataType::Bytes);
    }
    let integers: Vec<&&str> = leaves.iter().filter(|leaf| is_number(leaf) && !is_fraction(leaf)).collect();
    let magnitude = |leaf: &&str| leaf.parse().map_or(u128::MAX, i128::unsigned_abs);
    let largest = integers.iter().map(|leaf| magnitude(leaf)).max().unwrap_or(0);
    if largest <= 1 << 24 {
        return Some(DataType::Fp64);
    }
    if leaves.iter().any(|leaf| is_fraction(leaf) || is_null(leaf) || is_special(leaf)) {
        return (largest <= 1 << 53).then_some(DataType::Fp64);
    }
    if integers.iter().all(|leaf| leaf.parse::<i64>().is_ok()) {
        return Some(DataType::Int64);
    }
    integers.iter().all(|leaf| leaf.parse::<u64>().is_ok() || **leaf == "-0").then_some(DataType::Uint64)
}
