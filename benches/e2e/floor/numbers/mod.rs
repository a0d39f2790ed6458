//! Arrays of numbers, as JSON text, to columns: the floor's parser. Every float is correctly rounded.
//!
//! Two ideas make it short. Where a number ends is found for 64 bytes at a time (a mask of commas and brackets, as simdjson
//! does it: G. Langdale and D. Lemire, *Parsing gigabytes of JSON per second*, 2019), so that no number waits for the one
//! before it. And a number is converted as a whole: the sixteen bytes that end with it are loaded, what is not its own is
//! masked out, the point is shuffled away, and three multiply-and-add instructions make one integer of sixteen digits.
//!
//! That integer times 10^-places, in double precision, is off by less than four units in the last place; the float that it
//! rounds to is the right one unless it lies that near to the middle between two floats. Those, and whatever is longer than
//! sixteen bytes or has an exponent or blanks around it, go to `str::parse`.

/// Bytes that must stand before an array: numbers are loaded from their ends.
pub const BEFORE: usize = 16;

/// Reads the `into.len()` numbers whose text starts at `at`, each followed by a comma or bracket. Returns where the text
/// goes on behind the last of these.
///
/// # Panics
/// If `at` is less than [`BEFORE`], something is no number, or there are too few.
pub fn read<T: Column>(bytes: &[u8], at: usize, into: &mut [T]) -> usize {
    assert!(at >= BEFORE, "numbers do not stand at a request's start");
    let (done, at) = if T::HAS_TENTHS { short_decimals(bytes, at, into) } else { (0, at) };
    let into = &mut into[done..];
    if into.is_empty() {
        return at;
    }
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has what the function is compiled for, and sixteen bytes stand before the first number.
        return unsafe { avx2::read(bytes, at, into) };
    }
    read_portably(bytes, at, into)
}

/// Reads numbers for as long as they have one digit before the point and one behind it: how many they are, and where the
/// text goes on. A loop over single bytes is cheapest for those.
#[inline]
fn short_decimals<T: Number>(bytes: &[u8], mut at: usize, into: &mut [T]) -> (usize, usize) {
    for (index, number) in into.iter_mut().enumerate() {
        match bytes.get(at..at + 4) {
            Some(&[ones @ b'0'..=b'9', b'.', tenths @ b'0'..=b'9', b',' | b']']) => {
                *number = T::of_tenths((ones - b'0') * 10 + (tenths - b'0'));
            }
            _ => return (index, at),
        }
        at += 4;
    }
    (into.len(), at)
}

/// What columns are made of.
#[cfg(target_arch = "x86_64")]
pub trait Column: avx2::Four {}
#[cfg(target_arch = "x86_64")]
impl<T: avx2::Four> Column for T {}
/// What columns are made of.
#[cfg(not(target_arch = "x86_64"))]
pub trait Column: Number {}
#[cfg(not(target_arch = "x86_64"))]
impl<T: Number> Column for T {}

/// A number out of its digits.
pub trait Number: Copy {
    /// Whether there are numbers between two whole ones.
    const HAS_TENTHS: bool;

    /// A number of tenths below 100.
    fn of_tenths(tenths: u8) -> Self;

    /// The number of up to sixteen digits `high * 10^8 + low`, divided by 10^places; `None` if that needs care.
    fn of_digits(high: u32, low: u32, places: usize, is_negative: bool) -> Option<Self>;

    /// The number that a text is.
    ///
    /// # Panics
    /// If it is none.
    fn of_text(text: &str) -> Self;
}

impl Number for f32 {
    const HAS_TENTHS: bool = true;

    #[inline(always)]
    fn of_tenths(tenths: u8) -> Self {
        // Both are exact, and so the quotient is rounded once.
        Self::from(tenths) / 10.0
    }

    #[inline(always)]
    fn of_digits(high: u32, low: u32, places: usize, is_negative: bool) -> Option<Self> {
        let value = (f64::from(high as i32) * 1e8 + f64::from(low as i32)) * INVERSE[places & 15];
        // Bits that a float has no room for; half way between two floats they are 1000…
        let rest = value.to_bits() as u32 & 0x1fff_ffff;
        if rest.wrapping_sub(0x1000_0000 - 8) <= 16 {
            return None;
        }
        Some(Self::from_bits((value as Self).to_bits() | u32::from(is_negative) << 31))
    }

    fn of_text(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
    }
}

impl Number for i64 {
    const HAS_TENTHS: bool = false;

    #[inline(always)]
    fn of_tenths(_: u8) -> Self {
        unreachable!("an integer has none")
    }

    #[inline(always)]
    fn of_digits(high: u32, low: u32, places: usize, is_negative: bool) -> Option<Self> {
        let value = Self::from(high) * 100_000_000 + Self::from(low);
        (places == 0).then_some(if is_negative { -value } else { value })
    }

    fn of_text(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| panic!("`{text}` is no integer"))
    }
}

/// Powers of a tenth, as near as a double comes.
const INVERSE: [f64; 16] =
    [1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15];

/// The same without instructions of one processor.
pub fn read_portably<T: Number>(bytes: &[u8], at: usize, into: &mut [T]) -> usize {
    let mut start = at;
    for number in into {
        let length = memchr::memchr2(b',', b']', &bytes[start..]).expect("a number ends with a comma or bracket");
        *number = one(&bytes[start..start + length]);
        start += length + 1;
    }
    start
}

fn one<T: Number>(text: &[u8]) -> T {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut value, mut places, mut has_point) = (0_u64, 0, false);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                places += usize::from(has_point);
            }
            b'.' if !has_point => has_point = true,
            _ => return carefully(text),
        }
    }
    if digits.is_empty() || digits.len() > 16 {
        return carefully(text);
    }
    let (high, low) = ((value / 100_000_000) as u32, (value % 100_000_000) as u32);
    T::of_digits(high, low, places, is_negative).unwrap_or_else(|| carefully(text))
}

#[cold]
#[inline(never)]
fn carefully<T: Number>(text: &[u8]) -> T {
    T::of_text(std::str::from_utf8(text).expect("numbers are ASCII").trim_ascii())
}

#[cfg(target_arch = "x86_64")]
mod avx2;
