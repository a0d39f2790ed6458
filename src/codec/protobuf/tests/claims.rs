//! What must hold of any bytes as a request in protobuf: for the fuzzer (`fuzz/`), which compiles this file, too, and for its
//! seeds.
//!
//! The oracle is `prost`, and what its messages mean is computed here from whole messages; the decoder walks the bytes.

use std::sync::Arc;

use half::f16;
use prost::{
    Message,
    encoding::{self, DecodeContext, WireType},
};

use super::messages::{InferTensorContents, ModelInferRequest, Tensor as Input};
use crate::{
    broker::{Chunk, memory::MemoryRecords},
    codec::{self, Decoded, Format, Intake, Intakes, Routing},
    error::ErrorCode,
    request::{Form, Route},
    tensor::{DataType, Elements, Tensor},
};

/// All bodies have the same offset, so that those without an id get the same one.
const FALLBACK: &str = "t-0-0";
/// Tensors without elements may claim no more rows than this.
const MOST_EMPTY_ROWS: i64 = 1 << 20;

/// What a request comes to.
#[derive(Debug, PartialEq)]
struct Meaning {
    id: String,
    outputs: Option<Vec<String>>,
    has_parameters: bool,
    columns: Vec<(String, bool, String)>,
}

/// Decodes the bytes twice in one chunk, between bodies that are right, and holds what became of them against the oracle.
pub fn protobuf(data: &[u8]) {
    let right = ModelInferRequest { id: "right".to_owned(), inputs: vec![right_input()], ..Default::default() };
    let right = right.encode_to_vec();
    let decoded = decode(&[&right, data, data, &right]);
    let outcomes = outcomes(&decoded, 4);
    assert!(outcomes[0].is_ok() && outcomes[3].is_ok(), "neighbours are not touched: {outcomes:?}");
    assert_eq!(format!("{:?}", outcomes[1]), format!("{:?}", outcomes[2]), "the same twice");
    match (&outcomes[1], expected(data)) {
        (Ok(found), Ok(expected)) => assert_eq!(format!("{found:?}"), format!("{expected:?}")),
        (Err((code, why)), Ok(_)) => {
            assert!(*code == ErrorCode::InvalidRequest && why.contains("too deep"), "refused: {why}");
        }
        (Ok(found), Err(why)) => panic!("taken, but {why}: {found:?}"),
        (Err((code, why)), Err(expected)) => {
            let is_known = matches!(code, ErrorCode::InvalidRequest | ErrorCode::InvalidInput);
            assert!(is_known && !why.is_empty() && why.len() < 600, "{code}: {why}, where {expected}");
        }
    }
}

fn right_input() -> Input {
    let contents = InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() };
    let (name, datatype) = ("x".to_owned(), "FP32".to_owned());
    Input { name, datatype, shape: vec![1, 2], contents: Some(contents), ..Default::default() }
}

/// Decodes bodies as one chunk, through the crate's public door.
pub fn decode(bodies: &[&[u8]]) -> Decoded {
    let routing = Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] }));
    let intake = Intake::new(0, Format::Protobuf, routing);
    let mut records = MemoryRecords::default();
    bodies.iter().for_each(|body| records.push(0, 0, body));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("t".into(), 0)] };
    codec::decode(&Chunk::new(Box::new(records)), &intakes)
}

