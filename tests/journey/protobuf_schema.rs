//! Protobuf messages behind a real schema registry: what Confluent's serializer sends (`scripts/make_protobuf_goldens.py`), answered
//! through Kafka as Python's runtime answers it; schemas with imports, beside Avro and everything else on one topic; and what a
//! registry that stands still or is gone stops, and what it does not.

use std::collections::HashMap;

use prost::Message;
use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form, PROTOBUF},
    apicurio::Apicurio,
    avro::{self, FLOWER, SETOSA, VIRGINICA, lane_of, rig, stands_still, under},
    goldens::{bytes, is_same_prediction, lines, predictions},
    messages::{InferTensorContents, ModelInferRequest, Tensor},
    support::{Ask, Lane, Rig, json},
};

/// A message that Confluent's serializer made of a golden case.
struct Golden {
    model: String,
    place: String,
    /// Its schema's text, and what the serializer registered in its place.
    text: String,
    registered: String,
    body: Vec<u8>,
    outputs: Value,
}

impl Golden {
    fn all() -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            Self {
                model: text("model"),
                place: text("place"),
                text: text("text"),
                registered: text("registered"),
                body: bytes(&golden["body"]),
                outputs: golden["outputs"].clone(),
            }
        };
        lines("protobuf/requests.jsonl").into_iter().map(golden).collect()
    }

    /// The forms of its schema, by name. Of those that are base64 Apicurio refuses some whose fields have `__` in their names.
    fn forms(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let registered = (!self.text.contains("__")).then_some(("registered", &*self.registered));
        [("text", &*self.text)].into_iter().chain(registered)
    }
}

fn lane(rig: &Rig, name: &str, model: &str, change: impl FnOnce(&mut Value)) -> Lane {
    lane_of("protobuf", rig, name, model, change)
}

const UNIT: &str = "syntax = \"proto3\"; package geo; enum Unit { METRE = 0; MILE = 1; }";
const PLACE: &str =
    "syntax = \"proto3\"; package geo; import \"geo/unit.proto\"; message Place { string city = 1; Unit unit = 2; }";

/// A flower that is no type of its own, and has more than the model takes.
const GARDEN: &str = r#"syntax = "proto3";
package garden;
import "geo/place.proto";
import "google/protobuf/timestamp.proto";
message Other { int32 x = 1; }
message Garden {
  message Flower {
    google.protobuf.Timestamp seen_at = 1;
    repeated double input = 2;
    geo.Place place = 3;
    map<string, string> tags = 4;
  }
}
"#;

/// Registers what is imported, then this.
fn garden(apicurio: &Apicurio, subject: &str, schema: &str) -> u32 {
    apicurio.register_protobuf("unit", UNIT, &[]);
    apicurio.register_protobuf("place", PLACE, &[("geo/unit.proto", "unit")]);
    apicurio.register_protobuf(subject, schema, &[("geo/place.proto", "place")])
}

/// A `garden.Garden.Flower`.
fn flower(id: u32, numbers: [f64; 4]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let place = [26, 8, 10, 4, b'O', b's', b'l', b'o', 16, 1];
    under(id, &[&[4, 2, 0, 18, 32][..], &numbers, &place].concat())
}

#[test]
fn what_confluents_serializer_sends_is_answered_as_python_answers_it() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("protobuf", &apicurio) else { return };
    let goldens = Golden::all();
    assert!(goldens.len() > 15, "{} requests", goldens.len());
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = lane(&rig, "any", "{request.model}", |_| {});
    let mut asks = Vec::new();
    for (index, golden) in goldens.iter().enumerate() {
        for (form, schema) in golden.forms() {
            let id = apicurio.register_protobuf(&format!("requests-{index}-{form}"), schema, &[]);
            let body = under(id, &golden.body[5..]);
            asks.push(Ask::bytes(body).key(format!("{form}-{index}")).header("model-name", golden.model.as_str()));
        }
    }
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    for (index, golden) in goldens.iter().enumerate() {
        for (form, _) in golden.forms() {
            let (id, context) = (format!("{form}-{index}"), format!("{form} {index}: {}", golden.model));
            let answer = &answers[&id];
            assert_eq!(answer.status(), "OK", "{context}: {}", answer.text());
            let (found, expected) = (&json(answer)["predictions"], predictions(&golden.outputs));
            assert!(is_same_prediction(found, &expected), "{context}: {found}, expected {expected}");
        }
    }
}

