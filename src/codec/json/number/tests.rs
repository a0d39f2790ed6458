//! Numbers against Rust's own parser, bit for bit.

use half::f16;
use proptest::prelude::*;

use super::*;

/// Reads a whole text as one float.
fn read<F: Float>(text: &str) -> Option<F> {
    float(text.as_bytes(), 0).filter(|(_, end)| *end == text.len()).map(|(value, _)| value)
}

fn check(text: &str) {
    let bits = |value: f64| value.is_finite().then_some(value.to_bits());
    assert_eq!(read::<f64>(text).map(f64::to_bits), bits(text.parse().unwrap()), "FP64 {text}");
    let bits = |value: f32| value.is_finite().then_some(value.to_bits());
    assert_eq!(read::<f32>(text).map(f32::to_bits), bits(text.parse().unwrap()), "FP32 {text}");
    // The same text with something behind it, so that eight bytes can be loaded at once.
    let longer = format!("{text},         ");
    assert_eq!(
        float::<f32>(longer.as_bytes(), 0).map(|(value, end)| (value.to_bits(), end)),
        read::<f32>(text).map(|value| (value.to_bits(), text.len())),
        "FP32 {longer}"
    );
}

#[test]
fn hard_cases_are_rounded_as_rust_rounds_them() {
    for text in [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e5",
        "0e999999999999999999999",
        "5.1",
        "0.7254902",
        "-12.75",
        "1e22",
        "1e23",
        "1e-22",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "0.1e1",
        "123456789012345678901234567890",
        "0.00000000000000000000000000000000000001",
        "0.000000000000000000012",
        "2.2250738585072011e-308",
        "5e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "1e400",
        "1e-400",
        "3.4028235e38",
        "3.4028236e38",
        "3.4028235677973366e38",
        "1e-45",
        "7e-46",
        "1.00000017881393432617187499",
        "1.00000017881393432617187500",
        "1.00000017881393432617187501",
        "16777217",
        "16777217.0000001",
        "33554435",
        "1e18446744073709551616",
        "1e-18446744073709551616",
        "12345678",
        "1.12345678",
        "1.123456789012345",
        "1.1234567890123456",
        "1.12345678901234567",
        "0.9254901960784314",
        "9.5367431640625e-7",
    ] {
        check(text);
    }
}

#[test]
fn what_is_no_json_number_is_none() {
    for text in ["", "-", "+1", "01", "-01", ".5", "1.", "-.5", "1e", "1e+", "1.e5", "--1", "e5", "NaN", "0x10", "1_0"]
    {
        assert!(read::<f64>(text).is_none(), "{text}");
        assert!(end(text.as_bytes(), 0).is_none_or(|end| end < text.len()), "{text}");
    }
}

#[test]
fn halves_are_rounded_to_nearest_with_ties_to_even() {
    for bits in 0..0x7C00_u16 {
        let half = f16::from_bits(bits);
        assert_eq!(to_half(f64::from(half)), half);
        // The middle to the next one, and a hair to either side of it.
        let middle = (f64::from(half) + next_half(bits)) / 2.0;
        let even = if bits % 2 == 0 { bits } else { bits + 1 };
        assert_eq!(to_half(middle).to_bits(), even, "{middle}");
        assert_eq!(to_half(middle.next_up()).to_bits(), bits + 1);
        assert_eq!(to_half(-middle.next_down()).to_bits(), bits | 0x8000);
    }
    assert!(to_half(f64::NAN).is_nan() && to_half(f64::INFINITY).is_infinite());
    assert_eq!(read::<f16>("65519.99"), Some(f16::MAX));
    assert_eq!(read::<f16>("65520"), None);
}

/// The next larger half; where that is infinite, what it would be with a larger exponent.
fn next_half(bits: u16) -> f64 {
    if bits == 0x7BFF { 65536.0 } else { f64::from(f16::from_bits(bits + 1)) }
}

#[test]
fn integers_are_exact_however_they_are_written() {
    let read = |text: &str| integer(text.as_bytes(), 0).map(|(negative, magnitude, _)| (negative, magnitude));
    for (text, magnitude) in [
        ("0", 0),
        ("1.0", 1),
        ("1e3", 1000),
        ("1.20e2", 120),
        ("0.001e5", 100),
        ("1200e-2", 12),
        ("0e99999999999999999999", 0),
        ("0.000e-99999999999999999999", 0),
        ("9007199254740993", 9_007_199_254_740_993),
        ("18446744073709551615", u64::MAX),
        ("18446744073709551615.000", u64::MAX),
        ("1844674407370955161500e-2", u64::MAX),
    ] {
        assert_eq!(read(text), Some((false, magnitude)), "{text}");
        assert_eq!(read(&format!("-{text}")), Some((true, magnitude)), "-{text}");
    }
    for text in
        ["1.5", "18446744073709551616", "1e20", "1e99999999999999999999", "1e-1", "1e-99999999999999999999", "01"]
    {
        assert!(read(text).is_none_or(|(_, magnitude)| text == "01" && magnitude == 0), "{text}");
    }
    for text in ["", "]", "-", ".5", "e5"] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(whole("1.5"), Err(NotWhole::Fraction));
    assert_eq!(whole("-1e20"), Err(NotWhole::TooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_decimal_is_read_as_rust_reads_it(text in r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?") {
        check(&text);
    }

    #[test]
    fn any_float_in_its_shortest_form_comes_back(double: f64, float: f32) {
        for text in [format!("{double:?}"), format!("{float:?}")] {
            if text.parse::<f64>().unwrap().is_finite() {
                check(&text);
            }
        }
    }

    #[test]
    fn decimals_around_the_middle_of_two_floats_go_to_the_right_side(bits in 0x2000_0000..0x5F00_0000_u32, digits in 6_usize..22) {
        let (low, high) = (f32::from_bits(bits), f32::from_bits(bits + 1));
        let middle = (f64::from(low) + f64::from(high)) / 2.0;
        check(&format!("{middle:.digits$e}"));
        check(&format!("{:.digits$e}", middle.next_up()));
    }

    #[test]
    fn any_integer_comes_back(value: i64, unsigned: u64) {
        let text = value.to_string();
        prop_assert_eq!(integer(text.as_bytes(), 0), Some((value < 0, value.unsigned_abs(), text.len())));
        let text = unsigned.to_string();
        prop_assert_eq!(integer(text.as_bytes(), 0), Some((false, unsigned, text.len())));
    }
}
