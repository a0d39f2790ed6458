//! Decimal text to numbers, correctly rounded: every result is that of Rust's `str::parse`, bit for bit.
//!
//! Number arrays are where decoding spends its time, so the digits after the point are taken eight at a time with one
//! load, and a number of at most 19 digits becomes a float by one exact multiplication or division (W. D. Clinger, *How
//! to read floating point numbers accurately*, 1990) wherever its digits fit 53 bits and its power of ten is exact. All
//! else goes to `str::parse`. Texts are held to JSON's grammar: no sign but `-`, no leading zeros, no bare point.

use half::f16;

/// A number's text, taken apart.
#[derive(Clone, Copy)]
struct Decimal {
    negative: bool,
    /// All digits as one integer; of no use beyond [`Decimal::MAX_DIGITS`].
    digits: u64,
    /// How many digits there are, leading zeros included.
    count: usize,
    /// The power of ten that the integer is multiplied by.
    exponent: i64,
    /// Where the text ends.
    end: usize,
}

impl Decimal {
    /// More digits may overflow a `u64`.
    const MAX_DIGITS: usize = 19;
}

/// A floating-point type that decimals can be rounded to.
pub(super) trait Float: Copy {
    /// `digits × 10^exponent`, if one exact operation gives the correctly rounded value.
    fn exact(digits: u64, exponent: i64) -> Option<Self>;
    /// The value of a JSON number, the long way; `None` if it is beyond the type's range.
    fn parse(text: &str) -> Option<Self>;
    /// The value with its sign.
    fn signed(self, negative: bool) -> Self;
}

/// The float at `at` and its end; `None` if there is no number or it is beyond the type's range.
#[inline(always)]
pub(super) fn float<F: Float>(bytes: &[u8], at: usize) -> Option<(F, usize)> {
    let decimal = scan(bytes, at)?;
    if decimal.count <= Decimal::MAX_DIGITS
        && let Some(value) = F::exact(decimal.digits, decimal.exponent)
    {
        return Some((value.signed(decimal.negative), decimal.end));
    }
    let value = parse_slice(bytes, at, decimal.end)?;
    Some((value, decimal.end))
}

#[cold]
#[inline(never)]
fn parse_slice<F: Float>(bytes: &[u8], start: usize, end: usize) -> Option<F> {
    F::parse(std::str::from_utf8(&bytes[start..end]).ok()?)
}

/// Where the number at `at` ends; `None` if there is none.
pub(super) fn end(bytes: &[u8], at: usize) -> Option<usize> {
    scan(bytes, at).map(|decimal| decimal.end)
}

#[inline(always)]
fn scan(bytes: &[u8], start: usize) -> Option<Decimal> {
    let negative = *bytes.get(start)? == b'-';
    let first = start + usize::from(negative);
    let mut digits = digit(bytes, first)?;
    let mut at = first + 1;
    if digits != 0 {
        while let Some(next) = digit(bytes, at) {
            digits = digits.wrapping_mul(10).wrapping_add(next);
            at += 1;
        }
    } else if digit(bytes, at).is_some() {
        return None;
    }
    let mut decimal = Decimal { negative, digits, count: at - first, exponent: 0, end: at };
    if bytes.get(at) == Some(&b'.') {
        at = fraction(bytes, at + 1, &mut decimal)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at = exponent(bytes, at + 1, &mut decimal)?;
    }
    decimal.end = at;
    Some(decimal)
}

/// The digits after the point, eight at a time; at least one.
#[inline(always)]
fn fraction(bytes: &[u8], start: usize, decimal: &mut Decimal) -> Option<usize> {
    let mut at = start;
    // One digit is common enough (5.1, 3.5) to be worth a branch that the processor learns.
    if digit(bytes, start + 1).is_none() {
        decimal.digits = decimal.digits.wrapping_mul(10).wrapping_add(digit(bytes, start)?);
        decimal.count += 1;
        decimal.exponent = -1;
        return Some(start + 1);
    }
    loop {
        let (word, found) = leading_digits(bytes, at);
        decimal.digits = decimal.digits.wrapping_mul(POWERS[found]).wrapping_add(word);
        at += found;
        if found < 8 {
            break;
        }
    }
    decimal.count += at - start;
    decimal.exponent = -((at - start) as i64);
    (at > start).then_some(at)
}

const POWERS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The value and number of the digits that the next eight bytes begin with.
#[inline(always)]
fn leading_digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
        return last_digits(bytes, at);
    };
    // Digits become 0 to 9; adding 0x76 to a byte sets its high bit from 10 on. Carries run upwards only, past the first
    // byte that is no digit, where nobody looks.
    let values = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let found = others.trailing_zeros() as usize / 8;
    if found == 0 {
        return (0, 0);
    }
    // Shifting puts zeros before the digits and drops what follows them.
    (eight_digits(values << (64 - 8 * found)), found)
}

