//! Casting a whole vector of numbers without changing an integer: JSON numbers on their way to a model's datatype.
//!
//! Clients write `1` for a model that wants FP32, and pandas sends FP64 and INT64 to everybody. Guarantee: an integer
//! arrives as the same integer or not at all, and a finite number never becomes infinite; only numbers that are
//! floating-point on both sides may be rounded. NaN and infinities pass between floating-point datatypes.

use std::fmt::Debug;

use half::f16;

use super::{DataType, Elements};

/// Why a vector cannot be cast.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// The datatypes have nothing to do with each other.
    #[error("{from} is never cast to {to}")]
    Kind {
        /// What came.
        from: DataType,
        /// What was wanted.
        to: DataType,
    },
    /// One element would be changed.
    #[error("element {index} is {value} ({from}), which {to} cannot hold unchanged")]
    Element {
        /// Its place in the vector.
        index: usize,
        /// It, as text.
        value: String,
        /// What came.
        from: DataType,
        /// What was wanted.
        to: DataType,
    },
}

/// The same numbers in datatype `to`. `BOOL` and `BYTES` are cast to nothing but themselves.
///
/// # Errors
/// [`CastError::Kind`] for datatypes that are not both numbers, however few elements there are;
/// [`CastError::Element`] for the first element that would be changed (a fraction or an integer out of range on its way to
/// an integer, an integer that a floating-point datatype does not represent exactly) or become infinite.
pub fn cast(elements: &Elements, to: DataType) -> Result<Elements, CastError> {
    let from = elements.datatype();
    if from == to {
        return Ok(elements.clone());
    }
    match elements {
        Elements::Bool(_) | Elements::Bytes(_) => Err(CastError::Kind { from, to }),
        Elements::Uint8(numbers) => cast_numbers(numbers, to),
        Elements::Uint16(numbers) => cast_numbers(numbers, to),
        Elements::Uint32(numbers) => cast_numbers(numbers, to),
        Elements::Uint64(numbers) => cast_numbers(numbers, to),
        Elements::Int8(numbers) => cast_numbers(numbers, to),
        Elements::Int16(numbers) => cast_numbers(numbers, to),
        Elements::Int32(numbers) => cast_numbers(numbers, to),
        Elements::Int64(numbers) => cast_numbers(numbers, to),
        Elements::Fp16(numbers) => cast_numbers(numbers, to),
        Elements::Fp32(numbers) => cast_numbers(numbers, to),
        Elements::Fp64(numbers) => cast_numbers(numbers, to),
    }
}

fn cast_numbers<S: Number>(numbers: &[S], to: DataType) -> Result<Elements, CastError> {
    match to {
        DataType::Uint8 => cast_to::<S, u8>(numbers),
        DataType::Uint16 => cast_to::<S, u16>(numbers),
        DataType::Uint32 => cast_to::<S, u32>(numbers),
        DataType::Uint64 => cast_to::<S, u64>(numbers),
        DataType::Int8 => cast_to::<S, i8>(numbers),
        DataType::Int16 => cast_to::<S, i16>(numbers),
        DataType::Int32 => cast_to::<S, i32>(numbers),
        DataType::Int64 => cast_to::<S, i64>(numbers),
        DataType::Fp16 => cast_to::<S, f16>(numbers),
        DataType::Fp32 => cast_to::<S, f32>(numbers),
        DataType::Fp64 => cast_to::<S, f64>(numbers),
        DataType::Bool | DataType::Bytes => Err(CastError::Kind { from: S::DATATYPE, to }),
    }
}

/// Converts everything first and looks for losses afterwards: two loops without an exit, which the compiler turns into
/// vector instructions where the machine has them (FP64 to FP32 above all).
fn cast_to<S: To<T>, T: Element>(numbers: &[S]) -> Result<Elements, CastError> {
    let cast: Vec<T> = numbers.iter().map(|&number| number.to()).collect();
    let pairs = || numbers.iter().zip(&cast);
    if pairs().fold(true, |kept, (&number, &cast)| kept & number.survives_as(cast)) {
        return Ok(T::wrap(cast));
    }
    let index = pairs().position(|(&number, &cast)| !number.survives_as(cast)).expect("the fold met a loss");
    let value = format!("{:?}", numbers[index]);
    Err(CastError::Element { index, value, from: S::DATATYPE, to: T::DATATYPE })
}

