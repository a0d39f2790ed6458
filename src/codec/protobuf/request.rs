//! `ModelInferRequest`: what it says beside its data, and its inputs, whose data stay where they are.

use std::ops::Range;

use super::{
    contents,
    parameters::{self, PARAMETERS},
    wire::{Broken, Field, Value, Walk},
};
use crate::{
    codec::{
        Announced,
        json::{Clip, shape_text, twice},
    },
    error::{ErrorCode, RequestError},
    request::AskedOutput,
    tensor::{DataType, Name, element_count},
};

/// The fields of `ModelInferRequest`.
mod field {
    pub const MODEL: u32 = 1;
    pub const VERSION: u32 = 2;
    pub const ID: u32 = 3;
    pub const INPUTS: u32 = 5;
    pub const OUTPUTS: u32 = 6;
    pub const RAW: u32 = 7;
}

/// A request without its data.
#[derive(Debug, Default)]
pub struct Request<'a> {
    pub model: &'a str,
    pub version: &'a str,
    pub id: &'a str,
    pub inputs: Vec<Input<'a>>,
    /// The axes of all inputs, one after another.
    axes: Vec<usize>,
    pub outputs: Vec<AskedOutput>,
    pub has_parameters: bool,
    /// How many inputs have their data raw.
    pub raws: usize,
}

/// One input.
#[derive(Debug)]
pub struct Input<'a> {
    pub name: &'a str,
    pub datatype: DataType,
    axes: Range<usize>,
    /// The whole of its message.
    pub message: Walk<'a>,
}

impl<'a> Request<'a> {
    /// Reads all of a body but the data.
    pub fn read(body: &'a [u8]) -> Result<Self, RequestError> {
        let (mut request, mut walk) = (Self::default(), Walk::new(body));
        while let Some(field) = walk.field().map_err(broken)? {
            match field.number {
                field::MODEL => request.model = field.text().map_err(broken)?,
                field::VERSION => request.version = field.text().map_err(broken)?,
                field::ID => request.id = field.text().map_err(broken)?,
                PARAMETERS => {
                    parameters::check(field).map_err(broken)?;
                    request.has_parameters = true;
                }
                field::INPUTS => request.input(field.part().map_err(broken)?)?,
                field::OUTPUTS => request.output(field.part().map_err(broken)?)?,
                field::RAW => {
                    field.part().map_err(broken)?;
                    request.raws += 1;
                }
                _ => {}
            }
        }
        request.check_names()?;
        Ok(request)
    }

    /// The axes of one of its inputs.
    pub fn shape(&self, input: &Input<'_>) -> &[usize] {
        &self.axes[input.axes.clone()]
    }

