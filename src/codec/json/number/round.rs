//! From up to 19 digits and a power of ten to the nearest float.

use half::f16;

use super::POWERS;

/// A floating-point type that decimals can be rounded to.
pub trait Float: Copy + Default {
    /// The value nearest to `digits / 10^places`, which are 19 digits at most; `None` where only a closer look can tell.
    fn nearest(digits: u64, places: usize) -> Option<Self>;
    /// The value nearest to a JSON number; `None` if it is beyond the type's range.
    fn parse(text: &str) -> Option<Self>;
    /// The value with its sign.
    fn signed(self, negative: bool) -> Self;
}

/// The same as doubles, all of them exact (up to 10^22 they are).
const EXACT_POWERS: [f64; 20] = {
    let mut powers = [1.0; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10.0;
        index += 1;
    }
    powers
};

/// `digits / 10^places`, correctly rounded, where the digits need more than 53 bits.
#[inline(never)]
fn quotient(digits: u64, places: usize) -> Option<f64> {
    let zeros = digits.leading_zeros();
    let dividend = u128::from(digits) << (64 + zeros);
    let divisor = u128::from(*POWERS.get(places)?);
    // At least 2^63, so that the last of 53 bits and the one that rounds it stand well above what stands for the rest.
    let quotient = dividend / divisor;
    let inexact = dividend != quotient * divisor;
    let scale = f64::from_bits(u64::from(1023 - 64 - zeros) << 52);
    Some((quotient | u128::from(inexact)) as f64 * scale)
}

impl Float for f64 {
    #[inline(always)]
    fn nearest(digits: u64, places: usize) -> Option<Self> {
        if digits > 1 << 53 {
            return quotient(digits, places);
        }
        Some(digits as i64 as Self / EXACT_POWERS.get(places)?)
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    #[inline(always)]
    fn signed(self, negative: bool) -> Self {
        Self::from_bits(self.to_bits() ^ u64::from(negative) << 63)
    }
}

impl Float for f32 {
    #[inline(always)]
    fn nearest(digits: u64, places: usize) -> Option<Self> {
        let double = f64::nearest(digits, places)?;
        // Rounding twice errs only where the double fell exactly between two floats: the decimal may lie to either side.
        // The quotient is 0 or between 1e-19 and 1e19: a normal float, never an infinite one.
        let between = double.to_bits() & 0x1FFF_FFFF == 0x1000_0000;
        (!between).then_some(double as Self)
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    #[inline(always)]
    fn signed(self, negative: bool) -> Self {
        Self::from_bits(self.to_bits() ^ u32::from(negative) << 31)
    }
}

/// Half-precision floats come from the double nearest to the decimal, rounded to nearest, ties to even. (A decimal within
/// one part in 10^16 of the middle of two halves may take the other one.)
impl Float for f16 {
    fn nearest(digits: u64, places: usize) -> Option<Self> {
        finite(to_half(f64::nearest(digits, places)?))
    }

    fn parse(text: &str) -> Option<Self> {
        finite(to_half(f64::parse(text)?))
    }

    fn signed(self, negative: bool) -> Self {
        if negative { -self } else { self }
    }
}

fn finite(half: f16) -> Option<f16> {
    half.is_finite().then_some(half)
}

/// Rounds to nearest, ties to even. (`f16::from_f64` drops the low bits or goes through `f32`, depending on the processor.)
pub fn to_half(value: f64) -> f16 {
    let bits = value.to_bits();
    let sign = (bits >> 48) as u16 & 0x8000;
    let exponent = (bits >> 52 & 0x7FF) as i32 - 1023;
    let significand = bits & ((1 << 52) - 1) | 1 << 52;
    if exponent > 15 {
        return f16::from_bits(sign | if value.is_nan() { 0x7E00 } else { 0x7C00 });
    }
    if exponent < -25 {
        return f16::from_bits(sign);
    }
    // Below 2^-14 a half has a fixed exponent and fewer bits.
    let shift = 42 + (-14 - exponent).max(0);
    let (kept, rest, middle) = (significand >> shift, significand & ((1 << shift) - 1), 1 << (shift - 1));
    let up = rest > middle || (rest == middle && kept & 1 == 1);
    // The leading bit adds one to the exponent, and so does a carry out of the fraction: up to infinity.
    let base = if exponent >= -14 { ((exponent + 14) as u64) << 10 } else { 0 };
    f16::from_bits(sign | (base + kept + u64::from(up)) as u16)
}