/// An element that is not a string.
pub(crate) trait Element: Copy + Default + PartialOrd + Debug {
    /// Its datatype.
    const DATATYPE: DataType;

    /// A vector of them as [`Elements`].
    fn wrap(vector: Vec<Self>) -> Elements;
}

/// Conversion as the language does it, and whether it kept the number.
trait To<T: Copy>: Element {
    fn to(self) -> T;

    /// Whether `cast`, which is `self.to()`, stands for the same number (or, between floats, for the one nearest to it).
    fn survives_as(self, cast: T) -> bool;
}

trait Number:
    To<u8> + To<u16> + To<u32> + To<u64> + To<i8> + To<i16> + To<i32> + To<i64> + To<f16> + To<f32> + To<f64>
{
}

macro_rules! elements {
    ($($kind:ident $element:ty),*) => {$(
        impl Element for $element {
            const DATATYPE: DataType = DataType::$kind;

            fn wrap(vector: Vec<Self>) -> Elements {
                Elements::$kind(vector)
            }
        }
    )*};
}
elements!(Bool bool, Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64);
elements!(Fp16 f16, Fp32 f32, Fp64 f64);

macro_rules! integer_to_integers {
    ($from:ty => $($to:ty),*) => {$(
        impl To<$to> for $from {
            fn to(self) -> $to {
                self as $to
            }

            fn survives_as(self, cast: $to) -> bool {
                i128::from(self) == i128::from(cast)
            }
        }
    )*};
}

// `as` saturates from float to integer: the bound, which every float represents exactly or rounds up to the power of two
// above it, tells the largest integer from what was cut down to it.
macro_rules! integer_and_floats {
    ($integer:ty => $($float:ty),*) => {$(
        impl To<$float> for $integer {
            fn to(self) -> $float {
                self as $float
            }

            fn survives_as(self, cast: $float) -> bool {
                cast < <$integer>::MAX as $float + 1.0 && cast as $integer == self
            }
        }

        impl To<$integer> for $float {
            fn to(self) -> $integer {
                self as $integer
            }

            fn survives_as(self, cast: $integer) -> bool {
                self < <$integer>::MAX as $float + 1.0 && cast as $float == self
            }
        }
    )*};
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        integer_to_integers!($integer => u8, u16, u32, u64, i8, i16, i32, i64);
        integer_and_floats!($integer => f32, f64);

        impl To<f16> for $integer {
            fn to(self) -> f16 {
                f16::from_f32(self as f32)
            }

            fn survives_as(self, cast: f16) -> bool {
                // A half overflows to an infinity, which as an integer is the smallest one.
                cast.is_finite() && To::<f32>::survives_as(self, cast.to_f32())
            }
        }

        impl To<$integer> for f16 {
            fn to(self) -> $integer {
                self.to_f32() as $integer
            }

            fn survives_as(self, cast: $integer) -> bool {
                self.to_f32().survives_as(cast)
            }
        }

        impl Number for $integer {}
    )*};
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! float_to_float {
    ($($from:ty => $to:ty: $cast:expr;)*) => {$(
        impl To<$to> for $from {
            fn to(self) -> $to {
                let cast: fn($from) -> $to = $cast;
                cast(self)
            }

            fn survives_as(self, cast: $to) -> bool {
                cast.is_finite() | !self.is_finite()
            }
        }
    )*};
}
float_to_float! {
    f16 => f16: |number| number;
    f16 => f32: f16::to_f32;
    f16 => f64: f16::to_f64;
    f32 => f16: f16::from_f32;
    f32 => f32: |number| number;
    f32 => f64: f64::from;
    f64 => f16: f16::from_f64;
    f64 => f32: |number| number as f32;
    f64 => f64: |number| number;
}
impl Number for f16 {}
impl Number for f32 {}
impl Number for f64 {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers() -> impl Iterator<Item = DataType> {
        DataType::ALL.into_iter().filter(|datatype| datatype.is_number())
    }

