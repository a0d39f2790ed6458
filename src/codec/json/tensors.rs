//! The tensors of the Open Inference Protocol v2, the complete path: any order of keys, and every error.
//!
//! Requests have a list of `inputs`; golden samples have one of `outputs`, too.

use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    array,
    body::{Seen, object, string, twice},
    element::Element,
    explain::explain,
    fault::{Clip, Fault, refused, shape_text, unexpected},
    parameter,
    scan::{Bare, Scanner},
};
use crate::{
    codec::{
        Announced, Groups, Rows,
        binary::{self, Behind, Misfit},
        envelope::HEADER_LENGTH,
    },
    error::{ErrorCode, RequestError},
    request::Route,
    tensor::{Column, DataType, Elements, Tensor, element_count},
};

/// A list of tensors, for sentences.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    Inputs,
    Outputs,
}

impl List {
    const fn plural(self) -> &'static str {
        match self {
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
        }
    }

    const fn singular(self) -> &'static str {
        match self {
            Self::Inputs => "input",
            Self::Outputs => "output",
        }
    }
}

/// One tensor as the request announces it, and where its data are.
#[derive(Debug)]
pub(super) struct Input<'a> {
    name: Cow<'a, str>,
    datatype: DataType,
    shape: Vec<usize>,
    data: Data,
}

/// Where the data of a tensor are.
#[derive(Clone, Copy, Debug)]
enum Data {
    /// In the text, from this byte on.
    Text(usize),
    /// Behind it: so many bytes.
    Binary(usize),
}

/// Where the values of an input's keys begin.
#[derive(Default)]
struct Parts {
    name: Option<usize>,
    shape: Option<usize>,
    datatype: Option<usize>,
    data: Option<usize>,
    parameters: Option<usize>,
}

impl<'a> Input<'a> {
    /// Reads the array of tensors on which the cursor stands.
    pub fn read_all(scanner: &mut Scanner<'a>, list: List) -> Result<Vec<Self>, Fault> {
        if scanner.peek() != Some(b'[') {
            return Err(unexpected(scanner, format_args!("`{}`", list.plural()), "an array"));
        }
        let mut inputs = Vec::new();
        scanner.entries(|scanner, index| {
            inputs.push(Self::read(scanner, list, index)?);
            Ok::<_, Fault>(())
        })?;
        match twice(inputs.iter().map(|input: &Self| &*input.name)) {
            Some(name) => Err(refused(format!("the {} `{}` stands twice", list.singular(), Clip(name)))),
            None => Ok(inputs),
        }
    }

    fn read(scanner: &mut Scanner<'a>, list: List, index: usize) -> Result<Self, Fault> {
        let all = list.plural();
        if scanner.peek() != Some(b'{') {
            return Err(unexpected(scanner, format_args!("{all}[{index}]"), "an object"));
        }
        let parts = Parts::read(scanner, list, index)?;
        let text = scanner.text();
        let at = |part: usize| Scanner::starting(text, part);
        let name = match parts.name {
            Some(name) => string(&mut at(name), &format!("the name of {all}[{index}]"))?,
            None => return Err(refused(format!("{all}[{index}] has no `name`"))),
        };
        if name.is_empty() {
            return Err(refused(format!("the name of {all}[{index}] is empty")));
        }
        let whose = Whose { list, name: &name };
        let missing = |part: &str| refused(format!("{whose} has no `{part}`"));
        let shape = shape(&mut at(parts.shape.ok_or_else(|| missing("shape"))?), whose)?;
        let datatype = datatype(&mut at(parts.datatype.ok_or_else(|| missing("datatype"))?), whose)?;
        let size = match parts.parameters {
            None => None,
            Some(parameters) => {
                let whose = format!("`parameters` of {whose}");
                parameter::size(
                    object(&mut at(parameters), &whose, Bare::Allowed)?,
                    parameter::BINARY_DATA_SIZE,
                    &whose,
                )?
            }
        };
        let data = match (parts.data, size) {
            (Some(data), None) => Data::Text(data),
            (None, Some(size)) => Data::Binary(size),
            (None, None) => return Err(missing("data")),
            (Some(_), Some(_)) => {
                return Err(refused(format!("{whose} has `data` or a `binary_data_size`, but both came")));
            }
        };
        Ok(Self { name, datatype, shape, data })
    }

    /// The tensor by itself, as a column; `text` is the whole that it was read from.
    pub fn column(&self, text: &str, list: List) -> Result<Column, Fault> {
        let Self { name, datatype, shape, data } = self;
        let whose = Whose { list, name };
        let Data::Text(data) = data else {
            return Err(refused(format!("{whose} has no `data`: there are no bytes behind this JSON")));
        };
        let count = element_count(shape).expect("a shape that cannot be counted was refused when it was read");
        let mut elements = Elements::empty(*datatype);
        array::data(&mut Scanner::starting(text, *data), shape, count, &mut elements)
            .ok_or_else(|| explain(text, *data, &format_args!("{whose}: data"), *datatype, shape))?;
        let tensor = Tensor::new(shape.clone(), elements).expect("as many elements were read as the shape says");
        Ok(Column::new(&**name, tensor))
    }
}

