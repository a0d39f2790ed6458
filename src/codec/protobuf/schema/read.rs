//! One message as the values of its columns, by the program of its type.
//!
//! Fields come in any order and any number of times: of values the last counts, items of lists are one list, messages are merged,
//! and of a `oneof` there is only the member that came last. So what was read in a message that is there no more must be
//! forgotten: each message that begins has a number of its own, its birth, and what is read in it is kept under that number.
//!
//! Guarantee: the work is bounded by the length of the body and the size of the program, whatever comes in whichever order.

use super::{
    super::wire::{Broken, Field as WireField, Walk},
    program::{Member, Presence, Program, Slot, Source, What},
    scalar::Scalar,
};
use crate::{
    codec::{
        framed::{self, Field, Items},
        json::Clip,
    },
    tensor::{DataType, Elements},
};

/// In how many places of a body the items of its lists may stand; who writes them one after another needs one a list.
const MOST_RUNS: usize = 1 << 16;

/// The value of a column.
pub type Value<'a> = framed::Value<'a, List<'a>>;

/// A message that was read.
#[derive(Debug)]
pub struct Reading<'a> {
    program: &'a Program,
    body: &'a [u8],
    /// By node.
    messages: Vec<Message>,
    /// By slot.
    held: Vec<Held<'a>>,
    /// The member that each `oneof` has, under the birth of its message.
    cases: Vec<(usize, usize)>,
    /// Where the items of lists stand.
    runs: Vec<Run>,
    births: usize,
}

/// Where a nested message stands.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    /// 0: it is not there.
    birth: usize,
    /// That of the message that it is in, when it began.
    within: usize,
}

/// What a slot holds, under the birth of its message.
#[derive(Clone, Copy, Debug)]
struct Held<'a> {
    birth: usize,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Value(framed::Value<'a, ()>),
    /// The first and the last of their runs, and how many they are.
    Items {
        first: usize,
        last: usize,
        count: usize,
    },
}

/// Fields of one list that stand one behind the other.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
    /// The next one of the list.
    next: Option<usize>,
}

impl<'a> Reading<'a> {
    /// Reads what is left of a body.
    ///
    /// # Errors
    /// Where it is no message of the type.
    pub fn of(program: &'a Program, body: &'a [u8], walk: Walk<'a>) -> Result<Self, Broken> {
        let mut reading = Self {
            program,
            body,
            messages: vec![Message::default(); program.nodes.len()],
            held: vec![Held { birth: 0, content: Content::Value(framed::Value::Missing) }; program.slots.len()],
            cases: vec![(0, 0); program.oneofs],
            runs: Vec::new(),
            births: 1,
        };
        reading.messages[0] = Message { birth: 1, within: 1 };
        reading.message(0, walk)?;
        Ok(reading)
    }