    #[test]
    fn pandas_numbers_fit_a_model_of_fp32() {
        assert_eq!(cast(&Elements::Fp64(vec![5.1, -0.0]), DataType::Fp32).unwrap(), Elements::Fp32(vec![5.1, -0.0]));
        assert_eq!(cast(&Elements::Int64(vec![16_777_216]), DataType::Fp32), Ok(Elements::Fp32(vec![16_777_216.0])));
    }

    #[test]
    fn an_integer_that_a_float_would_round_is_named() {
        let error = cast(&Elements::Int64(vec![1, 16_777_217]), DataType::Fp32).unwrap_err();
        assert_eq!(error.to_string(), "element 1 is 16777217 (INT64), which FP32 cannot hold unchanged");
    }

    #[test]
    fn the_largest_integers_are_not_taken_for_their_neighbours() {
        assert!(cast(&Elements::Int64(vec![i64::MAX]), DataType::Fp64).is_err());
        assert!(cast(&Elements::Uint64(vec![u64::MAX]), DataType::Fp32).is_err());
        assert!(cast(&Elements::Int32(vec![i32::MAX]), DataType::Fp32).is_err());
        assert!(cast(&Elements::Uint16(vec![u16::MAX]), DataType::Fp16).is_err());
        assert!(cast(&Elements::Fp64(vec![2_f64.powi(63)]), DataType::Int64).is_err());
        assert!(cast(&Elements::Fp32(vec![2_f32.powi(64)]), DataType::Uint64).is_err());
        assert_eq!(cast(&Elements::Int64(vec![i64::MIN]), DataType::Fp32), Ok(Elements::Fp32(vec![-(2_f32.powi(63))])));
        assert_eq!(
            cast(&Elements::Fp64(vec![-(2_f64.powi(63))]), DataType::Int64),
            Ok(Elements::Int64(vec![i64::MIN]))
        );
    }

    #[test]
    fn fractions_and_what_is_no_number_never_become_integers() {
        for value in [2.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 256.0] {
            assert!(cast(&Elements::Fp64(vec![value]), DataType::Uint8).is_err(), "{value}");
        }
        assert_eq!(cast(&Elements::Fp64(vec![255.0, -0.0]), DataType::Uint8), Ok(Elements::Uint8(vec![255, 0])));
    }

    #[test]
    fn a_finite_number_never_becomes_infinite_and_an_infinite_one_stays() {
        let error = cast(&Elements::Fp64(vec![1e300]), DataType::Fp32).unwrap_err();
        assert_eq!(error.to_string(), "element 0 is 1e300 (FP64), which FP32 cannot hold unchanged");
        assert!(cast(&Elements::Fp32(vec![65520.0]), DataType::Fp16).is_err());
        let Ok(Elements::Fp16(passed)) = cast(&Elements::Fp64(vec![f64::NAN, f64::INFINITY]), DataType::Fp16) else {
            panic!("NaN and infinity pass")
        };
        assert!(passed[0].is_nan() && passed[1] == f16::INFINITY);
    }

    #[test]
    fn booleans_and_strings_are_cast_to_nothing_but_themselves() {
        for other in numbers() {
            for kind in [DataType::Bool, DataType::Bytes] {
                let error = CastError::Kind { from: kind, to: other };
                assert_eq!(cast(&Elements::empty(kind), other), Err(error));
                assert_eq!(cast(&Elements::empty(other), kind), Err(CastError::Kind { from: other, to: kind }));
            }
        }
        assert_eq!(cast(&Elements::Bool(vec![true]), DataType::Bool), Ok(Elements::Bool(vec![true])));
    }

