//! Conversions that the `cast` step is asked for: between any two datatypes, element by element where need be.
//!
//! Unlike [`crate::tensor::cast()`], which nobody asks for and which therefore changes no integer, these may round an integer
//! to the nearest float, read and write text, and take booleans for 0 and 1.

use std::str::FromStr;

use half::f16;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    each_elements,
    tensor::{self, ByteStrings, DataType, Element, Elements},
};

/// What becomes of fractions on their way to an integer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Fractions {
    /// They refuse their row.
    #[default]
    Exact,
    /// They are cut off, towards zero.
    Truncate,
    /// They are rounded to the nearest integer, a half to the even one.
    Round,
}

/// One element, whatever it is.
#[derive(Clone, Copy)]
enum Value<'a> {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(&'a [u8]),
}

/// All elements in datatype `to`. An element that has no counterpart there is given to `refuse` with its index and as
/// text, and a zero stands in its place.
pub(super) fn convert(
    elements: &Elements,
    to: DataType,
    fractions: Fractions,
    refuse: impl FnMut(usize, String),
) -> Elements {
    // The fast path: whole columns at once, and right whenever nothing is lost.
    if let Ok(cast) = tensor::cast(elements, to) {
        return cast;
    }
    match to {
        DataType::Bool => each::<bool>(elements, fractions, refuse),
        DataType::Uint8 => each::<u8>(elements, fractions, refuse),
        DataType::Uint16 => each::<u16>(elements, fractions, refuse),
        DataType::Uint32 => each::<u32>(elements, fractions, refuse),
        DataType::Uint64 => each::<u64>(elements, fractions, refuse),
        DataType::Int8 => each::<i8>(elements, fractions, refuse),
        DataType::Int16 => each::<i16>(elements, fractions, refuse),
        DataType::Int32 => each::<i32>(elements, fractions, refuse),
        DataType::Int64 => each::<i64>(elements, fractions, refuse),
        DataType::Fp16 => each::<f16>(elements, fractions, refuse),
        DataType::Fp32 => each::<f32>(elements, fractions, refuse),
        DataType::Fp64 => each::<f64>(elements, fractions, refuse),
        DataType::Bytes => Elements::Bytes(written(elements)),
    }
}

fn each<T: Target>(elements: &Elements, fractions: Fractions, mut refuse: impl FnMut(usize, String)) -> Elements {
    let converted = (0..elements.len()).map(|index| {
        let value = value(elements, index);
        T::from_value(value, fractions).unwrap_or_else(|| {
            refuse(index, shown(elements, index));
            T::default()
        })
    });
    T::wrap(converted.collect())
}

fn value(elements: &Elements, index: usize) -> Value<'_> {
    match elements {
        Elements::Bool(all) => Value::Bool(all[index]),
        Elements::Uint8(all) => Value::Integer(all[index].into()),
        Elements::Uint16(all) => Value::Integer(all[index].into()),
        Elements::Uint32(all) => Value::Integer(all[index].into()),
        Elements::Uint64(all) => Value::Integer(all[index].into()),
        Elements::Int8(all) => Value::Integer(all[index].into()),
        Elements::Int16(all) => Value::Integer(all[index].into()),
        Elements::Int32(all) => Value::Integer(all[index].into()),
        Elements::Int64(all) => Value::Integer(all[index].into()),
        Elements::Fp16(all) => Value::Float(all[index].into()),
        Elements::Fp32(all) => Value::Float(all[index].into()),
        Elements::Fp64(all) => Value::Float(all[index]),
        Elements::Bytes(all) => Value::Text(all.at(index)),
    }
}

/// The element for a sentence; long text is cut.
fn shown(elements: &Elements, index: usize) -> String {
    const SHOWN: usize = 40;
    each_elements!(elements, vector => format!("{:?}", vector[index]), texts => {
        let text = String::from_utf8_lossy(texts.at(index));
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        }
    })
}

