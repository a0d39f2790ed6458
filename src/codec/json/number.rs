//! Decimal text to numbers, correctly rounded: every result is that of Rust's `str::parse`, bit for bit.
//!
//! Number arrays are where decoding spends its time. Three things make it short, measured on 784 floats:
//!
//! * Eight digits are taken with one load and three multiplications (D. Lemire, *Number parsing at a gigabyte per second*,
//!   2021, section 4), however many of them there are; a single digit after the point has a branch of its own.
//! * Up to 19 digits fit a `u64`, and a float is that integer divided by a power of ten: one exact operation where the
//!   digits fit 53 bits (W. D. Clinger, *How to read floating point numbers accurately*, 1990), else one division in 128
//!   bits. Only what has more digits or an exponent goes to `str::parse`.
//! * The position is the one thing that the next number waits for. So it stays in a register: whatever is rare sits in a
//!   function of its own that returns its result as a pair, where end 0 stands for nothing, and the sign is a branch.
//!
//! Texts are held to JSON's grammar: no sign but `-`, no leading zeros, no bare point.

use half::f16;

/// A floating-point type that decimals can be rounded to.
pub(super) trait Float: Copy + Default {
    /// The value nearest to `digits / 10^places`, which are 19 digits at most; `None` where only a closer look can tell.
    fn nearest(digits: u64, places: usize) -> Option<Self>;
    /// The value nearest to a JSON number; `None` if it is beyond the type's range.
    fn parse(text: &str) -> Option<Self>;
    /// The value with its sign.
    fn signed(self, negative: bool) -> Self;
}

/// A number without an exponent, taken apart.
struct Decimal {
    negative: bool,
    /// All digits as one integer.
    digits: u64,
    /// How many of them stand after the point.
    places: usize,
    /// Where the text ends.
    end: usize,
}

impl Decimal {
    /// More digits may overflow a `u64`.
    const MAX_DIGITS: usize = 19;
}

/// The float at `at` and its end; `None` if there is no number or it is beyond the type's range.
#[inline(always)]
pub(super) fn float<F: Float>(bytes: &[u8], at: usize) -> Option<(F, usize)> {
    if let Some(decimal) = scan(bytes, at)
        && let Some(value) = F::nearest(decimal.digits, decimal.places)
    {
        return Some((value.signed(decimal.negative), decimal.end));
    }
    let (value, end) = long_float(bytes, at);
    (end > 0).then_some((value, end))
}

#[cold]
#[inline(never)]
fn long_float<F: Float>(bytes: &[u8], start: usize) -> (F, usize) {
    let text = text(bytes, start);
    match text.and_then(F::parse) {
        Some(value) => (value, start + text.map_or(0, str::len)),
        None => (F::default(), 0),
    }
}

/// The sign and magnitude of the integer at `at`, and its end; `1.0` and `1e3` are integers too.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], at: usize) -> Option<(bool, u64, usize)> {
    if let Some(decimal) = scan(bytes, at)
        && decimal.places == 0
    {
        return Some((decimal.negative, decimal.digits, decimal.end));
    }
    let (magnitude, end) = long_integer(bytes, at);
    (end > 0).then(|| (bytes[at] == b'-', magnitude, end))
}

#[cold]
#[inline(never)]
fn long_integer(bytes: &[u8], start: usize) -> (u64, usize) {
    let text = text(bytes, start);
    match text.map(whole) {
        Some(Ok((_, magnitude))) => (magnitude, start + text.map_or(0, str::len)),
        _ => (0, 0),
    }
}

/// The text of the number at `start`, of any length and with any exponent.
fn text(bytes: &[u8], start: usize) -> Option<&str> {
    std::str::from_utf8(&bytes[start..end(bytes, start)?]).ok()
}

/// Where the number at `at` ends; `None` if there is none.
pub(super) fn end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let some_digits = |from: usize| (digits(from.min(bytes.len())) > from).then(|| digits(from));
    at += usize::from(*bytes.get(at)? == b'-');
    let first = at;
    at = some_digits(at)?;
    if at > first + 1 && bytes[first] == b'0' {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at = some_digits(at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+'))))?;
    }
    Some(at)
}

/// A number without an exponent and of no more than 19 digits.
#[inline(always)]
fn scan(bytes: &[u8], start: usize) -> Option<Decimal> {
    if *bytes.get(start)? == b'-' { unsigned(bytes, start + 1, true) } else { unsigned(bytes, start, false) }
}

#[inline(always)]
fn unsigned(bytes: &[u8], start: usize, negative: bool) -> Option<Decimal> {
    let (digits, count) = digits(bytes, start, 0);
    if count != 1 && (count == 0 || bytes[start] == b'0') {
        return None;
    }
    let end = start + count;
    let (digits, places, end) = if bytes.get(end) == Some(&b'.') {
        let (digits, places) = self::digits(bytes, end + 1, digits);
        if places == 0 {
            return None;
        }
        (digits, places, end + 1 + places)
    } else {
        (digits, 0, end)
    };
    let is_long = matches!(bytes.get(end), Some(b'e' | b'E')) || count + places > Decimal::MAX_DIGITS;
    (!is_long).then_some(Decimal { negative, digits, places, end })
}

/// Puts the digits from `start` on behind those of `value`; how many they are.
#[inline(always)]
fn digits(bytes: &[u8], start: usize, value: u64) -> (u64, usize) {
    let Some(first) = digit(bytes, start) else { return (value, 0) };
    if digit(bytes, start + 1).is_none() {
        return (value.wrapping_mul(10).wrapping_add(first), 1);
    }
    let Some(chunk) = bytes.get(start..).and_then(<[u8]>::first_chunk::<8>) else {
        return more_digits(bytes, start, value, 0);
    };
    // Digits become 0 to 9; adding 0x76 to a byte sets its high bit from 10 on. Carries run upwards only, past the first
    // byte that is no digit, where nobody looks.
    let values = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    if others == 0 {
        return more_digits(bytes, start, value.wrapping_mul(100_000_000).wrapping_add(eight_digits(values)), 8);
    }
    // Shifting puts zeros before the digits and drops what follows them.
    let bits = others.trailing_zeros() & 0x38;
    let count = bits as usize / 8;
    (value.wrapping_mul(POWERS[count & 7]).wrapping_add(eight_digits(values << (64 - bits))), count)
}

/// Eight digits, the first in the lowest byte.
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// The digits after the first `count`: mostly one or two.
#[inline(never)]
fn more_digits(bytes: &[u8], start: usize, mut value: u64, mut count: usize) -> (u64, usize) {
    while let Some(next) = digit(bytes, start + count) {
        value = value.wrapping_mul(10).wrapping_add(next);
        count += 1;
    }
    (value, count)
}

#[inline(always)]
fn digit(bytes: &[u8], at: usize) -> Option<u64> {
    let value = bytes.get(at)?.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// Powers of ten up to [`Decimal::MAX_DIGITS`].
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

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

/// The sign and magnitude of a JSON number that has no fraction, however it is written.
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
