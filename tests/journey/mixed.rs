//! One topic with all formats in one chunk: each request is answered in the form that belongs to its own.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    answers::{AVRO, Answer, Form, HEADER_LENGTH, PROTOBUF, STRUCTURED, to_base64},
    apicurio::Apicurio,
    avro, cloudevents,
    compressed::{gzip, zstd},
    goldens::{Golden, assert_outputs, is_same_prediction, predictions},
    protobuf,
    support::{Ask, by_id, wait_for},
};

/// One flower, as an Avro record has it.
const FLOWER: &str = r#"{"type": "record", "name": "Flower", "fields": [
    {"name": "X", "type": {"type": "array", "items": "float"}}]}"#;

/// A request of one form.
struct Trip {
    id: String,
    ask: Ask,
    /// The form of its answer.
    form: Form,
    /// Whether that comes in an event.
    is_event: bool,
    outputs: Value,
}

/// What Python's runtime says of one flower, of four flowers, and of a text.
struct Expected {
    flower: Value,
    flowers: Value,
    text: (String, Value),
}

impl Expected {
    fn read() -> Self {
        let iris = Golden::read("iris", "", "tests/data/fixtures/iris/golden.json").unwrap();
        let topics = Golden::read("topics", "", "tests/data/trained/tfidf_topics/1/golden.json").unwrap();
        let outputs = |case: &Value| case["outputs"].clone();
        let rain = topics.cases.iter().find(|case| case["inputs"][0]["data"] == json!(["rain rain rain"])).unwrap();
        Self {
            flower: outputs(&iris.cases[1]),
            flowers: outputs(&iris.cases[0]),
            text: ("rain rain rain".to_owned(), outputs(rain)),
        }
    }
}

/// Collects trips.
struct Trips<'a> {
    expected: &'a Expected,
    all: Vec<Trip>,
}