/// An element that can be made of another one.
trait Target: Element {
    fn from_value(value: Value<'_>, fractions: Fractions) -> Option<Self>;
}

impl Target for bool {
    fn from_value(value: Value<'_>, _fractions: Fractions) -> Option<Self> {
        match value {
            Value::Bool(truth) => Some(truth),
            Value::Integer(0) => Some(false),
            Value::Integer(1) => Some(true),
            Value::Float(0.0) => Some(false),
            Value::Float(1.0) => Some(true),
            Value::Integer(_) | Value::Float(_) => None,
            Value::Text(text) => match trimmed(text)? {
                "0" => Some(false),
                "1" => Some(true),
                word if word.eq_ignore_ascii_case("false") => Some(false),
                word if word.eq_ignore_ascii_case("true") => Some(true),
                _ => None,
            },
        }
    }
}

macro_rules! integer_targets {
    ($($integer:ty),*) => {$(
        impl Target for $integer {
            fn from_value(value: Value<'_>, fractions: Fractions) -> Option<Self> {
                integer(value, fractions)?.try_into().ok()
            }
        }
    )*};
}
integer_targets!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! float_targets {
    ($($float:ty: $from_f64:expr;)*) => {$(
        impl Target for $float {
            fn from_value(value: Value<'_>, _fractions: Fractions) -> Option<Self> {
                let cast: fn(f64) -> Self = $from_f64;
                let (number, was_finite) = match value {
                    Value::Integer(number) => (cast(number as f64), true),
                    Value::Float(number) => (cast(number), number.is_finite()),
                    Value::Bool(truth) => (cast(truth.into()), true),
                    Value::Text(text) => {
                        let text = trimmed(text)?;
                        // `inf` and `nan` have no digits; `1e999` has.
                        (Self::from_str(text).ok()?, text.bytes().any(|byte| byte.is_ascii_digit()))
                    }
                };
                (number.is_finite() || !was_finite).then_some(number)
            }
        }
    )*};
}
float_targets! {
    f16: f16::from_f64;
    f32: |number| number as f32;
    f64: |number| number;
}

fn integer(value: Value<'_>, fractions: Fractions) -> Option<i128> {
    match value {
        Value::Integer(number) => Some(number),
        Value::Bool(truth) => Some(truth.into()),
        Value::Float(number) => {
            let whole = match fractions {
                Fractions::Exact if number.fract() != 0.0 => return None,
                Fractions::Exact | Fractions::Truncate => number.trunc(),
                Fractions::Round => number.round_ties_even(),
            };
            whole.is_finite().then_some(whole as i128)
        }
        Value::Text(text) => {
            let text = trimmed(text)?;
            match text.parse() {
                Ok(number) => Some(number),
                Err(_) => integer(Value::Float(text.parse().ok()?), fractions),
            }
        }
    }
}

fn trimmed(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok().map(str::trim)
}

/// Every element as text: integers in decimal, floats as the shortest text that reads back as the same number, NaN and
/// infinities by the names that answers have for them, booleans as `true` and `false`.
fn written(elements: &Elements) -> ByteStrings {
    let mut texts = ByteStrings::default();
    let (mut integers, mut floats) = (itoa::Buffer::new(), zmij::Buffer::new());
    for index in 0..elements.len() {
        texts.push(match value(elements, index) {
            Value::Integer(number) => integers.format(number).as_bytes(),
            Value::Float(number) if number.is_nan() => b"NaN",
            Value::Float(f64::INFINITY) => b"Infinity",
            Value::Float(f64::NEG_INFINITY) => b"-Infinity",
            // As FP64, the nearest number to 0.1 in FP32 would be written 0.10000000149011612.
            Value::Float(number) if elements.datatype() == DataType::Fp64 => floats.format_finite(number).as_bytes(),
            Value::Float(number) => floats.format_finite(number as f32).as_bytes(),
            Value::Bool(true) => b"true",
            Value::Bool(false) => b"false",
            Value::Text(text) => text,
        });
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(texts: &[&str]) -> Elements {
        Elements::Bytes(texts.iter().collect())
    }

    /// The converted elements, and what was refused.
    fn converted(elements: &Elements, to: DataType, fractions: Fractions) -> (Elements, Vec<(usize, String)>) {
        let mut refused = Vec::new();
        let elements = convert(elements, to, fractions, |index, value| refused.push((index, value)));
        (elements, refused)
    }

    fn exact(elements: &Elements, to: DataType) -> (Elements, Vec<(usize, String)>) {
        converted(elements, to, Fractions::Exact)
    }

    #[test]
    fn fractions_are_refused_cut_off_or_rounded_half_to_even() {
        let given = Elements::Fp32(vec![1.0, 2.5, -2.7, 3.5]);
        let (left, refused) = exact(&given, DataType::Int8);
        assert_eq!(left, Elements::Int8(vec![1, 0, 0, 0]));
        assert_eq!(refused, [(1, "2.5".into()), (2, "-2.7".into()), (3, "3.5".into())]);
        assert_eq!(converted(&given, DataType::Int8, Fractions::Truncate).0, Elements::Int8(vec![1, 2, -2, 3]));
        assert_eq!(converted(&given, DataType::Int8, Fractions::Round).0, Elements::Int8(vec![1, 2, -3, 4]));
    }

    #[test]
    fn what_is_out_of_range_is_refused_whatever_becomes_of_fractions() {
        let given = Elements::Fp64(vec![300.0, f64::NAN, f64::INFINITY, -0.4, 1e300]);
        let (left, refused) = converted(&given, DataType::Uint8, Fractions::Round);
        assert_eq!(left, Elements::Uint8(vec![0; 5]));
        assert_eq!(refused.iter().map(|refusal| refusal.0).collect::<Vec<_>>(), [0, 1, 2, 4]);
        assert_eq!(exact(&Elements::Fp64(vec![1e300]), DataType::Fp32).1, [(0, "1e300".to_owned())]);
        assert_eq!(exact(&Elements::Int64(vec![70_000]), DataType::Fp16).1, [(0, "70000".to_owned())]);
    }

    #[test]
    fn an_integer_may_be_rounded_to_a_float_where_the_pipeline_asks_for_it() {
        let (left, refused) = exact(&Elements::Int64(vec![16_777_217, i64::MAX]), DataType::Fp32);
        assert_eq!(left, Elements::Fp32(vec![16_777_216.0, 2_f32.powi(63)]));
        assert_eq!(refused, []);
    }

    #[test]
    fn text_is_read_as_a_number() {
        let (left, refused) = exact(&text(&[" 42 ", "-7", "4.0", "4.5", "", "abc", "1e2"]), DataType::Int32);
        assert_eq!(left, Elements::Int32(vec![42, -7, 4, 0, 0, 0, 100]));
        assert_eq!(refused, [(3, "\"4.5\"".into()), (4, "\"\"".into()), (5, "\"abc\"".into())]);
        let (left, refused) = exact(&text(&["0.1", "1e999", "-Infinity", "+3"]), DataType::Fp32);
        assert_eq!(left, Elements::Fp32(vec![0.1, 0.0, f32::NEG_INFINITY, 3.0]));
        assert_eq!(refused, [(1, "\"1e999\"".to_owned())]);
    }

    #[test]
    fn sixty_four_bits_survive_text() {
        let given = Elements::Uint64(vec![u64::MAX, 0]);
        let (written, _) = exact(&given, DataType::Bytes);
        assert_eq!(written, text(&["18446744073709551615", "0"]));
        assert_eq!(exact(&written, DataType::Uint64), (given, vec![]));
    }

    #[test]
    fn numbers_and_booleans_are_written_as_people_write_them() {
        assert_eq!(exact(&Elements::Fp32(vec![0.1, 1.0, f32::NAN]), DataType::Bytes).0, text(&["0.1", "1.0", "NaN"]));
        let infinite = Elements::Fp64(vec![f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(exact(&infinite, DataType::Bytes).0, text(&["Infinity", "-Infinity"]));
        assert_eq!(exact(&Elements::Bool(vec![true, false]), DataType::Bytes).0, text(&["true", "false"]));
    }

    #[test]
    fn booleans_are_zero_and_one_and_nothing_else() {
        assert_eq!(exact(&Elements::Bool(vec![true, false]), DataType::Fp32).0, Elements::Fp32(vec![1.0, 0.0]));
        let (left, refused) = exact(&Elements::Int8(vec![1, 0, 2]), DataType::Bool);
        assert_eq!(left, Elements::Bool(vec![true, false, false]));
        assert_eq!(refused, [(2, "2".to_owned())]);
        let (left, refused) = exact(&text(&["TRUE", "0", "yes"]), DataType::Bool);
        assert_eq!(left, Elements::Bool(vec![true, false, false]));
        assert_eq!(refused, [(2, "\"yes\"".to_owned())]);
    }

    #[test]
    fn a_long_text_is_cut_in_the_sentence() {
        let refused = exact(&text(&[&"é".repeat(1000)]), DataType::Fp32).1;
        assert_eq!(refused[0].1, format!("\"{}\"…", "é".repeat(40)));
    }

    proptest! {
        #[test]
        fn floats_read_back_as_what_was_written(number: f64, small: f32) {
            let (written, _) = exact(&Elements::Fp64(vec![number]), DataType::Bytes);
            prop_assert_eq!(exact(&written, DataType::Fp64).0, Elements::Fp64(vec![number]));
            let (written, _) = exact(&Elements::Fp32(vec![small]), DataType::Bytes);
            prop_assert_eq!(exact(&written, DataType::Fp32).0, Elements::Fp32(vec![small]));
        }

        #[test]
        fn what_the_lossless_cast_takes_is_the_same_element_by_element(number in any::<i32>()) {
            let given = Elements::Int32(vec![number]);
            for to in DataType::ALL.into_iter().filter(|to| to.is_number()) {
                if let Ok(cast) = tensor::cast(&given, to) {
                    // A second element that fits nothing sends both the slow way.
                    let both = Elements::Bytes([number.to_string(), "x".into()].iter().collect());
                    let (mut slow, refused) = exact(&both, to);
                    slow.truncate(1);
                    prop_assert_eq!(slow, cast);
                    prop_assert_eq!(refused.len(), 1);
                }
            }
        }
    }
}
