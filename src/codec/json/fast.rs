//! The fast path: one pass over what nearly all requests look like, straight into the columns of the last group.
//!
//! Neighbours in a topic mostly have one signature. So the group that the last request went to is taken for this one's
//! too: each input is compared with the group's next column as its name, shape and datatype come by, and its data are
//! appended there. `None` means nothing but "read it the other way": the rows are gone again, and the complete path says
//! what is wrong, if anything is.

use super::{
    array,
    body::{self, Key, Seen},
    parameter,
    scan::{Bare, Scanner},
};
use crate::{
    codec::{
        Announced, Draft, Groups, Routing, Rows,
        binary::{self, Behind},
    },
    request::{Form, Options, UNNAMED},
    tensor::DataType,
};
use instances::instances;

mod instances;

/// What stands beside the data.
#[derive(Default)]
struct Head<'a> {
    id: Option<&'a str>,
    model: Option<&'a str>,
    version: Option<&'a str>,
    options: Option<Options>,
    seen: Seen,
    /// Whether the body's choice of model was asked for; it must not change any more.
    is_routed: bool,
    /// Whether the parameters were a part of it.
    chose_by_parameters: bool,
}

/// Decodes a body that looks like the one before it.
pub(super) fn decode(text: &str, mut behind: Behind<'_>, draft: &mut Draft<'_>, groups: &mut Groups) -> Option<()> {
    let mut scanner = Scanner::new(text);
    let (mut head, mut groups, mut data) = (Head::default(), Some(groups), None);
    taken(scanner.take(b'{'))?;
    loop {
        let key = key(&mut scanner);
        if key.is_none() {
            scanner.plain()?;
        }
        taken(scanner.take(b':'))?;
        match key {
            None => drop(scanner.skip(Bare::Allowed).ok()?),
            Some(key) if !head.seen.first(key as u8) => return None,
            Some(_) if scanner.null() => {}
            Some(Key::Inputs) => {
                let mut rows = head.rows(draft, groups.take()?)?;
                inputs(&mut scanner, &mut behind, &mut rows)?;
                data = Some((rows, Form::Tensors));
            }
            Some(Key::Instances) => {
                let mut rows = head.rows(draft, groups.take()?)?;
                rows.fill_together(|columns| instances(&mut scanner, columns, UNNAMED))?;
                data = Some((rows, Form::Rows));
            }
            Some(key) => head.part(key, &mut scanner)?,
        }
        if !scanner.take(b',') {
            break;
        }
    }
    taken(scanner.take(b'}'))?;
    scanner.end().ok()?;
    taken(behind.left() == 0)?;
    let (rows, form) = data?;
    let id = draft.id(head.id);
    rows.commit(draft.request(id, form, head.options));
    Some(())
}

/// The key that comes next, if it means something; the likely ones first.
#[inline(always)]
fn key(scanner: &mut Scanner<'_>) -> Option<Key> {
    const LIKELY: [Key; 7] =
        [Key::Id, Key::Inputs, Key::Instances, Key::Model, Key::Version, Key::Parameters, Key::Outputs];
    LIKELY.into_iter().find(|key| scanner.take_name(key.name()))
}

/// `?` for what must have been there.
#[inline(always)]
fn taken(found: bool) -> Option<()> {
    found.then_some(())
}

impl<'a> Head<'a> {
    /// Rows in the last group, if the request goes the same way as that.
    fn rows<'g>(&mut self, draft: &Draft<'_>, groups: &'g mut Groups) -> Option<Rows<'g>> {
        match &draft.intake.routing {
            Routing::Fixed(route) => groups.guess(route),
            Routing::Chosen(choice) => {
                self.is_routed = true;
                self.chose_by_parameters = choice.reads_parameters();
                let parameters = self.options.as_ref().and_then(|options| options.parameters.as_deref());
                groups.guess(&draft.route(self.model, self.version, parameters).ok()?)
            }
        }
    }

    fn part(&mut self, key: Key, scanner: &mut Scanner<'a>) -> Option<()> {
        match key {
            Key::Id => self.id = Some(plain_or_number(scanner)?),
            Key::Model | Key::Version if self.is_routed => return None,
            Key::Parameters if self.chose_by_parameters => return None,
            Key::Model => self.model = Some(scanner.plain()?),
            Key::Version => self.version = Some(plain_or_number(scanner)?),
            Key::Parameters => {
                let parameters = body::parameters(scanner).ok()?;
                let options = self.options.get_or_insert_default();
                (options.parameters, options.binary) = parameters;
            }
            Key::Outputs => {
                if let Some(outputs) = body::outputs(scanner).ok()? {
                    self.options.get_or_insert_default().outputs = Some(outputs);
                }
            }
            Key::Inputs | Key::Instances => unreachable!("data are no part of the head"),
        }
        Some(())
    }
}

fn plain_or_number<'a>(scanner: &mut Scanner<'a>) -> Option<&'a str> {
    if scanner.peek()? == b'"' { scanner.plain() } else { scanner.number().ok() }
}