fn outcomes(decoded: &Decoded, messages: usize) -> Vec<Result<Meaning, (ErrorCode, String)>> {
    let mut outcomes: Vec<_> = (0..messages).map(|_| None).collect();
    for group in &decoded.groups {
        for request in &group.requests {
            assert_eq!(request.form, Form::Protobuf);
            let own = |tensor: &Tensor| match group.is_single() {
                true => tensor.clone(),
                false => tensor.slice(request.rows.clone()),
            };
            let options = request.options.as_deref();
            let outputs = options.and_then(|options| options.outputs.as_ref());
            let column = |column: &crate::tensor::Column| {
                (column.name.to_string(), column.exact, describe(&own(&column.tensor)))
            };
            let meaning = Meaning {
                id: decoded.ids.text(request.id).to_owned(),
                outputs: outputs.map(|outputs| outputs.iter().map(|output| output.name.to_string()).collect()),
                has_parameters: options.is_some_and(|options| options.parameter_fields.is_some()),
                columns: group.columns.iter().map(column).collect(),
            };
            assert!(outcomes[request.message].replace(Ok(meaning)).is_none(), "more than one outcome");
        }
    }
    for refused in &decoded.refused {
        let error = (refused.error.code(), refused.error.message().to_owned());
        assert!(outcomes[refused.message].replace(Err(error)).is_none(), "more than one outcome");
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every message has an outcome")).collect()
}

/// Whether an entry of the map `map` of a message, or of the map of one of its messages (`inner`: their fields, and the maps in
/// them), is of another wire type than entries are: prost reads one all the same, of whatever bytes follow.
fn has_odd_entry(mut message: &[u8], map: u32, inner: &[(u32, u32)]) -> bool {
    while !message.is_empty() {
        let Ok((field, kind)) = encoding::decode_key(&mut message) else { return false };
        if kind != WireType::LengthDelimited {
            if field == map {
                return true;
            }
            if encoding::skip_field(kind, field, &mut message, DecodeContext::default()).is_err() {
                return false;
            }
            continue;
        }
        let length = encoding::decode_varint(&mut message).ok().and_then(|length| usize::try_from(length).ok());
        let Some((part, rest)) = length.and_then(|length| message.split_at_checked(length)) else { return false };
        message = rest;
        let its = inner.iter().find(|(its, _)| *its == field);
        if its.is_some_and(|(_, map)| has_odd_entry(part, *map, &[])) {
            return true;
        }
    }
    false
}

/// What the bytes mean, or why they mean nothing.
fn expected(body: &[u8]) -> Result<Meaning, String> {
    if has_odd_entry(body, 4, &[(5, 4), (6, 2)]) {
        return Err("an entry of a map of another wire type".to_owned());
    }
    let request = ModelInferRequest::decode(body).map_err(|error| error.to_string())?;
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents: raws, .. } = request;
    if body.is_empty() {
        return Err("empty".to_owned());
    }
    if !raws.is_empty() && raws.len() != inputs.len() {
        return Err(format!("{} raw for {}", raws.len(), inputs.len()));
    }
    let names = |mut names: Vec<String>| {
        names.sort_unstable();
        let is_wrong = names.iter().any(String::is_empty) || names.windows(2).any(|pair| pair[0] == pair[1]);
        if is_wrong { Err("names".to_owned()) } else { Ok(()) }
    };
    names(inputs.iter().map(|input| input.name.clone()).collect())?;
    let outputs: Vec<_> = outputs.into_iter().map(|output| output.name).collect();
    names(outputs.clone())?;
    let columns: Result<_, String> =
        inputs.iter().enumerate().map(|(index, input)| column(input, raws.get(index).map(Vec::as_slice))).collect();
    Ok(Meaning {
        id: if id.is_empty() { FALLBACK.to_owned() } else { id },
        outputs: (!outputs.is_empty()).then_some(outputs),
        has_parameters: !parameters.is_empty(),
        columns: columns?,
    })
}

fn column(input: &Input, raw: Option<&[u8]>) -> Result<(String, bool, String), String> {
    let datatype: DataType = input.datatype.parse().map_err(|_| "datatype".to_owned())?;
    let shape: Result<Vec<usize>, _> = input.shape.iter().map(|axis| usize::try_from(*axis)).collect();
    let shape = shape.map_err(|_| "negative".to_owned())?;
    if shape.contains(&0) && input.shape[0] > MOST_EMPTY_ROWS {
        return Err("empty rows".to_owned());
    }
    let contents = input.contents.clone().unwrap_or_default();
    let elements = match raw {
        Some(_) if contents != InferTensorContents::default() => return Err("both".to_owned()),
        Some(bytes) => raw_elements(datatype, bytes),
        None => typed_elements(datatype, contents),
    };
    let tensor = Tensor::new(shape, elements.ok_or("elements")?).map_err(|error| error.to_string())?;
    Ok((input.name.clone(), raw.is_some(), describe(&tensor)))
}

