//! The oracle's numbers and strings, from texts and from bytes.
//!
//! Names nothing that is private to the crate: the fuzzer (`fuzz/`) compiles this file, too.

use half::f16;

use crate::tensor::{DataType, Elements};

/// All elements that some bytes hold.
pub fn from_bytes(datatype: DataType, bytes: &[u8]) -> Option<Elements> {
    macro_rules! numbers {
        ($($kind:ident $number:ty),*) => {
            match datatype {
                $(DataType::$kind => {
                    let parts = bytes.chunks(size_of::<$number>());
                    let read = |part: &[u8]| Some(<$number>::from_le_bytes(part.try_into().ok()?));
                    Elements::$kind(parts.map(read).collect::<Option<_>>()?)
                })*
                DataType::Bool => {
                    let read = |byte: &u8| match byte { 0 => Some(false), 1 => Some(true), _ => None };
                    Elements::Bool(bytes.iter().map(read).collect::<Option<_>>()?)
                }
                DataType::Bytes => {
                    let (mut strings, mut rest) = (Vec::new(), bytes);
                    while !rest.is_empty() {
                        let length = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as usize;
                        strings.push(rest[4..].get(..length)?);
                        rest = &rest[4 + length..];
                    }
                    Elements::Bytes(strings.iter().collect())
                }
            }
        };
    }
    Some(numbers!(
        Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64, Fp16 f16, Fp32 f32,
        Fp64 f64
    ))
}

pub fn elements(datatype: DataType, leaves: &[&str]) -> Option<Elements> {
    fn all<T>(leaves: &[&str], read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        leaves.iter().map(|leaf| read(leaf)).collect()
    }
    macro_rules! integers {
        ($kind:ident) => {
            Elements::$kind(all(leaves, |leaf| integer(leaf)?.try_into().ok())?)
        };
    }
    Some(match datatype {
        DataType::Bool => Elements::Bool(all(leaves, |leaf| leaf.parse().ok())?),
        DataType::Uint8 => integers!(Uint8),
        DataType::Uint16 => integers!(Uint16),
        DataType::Uint32 => integers!(Uint32),
        DataType::Uint64 => integers!(Uint64),
        DataType::Int8 => integers!(Int8),
        DataType::Int16 => integers!(Int16),
        DataType::Int32 => integers!(Int32),
        DataType::Int64 => integers!(Int64),
        DataType::Fp16 => Elements::Fp16(all(leaves, |leaf| {
            let (double, half) = (float(leaf)?, half(float(leaf)?));
            (half.is_infinite() == double.is_infinite()).then_some(half)
        })?),
        DataType::Fp32 => Elements::Fp32(all(leaves, |leaf| match float(leaf)? {
            double if double.is_nan() || double.is_infinite() => Some(double as f32),
            _ => leaf.parse().ok().filter(|float: &f32| float.is_finite()),
        })?),
        DataType::Fp64 => Elements::Fp64(all(leaves, float)?),
        DataType::Bytes => {
            Elements::Bytes(all(leaves, |leaf| serde_json::from_str::<String>(leaf).ok())?.into_iter().collect())
        }
    })
}

pub fn float(leaf: &str) -> Option<f64> {
    match serde_json::from_str::<Option<String>>(leaf).ok() {
        Some(None) => Some(f64::NAN),
        Some(Some(word)) => match &*word {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        None => leaf.parse().ok().filter(|double: &f64| double.is_finite()),
    }
}

/// The half that is nearest, the even one of two: found among all there are, whose bits are in the order of their values.
fn half(double: f64) -> f16 {
    let (magnitude, infinity) = (double.abs(), f16::INFINITY.to_bits());
    // Rounding takes infinity for the power of two that would come next.
    let value = |bits: u16| if bits == infinity { 65536.0 } else { f16::from_bits(bits).to_f64() };
    let (mut below, mut above) = (0, infinity);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        *(if value(middle) <= magnitude { &mut below } else { &mut above }) = middle;
    }
    let (down, up) = (magnitude - value(below), value(above) - magnitude);
    let nearest = if up < down || (up == down && above % 2 == 0) { above } else { below };
    let half = if double.is_nan() { f16::NAN } else { f16::from_bits(nearest) };
    if double.is_sign_negative() { -half } else { half }
}

/// The integer that a number's text is, by arithmetic.
pub fn integer(leaf: &str) -> Option<i128> {
    leaf.starts_with(|first: char| first == '-' || first.is_ascii_digit()).then_some(())?;
    let (mantissa, exponent) = leaf.split_once(['e', 'E']).unwrap_or((leaf, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // However many zeros there are, they are no digits of the number.
    let fraction = fraction.trim_end_matches('0');
    let mut value: i128 = format!("{whole}{fraction}").parse().ok()?;
    if value == 0 {
        return Some(0);
    }
    let mut exponent = exponent.parse::<i64>().ok()? - fraction.len() as i64;
    while exponent < 0 {
        (value % 10 == 0).then_some(())?;
        (value, exponent) = (value / 10, exponent + 1);
    }
    while exponent > 0 {
        (value, exponent) = (value.checked_mul(10)?, exponent - 1);
    }
    Some(value)
}
