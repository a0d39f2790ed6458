//! Protobuf messages whose schema is in a registry: behind its id, which of its message types comes, and the message
//! ([`crate::codec::framed`]).
//!
//! A schema is compiled once ([`compile`]), and each of its message types when its first message comes ([`program`]). A message is
//! walked where it lies ([`read`]), and what it holds goes straight into the columns of its group: no message is built in between.
//!
//! The type is a path of indexes: of a message of the file, of one inside that, and so on. They count as protoc does, for which the
//! entries of a map are a message type, too.
//!
//! Source: <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>.

use std::{fmt::Write, sync::OnceLock};

use prost_reflect::MessageDescriptor;

use super::wire::{Broken, Walk};
use crate::codec::{
    framed::{HEAD, Referred},
    json::Clip,
};
use program::Program;
use read::Reading;

mod compile;
mod program;
mod read;
mod scalar;
#[cfg(test)]
mod tests;

/// How many message types an error names.
const NAMED: usize = 20;

/// A schema as bodies are read by it.
#[derive(Debug)]
pub struct Compiled {
    types: Vec<Type>,
    /// The indexes of those that are in no other.
    top: Vec<usize>,
}

#[derive(Debug)]
struct Type {
    message: MessageDescriptor,
    /// The indexes of those that are in it.
    inner: Vec<usize>,
    program: OnceLock<Result<Program, String>>,
}

impl Compiled {
    /// The schema in `text`; `references` are the files that it may import, by name.
    ///
    /// # Errors
    /// A sentence on why it cannot be used.
    pub fn of(text: &str, references: &[Referred]) -> Result<Self, String> {
        let file = compile::file(text, references)?;
        let mut types = Vec::new();
        let top = file.messages().map(|message| add(&mut types, message)).collect();
        Ok(Self { types, top })
    }

    /// Reads a body, whose schema's id nobody looks at.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn read<'a>(&'a self, body: &'a [u8]) -> Result<Reading<'a>, String> {
        let mut walk = Walk::within(body, HEAD.min(body.len())..body.len());
        let Type { message, program, .. } = self.chosen(&mut walk)?;
        let program = program.get_or_init(|| Program::of(message)).as_ref();
        let program =
            program.map_err(|why| format!("its message type `{}` cannot be used: {why}", Clip(message.full_name())))?;
        Reading::of(program, body, walk).map_err(sentence)
    }

    /// The message type that a body begins with.
    fn chosen(&self, walk: &mut Walk<'_>) -> Result<&Type, String> {
        let at = walk.at();
        let count = index(walk)?;
        if count == 0 {
            // The short form of the most common one.
            return self.top.first().map(|first| &self.types[*first]).ok_or_else(|| self.none_such(at, &[0]));
        }
        let (mut among, mut chosen, mut path) = (&self.top, None, Vec::new());
        for _ in 0..count {
            let index = index(walk)?;
            path.push(index);
            let found = usize::try_from(index).ok().and_then(|index| among.get(index));
            let Some(found) = found.map(|found| &self.types[*found]) else { return Err(self.none_such(at, &path)) };
            (among, chosen) = (&found.inner, Some(found));
        }
        chosen.ok_or_else(|| self.none_such(at, &[count]))
    }

    /// That there is no message type with these indexes, and which there are.
    fn none_such(&self, at: usize, path: &[i64]) -> String {
        let mut why = format!("at byte {at} it says that it is message type {}", Path(path));
        if self.top.is_empty() {
            why.push_str(", but the schema has no message types");
            return why;
        }
        why.push_str(", but there are ");
        let mut left: Vec<(usize, Vec<i64>)> = self
            .top
            .iter()
            .enumerate()
            .take(NAMED + 1)
            .rev()
            .map(|(index, found)| (*found, vec![index as i64]))
            .collect();
        let mut named = 0;
        while let Some((found, path)) = left.pop() {
            let Type { message, inner, .. } = &self.types[found];
            let inner = inner.iter().enumerate().take(NAMED + 1).rev();
            left.extend(inner.map(|(index, found)| (*found, [&path[..], &[index as i64]].concat())));
            if message.is_map_entry() {
                continue;
            }
            let comma = if named > 0 { ", " } else { "" };
            if named == NAMED {
                why.push_str(", and more");
                break;
            }
            write!(why, "{comma}`{}` ({})", Clip(message.full_name()), Path(&path)).expect("a text takes all");
            named += 1;
        }
        why
    }
}

/// Adds a message type and those that are in it.
fn add(types: &mut Vec<Type>, message: MessageDescriptor) -> usize {
    let at = types.len();
    types.push(Type { message: message.clone(), inner: Vec::new(), program: OnceLock::new() });
    let inner = message.child_messages().map(|inner| add(types, inner)).collect();
    types[at].inner = inner;
    at
}

/// A number of the path.
fn index(walk: &mut Walk<'_>) -> Result<i64, String> {
    let bits = walk.varint().map_err(sentence)?;
    Ok((bits >> 1) as i64 ^ -((bits & 1) as i64))
}

/// Indexes as they are written in a sentence.
struct Path<'a>(&'a [i64]);

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, index) in self.0.iter().enumerate() {
            let dot = if place > 0 { "." } else { "" };
            write!(f, "{dot}{index}")?;
        }
        Ok(())
    }
}

fn sentence(Broken { at, why }: Broken) -> String {
    format!("at byte {at} {why}")
}
