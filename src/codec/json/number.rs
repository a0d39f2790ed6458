//! Decimal text to numbers, correctly rounded: every result is that of Rust's `str::parse`, bit for bit.
//!
//! Number arrays are where decoding spends its time. Three things make it short (784 floats of seven digits: 9.7 ns each,
//! 23.6 with `serde_json`; of seventeen digits: 27 ns, 36 with `str::parse` in place of the division):
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

pub(super) use round::Float;
#[cfg(test)]
pub(super) use round::to_half;
pub(super) use whole::{NotWhole, whole};

mod round;
#[cfg(test)]
mod tests;
mod whole;

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
pub(in crate::codec) fn float<F: Float>(bytes: &[u8], at: usize) -> Option<(F, usize)> {
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
