//! What a session does with rows: slices, scalars, defaults, pieces, failures.

use modelmill::{
    backend::{BackendError, Session},
    tensor::{Column, Columns, DataType, Elements},
};

use crate::{column, columns, open};

fn numbers(column: &Column) -> &[f32] {
    let Elements::Fp32(numbers) = column.tensor.elements() else { panic!("{:?}", column.tensor.datatype()) };
    numbers
}

fn iris(rows: usize) -> Columns {
    let numbers = (0..rows * 4).map(|index| (index % 7) as f32).collect();
    columns([column("X", &[rows, 4], Elements::Fp32(numbers))])
}

#[test]
fn a_slice_of_rows_answers_as_those_rows_in_the_whole() {
    let mut session = open("iris");
    let inputs = iris(20);
    let all = session.run(&inputs, None).unwrap();
    let some = session.run(&inputs, Some(5..12)).unwrap();
    for (all, some) in all.iter().zip(&some) {
        assert_eq!(*some.tensor, all.tensor.slice(5..12));
    }
    assert_eq!(session.run(&inputs, Some(3..3)).unwrap()[0].tensor.shape(), [0]);
}

#[test]
fn strings_of_any_bytes_and_any_slice_come_back() {
    let mut session = open("identity_bytes");
    let strings: Vec<Vec<u8>> = (0..12_u8).map(|index| [index, 0, 0xff, b'a'].repeat(index.into())).collect();
    let inputs = columns([column("x", &[4, 3], Elements::Bytes(strings.iter().collect()))]);
    let output = &session.run(&inputs, Some(1..3)).unwrap()[0];
    assert_eq!(*output.tensor, inputs.find("x").unwrap().tensor.slice(1..3));
}

#[test]
fn columns_that_the_model_does_not_know_are_left_alone() {
    let mut session = open("iris");
    let mut inputs = iris(2);
    inputs.put(column("text", &[1], Elements::zeros(DataType::Bytes, 1)));
    assert_eq!(session.run(&inputs, Some(0..2)).unwrap()[0].tensor.rows(), 2);
    let mut session = open("fixed_four");
    let mut inputs = columns([column("x", &[3, 3], Elements::zeros(DataType::Fp32, 9))]);
    inputs.put(column("text", &[1], Elements::zeros(DataType::Bytes, 1)));
    assert_eq!(session.run(&inputs, Some(0..3)).unwrap()[0].tensor.rows(), 3);
}

#[test]
fn an_input_with_a_default_may_be_left_out_and_others_may_not() {
    let mut session = open("optional_input");
    let names: Vec<_> = session.signature().inputs.iter().map(|spec| (&*spec.name, spec.optional)).collect();
    assert_eq!(names, [("x", false), ("factor", true)]);
    let inputs = columns([column("x", &[1, 2], Elements::Fp32(vec![1.0, 2.0]))]);
    assert_eq!(numbers(&session.run(&inputs, None).unwrap()[0]), [2.0, 4.0]);
    let error = session.run(&Columns::default(), None).unwrap_err().to_string();
    assert_eq!(error, "the input `x` (FP32 [?, 2]) is missing");
}

#[test]
fn a_fixed_length_is_met_by_cutting_and_filling_up() {
    for (name, lengths) in [("fixed_four", [1, 4, 9, 12]), ("fixed_one", [1, 2, 3, 5])] {
        let mut session = open(name);
        for rows in lengths {
            let values: Vec<_> = (0..rows * 3).map(|index| index as f32 / 4.0).collect();
            let inputs = columns([column("x", &[rows, 3], Elements::Fp32(values.clone()))]);
            let output = session.run(&inputs, Some(0..rows)).unwrap().remove(0);
            assert_eq!(output.tensor.shape(), [rows, 2]);
            let row = |row: &[f32]| [row[0] * 0.5 + row[1] * 0.25 + row[2], row[1] * 2.0 - row[0] + row[2] * 0.125];
            let expected: Vec<_> = values.chunks(3).flat_map(row).collect();
            assert_eq!(numbers(&output), expected, "{name}, {rows} rows");
        }
        let inputs = columns([column("x", &[9, 3], Elements::zeros(DataType::Fp32, 27))]);
        assert_eq!(session.run(&inputs, Some(2..2)).unwrap()[0].tensor.shape(), [0, 2]);
        assert_eq!(session.run(&inputs, Some(2..9)).unwrap()[0].tensor.shape(), [7, 2]);
    }
}

#[test]
fn a_row_that_the_model_fails_on_is_told_and_the_session_goes_on() {
    let mut session = open("poison");
    let index = |values: Vec<i64>| columns([column("index", &[values.len()], Elements::Int64(values))]);
    let error = session.run(&index(vec![0, 7, 1]), Some(0..3)).unwrap_err();
    assert!(matches!(error, BackendError::Run(_)));
    let sentence = error.to_string();
    assert!(sentence.starts_with("the node (Gather) failed: indices element out of data bounds, idx=7"), "{sentence}");
    let outputs = session.run(&index(vec![0, 7, 1]), Some(2..3)).unwrap();
    assert_eq!(numbers(&outputs[0]), [3.0, 4.0]);
}

#[test]
fn a_wrong_type_or_shape_is_an_error_and_the_session_goes_on() {
    let mut session = open("iris");
    let integers = columns([column("X", &[1, 4], Elements::zeros(DataType::Int64, 4))]);
    assert!(session.run(&integers, None).unwrap_err().to_string().contains("Unexpected input data type"));
    let narrow = columns([column("X", &[1, 3], Elements::zeros(DataType::Fp32, 3))]);
    assert!(session.run(&narrow, None).is_err());
    let deep = columns([column("X", &[1, 1, 4], Elements::zeros(DataType::Fp32, 4))]);
    assert!(session.run(&deep, None).is_err());
    assert!(session.run(&iris(1), None).is_ok());
}

#[test]
fn what_the_graph_declares_is_what_the_signature_says() {
    let shown = |name: &str| {
        let session = open(name);
        let signature = session.signature().clone();
        let all = signature.inputs.iter().chain(&signature.outputs);
        all.map(|spec| format!("{} {spec}", spec.name)).collect::<Vec<_>>()
    };
    assert_eq!(shown("iris"), ["X FP32 [?, 4]", "label INT64 [?]", "probabilities FP32 [?, 3]"]);
    assert_eq!(shown("zipmap_string"), ["scores FP32 [?, 3]", "by_name FP32 [?, 3]"]);
    assert_eq!(shown("weights_as_inputs"), ["x FP32 [?, 2]", "y FP32 [?, 2]"]);
    assert_eq!(shown("scalar"), ["x FP32 []", "y FP32 []"]);
    assert_eq!(shown("unranked_output"), ["x FP32 [?, 4]", "y FP32 of any shape"]);
    assert_eq!(shown("fixed_four"), ["x FP32 [4, 3]", "y FP32 [4, 2]"]);
}

#[test]
fn a_session_moves_to_the_thread_that_owns_it() {
    let mut session: Box<dyn Session> = Box::new(open("iris"));
    let rows = std::thread::spawn(move || session.run(&iris(3), None).unwrap()[0].tensor.rows()).join().unwrap();
    assert_eq!(rows, 3);
}
