//! Tables: datatypes by their cells, what is refused and with which words, and what the `csv` crate writes.

use proptest::{collection::vec, prelude::*, sample::select};

use super::MOST_COLUMNS;
use crate::{
    codec::Decoded,
    error::ErrorCode,
    request::{Form, UNNAMED},
    tensor::{Elements, Tensor},
};

pub mod claims;

/// The columns of one table.
fn table(text: &str) -> Vec<(String, Tensor)> {
    claims::csv(text.as_bytes());
    let decoded = claims::decode(&[text.as_bytes()]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    let [group] = decoded.groups.as_slice() else { panic!("one body is one group") };
    group.columns.iter().map(|column| (column.name.to_string(), Tensor::clone(&column.tensor))).collect()
}

/// The one column of a table.
fn column(cells: &[&str]) -> Elements {
    let table =
        table(&format!("other,x\n{}\n", cells.iter().map(|cell| format!("1,{cell}")).collect::<Vec<_>>().join("\n")));
    table[1].1.elements().clone()
}

/// What the sender of a table is told.
fn told(text: impl AsRef<[u8]>) -> String {
    let decoded = claims::decode(&[text.as_ref()]);
    let [refused] = decoded.refused.as_slice() else { panic!("it is refused: {:?}", decoded.groups) };
    assert_eq!((refused.error.code(), refused.is_letter), (ErrorCode::InvalidRequest, true));
    refused.error.message().to_owned()
}

fn texts(texts: &[&str]) -> Elements {
    Elements::Bytes(texts.iter().collect())
}

fn floats(elements: &Elements) -> Vec<String> {
    let Elements::Fp64(values) = elements else { panic!("{elements:?} is FP64") };
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn each_column_is_a_feature_whose_cells_say_what_it_is() {
    let columns = table("age,name,member,order,rate\r\n31,\"Grüße, Ö\",true,20000001,1e-3\r\n4,plain,False,7,-.5\r\n");
    let found: Vec<_> = columns.into_iter().map(|(name, tensor)| (name, tensor.into_parts())).collect();
    let expected = [
        ("age", Elements::Fp64(vec![31.0, 4.0])),
        ("name", texts(&["Grüße, Ö", "plain"])),
        ("member", Elements::Bool(vec![true, false])),
        ("order", Elements::Int64(vec![20_000_001, 7])),
        ("rate", Elements::Fp64(vec![0.001, -0.5])),
    ];
    assert_eq!(found, expected.map(|(name, elements)| (name.to_owned(), (vec![2, 1], elements))));
}

#[test]
fn missing_numbers_are_nan_and_the_words_of_pandas_and_r_are_read() {
    let cells = ["1", "", "\"\"", "NaN", "nan", "NA", "<NA>", "null", "None", " 2 ", "inf", "-Inf", "+5.", "007"];
    let nan = "NaN";
    let expected = ["1", nan, nan, nan, nan, nan, nan, nan, nan, "2", "inf", "-inf", "5", "7"];
    assert_eq!(floats(&column(&cells)), expected);
    assert_eq!(floats(&column(&["", ""])), [nan, nan], "what says nothing is missing numbers, as pandas has it");
}

#[test]
fn one_text_makes_a_column_of_texts_as_they_stand() {
    for cells in
        [["12", "C85", ""], ["\"1.5\"", "2.5", " NA "], ["true", "no", "1"], ["1", "1e", "--1"], ["1-2", ".", "+"]]
    {
        let plain = cells.map(|cell| cell.trim_matches('"'));
        assert_eq!(column(&cells), texts(&plain), "{cells:?}");
    }
    assert_eq!(column(&["true", "1"]), texts(&["true", "1"]), "booleans among numbers are texts");
    assert_eq!(column(&["\"00123\"", "\"00124\""]), texts(&["00123", "00124"]), "what is quoted is a text");
    assert_eq!(column(&["\"she said \"\"no\"\"\"", "\"two\nlines\""]), texts(&["she said \"no\"", "two\nlines"]));
}

#[test]
fn whole_numbers_keep_every_digit() {
    assert_eq!(column(&["16777216", "-1"]), Elements::Fp64(vec![16_777_216.0, -1.0]));
    assert_eq!(column(&["16777217", "-1"]), Elements::Int64(vec![16_777_217, -1]));
    assert_eq!(column(&["-9223372036854775808", "+9223372036854775807"]), Elements::Int64(vec![i64::MIN, i64::MAX]));
    assert_eq!(column(&["18446744073709551615", "-0"]), Elements::Uint64(vec![u64::MAX, 0]));
    assert_eq!(column(&["9007199254740992", "0.5"]), Elements::Fp64(vec![9_007_199_254_740_992.0, 0.5]));
    for (cells, why) in [
        (
            "1\n18446744073709551616\n",
            "line 3, column `x`: neither INT64 nor UINT64 holds all numbers of the column; quote what is no number",
        ),
        ("-1\n18446744073709551615\n", "line 3, column `x`: neither INT64"),
        ("0.5\n9007199254740993\n", "line 3, column `x`: no FP64 holds this number exactly, and other values"),
        ("9007199254740993\nNA\n", "line 2, column `x`: no FP64 holds this number exactly"),
        ("1e999\n", "line 2, column `x`: the number is beyond the range of FP64"),
    ] {
        let told = told(format!("x\n{cells}"));
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn columns_that_are_numbered_from_0_are_one_vector_without_a_name() {
    let [(name, tensor)] = &table("0,1,2\n5.1,3.5,\n4.9,3,1.4\n")[..] else { panic!("one column") };
    assert_eq!((name.as_str(), tensor.shape()), (UNNAMED, &[2, 3][..]));
    assert_eq!(floats(tensor.elements()), ["5.1", "3.5", "NaN", "4.9", "3", "1.4"]);
    assert_eq!(table("0,1\na,1\n")[0].1.elements(), &texts(&["a", "1"]), "a vector has one datatype");
    for other in ["1,2", "0,2", "0,01", "1,0"] {
        assert_eq!(table(&format!("{other}\n1,2\n")).len(), 2, "{other} are names");
    }
}

#[test]
fn what_spreadsheets_write_is_read() {
    for text in ["\u{FEFF}a,b\r\n1,x\r\n", "a,b\n1,x", "a,b\r1,x\r", "\n\n\"a\",\"b\"\r\n\r\n1,\"x\"\n\n"] {
        let columns = table(text);
        assert_eq!(columns[0].0, "a", "{text:?}");
        assert_eq!((floats(columns[0].1.elements()), columns[1].1.elements()), (vec!["1".to_owned()], &texts(&["x"])));
    }
}

#[test]
fn faults_are_told_with_line_and_column() {
    let wide =
        vec!["x"; MOST_COLUMNS + 1].iter().enumerate().map(|(n, x)| format!("{x}{n}")).collect::<Vec<_>>().join(",");
    for (text, expected) in [
        ("a,b\n1,2\n\n1\n", "line 4: the row has 1 cell, but the header has 2 columns"),
        ("a\n1,2,3\n", "line 2: the row has 3 cells, but the header has 1 column"),
        ("a,b\n1,\"x\ny\"\n1,\"x", "line 4, column `b`: the quote that begins the cell is never closed"),
        (
            "a,b\n\"x\"y,1\n",
            "line 2, column `a`: a comma or the end of the line must follow the quote that closes the cell; a quote inside is \
             written twice",
        ),
        ("a,\"b\n1,2\n", "line 1, column 2: the quote that begins the cell is never closed"),
        (
            ",a\n0,1\n",
            "line 1, column 1: the header must name every column (pandas writes its index without a name: leave it out with \
             `index=False`)",
        ),
        ("a,b,a\n1,2,3\n", "the header has the column `a` twice"),
        ("a,b\n", "the table has a header and no rows; a request has at least one row"),
        ("\n\r\n", "the table has no header: its first line must name the columns"),
        ("\u{FEFF}", "the table has no header: its first line must name the columns"),
        (
            "a,b\ntrue,1\n,2\n",
            "line 3, column `a`: the cell is empty or missing, but the column's others are booleans, which cannot be missing",
        ),
        (wide.as_str(), "line 1, column 65537: a table has at most 65536 columns"),
    ] {
        claims::csv(text.as_bytes());
        assert_eq!(told(text), expected);
    }
    assert_eq!(told(b"a\n\xFF\n"), "the body is no UTF-8 from byte 2 on");
}

#[test]
fn tables_of_the_same_columns_share_a_group_and_a_bad_one_leaves_no_rows() {
    let decoded = claims::decode(&[b"a,b\n1,x\n2,y\n", b"a,b\n3,1e999\n", b"a,b\n4,z\n"]);
    let [group] = decoded.groups.as_slice() else { panic!("one signature is one group: {:?}", decoded.groups) };
    let rows: Vec<_> = group.requests.iter().map(|request| (request.rows.clone(), request.form)).collect();
    assert_eq!(rows, [(0..2, Form::Rows), (2..3, Form::Rows)]);
    assert_eq!(group.columns.find("b").unwrap().tensor.elements(), &texts(&["x", "y", "z"]));
    assert_eq!(decoded.refused.len(), 1);
}

#[test]
fn empty_lines_before_the_header_make_no_row_of_it() {
    let decoded = claims::decode(&[b"1\n0.5\n", b"\n1\n0.5\n", b"\n1\n0.5\n"]);
    let rows: Vec<_> = decoded.groups[0].requests.iter().map(|request| request.rows.len()).collect();
    assert_eq!(rows, [1, 1, 1]);
}

#[test]
fn a_table_may_be_the_data_of_an_event() {
    let event = br#"{"specversion": "1.0", "id": "e", "type": "t", "source": "s", "datacontenttype": "text/csv", "data": "a,b\n1,x\n"}"#;
    let decoded = claims::decode(&[event]);
    assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
    assert_eq!(decoded.groups[0].columns.find("b").unwrap().tensor.elements(), &texts(&["x"]));
}

#[test]
fn the_id_is_none_of_the_tables() {
    let decoded: Decoded = claims::decode(&[b"id\n7\n"]);
    assert_eq!(decoded.ids.text(decoded.groups[0].requests[0].id), "tables-0-0", "a column is no id");
}

/// A cell as somebody might have it.
fn any_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<f64>().prop_map(|number| number.to_string()),
        any::<i32>().prop_map(|number| number.to_string()),
        select(vec!["", "NA", "true", "False", " ", "\"", ",", "\r\n", "a\nb", "1,5", "-", "x\"y"])
            .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

/// A whole number, about as often beyond those that are always FP64 as not.
fn whole_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-30_000_000..30_000_000_i32).prop_map(|number| number.to_string()),
        1 => select(vec!["-0", "16777216", "16777217", "-16777217", "9007199254740993"]).prop_map(str::to_owned),
    ]
}

/// A cell of a table of numbers, mostly one that the fast path takes.
fn number_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (-100_000..100_000_i32).prop_map(|number| (f64::from(number) / 64.0).to_string()),
        3 => whole_cell(),
        2 => select(vec!["", "-0", "1e3", "16777216", "16777217", "0.1e-7"]).prop_map(str::to_owned),
        1 => select(vec!["+1", ".5", "5.", "007", " 1", "NaN", "x", "\"1\"", "1e999", "true", "9007199254740993"]).prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn whatever_the_csv_crate_writes_is_read_as_it_reads_it(
        rows in (1_usize..5).prop_flat_map(|width| vec(vec(any_cell(), width), 1..8)),
        always: bool, crlf: bool,
    ) {
        let style = if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary };
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record((0..rows[0].len()).map(|index| format!("c {index}"))).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let body = writer.into_inner().unwrap();
        claims::csv(&body);
        let decoded = claims::decode(&[&body]);
        let is_huge = |why: &str| ["holds", "beyond", "booleans"].iter().any(|known| why.contains(known));
        prop_assert!(decoded.refused.iter().all(|refused| is_huge(refused.error.message())), "{:?}", decoded.refused);
    }

    #[test]
    fn a_table_behind_one_of_the_same_columns_is_read_as_if_it_stood_alone(
        width in 1_usize..4, numbered: bool, cells in prop_oneof![vec(number_cell(), 1..30), vec(whole_cell(), 1..8)], ends in vec(select(vec!["\n", "\r\n", "\r", "\n\n"]), 30),
        is_ragged in prop::bool::weighted(0.1), at_the_end: bool,
    ) {
        let names = (0..width).map(|index| if numbered { index.to_string() } else { format!("c{index}") });
        let mut table = names.collect::<Vec<_>>().join(",");
        let first = format!("{table}\n{}\n", vec!["0.5"; width].join(","));
        for (row, end) in cells.chunks(width).zip(&ends) {
            if row.len() == width || is_ragged {
                table = table + end + &row.join(",");
            }
        }
        table += if at_the_end { "\n" } else { "" };
        claims::csv(table.as_bytes());
        let (alone, behind) = (claims::decode(&[table.as_bytes()]), claims::decode(&[first.as_bytes(), table.as_bytes()]));
        let told = |decoded: &Decoded| decoded.refused.iter().map(|refused| refused.error.to_string()).collect::<Vec<_>>();
        prop_assert_eq!(told(&alone), told(&behind));
        if alone.refused.is_empty() {
            prop_assert_eq!(claims::columns_of(&alone, 0), claims::columns_of(&behind, 1));
        }
    }

    #[test]
    fn no_text_breaks_anything(text in "[a,\"\n\r 1.\u{FEFF}é-]{0,40}|[1,\"\n]{0,12}") {
        claims::csv(text.as_bytes());
    }
}
