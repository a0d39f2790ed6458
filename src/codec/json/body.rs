//! The outer object of a request: what stands at its top level, whichever form its data has.
//!
//! The complete path reads a body twice: here to learn that it is JSON and where its parts lie, then part by part into
//! the columns. Nothing is built of the data meanwhile.

use std::borrow::Cow;

use super::{
    fault::{Clip, Fault, refused, unexpected},
    parameter,
    scan::{Bare, Scanner},
    tensors::{Input, List},
};
use crate::{
    request::{AskedOutput, Options},
    tensor::Name,
};

/// A request's parts. Parts that are absent and parts that are `null` are the same.
#[derive(Debug, Default)]
pub(super) struct Body<'a> {
    pub id: Option<Cow<'a, str>>,
    pub model: Option<Cow<'a, str>>,
    pub version: Option<Cow<'a, str>>,
    pub options: Option<Options>,
    pub inputs: Option<Vec<Input<'a>>>,
    /// Where the array of instances begins.
    pub instances: Option<usize>,
}

/// The keys of the top level that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Id,
    Model,
    Version,
    Parameters,
    Outputs,
    Inputs,
    Instances,
}

impl Key {
    const ALL: [Self; 7] =
        [Self::Id, Self::Model, Self::Version, Self::Parameters, Self::Outputs, Self::Inputs, Self::Instances];

    /// How it is written.
    #[inline(always)]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Model => "model_name",
            Self::Version => "model_version",
            Self::Parameters => "parameters",
            Self::Outputs => "outputs",
            Self::Inputs => "inputs",
            Self::Instances => "instances",
        }
    }

    /// The key that is written `name`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// Which keys of an object were seen; one bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen(u8);

impl Seen {
    /// Marks the key with this number; `false` if it was seen before.
    #[inline(always)]
    pub fn first(&mut self, key: u8) -> bool {
        let new = self.0 & 1 << key == 0;
        self.0 |= 1 << key;
        new
    }
}

impl<'a> Body<'a> {
    /// Reads the whole text but for the data itself, whose grammar alone is checked.
    pub fn read(text: &'a str) -> Result<Self, Fault> {
        let mut scanner = Scanner::new(text);
        let (mut body, mut seen) = (Self::default(), Seen::default());
        if scanner.peek().is_some_and(|byte| byte != b'{') {
            return Err(unexpected(&mut scanner, "a request", "a JSON object with `inputs` or `instances`"));
        }
        scanner.members(|scanner, name| match Key::of(name) {
            None => Ok(scanner.skip(Bare::Allowed).map(drop)?),
            Some(key) if !seen.first(key as u8) => Err(refused(format!("the key `{name}` stands twice in the body"))),
            Some(_) if scanner.null() => Ok(()),
            Some(key) => body.part(key, scanner),
        })?;
        scanner.end()?;
        Ok(body)
    }

    fn part(&mut self, key: Key, scanner: &mut Scanner<'a>) -> Result<(), Fault> {
        match key {
            Key::Id => self.id = Some(string_or_number(scanner, "`id`")?),
            Key::Model => self.model = Some(string(scanner, "`model_name`")?),
            Key::Version => self.version = Some(string_or_number(scanner, "`model_version`")?),
            Key::Parameters => {
                let options = self.options.get_or_insert_default();
                (options.parameters, options.binary) = parameters(scanner)?;
            }
            Key::Outputs => {
                if let Some(outputs) = outputs(scanner)? {
                    self.options.get_or_insert_default().outputs = Some(outputs);
                }
            }
            Key::Inputs => self.inputs = Some(Input::read_all(scanner, List::Inputs)?),
            Key::Instances => {
                self.instances = Some(scanner.at());
                if scanner.peek() != Some(b'[') {
                    return Err(unexpected(scanner, "`instances`", "an array"));
                }
                scanner.skip(Bare::Allowed)?;
            }
        }
        Ok(())
    }
}

/// A string, with what it is for in the error.
pub(super) fn string<'a>(scanner: &mut Scanner<'a>, what: &str) -> Result<Cow<'a, str>, Fault> {
    match scanner.peek() {
        Some(b'"') => Ok(scanner.string()?),
        _ => Err(unexpected(scanner, what, "a string")),
    }
}

/// A string's contents, or a number's text as it stands.
pub(super) fn string_or_number<'a>(scanner: &mut Scanner<'a>, what: &str) -> Result<Cow<'a, str>, Fault> {
    match scanner.peek() {
        Some(b'"') => Ok(scanner.string()?),
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(scanner.number()?)),
        _ => Err(unexpected(scanner, what, "a string or a number")),
    }
}

/// The text of an object.
pub(super) fn object<'a>(scanner: &mut Scanner<'a>, what: &str, bare: Bare) -> Result<&'a str, Fault> {
    match scanner.peek() {
        Some(b'{') => Ok(scanner.skip(bare)?),
        _ => Err(unexpected(scanner, what, "an object")),
    }
}

/// The request's parameters as they are written, and whether they ask for binary outputs.
pub(super) fn parameters(scanner: &mut Scanner<'_>) -> Result<(Option<Box<str>>, bool), Fault> {
    let parameters = object(scanner, "`parameters`", Bare::Refused)?;
    let binary = parameter::switch(parameters, parameter::BINARY_DATA_OUTPUT, "`parameters`")?;
    Ok((Some(parameters.into()), binary.unwrap_or(false)))
}

/// The outputs that are asked for, in order; `None`, which means all of them, where there are none.
pub(super) fn outputs(scanner: &mut Scanner<'_>) -> Result<Option<Vec<AskedOutput>>, Fault> {
    if scanner.peek() != Some(b'[') {
        return Err(unexpected(scanner, "`outputs`", "an array"));
    }
    let mut outputs: Vec<AskedOutput> = Vec::new();
    scanner.entries(|scanner, index| {
        outputs.push(output(scanner, index)?);
        Ok::<_, Fault>(())
    })?;
    match twice(outputs.iter().map(|output| &*output.name)) {
        Some(name) => Err(refused(format!("`outputs` asks for `{}` twice", Clip(name)))),
        None => Ok((!outputs.is_empty()).then_some(outputs)),
    }
}

/// A name that stands there more than once. Sorts: a body of several MB may hold very many.
pub(in crate::codec) fn twice<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn output(scanner: &mut Scanner<'_>, index: usize) -> Result<AskedOutput, Fault> {
    let (mut found, mut binary) = (None, None);
    let mut seen = Seen::default();
    if scanner.peek() != Some(b'{') {
        return Err(unexpected(scanner, format_args!("outputs[{index}]"), "an object with a `name`"));
    }
    scanner.members(|scanner, key| match key {
        "name" | "parameters" if !seen.first(u8::from(key == "name")) => {
            Err(refused(format!("the key `{key}` stands twice in outputs[{index}]")))
        }
        "name" | "parameters" if scanner.null() => Ok(()),
        "name" => {
            found = Some(Name::from(&*string(scanner, &format!("the name of outputs[{index}]"))?));
            Ok(())
        }
        "parameters" => {
            let whose = format_args!("`parameters` of outputs[{index}]").to_string();
            let parameters = object(scanner, &whose, Bare::Allowed)?;
            binary = parameter::switch(parameters, parameter::BINARY_DATA, &whose)?;
            Ok(())
        }
        _ => Ok(scanner.skip(Bare::Allowed).map(drop)?),
    })?;
    let name = found.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| refused(format!("outputs[{index}] has no name")))?;
    Ok(AskedOutput { name, binary })
}
