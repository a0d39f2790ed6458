//! Arithmetic on floating-point columns of any width.
//!
//! Element by element, everything is computed in FP64 and rounded once to the column's datatype, so that FP16 and FP32
//! columns get the nearest number that they can hold.

use half::f16;

use crate::tensor::{DataType, Elements};

/// A floating-point element.
pub(super) trait Real: Copy {
    fn wide(self) -> f64;
    fn narrow(wide: f64) -> Self;
}

impl Real for f16 {
    fn wide(self) -> f64 {
        self.to_f64()
    }

    fn narrow(wide: f64) -> Self {
        Self::from_f64(wide)
    }
}

impl Real for f32 {
    fn wide(self) -> f64 {
        self.into()
    }

    fn narrow(wide: f64) -> Self {
        wide as Self
    }
}

impl Real for f64 {
    fn wide(self) -> f64 {
        self
    }

    fn narrow(wide: f64) -> Self {
        wide
    }
}

/// Runs one expression for whichever floating-point vector is inside, and another for the other datatypes.
macro_rules! each_float {
    ($elements:expr, $vector:ident => $float:expr, _ => $other:expr) => {
        match $elements {
            $crate::tensor::Elements::Fp16($vector) => $float,
            $crate::tensor::Elements::Fp32($vector) => $float,
            $crate::tensor::Elements::Fp64($vector) => $float,
            _ => $other,
        }
    };
}
pub(super) use each_float;

/// Replaces every floating-point number by what `change` makes of it; elements of other datatypes stay.
pub(super) fn map(elements: &mut Elements, change: impl Fn(f64) -> f64) {
    fn all<T: Real>(numbers: &mut [T], change: impl Fn(f64) -> f64) {
        for number in numbers {
            *number = T::narrow(change(number.wide()));
        }
    }
    each_float!(elements, numbers => all(numbers, change), _ => ());
}

/// `number` as an element of `datatype`, a floating-point one, holds it.
pub(super) fn rounded(number: f64, datatype: DataType) -> f64 {
    match datatype {
        DataType::Fp16 => f16::narrow(number).wide(),
        DataType::Fp32 => f32::narrow(number).wide(),
        _ => number,
    }
}
