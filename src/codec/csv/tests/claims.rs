//! What must hold of any bytes as a table: for the fuzzer (`fuzz/`), which compiles this file, too, and for its seeds.
//!
//! The oracle is the `csv` crate: whatever is taken, it reads with the same names, the same number of rows and the same texts.

use std::sync::Arc;

use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{self, Decoded, Format, Intake, Intakes, Routing},
    error::ErrorCode,
    request::{Form, Group, Route, UNNAMED},
    tensor::{Column, DataType, Elements, Tensor},
};

/// The bytes as a body between two that are right.
pub fn csv(data: &[u8]) {
    let right = b"a,b\n1,x\n".as_slice();
    let decoded = decode(&[right, data, right]);
    let messages = |message: usize| {
        decoded.groups.iter().flat_map(|group| &group.requests).filter(move |request| request.message == message)
    };
    assert!(messages(0).count() == 1 && messages(2).count() == 1, "neighbours are not touched");
    match decoded.refused.as_slice() {
        [] => assert_eq!(messages(1).count(), 1),
        [refused] => {
            assert_eq!((refused.message, refused.error.code()), (1, ErrorCode::InvalidRequest), "{:?}", refused.error);
            return;
        }
        several => panic!("{several:?}"),
    }
    held_by_oracle(data, &decode(&[data]));
    let [first, second] = [0, 1].map(|message| columns_of(&decode(&[data, data]), message));
    assert_eq!(first, second, "read on the other path, it is the same");
}

/// The columns of the request that came in a message: names, and what they hold to the bit.
pub fn columns_of(decoded: &Decoded, message: usize) -> Vec<(String, String)> {
    let in_group = |group: &Group| group.requests.iter().position(|request| request.message == message);
    let (group, place) = decoded.groups.iter().find_map(|group| Some((group, in_group(group)?))).expect("it was taken");
    let rows = group.requests[place].rows.clone();
    let column = |column: &Column| {
        let tensor = if group.is_single() { Tensor::clone(&column.tensor) } else { column.tensor.slice(rows.clone()) };
        (column.name.to_string(), format!("{:?} {:?}", tensor.shape(), tensor.elements()))
    };
    group.columns.iter().map(column).collect()
}

/// Decodes bodies as one chunk of a pipeline of tables.
pub fn decode(bodies: &[&[u8]]) -> Decoded {
    let intake = Intake::new(0, Format::Csv, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("tables".into(), 0)] };
    let record = |body: &&[u8]| MemoryRecord { payload: Some(body.to_vec()), ..MemoryRecord::default() };
    codec::decode(&Chunk::new(Box::new(MemoryRecords(bodies.iter().map(record).collect()))), &intakes)
}

/// The names and the rows as the `csv` crate reads them.
fn oracle(data: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(data);
    let mut records = reader.records().map(|record| {
        let record = record.expect("what was taken can be read");
        record.iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    });
    (records.next().expect("what was taken has a header"), records.collect())
}

fn held_by_oracle(data: &[u8], decoded: &Decoded) {
    let (names, rows) = oracle(data);
    let [group] = decoded.groups.as_slice() else { panic!("one body is one group") };
    let [request] = group.requests.as_slice() else { panic!("one body is one request") };
    if request.options.as_ref().is_some_and(|options| options.event.is_some()) {
        // An event, whose data may be a table.
        return;
    }
    assert_eq!((request.rows.clone(), request.form), (0..rows.len(), Form::Rows));
    if let Some(column) = group.columns.find(UNNAMED) {
        assert_eq!(column.tensor.shape(), [rows.len(), names.len()]);
        let texts = rows.iter().flatten().map(String::as_str);
        return held(column.tensor.elements(), texts);
    }
    let found: Vec<_> = group.columns.iter().map(|column| column.name.to_string()).collect();
    assert_eq!(found, names);
    for (index, column) in group.columns.iter().enumerate() {
        assert_eq!(column.tensor.shape(), [rows.len(), 1]);
        held(column.tensor.elements(), rows.iter().map(|row| row[index].as_str()));
    }
}

/// Holds a column against the texts of its cells.
fn held<'t>(elements: &Elements, texts: impl Iterator<Item = &'t str>) {
    let texts: Vec<_> = texts.collect();
    assert_eq!(elements.len(), texts.len());
    for (index, text) in texts.into_iter().enumerate() {
        let plain = text.trim_matches([' ', '\t']);
        match elements {
            Elements::Bytes(strings) => assert_eq!(strings.at(index), text.as_bytes()),
            Elements::Bool(values) => assert_eq!(plain.to_lowercase(), values[index].to_string()),
            Elements::Int64(values) => assert_eq!(plain.parse(), Ok(values[index])),
            Elements::Uint64(values) => assert_eq!(plain.trim_start_matches('-').parse(), Ok(values[index])),
            Elements::Fp64(values) if values[index].is_nan() => {
                assert!(plain.parse().is_ok_and(f64::is_nan) || plain.parse::<f64>().is_err(), "{text} is a number");
            }
            Elements::Fp64(values) => {
                assert_eq!(plain.parse::<f64>().map(f64::to_bits), Ok(values[index].to_bits()), "{text}");
            }
            other => panic!("{} is no datatype of a table", DataType::as_str(other.datatype())),
        }
    }
}
