//! Elements of an answer: numbers in their shortest form, booleans, strings.

use std::ops::Range;

use half::f16;

use super::text;
use crate::{each_elements, tensor::Elements};

/// An element that JSON can say.
pub(super) trait Print: Copy {
    /// Appends the element.
    fn print(self, out: &mut Vec<u8>);
}

impl Print for bool {
    #[inline(always)]
    fn print(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

macro_rules! integers {
    ($($integer:ident),*) => {$(
        impl Print for $integer {
            #[inline(always)]
            fn print(self, out: &mut Vec<u8>) {
                integer(out, self);
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($float:ident),*) => {$(
        impl Print for $float {
            #[inline(always)]
            fn print(self, out: &mut Vec<u8>) {
                if self.is_finite() {
                    out.extend_from_slice(zmij::Buffer::new().format_finite(self).as_bytes());
                } else {
                    special(out, self.is_nan(), self.is_sign_negative());
                }
            }
        }
    )*};
}
floats!(f32, f64);

impl Print for f16 {
    fn print(self, out: &mut Vec<u8>) {
        self.to_f32().print(out);
    }
}

#[cold]
fn special(out: &mut Vec<u8>, is_nan: bool, is_negative: bool) {
    out.extend_from_slice(match (is_nan, is_negative) {
        (true, _) => b"\"NaN\"",
        (_, true) => b"\"-Infinity\"",
        _ => b"\"Infinity\"",
    });
}

/// Appends an integer.
#[inline(always)]
pub(super) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends elements with commas between them.
pub(super) fn list(out: &mut Vec<u8>, elements: &Elements, range: Range<usize>) {
    each_elements!(elements,
    vector => numbers(out, &vector[range]),
    strings => {
        for (index, at) in range.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            text::bytes(out, strings.at(at));
        }
    });
}

fn numbers<T: Print>(out: &mut Vec<u8>, values: &[T]) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value.print(out);
    }
}

/// Appends the element at `at`.
pub(super) fn one(out: &mut Vec<u8>, elements: &Elements, at: usize) {
    each_elements!(elements, vector => vector[at].print(out), strings => text::bytes(out, strings.at(at)));
}
