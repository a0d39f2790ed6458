//! The fast path is the complete path, only faster; both are what the oracle says.

use proptest::{collection::vec, prelude::*};

use super::{ByRequest, Outcome, Path, found::Found, generate::chunk, intake, oracle::expected, run, run_with};
use crate::{codec::Routing, error::ErrorCode};

/// Holds one body's outcome against the oracle's.
fn compare(outcome: &Outcome, message: usize, body: &str) -> Result<(), TestCaseError> {
    let requests = outcome.groups.iter().flat_map(|group| group.requests.iter().map(move |request| (group, request)));
    let mut found = requests.filter(|(_, request)| request.message == message);
    let refused: Vec<_> = outcome.refused.iter().filter(|(index, ..)| *index == message).collect();
    let Some(expected) = expected(body.as_bytes(), crate::request::UNNAMED) else {
        prop_assert!(found.next().is_none(), "taken: {body}");
        prop_assert_eq!(refused.len(), 1);
        prop_assert_eq!(refused[0].2.code(), ErrorCode::InvalidRequest);
        return Ok(());
    };
    let Some((group, request)) = found.next() else {
        return Err(TestCaseError::fail(format!("refused: {body}: {:?}", refused[0].2)));
    };
    prop_assert!(found.next().is_none() && refused.is_empty());
    let compared = Found::new(&outcome.ids, group, request).compare(&expected, &format!("t-0-{message}"));
    compared.map_err(|why| TestCaseError::fail(format!("{body}: {why}")))
}

/// Every message has one outcome, and rows stand one after another without gaps.
fn check_books(outcome: &Outcome, messages: usize) -> Result<(), TestCaseError> {
    let mut seen: Vec<usize> = outcome.refused.iter().map(|(message, ..)| *message).collect();
    for group in &outcome.groups {
        seen.extend(group.requests.iter().map(|request| request.message));
        let mut next = 0;
        for request in &group.requests {
            prop_assert_eq!(request.rows.start, next);
            next = request.rows.end;
        }
        for column in group.columns.iter().filter(|_| !group.is_single()) {
            prop_assert_eq!(column.tensor.rows(), next);
        }
    }
    seen.sort_unstable();
    prop_assert_eq!(seen, (0..messages).collect::<Vec<_>>());
    Ok(())
}

/// A body with some bytes changed, cut off or doubled.
fn mutated() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let edit = (
        any::<prop::sample::Index>(),
        prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:0e.-\\ntN "[..])],
        0..5_u8,
    );
    (chunk(), vec(vec(edit, 0..3), 5)).prop_map(|(bodies, edits)| {
        let spoil = |(body, edits): (String, Vec<(prop::sample::Index, u8, u8)>)| {
            let mut body = body.into_bytes();
            for (at, byte, how) in edits {
                let at = at.index(body.len().max(1));
                match how {
                    _ if at >= body.len() => body.push(byte),
                    0 => body.truncate(at),
                    1 => body.insert(at, byte),
                    2 => drop(body.remove(at)),
                    _ => body[at] = byte,
                }
            }
            body
        };
        bodies.into_iter().zip(edits).map(spoil).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn every_body_is_taken_as_the_oracle_takes_it(bodies in chunk()) {
        let outcome = run(&bodies, Path::Both);
        for (message, body) in bodies.iter().enumerate() {
            compare(&outcome, message, body)?;
        }
        check_books(&outcome, bodies.len())?;
    }

    #[test]
    fn the_fast_path_gives_what_the_complete_path_gives(bodies in chunk()) {
        prop_assert_eq!(run(&bodies, Path::Both).describe(), run(&bodies, Path::Complete).describe());
        let intake = intake(Routing::Chosen(Box::new(ByRequest)));
        let [both, complete] = [Path::Both, Path::Complete].map(|path| run_with(&intake, &bodies, path).describe());
        prop_assert_eq!(both, complete);
    }

    #[test]
    fn whatever_comes_has_one_outcome_and_both_paths_agree(bodies in mutated()) {
        let outcome = run(&bodies, Path::Both);
        check_books(&outcome, bodies.len())?;
        prop_assert_eq!(outcome.describe(), run(&bodies, Path::Complete).describe());
    }

    #[test]
    fn arbitrary_bytes_have_one_outcome(bodies in vec(vec(any::<u8>(), 0..40), 1..4)) {
        let outcome = run(&bodies, Path::Both);
        check_books(&outcome, bodies.len())?;
    }

    #[test]
    fn bad_requests_do_not_change_their_neighbours(good in chunk(), bad in mutated()) {
        let alone = run(&good, Path::Both);
        let mixed: Vec<Vec<u8>> = good.iter().enumerate().flat_map(|(index, body)| {
            [bad[index % bad.len()].clone(), body.clone().into_bytes()]
        }).collect();
        let among = run(&mixed, Path::Both);
        for (message, body) in good.iter().enumerate() {
            compare(&alone, message, body)?;
            compare(&among, message * 2 + 1, body)?;
        }
    }
}

#[test]
fn no_input_passes_for_the_unnamed_column_of_rows() {
    let bodies: Vec<Vec<u8>> = [
        r#"{"id":"a","instances":[1.5]}"#,
        r#"{"id":"b","instances":[2.5]}"#,
        r#"{"id":"c","inputs":[{"name":"","shape":[1,1],"datatype":"FP64","data":[3.5]}]}"#,
        r#"{"id":"d","instances":[{"":4.5}]}"#,
    ]
    .map(|body| body.as_bytes().to_vec())
    .to_vec();
    for path in [Path::Both, Path::Complete] {
        let refused: Vec<_> = run(&bodies, path).refused.iter().map(|(message, ..)| *message).collect();
        assert_eq!(refused, [2, 3]);
    }
}