/// A tensor, as sentences name it: ``input `x` ``.
#[derive(Clone, Copy)]
struct Whose<'a> {
    list: List,
    name: &'a str,
}

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.list.singular(), Clip(self.name))
    }
}

impl Parts {
    fn read(scanner: &mut Scanner<'_>, list: List, index: usize) -> Result<Self, Fault> {
        const PARAMETERS: u8 = 4;
        let all = list.plural();
        let (mut parts, mut seen) = (Self::default(), Seen::default());
        scanner.members(|scanner, key| {
            let (number, part) = match key {
                "name" => (0, &mut parts.name),
                "shape" => (1, &mut parts.shape),
                "datatype" => (2, &mut parts.datatype),
                "data" => (3, &mut parts.data),
                "parameters" => (PARAMETERS, &mut parts.parameters),
                _ => return Ok(scanner.skip(Bare::Allowed).map(drop)?),
            };
            if !seen.first(number) {
                return Err(refused(format!("the key `{key}` stands twice in {all}[{index}]")));
            }
            if scanner.null() {
                return Ok(());
            }
            *part = Some(scanner.at());
            if number == PARAMETERS {
                return object(scanner, &format!("`parameters` of {all}[{index}]"), Bare::Allowed).map(drop);
            }
            Ok(scanner.skip(Bare::Allowed).map(drop)?)
        })?;
        Ok(parts)
    }
}

fn shape(scanner: &mut Scanner<'_>, whose: Whose<'_>) -> Result<Vec<usize>, Fault> {
    if scanner.peek() != Some(b'[') {
        return Err(unexpected(scanner, format_args!("the shape of {whose}"), "an array"));
    }
    let mut shape = Vec::new();
    scanner.entries(|scanner, index| {
        scanner.peek();
        let axis = u64::read(scanner.bytes(), scanner.at());
        let Some((axis, end)) = axis.and_then(|(axis, end)| Some((usize::try_from(axis).ok()?, end))) else {
            let what = format!("shape[{index}] of {whose}");
            return Err(unexpected(scanner, what, "a whole number, 0 or more"));
        };
        scanner.go(end);
        shape.push(axis);
        Ok(())
    })?;
    if element_count(&shape).is_none() {
        let shape = shape_text(&shape);
        return Err(refused(format!("shape {shape} of {whose} has more elements than can be counted")));
    }
    Ok(shape)
}

fn datatype(scanner: &mut Scanner<'_>, whose: Whose<'_>) -> Result<DataType, Fault> {
    let text = string(scanner, &format!("the datatype of {whose}"))?;
    if text == "BF16" {
        let why = format!("the datatype of {whose} is BF16, which is not supported; send FP32 or FP16");
        return Err(RequestError::new(ErrorCode::InvalidInput, why).into());
    }
    text.parse().map_err(|_| {
        let known: Vec<_> = DataType::ALL.iter().map(|datatype| datatype.as_str()).collect();
        let (text, known) = (Clip(&text), known.join(", "));
        refused(format!("the datatype of {whose} must be one of {known}, but `{text}` came"))
    })
}

/// Puts all inputs into the columns of their group. There may be none: some models have none.
pub(super) fn place<'g>(
    text: &str,
    behind: &mut Behind<'_>,
    inputs: &[Input<'_>],
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, Fault> {
    let announced: Vec<_> = inputs.iter().map(Input::announced).collect();
    let mut rows = groups.place(route, &announced).map_err(|oversized| refused(oversized.to_string()))?;
    for input @ Input { name, datatype, shape, data } in inputs {
        match *data {
            Data::Text(data) => {
                let mut scanner = Scanner::starting(text, data);
                rows.fill(shape, |elements, count| array::data(&mut scanner, shape, count, elements).ok_or(()))
                    .map_err(|()| {
                        explain(text, data, &format_args!("input `{}`: data", Clip(name)), *datatype, shape)
                    })?;
            }
            Data::Binary(size) => {
                let bytes = behind.take(size).ok_or_else(|| input.lacks(size, behind))?;
                rows.fill(shape, |elements, count| binary::append(elements, count, bytes))
                    .map_err(|misfit| input.misfit(&misfit))?;
            }
        }
    }
    Ok(rows)
}

impl Input<'_> {
    fn announced(&self) -> Announced<'_> {
        let Self { name, datatype, shape, data } = self;
        Announced { name, datatype: *datatype, shape, exact: matches!(data, Data::Binary(_)) }
    }

    /// The fault of an input whose bytes are not there.
    fn lacks(&self, size: usize, behind: &Behind<'_>) -> Fault {
        let (name, left) = (Clip(&self.name), behind.left());
        refused(if behind.is_there() {
            format!("input `{name}`: `binary_data_size` is {size}, but only {left} bytes are left behind the JSON")
        } else {
            format!("input `{name}` has a `binary_data_size`, but the record has no header `{HEADER_LENGTH}`")
        })
    }

    /// The fault of an input whose bytes are not what its shape and datatype say.
    fn misfit(&self, misfit: &Misfit) -> Fault {
        let (name, shape, datatype) = (Clip(&self.name), shape_text(&self.shape), self.datatype);
        refused(format!("input `{name}`: {datatype} {shape} as binary data {misfit}"))
    }
}
