//! Tensors as bytes behind JSON: what Triton's Python client sends (`scripts/make_triton_goldens.py`), answered through
//! Kafka as Python's runtime answers it; and bodies whose sizes lie among others that are right.

use serde_json::{Value, json};

use crate::{
    answers::{Answer, Form, HEADER_LENGTH},
    goldens::{assert_outputs, bytes, lines, without_words},
    support::{Ask, Rig, json},
};

/// What tritonclient sends to a model, and what must come back.
pub struct Golden {
    pub model: String,
    pub place: String,
    /// How much of the body is JSON, where not all of it is.
    pub header: Option<u64>,
    pub body: Vec<u8>,
    pub outputs: Value,
}

impl Golden {
    pub fn all() -> Vec<Self> {
        let golden = |golden: Value| {
            let text = |key: &str| golden[key].as_str().unwrap().to_owned();
            let (model, place, outputs) = (text("model"), text("place"), golden["outputs"].clone());
            Self { model, place, header: golden["header"].as_u64(), body: bytes(&golden["body"]), outputs }
        };
        lines("triton/requests.jsonl").into_iter().map(golden).collect()
    }

    fn ask(&self, id: &str) -> Ask {
        let ask = Ask::bytes(self.body.clone()).header("x-request-id", id).header("Model-Name", self.model.as_str());
        match self.header {
            None => ask.header("Content-Type", "application/json"),
            Some(header) => ask
                .header("Content-Type", "application/octet-stream")
                .header("Inference-Header-Content-Length", header.to_string()),
        }
    }

    /// The names of the outputs that are to come as bytes.
    pub fn binary(&self) -> Vec<String> {
        let header = self.header.map_or(self.body.len(), |header| usize::try_from(header).unwrap());
        let request: Value = serde_json::from_slice(&self.body[..header]).unwrap();
        let all = request["parameters"]["binary_data_output"] == json!(true);
        let names = self.outputs.as_array().unwrap().iter().map(|output| output["name"].as_str().unwrap());
        let asked = |name: &&str| {
            let of =
                request["outputs"].as_array().and_then(|asked| asked.iter().find(|output| output["name"] == **name));
            all || of.is_some_and(|output| output["parameters"]["binary_data"] == json!(true))
        };
        names.filter(asked).map(str::to_owned).collect()
    }
}

#[test]
fn what_tritonclient_sends_is_answered_as_python_answers_it_in_the_form_that_it_asks_for() {
    let Some(rig) = Rig::new("triton") else { return };
    let goldens = Golden::all();
    for golden in &goldens {
        rig.model(&golden.model, 1, &format!("tests/data/{}", golden.place));
    }
    let lane = rig.lane("any", json!([{"predict": {"model": "{request.model}"}}]));
    let asks: Vec<_> = goldens.iter().enumerate().map(|(index, golden)| golden.ask(&index.to_string())).collect();
    assert!(asks.len() > 80, "{} requests", asks.len());
    let mut worker = rig.worker();
    let answers = lane.exchange(&asks);
    worker.stop();
    lane.assert_nothing_more();
    for (index, golden) in goldens.iter().enumerate() {
        let (context, answer) = (format!("{index}: {}", golden.model), &answers[&index.to_string()]);
        assert_eq!(answer.status(), "OK", "{context}: {}", answer.text());
        let answer = Answer::of(answer);
        let binary = golden.binary();
        assert_eq!(answer.form, if binary.is_empty() { Form::Tensors } else { Form::Binary }, "{context}");
        assert_eq!(answer.binary, binary, "{context}");
        assert_outputs(&context, &without_words(&answer.outputs), &without_words(&golden.outputs));
    }
}

#[test]
fn sizes_that_lie_disturb_nobody_and_a_bare_request_may_ask_for_bytes() {
    let Some(rig) = Rig::new("lies") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let numbers: Vec<u8> = [5.1_f32, 3.4, 1.5, 0.2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let body = |id: &str, shape: Value, datatype: &str, size: usize, data: &[u8]| {
        let input = json!({"name": "input", "shape": shape, "datatype": datatype,
                           "parameters": {"binary_data_size": size}});
        let head = json!({"id": id, "inputs": [input]}).to_string();
        Ask::bytes([head.as_bytes(), data].concat()).header(HEADER_LENGTH, head.len().to_string())
    };
    let doubles: Vec<u8> = [5.1_f64, 3.4, 1.5, 0.2].iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        body("right", json!([1, 4]), "FP32", 16, &numbers),
        body("short", json!([1, 4]), "FP32", 16, &numbers[..15]),
        body("long", json!([1, 4]), "FP32", 16, &[&numbers[..], b"x"].concat()),
        body("vast", json!([u64::MAX, 4]), "FP32", 16, &numbers),
        body("double", json!([1, 4]), "FP64", 32, &doubles),
        body("brain", json!([1, 4]), "BF16", 8, &numbers[..8]),
        body("again", json!([1, 4]), "FP32", 16, &numbers),
        Ask::json(&json!({"id": "bare", "instances": [[5.1, 3.4, 1.5, 0.2]],
                          "parameters": {"binary_data_output": true}})),
    ]);
    worker.stop();
    lane.assert_nothing_more();
    let code = |id: &str| json(&answers[id])["error"]["code"].clone();
    for id in ["short", "long", "vast"] {
        assert_eq!(code(id), "INVALID_REQUEST", "{id}");
    }
    assert_eq!((code("double"), code("brain")), (json!("INVALID_INPUT"), json!("INVALID_INPUT")));
    assert_eq!(lane.dead_letters().len(), 3);
    let bare = Answer::of(&answers["bare"]).expect(Form::Binary, "bare");
    assert_eq!(bare.binary, ["label", "probabilities"]);
    let names: Vec<_> = answers["bare"].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", HEADER_LENGTH], "no header that can be done without");
    for id in ["right", "again"] {
        // Nobody asked for bytes.
        assert_outputs(id, &Answer::of(&answers[id]).expect(Form::Tensors, id).outputs, &bare.outputs);
    }
}
