//! Which datatype holds the numbers of a column whose values do not say it themselves: those of row form, and of tables.
//!
//! Small whole numbers are FP64 like fractions, so that requests that differ in `5` and `5.0` share a group; a model that
//! wants integers gets them, as every double here is exact. Large ones (an identifier, a time) stay what they are, in INT64 or
//! UINT64, and are refused where no datatype holds all values.

use crate::tensor::DataType;

/// From here on a whole number is more likely an identifier than a measurement, and no `f32` holds them all.
const LARGEST_SMALL: u64 = 1 << 24;
/// Every whole number up to here is a double.
const LARGEST_IN_DOUBLE: u64 = 1 << 53;

/// What has been seen of a column's whole numbers.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// The largest magnitudes to both sides of zero, as far as they fit.
    above: u64,
    below: u64,
    /// Whether one is beyond 64 bits.
    is_huge: bool,
}

impl Whole {
    /// Takes note of one by its sign and its magnitude, `None` beyond 64 bits. Returns whether a double may not hold it.
    pub fn take(&mut self, is_negative: bool, magnitude: Option<u64>) -> bool {
        let side = if is_negative { &mut self.below } else { &mut self.above };
        *side = (*side).max(magnitude.unwrap_or(0));
        self.is_huge |= magnitude.is_none();
        magnitude.is_none_or(|magnitude| magnitude > LARGEST_IN_DOUBLE)
    }

    /// The datatype that holds all of them, beside fractions and missing values if there are some; `None` if there is none.
    pub fn datatype(&self, has_floats: bool) -> Option<DataType> {
        let Self { above, below, is_huge } = *self;
        let largest = above.max(below);
        let is_double = largest <= LARGEST_SMALL || (has_floats && largest <= LARGEST_IN_DOUBLE);
        match () {
            () if is_huge => None,
            () if is_double => Some(DataType::Fp64),
            () if has_floats => None,
            () if above <= i64::MAX as u64 && below <= i64::MIN.unsigned_abs() => Some(DataType::Int64),
            () if below == 0 => Some(DataType::Uint64),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datatype(values: &[i128], has_floats: bool) -> Option<DataType> {
        let mut whole = Whole::default();
        for value in values {
            let is_beyond = whole.take(*value < 0, value.unsigned_abs().try_into().ok());
            assert_eq!(is_beyond, value.unsigned_abs() > 1 << 53, "{value}");
        }
        whole.datatype(has_floats)
    }

    #[test]
    fn a_column_has_the_datatype_that_holds_all_of_its_numbers_exactly() {
        let (most, least) = (i128::from(i64::MAX), i128::from(i64::MIN));
        for (values, alone, beside_floats) in [
            (&[][..], Some(DataType::Fp64), Some(DataType::Fp64)),
            (&[5, -(1 << 24)], Some(DataType::Fp64), Some(DataType::Fp64)),
            (&[5, -(1 << 24) - 1], Some(DataType::Int64), Some(DataType::Fp64)),
            (&[1 << 53], Some(DataType::Int64), Some(DataType::Fp64)),
            (&[(1 << 53) + 1], Some(DataType::Int64), None),
            (&[most, least], Some(DataType::Int64), None),
            (&[most + 1, 0], Some(DataType::Uint64), None),
            (&[most + 1, -1], None, None),
            (&[least - 1], None, None),
            (&[1 << 64], None, None),
        ] {
            assert_eq!((datatype(values, false), datatype(values, true)), (alone, beside_floats), "{values:?}");
        }
    }
}