    /// The number as an integer, if it is one.
    fn integer(elements: &Elements) -> Option<i128> {
        let float = |number: f64| (number.fract() == 0.0 && number.abs() < 1e30).then_some(number as i128);
        match elements {
            Elements::Uint64(v) => Some(v[0].into()),
            Elements::Int64(v) => Some(v[0].into()),
            Elements::Uint32(v) => Some(v[0].into()),
            Elements::Int32(v) => Some(v[0].into()),
            Elements::Uint16(v) => Some(v[0].into()),
            Elements::Int16(v) => Some(v[0].into()),
            Elements::Uint8(v) => Some(v[0].into()),
            Elements::Int8(v) => Some(v[0].into()),
            Elements::Fp16(v) => float(v[0].to_f64()),
            Elements::Fp32(v) => float(v[0].into()),
            Elements::Fp64(v) => float(v[0]),
            Elements::Bool(_) | Elements::Bytes(_) => None,
        }
    }

    /// Whether `datatype` has the integer, worked out from the widths of its mantissa.
    fn holds(datatype: DataType, number: i128) -> bool {
        let odd = if number == 0 { 0 } else { number.unsigned_abs() >> number.trailing_zeros() };
        match datatype {
            DataType::Uint8 => u8::try_from(number).is_ok(),
            DataType::Uint16 => u16::try_from(number).is_ok(),
            DataType::Uint32 => u32::try_from(number).is_ok(),
            DataType::Uint64 => u64::try_from(number).is_ok(),
            DataType::Int8 => i8::try_from(number).is_ok(),
            DataType::Int16 => i16::try_from(number).is_ok(),
            DataType::Int32 => i32::try_from(number).is_ok(),
            DataType::Int64 => i64::try_from(number).is_ok(),
            DataType::Fp16 => odd < 1 << 11 && number.abs() <= 65504,
            DataType::Fp32 => odd < 1 << 24,
            DataType::Fp64 => odd < 1 << 53,
            DataType::Bool | DataType::Bytes => false,
        }
    }

    fn awkward_integer() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), (0_u32..64, -2_i64..3).prop_map(|(bit, near)| (1_i64 << bit).wrapping_add(near))]
    }

    #[test]
    fn the_smallest_integer_is_no_infinity() {
        assert!(cast(&Elements::Int64(vec![i64::MIN]), DataType::Fp16).is_err());
    }

    proptest! {
        #[test]
        fn an_integer_arrives_as_itself_or_not_at_all(number in awkward_integer(), unsigned: bool) {
            let given = if unsigned { Elements::Uint64(vec![number as u64]) } else { Elements::Int64(vec![number]) };
            let number = integer(&given).unwrap();
            for to in numbers() {
                match cast(&given, to) {
                    Ok(cast) => {
                        prop_assert_eq!(integer(&cast), Some(number), "{}", to);
                        for back in numbers().filter(|back| !(to.is_float() && back.is_float())) {
                            let again = super::cast(&cast, back);
                            prop_assert_eq!(again.is_ok(), holds(back, number), "{} to {}", to, back);
                        }
                    }
                    Err(_) => prop_assert!(!holds(to, number), "{} should fit {}", number, to),
                }
            }
        }

        #[test]
        fn floats_are_rounded_to_the_nearest(number: f64) {
            match cast(&Elements::Fp64(vec![number]), DataType::Fp32) {
                Ok(Elements::Fp32(cast)) => prop_assert_eq!(cast[0].to_bits(), (number as f32).to_bits()),
                other => prop_assert!(other.is_err() && (number as f32).is_infinite()),
            }
        }

        #[test]
        fn the_error_names_the_first_element_that_does_not_fit(before in prop::collection::vec(-128_i32..128, 0..40)) {
            let index = before.len();
            let all: Vec<_> = before.into_iter().chain([1000, 2000]).collect();
            let error = cast(&Elements::Int32(all), DataType::Int8).unwrap_err();
            let expected =
                CastError::Element { index, value: "1000".into(), from: DataType::Int32, to: DataType::Int8 };
            prop_assert_eq!(error, expected);
        }
    }
}
