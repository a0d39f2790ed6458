//! Arrays read four numbers at a time against Rust's own parser, bit for bit, and against the one-by-one reader.

use proptest::prelude::*;

use super::*;

/// Reads the middle of an array, written with `comma`; how many numbers, and what of them.
fn read<T: Four>(texts: &[String], comma: &str) -> Vec<T> {
    let text = format!(r#"{{"id":"00000042","data":[0{comma}{}{comma}1]}}"#, texts.join(comma));
    let at = text.find("[0").unwrap() + 2;
    let mut numbers = vec![T::default(); texts.len()];
    let (done, end) = plain(text.as_bytes(), at, &mut numbers);
    let behind: usize = texts[..done].iter().map(|text| text.len() + comma.len()).sum();
    assert_eq!(end, at + behind, "{text}");
    numbers.truncate(done);
    numbers
}

/// What is read is right, and `least` numbers are.
fn check(texts: &[String], least: usize) {
    for comma in [",", ", "] {
        let bits: Vec<_> = read::<f32>(texts, comma).into_iter().map(f32::to_bits).collect();
        let expected: Vec<_> = texts.iter().map(|text| text.parse::<f32>().unwrap().to_bits()).collect();
        assert_eq!(bits, expected[..bits.len()], "{texts:?}");
        assert!(bits.len() >= least, "{} of {texts:?}", bits.len());
        let bits: Vec<_> = read::<f64>(texts, comma).into_iter().map(f64::to_bits).collect();
        let expected: Vec<_> = texts.iter().map(|text| text.parse::<f64>().unwrap().to_bits()).collect();
        assert_eq!(bits, expected[..bits.len()], "{texts:?}");
        assert!(bits.len() >= least, "{} of {texts:?}", bits.len());
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Whether this processor has the instructions; without them nothing is read here.
fn is_there() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

/// A number as clients write it, with up to 16 characters.
fn short() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => ("-?(0|[1-9][0-9]{0,2})", "[0-9]{1,8}").prop_map(|(whole, fraction)| format!("{whole}.{fraction}")),
        2 => "-?[0-9]\\.[0-9]",
        // Larger ones, and more digits before the point, may lie half way between two floats.
        1 => "-?(0|[1-9][0-9]{0,6})",
    ]
}

/// The same, with whatever else JSON allows.
fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => short(),
        1 => "-?(0|[1-9][0-9]{0,9})\\.[0-9]{1,20}",
        1 => "-?(0|[1-9]\\.[0-9]{1,17})[eE][+-]?[0-9]",
        1 => any::<f64>().prop_filter("finite", |float| float.abs() < 1e38).prop_map(|float| format!("{float}")),
    ]
}

/// A decimal near or at the middle between two floats, where an inexact product may round to the wrong side.
fn near_a_middle() -> impl Strategy<Value = String> {
    (0x3000_0000_u32..0x4f00_0000, 0_usize..10, any::<bool>()).prop_map(|(bits, places, is_negative)| {
        let (low, high) = (f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits + 1)));
        format!("{}{:.*}", if is_negative { "-" } else { "" }, places, (low + high) / 2.0)
    })
}

proptest! {
    #[test]
    fn plain_numbers_are_all_read(texts in proptest::collection::vec(short(), 0..200)) {
        check(&texts, if is_there() { texts.len() / 4 * 4 } else { 0 });
    }

    #[test]
    fn numbers_of_any_kind_are_right_as_far_as_they_are_read(texts in proptest::collection::vec(any_number(), 0..100)) {
        check(&texts, 0);
    }

    #[test]
    fn floats_near_the_middle_of_two_are_rounded_to_the_right_side(
        texts in proptest::collection::vec(near_a_middle(), 4..40)
    ) {
        check(&texts, 0);
    }

    #[test]
    fn integers_are_exact(numbers in proptest::collection::vec(-9_999_999_999_999_999_i64..=9_999_999_999_999_999, 4..100)) {
        let texts: Vec<_> = numbers.iter().map(i64::to_string).collect();
        for comma in [",", ", "] {
            let read = read::<i64>(&texts, comma);
            prop_assert_eq!(&read[..], &numbers[..read.len()]);
            prop_assert!(!is_there() || read.len() == numbers.len() / 4 * 4);
        }
    }

    #[test]
    fn any_text_is_survived(text in "[-0-9., \\]\\[e]{0,200}", at in 0_usize..200) {
        let mut numbers = [0_f32; 40];
        let (done, end) = plain(text.as_bytes(), at, &mut numbers);
        prop_assert!(done <= numbers.len() && (done == 0 || text.as_bytes()[end] == b','));
    }
}

#[test]
fn what_is_no_number_in_json_stops_the_run() {
    for wrong in [
        "01", "-01", ".5", "5.", "-", "-.5", "00", "1.2.3", "+1", "", " ", "0x1", "1 2", "--1", "00.5", "1e", "1]", "٣",
    ] {
        for place in 0..4 {
            let mut texts = owned(&["1.5", "2.25", "3", "0.125", "7", "6.5", "1", "2"]);
            texts[4 + place] = wrong.to_owned();
            for comma in [",", ", "] {
                let read = read::<f32>(&texts, comma);
                assert!(read.len() <= 4, "`{wrong}` was read as {:?}", read.get(4 + place));
            }
        }
    }
}

#[test]
fn hard_cases_are_read() {
    check(&owned(&["0", "-0", "0.0", "-0.0", "5.1", "-12.75", "0.7254902", "9999999999999999"]), 0);
    // What needs care is left to the other reader.
    for odd in ["1e5", "0.30000001192092896", "-2.5E-3", "1e-05"] {
        let texts = owned(&["4", "5.25", "6", "7", odd, "1", "2", "3"]);
        check(&texts, if is_there() { 4 } else { 0 });
        assert_eq!(read::<f32>(&texts, ",").len(), if is_there() { 4 } else { 0 });
    }
}

#[test]
fn blanks_may_come_and_go() {
    let text = br#"{"id":"0000042","data":[0, 1,2, 3 , 4, 5,  6, 7, 8, 9]}"#;
    let mut numbers = [0_i64; 8];
    let (done, end) = plain(text, 25, &mut numbers);
    let expected: Vec<_> = (1..=8).collect();
    assert_eq!(numbers[..done], expected[..done]);
    assert_eq!(text[end], b',');
}