fn inputs(scanner: &mut Scanner<'_>, behind: &mut Behind<'_>, rows: &mut Rows<'_>) -> Option<()> {
    taken(scanner.take(b'['))?;
    loop {
        input(scanner, behind, rows)?;
        if !scanner.take(b',') {
            break;
        }
    }
    taken(scanner.take(b']') && rows.is_complete())
}

fn input(scanner: &mut Scanner<'_>, behind: &mut Behind<'_>, rows: &mut Rows<'_>) -> Option<()> {
    let (mut name, mut datatype, mut shape, mut size) = (None, None, None, None);
    let (mut has_data, mut has_parameters) = (false, false);
    taken(scanner.take(b'{'))?;
    loop {
        if scanner.take_name("name") {
            taken(name.is_none() && scanner.take(b':'))?;
            // No input is called nothing; the unnamed column of rows is.
            name = Some(scanner.plain().filter(|name| !name.is_empty())?);
        } else if scanner.take_name("shape") {
            taken(shape.is_none() && scanner.take(b':'))?;
            shape = Some(Axes::read(scanner)?);
        } else if scanner.take_name("datatype") {
            taken(datatype.is_none() && scanner.take(b':'))?;
            datatype = Some(self::datatype(scanner)?);
        } else if scanner.take_name("data") {
            taken(!has_data && scanner.take(b':'))?;
            has_data = true;
            let shape = shape.as_ref()?.as_slice();
            data(scanner, rows, &Announced { name: name?, datatype: datatype?, shape, exact: false })?;
        } else if scanner.take_name("parameters") {
            taken(!has_parameters && scanner.take(b':'))?;
            has_parameters = true;
            if !scanner.null() {
                size = binary_data_size(scanner)?;
            }
        } else {
            return None;
        }
        if !scanner.take(b',') {
            break;
        }
    }
    taken(scanner.take(b'}') && has_data == size.is_none())?;
    match size {
        None => Some(()),
        Some(size) => {
            let shape = shape.as_ref()?.as_slice();
            let input = Announced { name: name?, datatype: datatype?, shape, exact: true };
            taken(rows.expect(&input))?;
            let bytes = behind.take(size)?;
            rows.fill(shape, |elements, count| binary::append(elements, count, bytes)).ok()
        }
    }
}

/// What the parameters of an input say of bytes behind the JSON.
fn binary_data_size(scanner: &mut Scanner<'_>) -> Option<Option<usize>> {
    let start = scanner.at();
    if scanner.take(b'{') && scanner.take_name(parameter::BINARY_DATA_SIZE) && scanner.take(b':') {
        let size = Axes::length(scanner)?;
        if scanner.take(b'}') {
            return Some(Some(size));
        }
    }
    scanner.go(start);
    let parameters = body::object(scanner, "", Bare::Allowed).ok()?;
    taken(!parameter::may_hold(parameters, parameter::BINARY_DATA_SIZE))?;
    Some(None)
}

fn data(scanner: &mut Scanner<'_>, rows: &mut Rows<'_>, input: &Announced<'_>) -> Option<()> {
    taken(rows.expect(input))?;
    rows.fill(input.shape, |elements, count| array::data(scanner, input.shape, count, elements).ok_or(())).ok()
}

/// A datatype's name; the likely ones first.
#[inline(always)]
fn datatype(scanner: &mut Scanner<'_>) -> Option<DataType> {
    const LIKELY: [DataType; 4] = [DataType::Fp32, DataType::Fp64, DataType::Int64, DataType::Bytes];
    let found = LIKELY.into_iter().find(|datatype| scanner.take_name(datatype.as_str()));
    if found.is_some() { found } else { scanner.plain()?.parse().ok() }
}

/// A shape of few axes, on the stack.
struct Axes {
    lengths: [usize; Self::MOST],
    count: usize,
}

impl Axes {
    /// Models have up to five; others go the other way.
    const MOST: usize = 8;
    /// No axis is a billion long; a longer number is left to the other path.
    const DIGITS: usize = 9;

    fn read(scanner: &mut Scanner<'_>) -> Option<Self> {
        let mut axes = Self { lengths: [0; Self::MOST], count: 0 };
        taken(scanner.take(b'['))?;
        loop {
            *axes.lengths.get_mut(axes.count)? = Self::length(scanner)?;
            axes.count += 1;
            if !scanner.take(b',') {
                break;
            }
        }
        taken(scanner.take(b']'))?;
        Some(axes)
    }

    /// A number of few digits, without a sign or leading zeros.
    #[inline(always)]
    fn length(scanner: &mut Scanner<'_>) -> Option<usize> {
        let first = scanner.peek()?;
        let (mut length, mut count) = (0_usize, 0);
        while count < Self::DIGITS
            && let Some(digit @ b'0'..=b'9') = scanner.bytes().get(scanner.at() + count)
        {
            length = length * 10 + usize::from(digit - b'0');
            count += 1;
        }
        scanner.go(scanner.at() + count);
        (count == 1 || (count > 1 && first != b'0')).then_some(length)
    }

    fn as_slice(&self) -> &[usize] {
        &self.lengths[..self.count]
    }
}
