//! The floor of the end-to-end benchmark reads what it is sent, and reads it right: a floor that skipped work or rounded
//! wrongly would be no measure. Its parser is held against the standard library, bit for bit.

use std::ffi::CStr;

use proptest::prelude::*;

// A benchmark has no tests of its own: its binary is the benchmark.
#[allow(dead_code)]
#[path = "../benches/e2e/floor/numbers/mod.rs"]
mod numbers;
#[allow(dead_code)]
#[path = "../benches/e2e/floor/requests.rs"]
mod requests;

use requests::{Data, Input};

/// The numbers of an array in the middle of a text, by both readers, and where they end.
fn both<T: numbers::Column + Default>(texts: &[String]) -> [(Vec<T>, usize); 2] {
    let text = format!(r#"{{"id":"00000042","data":[{}]}}]}}"#, texts.join(","));
    let at = text.find('[').unwrap() + 1;
    let (mut fast, mut portable) = (vec![T::default(); texts.len()], vec![T::default(); texts.len()]);
    let ends =
        [numbers::read(text.as_bytes(), at, &mut fast), numbers::read_portably(text.as_bytes(), at, &mut portable)];
    let [fast, portable] = [fast, portable].map(|numbers| (numbers, text.len() - "}]}".len()));
    assert_eq!(ends, [fast.1, portable.1], "{text}");
    [fast, portable]
}

fn assert_floats(texts: &[String]) {
    for (numbers, _) in both::<f32>(texts) {
        for (number, text) in numbers.iter().zip(texts) {
            let expected: f32 = text.trim().parse().unwrap();
            assert_eq!(number.to_bits(), expected.to_bits(), "{text} among {texts:?}");
        }
    }
}

/// A float as somebody writes it: any number of digits before and behind the point, with or without a sign or an exponent.
fn float() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => ("-?(0|[1-9][0-9]{0,9})", "[0-9]{1,16}").prop_map(|(whole, fraction)| format!("{whole}.{fraction}")),
        4 => "-?[0-9]\\.[0-9]",
        2 => "-?(0|[1-9][0-9]{0,17})",
        1 => "-?(0|[1-9]\\.[0-9]{1,17})[eE][+-]?[0-9]{1,2}",
        1 => " ?-?[0-9]\\.[0-9]{1,7} ?",
        2 => any::<f32>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(|float| format!("{float:?}")),
        1 => any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(|float| format!("{float}")),
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
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn floats_are_those_of_the_standard_library(texts in prop::collection::vec(float(), 1..150)) {
        assert_floats(&texts);
    }

    #[test]
    fn floats_near_the_middle_between_two_are_rounded_to_the_right_one(texts in prop::collection::vec(near_a_middle(), 1..20)) {
        assert_floats(&texts);
    }

    #[test]
    fn integers_are_exact(integers in prop::collection::vec(prop_oneof![any::<i64>(), -1000_i64..100_000], 1..150)) {
        let texts: Vec<_> = integers.iter().map(i64::to_string).collect();
        for (numbers, _) in both::<i64>(&texts) {
            prop_assert_eq!(&numbers, &integers);
        }
    }
}

#[test]
fn a_zero_keeps_its_sign_and_a_middle_goes_to_the_even_one() {
    let texts = ["-0.0", "-0", "0", "0.0", "16777217", "16777219", "9007199254740993", "0.1", "1e-45", "3.4028235e38"];
    assert_floats(&texts.map(str::to_owned));
}

#[test]
fn a_long_array_without_signs_may_have_them_later() {
    let texts: Vec<_> =
        (0..1000).map(|at| format!("{}0.{at:06}", if at % 7 == 5 && at > 100 { "-" } else { "" })).collect();
    assert_floats(&texts);
}

#[test]
#[should_panic = "no number"]
fn what_is_no_number_is_refused() {
    both::<f32>(&["0.5".to_owned(), "1.2.3".to_owned()]);
}

#[test]
#[should_panic = "as many elements as the shape says"]
fn a_shape_that_does_not_fit_its_data_is_refused() {
    let mut text =
        br#"{"id":"00000042","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[0.5,0.25,1]}]}"#.to_vec();
    requests::read(&mut text, &mut [Input::new("x", Data::Fp32(Vec::new()))]);
}

#[test]
fn two_inputs_of_several_rows_go_to_their_columns() {
    let mut inputs = [Input::new("ids", Data::Int64(Vec::new())), Input::new("x", Data::Fp32(Vec::new()))];
    for id in ["00000042", "00000043"] {
        let text = format!(
            r#"{{"id":"{id}","inputs":[{{"name":"ids","shape":[2,3],"datatype":"INT64","data":[1,-2,3,40,50,60]}},{{"name":"x","shape":[2,1,1],"datatype":"FP32","data":[0.5,1.25e1]}}]}}"#
        );
        let request = requests::read(&mut text.into_bytes(), &mut inputs);
        assert_eq!((&request.id[..], request.rows), (id.as_bytes(), 2));
    }
    let [Input { data: Data::Int64(ids), row: ids_row, .. }, Input { data: Data::Fp32(x), row: x_row, .. }] = &inputs
    else {
        panic!("the columns keep their types")
    };
    assert_eq!((&ids_row[..], &ids[..]), (&[3_i64][..], &[1, -2, 3, 40, 50, 60, 1, -2, 3, 40, 50, 60][..]));
    assert_eq!((&x_row[..], &x[..]), (&[1_i64, 1][..], &[0.5_f32, 12.5, 0.5, 12.5][..]));
}

#[test]
fn strings_are_read_with_their_escapes() {
    let strings = ["plain", "", "a \"quote\" and a \\", "tab\tand\nline", "ünïcödé", "🎉 pair"];
    let escaped = r#""plain","","a \"quote\" and a \\","tab\tand\nline","\u00fcn\u00EFcödé","\ud83c\uDF89 pair""#;
    let text = format!(
        r#"{{"id":"00000042","inputs":[{{"name":"text","shape":[6,1],"datatype":"BYTES","data":[{escaped}]}}]}}"#
    );
    let mut text = text.into_bytes();
    let mut inputs = [Input::new("text", Data::Bytes(Vec::new()))];
    assert_eq!(requests::read(&mut text, &mut inputs).rows, 6);
    let Data::Bytes(column) = &inputs[0].data else { panic!("the column keeps its type") };
    // SAFETY: the strings lie in `text` and end with a zero byte.
    let read: Vec<_> = column.iter().map(|start| unsafe { CStr::from_ptr(*start) }.to_str().unwrap()).collect();
    assert_eq!(read, strings);
}
