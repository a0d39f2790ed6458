//! Avro behind a real schema registry: what Confluent's serializer sends (`scripts/make_avro_goldens.py`), answered through Kafka
//! as Python's runtime answers it; and what a registry that stands still or is gone stops, and what it does not.

use std::collections::HashMap;

use modelmill::broker::kafka::client::Record;
use serde_json::{Map, Value, json};

use crate::{
    answers::{Answer, Form},
    apicurio::Apicurio,
    compressed::gzip,
    goldens::{bytes, is_same_prediction, lines},
    support::{Ask, Lane, Rig, by_id, json, wait_for},
};

/// A record that Confluent's serializer made of a golden case.
pub struct Golden {
    pub model: String,
    pub place: String,
    schema: String,
    body: Vec<u8>,
    /// What makes the model's inputs of its fields, where they are not those.
    steps: Vec<Value>,
    pub outputs: Vec<Value>,
}

impl Golden {
    pub fn all() -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            Self {
                model: text("model"),
                place: text("place"),
                schema: golden["schema"].to_string(),
                body: bytes(&golden["body"]),
                steps: golden["steps"].as_array().cloned().unwrap_or_default(),
                outputs: golden["outputs"].as_array().unwrap().clone(),
            }
        };
        lines("avro/requests.jsonl").into_iter().map(golden).collect()
    }
}

/// The record behind the id of its schema.
pub fn under(id: u32, record: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), record].concat()
}

/// A reader of Avro of its own, for answers.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn long(&mut self) -> i64 {
        let (mut bits, mut shift) = (0_u64, 0);
        loop {
            let byte = self.take(1)[0];
            bits |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return (bits >> 1) as i64 ^ -((bits & 1) as i64);
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    fn value(&mut self, schema: &Value) -> Value {
        match schema["type"].as_str().or(schema.as_str()).unwrap() {
            "record" => {
                let fields = schema["fields"].as_array().unwrap().iter();
                let read: Map<_, _> =
                    fields.map(|field| (field["name"].as_str().unwrap().to_owned(), self.field(field))).collect();
                Value::Object(read)
            }
            "array" => {
                let mut items = Vec::new();
                loop {
                    match self.long() {
                        0 => return items.into(),
                        count => items.extend((0..count).map(|_| self.value(&schema["items"]))),
                    }
                }
            }
            "string" => {
                let length = self.long();
                json!(String::from_utf8(self.take(length as usize)).unwrap())
            }
            "boolean" => json!(self.take(1)[0] == 1),
            "int" | "long" => json!(self.long()),
            "float" => json!(f32::from_le_bytes(self.take(4).try_into().unwrap())),
            "double" => json!(f64::from_le_bytes(self.take(8).try_into().unwrap())),
            other => panic!("{other}"),
        }
    }

    fn field(&mut self, field: &Value) -> Value {
        self.value(&field["type"])
    }
}

/// The record of an answer, read by the schema that the registry has for it.
pub fn read(apicurio: &Apicurio, schemas: &mut HashMap<u32, Value>, body: &[u8]) -> Value {
    assert_eq!(body[0], 0, "{}", String::from_utf8_lossy(body));
    let id = u32::from_be_bytes(body[1..5].try_into().unwrap());
    let schema = schemas.entry(id).or_insert_with(|| apicurio.schema(id));
    let mut reader = Reader(&body[5..]);
    let value = reader.value(schema);
    assert!(reader.0.is_empty());
    value
}

/// Holds the record of an answer against outputs.
pub fn assert_record(context: &str, record: &Value, outputs: &[Value]) {
    for output in outputs {
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        flat(&record[output["name"].as_str().unwrap()], &mut found);
        flat(&output["data"], &mut expected);
        let (found, expected) = (Value::from(found), Value::from(expected));
        assert!(is_same_prediction(&found, &expected), "{context}: {found}, expected {expected}");
    }
}

fn flat(value: &Value, into: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flat(item, into)),
        one => into.push(one.clone()),
    }
}

/// Says where the registry is.
pub fn rig(label: &str, apicurio: &Apicurio) -> Option<Rig> {
    let rig = Rig::new(label)?;
    rig.server(|server| server["schema_registry"] = json!({"url": apicurio.url(), "timeout": "2s"}));
    Some(rig)
}

