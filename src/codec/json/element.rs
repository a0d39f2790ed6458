//! One element of each datatype, read from where it stands in the text.

use half::f16;

#[cfg(target_arch = "x86_64")]
use super::simd;
use super::{
    number::{self, Float},
    text,
};

/// A number or boolean that a column can hold.
pub(super) trait Element: Copy + Default {
    /// The element at `at` and its end; `None` if there stands none of this type.
    fn read(bytes: &[u8], at: usize) -> Option<(Self, usize)>;

    /// Reads what can be read many at a time: elements of which the first stands behind a comma at `at`, and a comma behind
    /// each of them. Returns how many that are, maybe none, and where the comma behind the last one is.
    fn many(_bytes: &[u8], at: usize, _into: &mut [Self]) -> (usize, usize) {
        (0, at)
    }
}

/// [`Element::many`] where there are instructions for it.
macro_rules! four_at_a_time {
    () => {
        #[cfg(target_arch = "x86_64")]
        fn many(bytes: &[u8], at: usize, into: &mut [Self]) -> (usize, usize) {
            simd::plain(bytes, at, into)
        }
    };
}

impl Element for bool {
    #[inline(always)]
    fn read(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        let rest = bytes.get(at..)?;
        if rest.starts_with(b"true") {
            Some((true, at + 4))
        } else {
            rest.starts_with(b"false").then_some((false, at + 5))
        }
    }
}

macro_rules! floats {
    ($($float:ident: {$($many:tt)*}),*) => {$(
        impl Element for $float {
            $($many)*

            #[inline(always)]
            fn read(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
                let found = number::float(bytes, at);
                if found.is_some() {
                    return found;
                }
                let (value, end) = special(bytes, at, [Self::NAN, Self::INFINITY, Self::NEG_INFINITY]);
                (end > 0).then_some((value, end))
            }
        }
    )*};
}
floats!(f16: {}, f32: { four_at_a_time!(); }, f64: { four_at_a_time!(); });

/// Not a number, and the infinities: as strings, as Python's bare words, and `null` for a missing value. End 0: nothing.
#[cold]
#[inline(never)]
fn special<F: Float>(bytes: &[u8], at: usize, [nan, infinity, negative]: [F; 3]) -> (F, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let words = [(&b"NaN"[..], nan), (b"Infinity", infinity), (b"-Infinity", negative), (b"null", nan)];
    let found = if rest.first() == Some(&b'"') {
        let is_quoted = |word: &[u8]| rest[1..].starts_with(word) && rest.get(1 + word.len()) == Some(&b'"');
        let plain = words[..3].iter().find(|(word, _)| is_quoted(word));
        plain.map(|(word, value)| (*value, at + word.len() + 2)).or_else(|| escaped(bytes, at, &words[..3]))
    } else {
        words.iter().find(|(word, _)| rest.starts_with(word)).map(|(word, value)| (*value, at + word.len()))
    };
    found.unwrap_or((nan, 0))
}

/// One of the words as a string with escapes.
fn escaped<F: Float>(bytes: &[u8], at: usize, words: &[(&[u8], F)]) -> Option<(F, usize)> {
    let mut string = Vec::new();
    let end = text::unescape(bytes, at + 1, &mut string).ok()?;
    words.iter().find(|(word, _)| *word == string).map(|(_, value)| (*value, end))
}

macro_rules! integers {
    ($narrow:ident: $($integer:ident $({$($many:tt)*})?),*) => {$(
        impl Element for $integer {
            $($($many)*)?

            #[inline(always)]
            fn read(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
                let (negative, magnitude, end) = number::integer(bytes, at)?;
                Some(($narrow(negative, magnitude)?, end))
            }
        }
    )*};
}
integers!(unsigned: u8, u16, u32, u64);
integers!(signed: i8, i16, i32, i64 { four_at_a_time!(); });

#[inline(always)]
fn unsigned<T: TryFrom<u64>>(negative: bool, magnitude: u64) -> Option<T> {
    if negative && magnitude != 0 { None } else { T::try_from(magnitude).ok() }
}

#[inline(always)]
fn signed<T: TryFrom<i64>>(negative: bool, magnitude: u64) -> Option<T> {
    let value = if negative { 0_i64.checked_sub_unsigned(magnitude)? } else { i64::try_from(magnitude).ok()? };
    T::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Element>(text: &str) -> Option<T> {
        T::read(text.as_bytes(), 0).filter(|(_, end)| *end == text.len()).map(|(value, _)| value)
    }

    #[test]
    fn integers_reach_exactly_to_the_ends_of_their_range() {
        assert_eq!(read("-128"), Some(i8::MIN));
        assert_eq!(read::<i8>("128"), None);
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(read::<i64>("9223372036854775808"), None);
        assert_eq!(read::<i64>("-9223372036854775809"), None);
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        assert_eq!((read("-0"), read::<u8>("-1"), read("2.55e2")), (Some(0_u8), None, Some(255_u8)));
    }

    #[test]
    fn missing_and_infinite_floats_have_their_three_ways() {
        for text in ["NaN", "\"NaN\"", "null", r#""\u004eaN""#] {
            assert!(read::<f32>(text).unwrap().is_nan(), "{text}");
        }
        assert_eq!((read("Infinity"), read("\"-Infinity\"")), (Some(f64::INFINITY), Some(f64::NEG_INFINITY)));
        for text in ["inf", "\"inf\"", "\"nan\"", "-NaN", "+Infinity", "\"1\"", "true", "1e39"] {
            assert_eq!(read::<f32>(text), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_words() {
        assert_eq!(
            (read("true"), read("false"), read::<bool>("1"), read::<bool>("\"true\"")),
            (Some(true), Some(false), None, None)
        );
    }
}