    /// The columns that it may have.
    pub fn fields(&self) -> &'a [Field] {
        &self.program.fields
    }

    fn message(&mut self, node: usize, mut walk: Walk<'a>) -> Result<(), Broken> {
        let program = self.program;
        let members = &program.nodes[node].members;
        let birth = self.messages[node].birth;
        let mut last = 0;
        while let Some(field) = walk.field()? {
            let Some(at) = find(members, field.number, last) else { continue };
            last = at;
            if let Some(oneof) = members[at].oneof {
                self.choose(members, at, oneof, birth);
            }
            match members[at].what {
                What::Nothing => {}
                What::Value(slot) => {
                    let value = program.slots[slot].scalar.one(&program.enums, &field)?;
                    self.held[slot] = Held { birth, content: Content::Value(value) };
                }
                What::List(slot) => self.items(slot, birth, &field, walk.at())?,
                What::Message(inner) => {
                    let part = field.part()?;
                    let Message { birth: known, within } = self.messages[inner];
                    if known == 0 || within != birth {
                        self.births += 1;
                        self.messages[inner] = Message { birth: self.births, within: birth };
                    }
                    // No deeper than the program.
                    self.message(inner, part)?;
                }
            }
        }
        Ok(())
    }

    /// The member at `at` has come: another one of its `oneof` is there no more.
    fn choose(&mut self, members: &[Member], at: usize, oneof: usize, birth: usize) {
        let (its, before) = std::mem::replace(&mut self.cases[oneof], (birth, at));
        if its != birth || before == at {
            return;
        }
        match members[before].what {
            What::Nothing => {}
            What::Value(slot) | What::List(slot) => self.held[slot].birth = 0,
            What::Message(node) => self.messages[node].birth = 0,
        }
    }

    /// Adds the items of a field, which ends at `end`, to its list.
    fn items(&mut self, slot: usize, birth: usize, field: &WireField<'a>, end: usize) -> Result<(), Broken> {
        let added = self.program.slots[slot].scalar.count(&self.program.enums, field)?;
        let run = self.runs.len();
        let (first, last, count) = match self.held[slot] {
            Held { birth: its, content: Content::Items { first, last, count } } if its == birth => {
                if self.runs[last].end == field.at {
                    self.runs[last].end = end;
                    self.held[slot].content = Content::Items { first, last, count: count + added };
                    return Ok(());
                }
                self.runs[last].next = Some(run);
                (first, run, count + added)
            }
            _ => (run, run, added),
        };
        if run == MOST_RUNS {
            return Err(Broken {
                at: field.at,
                why: "is an item of a list whose others stand in too many other places",
            });
        }
        self.runs.push(Run { start: field.at, end, next: None });
        self.held[slot] = Held { birth, content: Content::Items { first, last, count } };
        Ok(())
    }

    /// The values, one a column.
    ///
    /// # Errors
    /// A sentence on a required field that is not there, or a time that no column holds.
    pub fn values(&'a self) -> Result<Vec<Value<'a>>, String> {
        let there = self.there();
        let mut values = Vec::with_capacity(self.program.fields.len());
        for (field, source) in self.program.fields.iter().zip(&self.program.sources) {
            let (Source::Slot(slot) | Source::Time(slot)) = *source;
            let node = self.program.slots[slot].node;
            values.push(if !there[node] {
                self.check_absence(node, &there, &field.name)?;
                Value::Missing
            } else if let Source::Time(slot) = *source {
                Value::Long(self.time(slot).ok_or_else(|| {
                    format!("the time `{}` is further away than 64 bits of microseconds reach", Clip(&field.name))
                })?)
            } else {
                self.value(slot).ok_or_else(|| missing(&field.name))?
            });
        }
        Ok(values)
    }

    /// Which messages are there in the end.
    fn there(&self) -> Vec<bool> {
        let mut there = vec![true; self.program.nodes.len()];
        for (index, node) in self.program.nodes.iter().enumerate().skip(1) {
            let Message { birth, within } = self.messages[index];
            there[index] = birth != 0 && there[node.parent] && within == self.messages[node.parent].birth;
        }
        there
    }

    /// A message that is not there must not be required by one that is.
    fn check_absence(&self, mut node: usize, there: &[bool], name: &str) -> Result<(), String> {
        while !there[node] {
            let parent = self.program.nodes[node].parent;
            if there[parent] && self.program.nodes[node].is_required {
                return Err(missing(name));
            }
            node = parent;
        }
        Ok(())
    }

    /// What a slot of a message that is there holds; `None` if it must hold something and does not.
    fn value(&'a self, slot: usize) -> Option<Value<'a>> {
        let Slot { node, scalar, presence } = self.program.slots[slot];
        let Held { birth, content } = self.held[slot];
        if birth == self.messages[node].birth {
            return Some(match content {
                Content::Value(value) => alone(value),
                Content::Items { first, count, .. } => {
                    Value::List(List { reading: self, first: Some(first), count, scalar })
                }
            });
        }
        match presence {
            Presence::Implicit => Some(scalar.zero(&self.program.enums)),
            Presence::Explicit => Some(Value::Missing),
            Presence::Required => None,
            Presence::List => Some(Value::List(List { reading: self, first: None, count: 0, scalar })),
        }
    }

    /// Microseconds, as protobuf's own libraries count them; seconds and nanoseconds stand in two slots.
    fn time(&'a self, slot: usize) -> Option<i64> {
        let (Some(Value::Long(seconds)), Some(Value::Int(nanos))) = (self.value(slot), self.value(slot + 1)) else {
            unreachable!("the program says so")
        };
        seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1000))
    }
}

fn missing(name: &str) -> String {
    format!("the required field `{}` is not there", Clip(name))
}

/// The place of a field's number; `last` is that of the one before, which it mostly follows or is.
fn find(members: &[Member], number: u32, last: usize) -> Option<usize> {
    let is = |at: usize| members.get(at).is_some_and(|member| member.number == number);
    if is(last) {
        return Some(last);
    }
    if is(last + 1) {
        return Some(last + 1);
    }
    members.binary_search_by_key(&number, |member| member.number).ok()
}

/// A value that is no list.
fn alone<'a>(value: framed::Value<'a, ()>) -> Value<'a> {
    match value {
        framed::Value::Missing | framed::Value::List(()) => Value::Missing,
        framed::Value::Boolean(value) => Value::Boolean(value),
        framed::Value::Int(value) => Value::Int(value),
        framed::Value::Uint(value) => Value::Uint(value),
        framed::Value::Long(value) => Value::Long(value),
        framed::Value::Ulong(value) => Value::Ulong(value),
        framed::Value::Float(value) => Value::Float(value),
        framed::Value::Double(value) => Value::Double(value),
        framed::Value::Bytes(value) => Value::Bytes(value),
    }
}

/// Items of a message that was read.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    reading: &'a Reading<'a>,
    first: Option<usize>,
    count: usize,
    scalar: Scalar,
}

impl Items for List<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn datatype(&self) -> DataType {
        self.scalar.datatype()
    }

    fn append(&self, elements: &mut Elements) {
        let Reading { program, body, runs, .. } = self.reading;
        let mut next = self.first;
        while let Some(run) = next {
            let Run { start, end, next: following } = runs[run];
            let mut walk = Walk::within(body, start..end);
            while let Some(field) = walk.field().expect("it was read before") {
                self.scalar.append::<Self>(&program.enums, &field, elements);
            }
            next = following;
        }
    }
}