/// A pipeline whose requests are of this codec without saying so.
pub fn lane_of(codec: &str, rig: &Rig, name: &str, model: &str, change: impl FnOnce(&mut Value)) -> Lane {
    rig.lane_with(name, json!([{"predict": {"model": model}}]), 1, |pipeline| {
        pipeline["input"]["codec"] = json!(codec);
        change(pipeline);
    })
}

fn lane(rig: &Rig, name: &str, model: &str, change: impl FnOnce(&mut Value)) -> Lane {
    lane_of("avro", rig, name, model, change)
}

/// A flower as a record that has more than the model takes.
pub const FLOWER: &str = r#"{"type": "record", "name": "Flower", "fields": [
    {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "input", "type": {"type": "array", "items": "double"}},
    {"name": "tags", "type": {"type": "map", "values": "string"}}]}"#;

pub fn flower(id: u32, numbers: [f64; 4]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    under(id, &[&[2, 8][..], &numbers, &[0, 0]].concat())
}

pub const SETOSA: [f64; 4] = [5.1, 3.4, 1.5, 0.2];
pub const VIRGINICA: [f64; 4] = [6.3, 3.4, 5.6, 2.4];

#[test]
fn what_confluents_serializer_sends_is_answered_in_avro_as_python_answers_it() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("avro", &apicurio) else { return };
    let goldens = Golden::all();
    assert!(goldens.len() > 15, "{} requests", goldens.len());
    let subject = format!("{}-value", rig.name);
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let has_subject = |pipeline: &mut Value| {
        pipeline["output"]["avro"] = json!({"subject": subject, "register": true});
    };
    let any = lane(&rig, "any", "{request.model}", has_subject);
    let mut lanes = HashMap::new();
    for (index, golden) in goldens.iter().enumerate() {
        let id = apicurio.register(&format!("requests-{index}"), &golden.schema);
        let ask = Ask::bytes(under(id, &golden.body[5..])).key(format!("r{index}"));
        let ask = ask.header("model-name", golden.model.as_str());
        if golden.steps.is_empty() {
            any.send(&[ask]);
            continue;
        }
        let (lane, asked) = lanes.entry(&golden.model).or_insert_with(|| {
            let predict = json!({"predict": {"model": golden.model}});
            let steps = golden.steps.iter().cloned().chain([predict]).collect();
            let lane = rig.lane_with(&golden.model, steps, 1, |pipeline| {
                pipeline["input"]["codec"] = json!("avro");
                pipeline["output"]["avro"] =
                    json!({"subject": format!("{}-{}-value", rig.name, golden.model), "register": true});
            });
            (lane, 0)
        });
        lane.send(&[ask]);
        *asked += 1;
    }
    let mut worker = rig.worker();
    let others: usize = lanes.values().map(|(_, asked)| asked).sum();
    let mut answers = any.receive(goldens.len() - others);
    lanes.values().for_each(|(lane, asked)| answers.extend(lane.receive(*asked)));
    worker.stop();
    any.assert_nothing_more();
    let (answers, mut schemas) = (by_id(answers), HashMap::new());
    for (index, golden) in goldens.iter().enumerate() {
        let (id, context) = (format!("r{index}"), format!("{index}: {}", golden.model));
        let answer = Answer::of(&answers[&id]).expect(Form::Avro, &context);
        let record = read(&apicurio, &mut schemas, &answer.body);
        assert_eq!((&record["id"], &record["model_name"]), (&json!(id), &json!(golden.model)), "{context}");
        assert_record(&context, &record, &golden.outputs);
    }
}

