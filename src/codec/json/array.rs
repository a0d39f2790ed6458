//! Arrays of elements, straight from the text into their column: flat, or nested as the shape says.
//!
//! Everything here answers `None` for an array that is not what was announced; what is wrong with it is found by
//! [`super::explain`], which only bad requests pay for. The caller takes back what was appended before the fault.

use super::{
    element::Element,
    scan::{Scanner, space},
    text,
};
use crate::{
    each_elements,
    tensor::{ByteStrings, Elements},
};

/// Numbers from which on it pays to look for the ends of many at once.
const MANY: usize = 16;
/// How often that is tried in one array: each odd number between the others takes one.
const TRIES: usize = 16;

/// Appends `data` of a tensor: `count` elements, the product of `shape`, flat or nested; of a scalar also the bare value.
pub(super) fn data(scanner: &mut Scanner<'_>, shape: &[usize], count: usize, elements: &mut Elements) -> Option<()> {
    scanner.peek();
    let (bytes, at) = (scanner.bytes(), scanner.at());
    let flat = [count];
    let end = if shape.is_empty() && bytes.get(at) != Some(&b'[') {
        value(bytes, at, elements)
    } else {
        arrays(bytes, at, if is_nested(bytes, at) { shape } else { &flat }, elements)
    };
    scanner.go(end?);
    Some(())
}

/// Appends an array nested exactly as `shape`, which has at least one axis; its end.
pub(super) fn arrays(bytes: &[u8], at: usize, shape: &[usize], elements: &mut Elements) -> Option<usize> {
    each_elements!(elements,
        vector => numbers(bytes, at, shape, vector, Element::many, Element::read),
        strings => nested(bytes, at, shape, &mut |at, count| texts(bytes, at, count, strings)))
}

/// Appends one value that is no array; its end.
pub(super) fn value(bytes: &[u8], at: usize, elements: &mut Elements) -> Option<usize> {
    each_elements!(elements,
        vector => {
            let (element, end) = Element::read(bytes, at)?;
            vector.push(element);
            Some(end)
        },
        strings => string(bytes, at, strings))
}

/// Whether the value at `at` is an array of arrays.
fn is_nested(bytes: &[u8], at: usize) -> bool {
    bytes.get(at) == Some(&b'[') && bytes.get(space(bytes, at + 1)) == Some(&b'[')
}

/// Appends the numbers of an array nested exactly as `shape`, read as [`Element::many`] and [`Element::read`] do; the end of
/// the array.
#[inline(always)]
pub(super) fn numbers<T: Copy + Default>(
    bytes: &[u8],
    at: usize,
    shape: &[usize],
    vector: &mut Vec<T>,
    many: impl Fn(&[u8], usize, &mut [T]) -> (usize, usize) + Copy,
    read: impl Fn(&[u8], usize) -> Option<(T, usize)> + Copy,
) -> Option<usize> {
    nested(bytes, at, shape, &mut |at, count| run(bytes, at, count, vector, many, read))
}

/// Walks the outer axes; `innermost` reads the arrays of the last one. As deep as the brackets that are there, which
/// callers bound.
pub(super) fn nested(
    bytes: &[u8],
    at: usize,
    shape: &[usize],
    innermost: &mut impl FnMut(usize, usize) -> Option<usize>,
) -> Option<usize> {
    let (&axis, inner) = shape.split_first()?;
    if inner.is_empty() {
        return innermost(at, axis);
    }
    let mut at = open(bytes, at)?;
    for index in 0..axis {
        if index > 0 {
            at = comma(bytes, at)?;
        }
        at = nested(bytes, space(bytes, at), inner, innermost)?;
    }
    close(bytes, at)
}

/// `[1, 2, 3]`: exactly `count` numbers.
#[inline(always)]
fn run<T: Copy + Default>(
    bytes: &[u8],
    at: usize,
    count: usize,
    vector: &mut Vec<T>,
    many: impl Fn(&[u8], usize, &mut [T]) -> (usize, usize),
    read: impl Fn(&[u8], usize) -> Option<(T, usize)>,
) -> Option<usize> {
    let mut at = open(bytes, at)?;
    // Memory is made only for what the text can hold.
    if count > bytes.len() - at {
        return None;
    }
    let start = vector.len();
    vector.resize(start + count, T::default());
    let (mut slots, mut is_first, mut tries) = (&mut vector[start..], true, TRIES);
    while slots.len() >= MANY && tries > 0 {
        // One by itself, then as many as are plain; no comma follows the last one.
        if !is_first {
            at = comma(bytes, at)?;
        }
        (slots[0], at) = read(bytes, space(bytes, at))?;
        let last = slots.len() - 1;
        let (done, end) = many(bytes, at, &mut slots[1..last]);
        (slots, at, is_first) = (&mut slots[1 + done..], end, false);
        tries -= 1;
    }
    for slot in slots {
        if !is_first {
            at = comma(bytes, at)?;
        }
        is_first = false;
        (*slot, at) = read(bytes, space(bytes, at))?;
    }
    close(bytes, at)
}

/// `["a", "b"]`: exactly `count` strings.
pub(super) fn texts(bytes: &[u8], at: usize, count: usize, strings: &mut ByteStrings) -> Option<usize> {
    let mut at = open(bytes, at)?;
    for index in 0..count {
        if index > 0 {
            at = comma(bytes, at)?;
        }
        at = string(bytes, space(bytes, at), strings)?;
    }
    close(bytes, at)
}

/// Appends the string at `at`.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize, strings: &mut ByteStrings) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end = text::stop(bytes, at + 1);
    if bytes.get(end) == Some(&b'"') {
        strings.push(&bytes[at + 1..end]);
        return Some(end + 1);
    }
    let mut end = 0;
    strings.push_with(|out| text::unescape(bytes, at + 1, out).map(|after| end = after)).ok()?;
    Some(end)
}

#[inline(always)]
fn open(bytes: &[u8], at: usize) -> Option<usize> {
    (bytes.get(at) == Some(&b'[')).then_some(at + 1)
}

#[inline(always)]
pub(super) fn comma(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    (bytes.get(at) == Some(&b',')).then_some(at + 1)
}

#[inline(always)]
fn close(bytes: &[u8], at: usize) -> Option<usize> {
    let at = space(bytes, at);
    (bytes.get(at) == Some(&b']')).then_some(at + 1)
}