#[test]
fn one_topic_has_avro_protobuf_with_imports_and_everything_else_and_the_same_values_have_the_same_answer() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("protobuf-mixed", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", |_| {});
    let (gardens, avros) = (garden(&apicurio, "garden", GARDEN), apicurio.register("flowers", FLOWER));
    let orphan = apicurio.register_protobuf("orphan", &GARDEN.replace("package garden", "package orphan"), &[]);
    let contents =
        InferTensorContents { fp32_contents: SETOSA.map(|number| number as f32).to_vec(), ..Default::default() };
    let (name, datatype, shape) = ("input".to_owned(), "FP32".to_owned(), vec![1, 4]);
    let input = Tensor { name, datatype, shape, contents: Some(contents), ..Default::default() };
    let of_protocol = ModelInferRequest { id: "protocol".to_owned(), inputs: vec![input], ..Default::default() };
    let mut worker = rig.worker();
    let rows =
        |numbers: [f64; 4]| Ask::json(&json!({"instances": [numbers]})).header("content-type", "application/json");
    let answers = lane.exchange(&[
        rows(SETOSA).key("rows"),
        Ask::bytes(flower(gardens, SETOSA)).key("protobuf"),
        Ask::bytes(avro::flower(avros, SETOSA)).key("avro"),
        Ask::bytes(flower(gardens, VIRGINICA)).key("typed").header("content-type", PROTOBUF),
        Ask::bytes(flower(gardens, VIRGINICA)).key("as-avro").header("content-type", "application/avro"),
        rows(VIRGINICA).key("other-rows"),
        Ask::bytes(of_protocol.encode_to_vec()).key("protocol"),
        Ask::bytes(under(gardens, &[8, 2, 0, 0, 0])).key("no-such-type"),
        Ask::bytes(under(gardens, &[0, 8, 5])).key("without-input"),
        Ask::bytes(flower(gardens, SETOSA)[..20].to_vec()).key("short"),
        Ask::bytes(flower(orphan, SETOSA)).key("orphan"),
        Ask::bytes(flower(999_999, SETOSA)).key("unknown"),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    let predictions = |id: &str| json(&answers[id])["predictions"].clone();
    assert_eq!(predictions("rows")[0]["label"], 0);
    assert_eq!((predictions("protobuf"), predictions("avro")), (predictions("rows"), predictions("rows")));
    assert_eq!(predictions("other-rows")[0]["label"], 2);
    for id in ["typed", "as-avro"] {
        assert_eq!(predictions(id), predictions("other-rows"), "{id}");
    }
    let protocol = Answer::of(&answers["protocol"]).expect(Form::Protobuf, "protocol");
    assert_eq!(protocol.outputs[0]["data"], json!([0]));
    let error = |id: &str| json(&answers[id])["error"].clone();
    for (id, code, said) in [
        ("no-such-type", "INVALID_REQUEST", "`garden.Garden.Flower` (1.0)"),
        ("without-input", "INVALID_INPUT", "input"),
        ("short", "INVALID_REQUEST", "byte"),
        ("orphan", "INVALID_REQUEST", "`geo/place.proto`"),
        ("unknown", "INVALID_REQUEST", "999999"),
    ] {
        let error = error(id);
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(said), "{error}");
    }
    assert_eq!(lane.dead_letters().len(), 4);
}

#[test]
fn where_answers_have_a_subject_those_to_protobuf_are_avro_too() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("protobuf-answers", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", |pipeline| {
        pipeline["output"]["avro"] = json!({"subject": format!("{}-value", rig.name), "register": true});
    });
    let gardens = garden(&apicurio, "garden", GARDEN);
    let mut worker = rig.worker();
    let answers = lane.exchange(&[Ask::bytes(flower(gardens, VIRGINICA)).key("flower")]);
    worker.stop();
    let record = avro::read(&apicurio, &mut HashMap::new(), answers["flower"].value.as_deref().unwrap());
    assert_eq!((&record["id"], &record["label"]), (&json!("flower"), &json!(2)));
}

#[test]
fn a_registry_that_stands_still_stops_only_what_needs_an_unknown_schema() {
    let Some(mut apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("protobuf-frozen", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", |_| {});
    let known = garden(&apicurio, "known", GARDEN);
    let later = garden(&apicurio, "later", &GARDEN.replace("package garden", "package later"));
    let mut worker = rig.worker();
    stands_still(&mut apicurio, &lane, known, later, flower);
    worker.stop();
    lane.assert_nothing_more();
}
