//! What must hold of any bytes as a compressed body: for the fuzzer (`fuzz/`), which compiles this file, too, and for its seeds.
//!
//! The oracle of gzip is the reader of the `flate2` crate, which goes over members in its own way.

use std::{io::Read, sync::Arc};

use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{self, Decoded, Format, Intake, Intakes, Routing, inflate::Inflater},
    error::ErrorCode,
    request::{Route, UNNAMED},
    tensor::Elements,
};

/// Little, so that a small input can be too large.
const MOST: usize = 64 << 10;

/// The bytes as a body of each encoding, between two that were never compressed.
pub fn compressed(data: &[u8]) {
    for encoding in ["gzip", "zstd"] {
        let decoded = decode(encoding, data);
        let (found, refused) = outcome(&decoded);
        let [first, .., last] = found.as_slice() else { panic!("neighbours are not touched") };
        assert!(first == b"first" && last == b"last");
        assert_eq!(found.len() + refused, 3, "each is answered once");
        if let [_, body, _] = found.as_slice() {
            assert!(body.len() <= MOST && !body.is_empty());
            if encoding == "gzip" {
                let mut oracle = Vec::new();
                flate2::bufread::MultiGzDecoder::new(data).read_to_end(&mut oracle).expect("what was taken is right");
                assert_eq!(*body, oracle);
            }
        }
    }
}

fn decode(encoding: &str, data: &[u8]) -> Decoded {
    let intake = Intake::new(0, Format::Raw, Routing::Fixed(Arc::new(Route { pipeline: 0, models: Vec::new() })));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("texts".into(), 0)] };
    let record = |body: &[u8], encoding: &str| MemoryRecord {
        payload: Some(body.to_vec()),
        headers: vec![("content-encoding".to_owned(), Some(encoding.as_bytes().to_vec()))],
        ..MemoryRecord::default()
    };
    let records = vec![record(b"first", "identity"), record(data, encoding), record(b"last", "")];
    let chunk = Chunk::new(Box::new(MemoryRecords(records)));
    codec::decode_part(&chunk, 0, &intakes, Inflater::alone(MOST), Decoded::default())
}

/// The bodies that were taken, and how many were not.
fn outcome(decoded: &Decoded) -> (Vec<Vec<u8>>, usize) {
    assert!(decoded.refused.iter().all(|refused| refused.error.code() == ErrorCode::InvalidRequest));
    let [group] = decoded.groups.as_slice() else { panic!("bodies are one group") };
    let Elements::Bytes(bodies) = group.columns.find(UNNAMED).expect("bodies have no name").tensor.elements() else {
        panic!("bodies are BYTES")
    };
    (bodies.iter().map(<[u8]>::to_vec).collect(), decoded.refused.len())
}