#[test]
fn without_a_subject_answers_are_rows_and_what_is_wrong_is_told_in_json() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("avro-rows", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", |_| {});
    let (flowers, others) = (
        apicurio.register("flowers", FLOWER),
        apicurio.register("others", r#"{"type": "record", "name": "Other", "fields": [{"name": "x", "type": "int"}]}"#),
    );
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        Ask::bytes(flower(flowers, SETOSA)).key("right"),
        Ask::bytes(flower(flowers, SETOSA)[..20].to_vec()).key("short"),
        Ask::bytes(under(others, &[2])).key("other"),
        Ask::bytes(under(999_999, &[2])).key("unknown"),
        Ask::bytes(r#"{"id": "json", "instances": [[6.3, 3.4, 5.6, 2.4]]}"#).header("content-type", "application/json"),
        Ask::bytes("{}").key("text"),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    assert_eq!(json(&answers["right"])["predictions"][0]["label"], 0);
    assert_eq!(json(&answers["json"])["predictions"][0]["label"], 2);
    let code = |id: &str| json(&answers[id])["error"]["code"].clone();
    for id in ["short", "unknown", "text"] {
        assert_eq!(code(id), "INVALID_REQUEST", "{id}");
    }
    assert_eq!(code("other"), "INVALID_INPUT");
    assert!(answers["unknown"].text().contains("999999"), "{}", answers["unknown"].text());
    assert_eq!(lane.dead_letters().len(), 3);
}

/// A registry that stands still and then is gone, while messages come of a schema that is `known` and of one that is not yet;
/// `flower` is a message of either.
pub fn stands_still(
    apicurio: &mut Apicurio,
    lane: &Lane,
    known: u32,
    later: u32,
    flower: impl Fn(u32, [f64; 4]) -> Vec<u8>,
) {
    assert_eq!(lane.exchange(&[Ask::bytes(flower(known, SETOSA)).key("first")])["first"].status(), "OK");
    apicurio.freeze();
    // One partition, one chunk: what waits stands before what does not.
    lane.send(&[
        Ask::bytes(flower(later, SETOSA)).key("patient").header("timeout-ms", "60000"),
        Ask::bytes(flower(later, SETOSA)).key("hasty").header("timeout-ms", "1500"),
        Ask::bytes(flower(known, VIRGINICA)).key("known"),
    ]);
    let answers = lane.receive(2);
    let ids: Vec<_> = answers.iter().map(|answer| answer.id().unwrap().into_owned()).collect();
    assert_eq!(ids, ["known", "hasty"]);
    assert_eq!(answers[0].status(), "OK");
    let error = json(&answers[1])["error"].clone();
    assert_eq!(error["code"], "MODEL_UNAVAILABLE", "{error}");
    assert!(error["message"].as_str().unwrap().contains(&format!("schema {later}")), "{error}");
    apicurio.thaw();
    let answers = lane.receive(1);
    assert_eq!(
        (answers[0].id().unwrap(), answers[0].status()),
        ("patient".into(), "OK".into()),
        "{}",
        answers[0].text()
    );
    apicurio.kill();
    // Gone for good: what is known goes on.
    assert_eq!(lane.exchange(&[Ask::bytes(flower(later, VIRGINICA)).key("without")])["without"].status(), "OK");
    let unknown = Ask::bytes(flower(later + 1000, SETOSA)).key("unknown").header("timeout-ms", "1000");
    assert_eq!(json(&lane.exchange(&[unknown])["unknown"])["error"]["code"], "MODEL_UNAVAILABLE");
}

#[test]
fn a_registry_that_stands_still_stops_only_what_needs_an_unknown_schema() {
    let Some(mut apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("avro-frozen", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", |pipeline| {
        pipeline["output"]["avro"] = json!({"subject": format!("{}-value", rig.name), "register": true});
    });
    let known = apicurio.register("known", FLOWER);
    let later = apicurio.register("later", &FLOWER.replace("seen_at", "seen"));
    let mut worker = rig.worker();
    stands_still(&mut apicurio, &lane, known, later, flower);
    // It comes back while somebody waits, and does not know the id.
    lane.send(&[Ask::bytes(flower(later + 2000, SETOSA)).key("back").header("timeout-ms", "120000")]);
    let failed = format!("\"id\":{},\"reason\"", later + 2000);
    wait_for("a try that failed", || (!worker.lines_with(&failed).is_empty()).then_some(()));
    apicurio.start_again();
    let answers = lane.receive(1);
    assert_eq!(json(&answers[0])["error"]["code"], "INVALID_REQUEST", "{}", answers[0].text());
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn a_worker_whose_answers_the_registry_refuses_does_not_start_and_one_whose_registry_is_down_does() {
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = rig("avro-refused", &apicurio) else { return };
    rig.model("iris", 1, "models/iris/1");
    let subject = format!("{}-value", rig.name);
    let lane = lane(&rig, "iris", "iris", |pipeline| pipeline["output"]["avro"] = json!({"subject": subject}));
    let known = apicurio.register("known", FLOWER);
    let mut worker = rig.start();
    assert_eq!(worker.ended().code(), Some(1));
    let said = worker.log().join("\n");
    assert!(said.contains(&subject) && said.contains("output.avro.register"), "{said}");
    apicurio.freeze();
    let mut worker = rig.worker();
    apicurio.thaw();
    // Nobody has registered the schema, so that the request cannot be answered in it.
    let answers = lane.exchange(&[Ask::bytes(flower(known, SETOSA)).key("a")]);
    assert_eq!(json(&answers["a"])["error"]["code"], "MODEL_UNAVAILABLE", "{}", answers["a"].text());
    worker.stop();
    lane.assert_nothing_more();
}

/// A flower whose record is large for what the worker of the test inflates, and small in a body.
fn large_flower(id: u32) -> Vec<u8> {
    let small = flower(id, SETOSA);
    let (numbers, _no_tags) = small.split_at(small.len() - 1);
    // One entry of a map: `t`, and a text of 30,000 bytes, whose length is a number of three bytes.
    let tag = [&[2, 2, b't', 0xe0, 0xd4, 0x03][..], &[b'x'; 30_000], &[0]].concat();
    gzip(&[numbers, &tag].concat())
}

/// Chunks of which each has a large request that is compressed and one, as large, whose schema must be waited for.
fn who_waits_holds_no_space(label: &str, change: impl FnOnce(&mut Value), is_together: bool) {
    const PAIRS: usize = 16;
    let Some(apicurio) = Apicurio::start() else { return };
    let Some(rig) = Rig::new(label) else { return };
    rig.server(|server| {
        server["schema_registry"] = json!({"url": apicurio.url(), "timeout": "2s"});
        // Both of a chunk fit, and there is room for four times as much.
        server["limits"] = json!({"chunk_messages": 2, "inflated_bytes": "64KiB"});
    });
    rig.model("iris", 1, "models/iris/1");
    let lane = lane(&rig, "iris", "iris", change);
    let later = apicurio.register("later", FLOWER);
    apicurio.freeze();
    let rows = json!({"instances": vec![SETOSA; 1500]}).to_string();
    let asks: Vec<_> = (0..PAIRS)
        .flat_map(|pair| {
            let known = Ask::bytes(gzip(rows.as_bytes())).key(format!("known-{pair}"));
            let waits = Ask::bytes(large_flower(later)).key(format!("waits-{pair}")).header("timeout-ms", "600000");
            [known.header("content-type", "application/json"), waits].map(|ask| ask.header("content-encoding", "gzip"))
        })
        .collect();
    lane.send(&asks);
    let mut worker = rig.worker();
    let is_ok = |answer: &Record| assert_eq!(answer.status(), "OK", "{}", answer.text());
    let mut left = 2 * PAIRS;
    if !is_together {
        let answers = lane.receive(PAIRS);
        answers.iter().for_each(is_ok);
        assert!(answers.iter().all(|answer| answer.id().unwrap().starts_with("known-")));
        left -= PAIRS;
    }
    let tried = format!("\"id\":{later},\"reason\"");
    wait_for("a try to fetch the schema", || (!worker.lines_with(&tried).is_empty()).then_some(()));
    apicurio.thaw();
    lane.receive(left).iter().for_each(is_ok);
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn who_waits_for_a_schema_holds_no_space_that_compressed_requests_want() {
    who_waits_holds_no_space("avro-space", |_| {}, false);
}

#[test]
fn in_order_too_who_waits_for_a_schema_holds_no_space() {
    who_waits_holds_no_space(
        "avro-space-ordered",
        |pipeline| pipeline["output"]["ordering"] = json!("partition"),
        true,
    );
}
