//! The inputs of an Open Inference Protocol v2 request, the complete path: any order of keys, and every error.

use std::{borrow::Cow, sync::Arc};

use super::{
    array,
    body::{Seen, object, string, twice},
    element::Element,
    explain::explain,
    fault::{Clip, Fault, refused, shape_text, unexpected},
    scan::{Bare, Scanner},
};
use crate::{
    codec::{Announced, Groups, Rows},
    request::Route,
    tensor::{DataType, element_count},
};

/// One tensor as the request announces it, and where its data begin.
#[derive(Debug)]
pub(super) struct Input<'a> {
    name: Cow<'a, str>,
    datatype: DataType,
    shape: Vec<usize>,
    data: usize,
}

/// Where the values of an input's keys begin.
#[derive(Default)]
struct Parts {
    name: Option<usize>,
    shape: Option<usize>,
    datatype: Option<usize>,
    data: Option<usize>,
}

impl<'a> Input<'a> {
    /// Reads the array of inputs, on which the cursor stands.
    pub fn read_all(scanner: &mut Scanner<'a>) -> Result<Vec<Self>, Fault> {
        if scanner.peek() != Some(b'[') {
            return Err(unexpected(scanner, "`inputs`", "an array"));
        }
        let mut inputs = Vec::new();
        scanner.entries(|scanner, index| {
            inputs.push(Self::read(scanner, index)?);
            Ok::<_, Fault>(())
        })?;
        match twice(inputs.iter().map(|input: &Self| &*input.name)) {
            Some(name) => Err(refused(format!("the input `{}` stands twice", Clip(name)))),
            None => Ok(inputs),
        }
    }

    fn read(scanner: &mut Scanner<'a>, index: usize) -> Result<Self, Fault> {
        if scanner.peek() != Some(b'{') {
            return Err(unexpected(scanner, format_args!("inputs[{index}]"), "an object"));
        }
        let parts = Parts::read(scanner, index)?;
        let text = scanner.text();
        let at = |part: usize| Scanner::starting(text, part);
        let name = match parts.name {
            Some(name) => string(&mut at(name), &format!("the name of inputs[{index}]"))?,
            None => return Err(refused(format!("inputs[{index}] has no `name`"))),
        };
        if name.is_empty() {
            return Err(refused(format!("the name of inputs[{index}] is empty")));
        }
        let missing = |part: &str| refused(format!("input `{}` has no `{part}`", Clip(&name)));
        let shape = shape(&mut at(parts.shape.ok_or_else(|| missing("shape"))?), &name)?;
        let datatype = datatype(&mut at(parts.datatype.ok_or_else(|| missing("datatype"))?), &name)?;
        let data = parts.data.ok_or_else(|| missing("data"))?;
        Ok(Self { name, datatype, shape, data })
    }
}

impl Parts {
    fn read(scanner: &mut Scanner<'_>, index: usize) -> Result<Self, Fault> {
        let (mut parts, mut seen) = (Self::default(), Seen::default());
        scanner.members(|scanner, key| {
            let (number, part) = match key {
                "name" => (0, Some(&mut parts.name)),
                "shape" => (1, Some(&mut parts.shape)),
                "datatype" => (2, Some(&mut parts.datatype)),
                "data" => (3, Some(&mut parts.data)),
                "parameters" => (4, None),
                _ => return Ok(scanner.skip(Bare::Allowed).map(drop)?),
            };
            if !seen.first(number) {
                return Err(refused(format!("the key `{key}` stands twice in inputs[{index}]")));
            }
            if scanner.null() {
                return Ok(());
            }
            if let Some(part) = part {
                *part = Some(scanner.at());
                return Ok(scanner.skip(Bare::Allowed).map(drop)?);
            }
            object(scanner, &format!("`parameters` of inputs[{index}]"), Bare::Allowed).map(drop)
        })?;
        Ok(parts)
    }
}

fn shape(scanner: &mut Scanner<'_>, name: &str) -> Result<Vec<usize>, Fault> {
    if scanner.peek() != Some(b'[') {
        return Err(unexpected(scanner, format_args!("the shape of input `{}`", Clip(name)), "an array"));
    }
    let mut shape = Vec::new();
    scanner.entries(|scanner, index| {
        scanner.peek();
        let axis = u64::read(scanner.bytes(), scanner.at());
        let Some((axis, end)) = axis.and_then(|(axis, end)| Some((usize::try_from(axis).ok()?, end))) else {
            let what = format!("shape[{index}] of input `{}`", Clip(name));
            return Err(unexpected(scanner, what, "a whole number, 0 or more"));
        };
        scanner.go(end);
        shape.push(axis);
        Ok(())
    })?;
    if element_count(&shape).is_none() {
        let (name, shape) = (Clip(name), shape_text(&shape));
        return Err(refused(format!("shape {shape} of input `{name}` has more elements than can be counted")));
    }
    Ok(shape)
}

fn datatype(scanner: &mut Scanner<'_>, name: &str) -> Result<DataType, Fault> {
    let text = string(scanner, &format!("the datatype of input `{}`", Clip(name)))?;
    text.parse().map_err(|_| {
        let known: Vec<_> = DataType::ALL.iter().map(|datatype| datatype.as_str()).collect();
        let (name, text, known) = (Clip(name), Clip(&text), known.join(", "));
        refused(format!("the datatype of input `{name}` must be one of {known}, but `{text}` came"))
    })
}

/// Puts all inputs into the columns of their group. There may be none: some models have none.
pub(super) fn place<'g>(
    text: &str,
    inputs: &[Input<'_>],
    route: &Arc<Route>,
    groups: &'g mut Groups,
) -> Result<Rows<'g>, Fault> {
    let announced: Vec<_> = inputs
        .iter()
        .map(|input| Announced { name: &input.name, datatype: input.datatype, shape: &input.shape })
        .collect();
    let mut rows = groups.place(route, &announced).map_err(|oversized| refused(oversized.to_string()))?;
    for Input { name, datatype, shape, data } in inputs {
        let mut scanner = Scanner::starting(text, *data);
        rows.fill(shape, |elements, count| array::data(&mut scanner, shape, count, elements).ok_or(()))
            .map_err(|()| explain(text, *data, &format_args!("input `{}`: data", Clip(name)), *datatype, shape))?;
    }
    Ok(rows)
}