fn raw_elements(datatype: DataType, bytes: &[u8]) -> Option<Elements> {
    macro_rules! numbers {
        ($kind:ident, $number:ty) => {{
            let (parts, rest) = bytes.as_chunks();
            rest.is_empty().then(|| Elements::$kind(parts.iter().map(|part| <$number>::from_le_bytes(*part)).collect()))
        }};
    }
    match datatype {
        DataType::Bool => {
            bytes.iter().all(|byte| *byte < 2).then(|| Elements::Bool(bytes.iter().map(|byte| *byte == 1).collect()))
        }
        DataType::Uint8 => numbers!(Uint8, u8),
        DataType::Uint16 => numbers!(Uint16, u16),
        DataType::Uint32 => numbers!(Uint32, u32),
        DataType::Uint64 => numbers!(Uint64, u64),
        DataType::Int8 => numbers!(Int8, i8),
        DataType::Int16 => numbers!(Int16, i16),
        DataType::Int32 => numbers!(Int32, i32),
        DataType::Int64 => numbers!(Int64, i64),
        DataType::Fp16 => numbers!(Fp16, f16),
        DataType::Fp32 => numbers!(Fp32, f32),
        DataType::Fp64 => numbers!(Fp64, f64),
        DataType::Bytes => {
            let (mut rest, mut strings) = (bytes, Vec::new());
            while !rest.is_empty() {
                let (length, behind) = rest.split_first_chunk()?;
                let (string, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                strings.push(string);
                rest = behind;
            }
            Some(Elements::Bytes(strings.iter().collect()))
        }
    }
}

fn typed_elements(datatype: DataType, contents: InferTensorContents) -> Option<Elements> {
    macro_rules! take {
        ($field:ident, $kind:ident) => {{
            let taken = contents.$field.clone();
            let others = InferTensorContents { $field: Vec::new(), ..contents };
            if others != InferTensorContents::default() {
                return None;
            }
            let narrowed: Result<Vec<_>, _> = taken.into_iter().map(TryInto::try_into).collect();
            Elements::$kind(narrowed.ok()?)
        }};
    }
    Some(match datatype {
        DataType::Bool => take!(bool_contents, Bool),
        DataType::Uint8 => take!(uint_contents, Uint8),
        DataType::Uint16 => take!(uint_contents, Uint16),
        DataType::Uint32 => take!(uint_contents, Uint32),
        DataType::Uint64 => take!(uint64_contents, Uint64),
        DataType::Int8 => take!(int_contents, Int8),
        DataType::Int16 => take!(int_contents, Int16),
        DataType::Int32 => take!(int_contents, Int32),
        DataType::Int64 => take!(int64_contents, Int64),
        DataType::Fp16 if contents == InferTensorContents::default() => Elements::Fp16(Vec::new()),
        DataType::Fp16 => return None,
        DataType::Fp32 => take!(fp32_contents, Fp32),
        DataType::Fp64 => take!(fp64_contents, Fp64),
        DataType::Bytes => {
            let strings = contents.bytes_contents.clone();
            if (InferTensorContents { bytes_contents: Vec::new(), ..contents }) != InferTensorContents::default() {
                return None;
            }
            Elements::Bytes(strings.iter().collect())
        }
    })
}

/// A tensor as text that tells all values apart.
fn describe(tensor: &Tensor) -> String {
    let bits = match tensor.elements() {
        Elements::Fp16(all) => format!("{:?}", all.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
        Elements::Fp32(all) => format!("{:?}", all.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
        Elements::Fp64(all) => format!("{:?}", all.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    };
    format!("{} {:?} {bits}", tensor.datatype(), tensor.shape())
}