    /// The inputs as a group must have them.
    pub fn announced(&self) -> Vec<Announced<'_>> {
        let announced = |input: &'_ Input<'a>| Announced {
            name: input.name,
            datatype: input.datatype,
            shape: &self.axes[input.axes.clone()],
            exact: self.raws > 0,
        };
        self.inputs.iter().map(announced).collect()
    }

    fn input(&mut self, message: Walk<'a>) -> Result<(), RequestError> {
        let (index, start) = (self.inputs.len(), self.axes.len());
        let (mut name, mut datatype) = ("", "");
        let mut walk = message;
        while let Some(field) = walk.field().map_err(broken)? {
            match field.number {
                1 => name = field.text().map_err(broken)?,
                2 => datatype = field.text().map_err(broken)?,
                3 => axes(&mut self.axes, &field).map_err(broken)?.map_err(|axis| {
                    invalid(format!("the shape of inputs[{index}] has an axis of {axis}: none is below 0"))
                })?,
                PARAMETERS => parameters::check(field).map_err(broken)?,
                contents::CONTENTS => drop(field.part().map_err(broken)?),
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(invalid(format!("inputs[{index}] has no name")));
        }
        let datatype = self::datatype(name, datatype)?;
        let shape = &self.axes[start..];
        if element_count(shape).is_none() {
            let (name, shape) = (Clip(name), shape_text(shape));
            return Err(invalid(format!("shape {shape} of input `{name}` has more elements than can be counted")));
        }
        self.inputs.push(Input { name, datatype, axes: start..self.axes.len(), message });
        Ok(())
    }

    fn output(&mut self, mut message: Walk<'_>) -> Result<(), RequestError> {
        let mut name = "";
        while let Some(field) = message.field().map_err(broken)? {
            match field.number {
                1 => name = field.text().map_err(broken)?,
                2 => parameters::check(field).map_err(broken)?,
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(invalid(format!("outputs[{}] has no name", self.outputs.len())));
        }
        self.outputs.push(AskedOutput { name: Name::from(name), binary: None });
        Ok(())
    }

    fn check_names(&self) -> Result<(), RequestError> {
        if self.inputs.len() > 1
            && let Some(name) = twice(self.inputs.iter().map(|input| input.name))
        {
            return Err(invalid(format!("the input `{}` stands twice", Clip(name))));
        }
        if let Some(name) = twice(self.outputs.iter().map(|output| &*output.name)) {
            return Err(invalid(format!("`outputs` asks for `{}` twice", Clip(name))));
        }
        Ok(())
    }
}

/// The raw data of inputs, in their order.
pub fn raws(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut walk = Walk::new(body);
    std::iter::from_fn(move || {
        loop {
            let field = walk.field().ok()??;
            if field.number == field::RAW {
                return field.part().ok().map(Walk::bytes);
            }
        }
    })
}

/// The parameters of a body, each with its tag.
pub fn parameter_fields(body: &[u8]) -> Vec<u8> {
    let (mut walk, mut fields) = (Walk::new(body), Vec::new());
    while let Ok(Some(field)) = walk.field() {
        if field.number == PARAMETERS {
            fields.extend_from_slice(walk.since(&field));
        }
    }
    fields
}

/// The id of a body that cannot be decoded; as far as it can be read, the last one, as in one that can be.
pub fn find_id(body: &[u8]) -> Option<&str> {
    let (mut walk, mut found) = (Walk::new(body), None);
    while let Ok(Some(field)) = walk.field() {
        if field.number == field::ID {
            found = field.text().ok();
        }
    }
    found.filter(|id| !id.is_empty())
}

/// Appends the axes of one field, packed or alone; the inner error is one below 0.
fn axes(axes: &mut Vec<usize>, field: &Field<'_>) -> Result<Result<(), i64>, Broken> {
    let mut push = |number: u64| match usize::try_from(number as i64) {
        Ok(axis) => {
            axes.push(axis);
            Ok(())
        }
        Err(_) => Err(number as i64),
    };
    match field.value {
        Value::Varint(number) => Ok(push(number)),
        Value::Bytes(mut packed) => {
            while !packed.is_done() {
                if let Err(negative) = push(packed.varint()?) {
                    return Ok(Err(negative));
                }
            }
            Ok(Ok(()))
        }
        _ => Err(field.of_wrong_type()),
    }
}

fn datatype(name: &str, datatype: &str) -> Result<DataType, RequestError> {
    let name = Clip(name);
    match datatype {
        "BF16" => {
            let why = format!("the datatype of input `{name}` is BF16, which is not supported; send FP32 or FP16");
            Err(RequestError::new(ErrorCode::InvalidInput, why))
        }
        "" => Err(invalid(format!("input `{name}` has no datatype"))),
        _ => datatype.parse().map_err(|_| {
            let known: Vec<_> = DataType::ALL.iter().map(|datatype| datatype.as_str()).collect();
            let (found, known) = (Clip(datatype), known.join(", "));
            invalid(format!("the datatype of input `{name}` must be one of {known}, but `{found}` came"))
        }),
    }
}

fn broken(broken: Broken) -> RequestError {
    invalid(broken.to_string())
}

/// `INVALID_REQUEST` with a sentence.
pub fn invalid(sentence: String) -> RequestError {
    RequestError::new(ErrorCode::InvalidRequest, sentence)
}
