//! What must hold of any bytes whatsoever: for the fuzzer (`fuzz/`), which compiles this file, too, and for its seeds.
//!
//! Each of [`TARGETS`] makes bodies of bytes, decodes them as one chunk through the crate's public door, and holds what
//! became of them against the oracle and against each other. Whatever does not hold panics with the body.

use std::sync::Arc;

use super::{
    found::Found,
    oracle::{Expected, expected_mixed},
};
use crate::{
    broker::{
        Chunk,
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{self, Decoded, Format, Intake, Intakes, Routing, envelope::HEADER_LENGTH, json},
    error::ErrorCode,
    request::{Route, UNNAMED},
    tensor::DataType,
};

/// A function over bytes, by the name of its fuzz target.
pub type Target = (&'static str, fn(&[u8]));

/// All there are; each has a file in `fuzz/fuzz_targets/` and a folder in `fuzz/seeds/`.
pub const TARGETS: [Target; 5] =
    [("json_request", bodies), ("tensors", tensors), ("row_form", row_form), ("cut", cut), ("binary", binary)];

/// Between the bodies of one input, and between JSON and the bytes behind it: no JSON text holds this byte.
const BETWEEN: u8 = 0;
/// Bytes are cut at no more places than this.
const CUTS: usize = 512;
/// Brackets nested as deep as this are always taken.
const DEEP: usize = 128;
/// All bodies have the same offset, so that those without an id get the same one.
const FALLBACK: &str = "t-0-0";

/// The bytes as bodies.
pub fn bodies(data: &[u8]) {
    hold(&data.split(|byte| *byte == BETWEEN).map(<[u8]>::to_vec).collect::<Vec<_>>());
}

/// The bytes as the data of tensors: the datatype, then what stands between the brackets. After a `|`, the same for the shape,
/// which else is as long as there are commas.
pub fn tensors(data: &[u8]) {
    let body = |data: &[u8]| {
        let (datatype, data) = data.split_first().unwrap_or((&b'F', &[]));
        let datatype = DataType::ALL[*datatype as usize % DataType::ALL.len()];
        let mut parts = data.splitn(2, |byte| *byte == b'|');
        let values = parts.next().unwrap_or_default();
        let length = (values.iter().filter(|byte| **byte == b',').count() + 1).to_string();
        let shape = parts.next().unwrap_or(length.as_bytes());
        let head = format!(r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":["#);
        [head.as_bytes(), shape, br#"],"data":["#, values, b"]}]}"].concat()
    };
    hold(&data.split(|byte| *byte == BETWEEN).map(body).collect::<Vec<_>>());
}

/// The bytes as instances.
pub fn row_form(data: &[u8]) {
    let body = |data: &[u8]| [br#"{"instances":["#, data, b"]}"].concat();
    hold(&data.split(|byte| *byte == BETWEEN).map(body).collect::<Vec<_>>());
}

/// The bytes as one body, cut off at every place.
pub fn cut(data: &[u8]) {
    let bodies: Vec<_> = (0..=data.len().min(CUTS)).map(|end| data[..end].to_vec()).collect();
    hold(&bodies);
}

/// The bytes as JSON with bytes behind it; without any, the JSON is said to be longer than the body.
pub fn binary(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == BETWEEN);
    let json = parts.next().unwrap_or_default();
    let header = Some(parts.next().map_or(data.len() + 1, |_| json.len()));
    hold_cases(&[Case { body: [json, data.get(json.len() + 1..).unwrap_or_default()].concat(), header }]);
}

/// A body, and what its header says of the length of its JSON.
struct Case {
    body: Vec<u8>,
    header: Option<usize>,
}

fn hold(bodies: &[Vec<u8>]) {
    hold_cases(&bodies.iter().map(|body| Case { body: body.clone(), header: None }).collect::<Vec<_>>());
}

/// Decodes each body twice in a row, so that one of the two meets a group that it fits, and looks at all that became of them.
fn hold_cases(cases: &[Case]) {
    let twice: Vec<_> = cases.iter().flat_map(|case| [case, case]).collect();
    let outcomes = outcomes(&decode(&twice), twice.len());
    for (pair, case) in outcomes.chunks(2).zip(cases) {
        // A chunk of one body has no group that could be guessed: it is read on the complete path.
        let alone = &self::outcomes(&decode(&[case]), 1)[0];
        for outcome in pair {
            assert_eq!(format!("{outcome:?}"), format!("{alone:?}"), "among others and alone: {}", shown(&case.body));
        }
        if let Err(why) = check(case, alone) {
            panic!("{why}: {}", shown(&case.body));
        }
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

fn decode(cases: &[&Case]) -> Decoded {
    let route = Route { pipeline: 0, models: vec![] };
    let routing = Routing::Fixed(Arc::new(route));
    let intake = Intake::new(0, Format::Json, routing);
    let record = |Case { body, header }: &&Case| {
        let length = header.map(|header| (HEADER_LENGTH.to_owned(), Some(header.to_string().into_bytes())));
        MemoryRecord { payload: Some(body.clone()), headers: length.into_iter().collect(), ..MemoryRecord::default() }
    };
    let records = MemoryRecords(cases.iter().map(record).collect());
    let intakes = Intakes { intakes: vec![intake], topics: vec![("t".into(), 0)] };
    codec::decode(&Chunk::new(Box::new(records)), &intakes)
}

/// A request, or the id and the error that its body is answered with.
type Outcome = Result<Found, (String, ErrorCode, String)>;

/// What became of each message; rows stand one after another without gaps.
fn outcomes(decoded: &Decoded, messages: usize) -> Vec<Outcome> {
    let mut outcomes: Vec<Option<Outcome>> = (0..messages).map(|_| None).collect();
    let mut note = |message: usize, outcome| {
        assert!(outcomes[message].replace(outcome).is_none(), "message {message} has more than one outcome");
    };
    for group in &decoded.groups {
        let mut next = 0;
        for request in &group.requests {
            assert_eq!(request.rows.start, next, "rows with a gap");
            next = request.rows.end;
            note(request.message, Ok(Found::new(&decoded.ids, group, request)));
        }
        for column in group.columns.iter().filter(|_| !group.is_single()) {
            assert_eq!(column.tensor.rows(), next, "rows that belong to nobody");
        }
    }
    for refused in &decoded.refused {
        let (id, error) = (decoded.ids.text(refused.id).to_owned(), &refused.error);
        note(refused.message, Err((id, error.code(), error.message().to_owned())));
    }
    outcomes.into_iter().map(|outcome| outcome.expect("every message has an outcome")).collect()
}

/// Holds an outcome against the oracle's.
fn check(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let (body, behind) = match case.header {
        None => (&case.body[..], None),
        Some(header) => match case.body.split_at_checked(header) {
            Some((json, behind)) => (json, Some(behind)),
            None => (&[][..], None),
        },
    };
    match (outcome, expected_mixed(body, behind, UNNAMED)) {
        (Ok(found), Some(expected)) => {
            found.compare(&expected, FALLBACK)?;
            check_id(body, &expected)
        }
        (Ok(_), None) if has_bare_words(body) => Ok(()),
        (Ok(found), None) => Err(format!("taken, but to be refused: {found:?}")),
        (Err((_, ErrorCode::InvalidRequest, _)), None) => Ok(()),
        (Err((_, ErrorCode::InvalidInput, message)), None) if message.contains("is BF16") => Ok(()),
        (Err((_, ErrorCode::InvalidRequest, _)), Some(_)) if is_deep(body) => Ok(()),
        (Err((_, code, message)), _) => Err(format!("refused with {code}: {message}")),
    }
}

/// The id is found without decoding, too.
fn check_id(body: &[u8], expected: &Expected) -> Result<(), String> {
    let (found, expected) = (json::find_id(body), expected.id.as_deref().filter(|id| !id.is_empty()));
    let different = || format!("the id is {expected:?}, but {found:?} is found when decoding fails");
    if found.as_deref() == expected { Ok(()) } else { Err(different()) }
}

/// Whether `NaN` or `Infinity` may stand outside strings: the decoder takes them, the oracle does not.
fn has_bare_words(body: &[u8]) -> bool {
    outside_strings(body).any(|byte| matches!(byte, b'N' | b'I'))
}

/// Whether brackets are nested so deep that the decoder may refuse them.
fn is_deep(body: &[u8]) -> bool {
    let mut depth = 0_usize;
    outside_strings(body).any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEP
    })
}

fn outside_strings(body: &[u8]) -> impl Iterator<Item = u8> {
    let (mut inside, mut escaped) = (false, false);
    body.iter().copied().filter(move |byte| {
        inside ^= *byte == b'"' && !escaped;
        escaped = inside && *byte == b'\\' && !escaped;
        !inside
    })
}