impl Trips<'_> {
    fn add(&mut self, id: &str, form: Form, outputs: &Value, ask: Ask) {
        let is_event = ask.headers().iter().any(|(name, value)| name == "ce_id" || value == STRUCTURED.as_bytes());
        self.all.push(Trip { id: id.to_owned(), ask, form, is_event, outputs: outputs.clone() });
    }

    /// A request that names neither its id nor its model itself.
    fn bare(&mut self, id: &str, content_type: &str, form: Form, body: impl Into<Vec<u8>>) {
        let (is_text, flower, text) =
            (content_type.starts_with("text/plain"), &self.expected.flower, &self.expected.text.1);
        let (model, outputs) = if is_text { ("topics", text) } else { ("iris", flower) };
        let ask = Ask::bytes(body).key(id).header("content-type", content_type).header("model-name", model);
        self.add(id, form, outputs, ask);
    }

    /// The same, compressed.
    fn packed(&mut self, id: &str, encoding: &str, content_type: &str, form: Form, body: &[u8]) {
        let body = if encoding == "gzip" { gzip(body) } else { zstd(body) };
        self.bare(id, content_type, form, body);
        let ask = &mut self.all.last_mut().expect("it was just added").ask;
        *ask = ask.clone().header("content-encoding", encoding);
    }

    /// As the data of an event, in both modes.
    fn events(&mut self, name: &str, content_type: &str, form: Form, body: &[u8]) {
        let id = format!("binary-{name}");
        let ask = Ask::bytes(body).header("content-type", content_type).header("model-name", "iris");
        let attributes =
            [("ce_specversion", "1.0"), ("ce_id", id.as_str()), ("ce_type", "ask"), ("ce_source", "/test")];
        let ask = attributes.iter().fold(ask, |ask, (name, value)| ask.header(name, *value));
        self.add(&id, form, &self.expected.flower, ask);
        let id = format!("structured-{name}");
        let event = json!({"specversion": "1.0", "id": id, "type": "ask", "source": "/test",
                           "datacontenttype": content_type, "data_base64": to_base64(body)});
        let ask = Ask::json(&event).header("content-type", STRUCTURED).header("model-name", "iris");
        self.add(&id, form, &self.expected.flower, ask);
    }

    fn all(mut self, schema: u32) -> Vec<Trip> {
        let numbers = [5.1_f32, 3.5, 1.4, 0.2].map(f32::to_le_bytes).concat();
        let tensor = json!([{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]);
        let tensors = json!({"inputs": tensor}).to_string();
        let rows = json!({"instances": [[5.1, 3.5, 1.4, 0.2]]}).to_string();
        let table = "0,1,2,3\n5.1,3.5,1.4,0.2\n";
        let record = avro::under(schema, &[&[8][..], &numbers, &[0]].concat());
        let text = self.expected.text.0.clone();
        let protobufs = ["raw", "typed"].map(|way| {
            protobuf::Golden::all().into_iter().find(|golden| golden.id == format!("iris-1-{way}")).unwrap()
        });

        let with_id = |id: &str, body: &str| Ask::bytes(format!(r#"{{"id":"{id}","model_name":"iris",{}"#, &body[1..]));
        let flower = self.expected.flower.clone();
        self.add("no-headers", Form::Tensors, &flower, with_id("no-headers", &tensors));
        self.add("no-headers-rows", Form::Rows, &flower, with_id("no-headers-rows", &rows));
        self.bare("tensors", "application/json", Form::Tensors, &*tensors);
        self.bare("rows", "Application/JSON; charset=utf-8", Form::Rows, &*rows);
        self.bare("text", "text/plain", Form::Tensors, &*text);
        self.bare("table", "text/csv", Form::Rows, table);
        self.bare("record", AVRO, Form::Avro, &*record);
        for golden in &protobufs {
            let ask = Ask::bytes(golden.body.clone()).header("content-type", PROTOBUF);
            self.add(&golden.id, Form::Protobuf, &flower, ask);
        }
        self.binary("binary", &numbers, |body| body);

        self.packed("tensors-gzip", "gzip", "application/json", Form::Tensors, tensors.as_bytes());
        self.packed("rows-zstd", "zstd", "application/json", Form::Rows, rows.as_bytes());
        self.packed("text-zstd", "zstd", "text/plain", Form::Tensors, text.as_bytes());
        self.packed("table-gzip", "gzip", "text/csv", Form::Rows, table.as_bytes());
        self.packed("record-gzip", "gzip", AVRO, Form::Avro, &record);
        self.packed("record-zstd", "zstd", AVRO, Form::Avro, &record);
        self.binary("binary-zstd", &numbers, |body| zstd(&body));

        self.events("tensors", "application/json", Form::Tensors, tensors.as_bytes());
        self.events("rows", "application/json", Form::Rows, rows.as_bytes());
        self.events("table", "text/csv", Form::Rows, table.as_bytes());
        self.events("record", AVRO, Form::Avro, &record);
        self.all
    }

    /// Binary tensors, answered as they came; `pack` may compress the body.
    fn binary(&mut self, id: &str, numbers: &[u8], pack: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let head = json!({"id": id, "model_name": "iris", "parameters": {"binary_data_output": true}, "inputs": [
            {"name": "X", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]});
        let head = head.to_string();
        let ask = Ask::bytes(pack([head.as_bytes(), numbers].concat()));
        let ask = ask.header("content-type", "application/octet-stream").header(HEADER_LENGTH, head.len().to_string());
        let ask = if id.ends_with("zstd") { ask.header("content-encoding", "zstd") } else { ask };
        self.add(id, Form::Binary, &self.expected.flower.clone(), ask);
    }
}

#[test]
fn every_form_on_one_topic_in_one_chunk_is_answered_in_its_own() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = avro::rig("mixed", &apicurio) else { return };
    rig.model("iris", 1, "tests/data/fixtures/iris/1");
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    // One partition, written before there is a worker: one fetch hands over all of them.
    let lane = rig.lane_with("any", json!([{"predict": {"model": "{request.model}"}}]), 1, |pipeline| {
        pipeline["output"]["avro"] = json!({"subject": format!("{}-value", rig.name), "register": true});
    });
    let expected = Expected::read();
    let trips = Trips { expected: &expected, all: Vec::new() }.all(apicurio.register("flowers", FLOWER));
    let events = cloudevents::Golden::all();
    let asks: Vec<_> = trips.iter().map(|trip| trip.ask.clone()).collect();
    let of_sdks = events.iter().map(|golden| golden.ask.clone().header("model-name", "iris"));
    let asks: Vec<_> = asks.into_iter().chain(of_sdks).collect();
    assert_eq!(asks.len(), 45, "{} of them by the SDKs", events.len());
    lane.send(&asks);
    let mut worker = rig.worker();
    let answers = by_id(lane.receive(asks.len()));
    let count = asks.len() as f64;
    wait_for("a chunk", || (worker.metric("modelmill_chunk_messages_sum", &[]) == count).then_some(()));
    assert_eq!(worker.metric("modelmill_chunk_messages_count", &[]), 1.0, "all came in one chunk");
    worker.stop();
    lane.assert_nothing_more();
    for golden in &events {
        golden.check(&answers[&golden.id], &expected.flower, &expected.flowers);
    }
    let mut schemas = HashMap::new();
    for Trip { id, form, is_event, outputs, .. } in trips {
        let answer = Answer::of(&answers[&id]).expect(form, &id);
        assert_eq!(answer.event.is_some(), is_event, "{id} asks in an event, or in none");
        match form {
            Form::Rows => {
                let expected = predictions(&outputs);
                assert!(
                    is_same_prediction(&answer.outputs, &expected),
                    "{id}: {} instead of {expected}",
                    answer.outputs
                );
            }
            Form::Avro => {
                let record = avro::read(&apicurio, &mut schemas, &answer.body);
                assert_eq!(record["id"], *id);
                avro::assert_record(&id, &record, outputs.as_array().unwrap());
            }
            _ => assert_outputs(&id, &answer.outputs, &outputs),
        }
    }
    // What is broken is kept as it came: four of the SDKs'.
    let broken = events.iter().filter(|golden| golden.is_broken()).count();
    assert_eq!((broken, lane.dead_letters().len()), (4, 4));
}
