//! What holds of decoding whatever the format.

use super::*;
use crate::broker::memory::MemoryRecords;

/// A choice of model that panics for one of them, as a faulty decoder would.
#[derive(Debug)]
struct Faulty;

impl RouteChoice for Faulty {
    fn route(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError> {
        assert_ne!(asked.model, Some("poison"), "a fault for the test");
        Ok(Arc::new(Route { pipeline: 0, models: Vec::new() }))
    }
}

#[test]
fn a_message_that_makes_the_decoder_panic_is_answered_and_its_neighbours_are_decoded() {
    let intake = Intake::new(0, Format::Json, Routing::Chosen(Box::new(Faulty)));
    let intakes = Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] };
    let mut records = MemoryRecords::default();
    for (offset, model) in [(0, "a"), (1, "poison"), (2, "a")] {
        let body = format!(r#"{{"id": "r{offset}", "model_name": "{model}", "instances": [[1.0]]}}"#);
        records.push(0, offset, body.as_bytes());
    }
    let decoded = decode(&Chunk::new(Box::new(records)), &intakes);
    let answered: usize = decoded.groups.iter().map(|group| group.requests.len()).sum();
    assert_eq!(answered, 2);
    let refused: Vec<_> = decoded.refused.iter().map(|refused| (refused.message, refused.error.code())).collect();
    assert_eq!(refused, [(1, ErrorCode::Internal)]);
}