/// Eight digits, the first in the lowest byte, in three multiplications (D. Lemire, *Number parsing at a gigabyte per
/// second*, 2021, section 4).
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// The same within the last bytes of the text.
fn last_digits(bytes: &[u8], at: usize) -> (u64, usize) {
    let (mut value, mut found) = (0, 0);
    while found < 8
        && let Some(next) = digit(bytes, at + found)
    {
        value = value * 10 + next;
        found += 1;
    }
    (value, found)
}

/// The digits after the `e`, at least one. An exponent that no number survives stays one.
#[cold]
fn exponent(bytes: &[u8], start: usize, decimal: &mut Decimal) -> Option<usize> {
    let sign = bytes.get(start)?;
    let mut at = start + usize::from(matches!(sign, b'-' | b'+'));
    let mut exponent = digit(bytes, at)? as i64;
    at += 1;
    while let Some(next) = digit(bytes, at) {
        exponent = exponent.saturating_mul(10).saturating_add(next as i64);
        at += 1;
    }
    decimal.exponent = decimal.exponent.saturating_add(if *sign == b'-' { -exponent } else { exponent });
    Some(at)
}

#[inline(always)]
fn digit(bytes: &[u8], at: usize) -> Option<u64> {
    let value = bytes.get(at)?.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

impl Float for f64 {
    #[inline(always)]
    fn exact(digits: u64, exponent: i64) -> Option<Self> {
        if digits > 1 << 53 {
            return None;
        }
        let power = *EXACT_POWERS.get(exponent.unsigned_abs() as usize)?;
        let value = digits as i64 as f64;
        Some(if exponent < 0 { value / power } else { value * power })
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    #[inline(always)]
    fn signed(self, negative: bool) -> Self {
        if negative { -self } else { self }
    }
}

impl Float for f32 {
    #[inline(always)]
    fn exact(digits: u64, exponent: i64) -> Option<Self> {
        let double = f64::exact(digits, exponent)?;
        // Rounding twice errs only where the double fell exactly between two floats: the decimal may lie to either side.
        // What Clinger's method gives is 0 or between 1e-22 and 1e38: a normal float, never an infinite one.
        let between = double.to_bits() & 0x1FFF_FFFF == 0x1000_0000;
        (!between).then_some(double as Self)
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|value: &Self| value.is_finite())
    }

    #[inline(always)]
    fn signed(self, negative: bool) -> Self {
        if negative { -self } else { self }
    }
}

/// Half-precision floats come from the double nearest to the decimal, rounded to nearest, ties to even. (A decimal within
/// one part in 10^16 of the middle of two halves may take the other one.)
impl Float for f16 {
    fn exact(digits: u64, exponent: i64) -> Option<Self> {
        finite(to_half(f64::exact(digits, exponent)?))
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
pub(super) fn to_half(value: f64) -> f16 {
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

/// Why a number's text is no 64-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWhole {
    Fraction,
    TooLarge,
}

/// The sign and magnitude of the integer at `at`, and its end; `1.0` and `1e3` are integers too.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], at: usize) -> Option<(bool, u64, usize)> {
    let decimal = scan(bytes, at)?;
    if decimal.exponent == 0 && decimal.count <= Decimal::MAX_DIGITS {
        return Some((decimal.negative, decimal.digits, decimal.end));
    }
    let text = std::str::from_utf8(&bytes[at..decimal.end]).ok()?;
    let (negative, magnitude) = whole(text).ok()?;
    Some((negative, magnitude, decimal.end))
}

/// The sign and magnitude of a JSON number that has no fraction, however it is written.
#[cold]
pub(super) fn whole(text: &str) -> Result<(bool, u64), NotWhole> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = before.bytes().chain(after.bytes());
    if digits.clone().all(|digit| digit == b'0') {
        return Ok((negative, 0));
    }
    // An exponent beyond 64 bits decides by its sign alone.
    let limit = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let point = exponent.parse().unwrap_or(limit).saturating_add(before.len() as i64);
    let mut magnitude = 0_u64;
    for (position, digit) in digits.enumerate() {
        if position as i64 >= point {
            if digit != b'0' {
                return Err(NotWhole::Fraction);
            }
            continue;
        }
        magnitude = push(magnitude, digit - b'0').ok_or(NotWhole::TooLarge)?;
    }
    for _ in (before.len() + after.len()) as i64..point {
        magnitude = push(magnitude, 0).ok_or(NotWhole::TooLarge)?;
    }
    Ok((negative, magnitude))
}

fn push(magnitude: u64, digit: u8) -> Option<u64> {
    magnitude.checked_mul(10)?.checked_add(u64::from(digit))
}

#[cfg(test)]
mod tests;
