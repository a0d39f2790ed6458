//! Decoding as a whole: the two paths against each other and against an oracle, and what bad requests are told.

use std::{borrow::Cow, sync::Arc};

use super::{complete, decode, decode_by, fast, find_id};
use crate::{
    broker::Message,
    codec::{Asked, Draft, Envelope, Format, Groups, Intake, Parameter, RouteChoice, Routing, binary::Behind},
    error::{ErrorCode, RequestError},
    request::{Group, Ids, ModelChoice, Route, VersionChoice},
};

mod claims;
mod errors;
mod found;
mod generate;
mod oracle;
mod paths;
mod requests;
mod seeds;

/// Which path a test sends bodies down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Path {
    /// As in service: fast, then complete.
    Both,
    /// Complete alone.
    Complete,
    /// Fast alone; what it gives up is refused.
    Fast,
}

/// What came of some bodies.
#[derive(Debug, Default)]
struct Outcome {
    ids: Ids,
    groups: Vec<Group>,
    /// Message, id, error.
    refused: Vec<(usize, Option<String>, RequestError)>,
}

fn intake(routing: Routing) -> Intake {
    Intake::new(0, Format::Json, routing)
}

fn route(model: &str, version: &str) -> Arc<Route> {
    let name = format!("{model}@{version}").into();
    Arc::new(Route { pipeline: 0, models: vec![ModelChoice { name, version: VersionChoice::Latest, fallback: None }] })
}

/// Routes a request to the model that it names, else to the one that its parameter `m` names.
#[derive(Debug)]
struct ByRequest;

impl RouteChoice for ByRequest {
    fn route(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError> {
        let version = asked.version.unwrap_or("latest");
        match (asked.model, asked.parameter("m")) {
            (Some(model), _) => Ok(route(model, version)),
            (None, Parameter::Text(model)) => Ok(route(&model, version)),
            (None, _) => Err(RequestError::new(ErrorCode::UnknownModel, "the request must name a model")),
        }
    }

    fn reads_parameters(&self) -> bool {
        true
    }
}

/// Decodes the bodies of one chunk, the first of which is message 0.
fn run_with<B: AsRef<[u8]>>(intake: &Intake, bodies: &[B], path: Path) -> Outcome {
    let (mut outcome, mut groups) = (Outcome::default(), Groups::default());
    for (index, body) in bodies.iter().enumerate() {
        let message = Message { topic: 0, partition: 0, offset: index as i64, timestamp: 0, key: None, payload: None };
        let ids = &mut outcome.ids;
        let mut draft = Draft {
            intake,
            envelope: Envelope::default(),
            message,
            index,
            topic: "t",
            ids,
            groups: &mut groups,
            event: None,
            registry: None,
            awaits: None,
            late: None,
        };
        if let Err(error) = run_one(body.as_ref(), &mut draft, path) {
            let id = find_id(body.as_ref()).map(Cow::into_owned);
            outcome.refused.push((index, id, error));
        }
    }
    outcome.groups = groups.finish();
    outcome
}

fn run_one(body: &[u8], draft: &mut Draft<'_>, path: Path) -> Result<(), RequestError> {
    let none = Behind::default();
    match path {
        Path::Both => decode(body, draft),
        Path::Complete => decode_by(body, draft, |text, draft, groups| complete(text, none, draft, groups)),
        Path::Fast => decode_by(body, draft, |text, draft, groups| {
            fast::decode(text, none, draft, groups)
                .or_else(|| draft.index.eq(&0).then(|| complete(text, none, draft, groups).ok()).flatten())
                .ok_or_else(|| super::error("the fast path gave up".to_owned()))
        }),
    }
}

fn run<B: AsRef<[u8]>>(bodies: &[B], path: Path) -> Outcome {
    run_with(&intake(Routing::Fixed(route("m", "1"))), bodies, path)
}

impl Outcome {
    /// Everything that a later stage could see, as text: floats in their shortest form, which tells all values apart.
    fn describe(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for group in &self.groups {
            writeln!(text, "{:?}", group.route).unwrap();
            for column in group.columns.iter() {
                writeln!(text, "{} {:?}", column.name, column.tensor).unwrap();
            }
            for request in &group.requests {
                let (id, options) = (self.ids.text(request.id), &request.options);
                writeln!(text, "{} {id:?} {:?} {:?} {options:?}", request.message, request.rows, request.form).unwrap();
            }
        }
        for (message, id, error) in &self.refused {
            writeln!(text, "{message} {id:?} {error}").unwrap();
        }
        text
    }
}
