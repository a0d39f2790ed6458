//! Row form on the fast path: the same features in the same order as in the group, read row by row.
//!
//! Numbers must be such that the complete path, too, would find FP64: see the table in `rows/survey.rs`.

use super::{
    super::{
        array,
        element::Element,
        scan::{Scanner, space},
    },
    taken,
};
use crate::{codec::Drafted, tensor::Elements};

/// Appends the instances to the columns of a group; how many they are.
pub(super) fn instances(scanner: &mut Scanner<'_>, columns: &mut [Drafted], unnamed: &str) -> Option<usize> {
    taken(scanner.take(b'['))?;
    let named = scanner.peek()? == b'{';
    taken(named != (columns.len() == 1 && columns[0].name() == unnamed))?;
    let mut count = 0;
    loop {
        taken((scanner.peek()? == b'{') == named)?;
        if named {
            object(scanner, columns)?
        } else {
            value(scanner, &mut columns[0])?
        }
        count += 1;
        if !scanner.take(b',') {
            break;
        }
    }
    taken(scanner.take(b']'))?;
    Some(count)
}

fn object(scanner: &mut Scanner<'_>, columns: &mut [Drafted]) -> Option<()> {
    taken(scanner.take(b'{'))?;
    for (index, column) in columns.iter_mut().enumerate() {
        taken(index == 0 || scanner.take(b','))?;
        taken(scanner.plain()? == column.name() && scanner.take(b':'))?;
        value(scanner, column)?;
    }
    taken(scanner.take(b'}'))
}

/// One feature of one instance.
fn value(scanner: &mut Scanner<'_>, column: &mut Drafted) -> Option<()> {
    scanner.peek();
    let (bytes, at) = (scanner.bytes(), scanner.at());
    let (shape, elements) = column.growing();
    // Empty arrays say nothing of their datatype.
    taken(!shape.contains(&0))?;
    let end = match elements {
        Elements::Fp64(vector) => numbers(bytes, at, shape, vector, small_number),
        Elements::Bool(vector) => numbers(bytes, at, shape, vector, bool::read),
        Elements::Bytes(strings) if bytes.get(at) == Some(&b'[') => {
            array::nested(bytes, at, shape, &mut |at, count| array::texts(bytes, at, count, strings))
        }
        Elements::Bytes(strings) if shape == [1] => array::string(bytes, at, strings),
        _ => None,
    };
    scanner.go(end?);
    Some(())
}

#[inline(always)]
fn numbers<T: Copy + Default>(
    bytes: &[u8],
    at: usize,
    shape: &[usize],
    vector: &mut Vec<T>,
    read: impl Fn(&[u8], usize) -> Option<(T, usize)> + Copy,
) -> Option<usize> {
    if bytes.get(at) == Some(&b'[') {
        return array::numbers(bytes, at, shape, vector, |_, at, _| (0, at), read);
    }
    taken(shape == [1])?;
    let (value, end) = read(bytes, space(bytes, at))?;
    vector.push(value);
    Some(end)
}

/// A number that is FP64 whatever else comes: no large integer. A string might be a text.
#[inline(always)]
fn small_number(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    if bytes.get(at) == Some(&b'"') {
        return None;
    }
    let (value, end) = f64::read(bytes, at)?;
    let is_large = value.abs() > 16_777_216.0;
    (!is_large).then_some((value, end))
}
