//! Models: those that a request chooses, and those that cannot be served, beside others that can.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ask, Lane, Rig, json};

#[test]
fn a_request_chooses_a_model_and_a_version_within_what_is_allowed() {
    let Some(rig) = Rig::new("choice") else { return };
    for version in [1, 2, 7] {
        rig.model("iris-a", version, "models/iris/1");
    }
    rig.model("iris-b", 1, "tests/data/trained/iris_zipmap/1");
    rig.model("secret", 1, "models/iris/1");
    rig.server(|server| server["models"]["versions"] = json!({"latest": 2}));
    let predict = json!({"model": "{request.model}", "version": "{request.version}", "allow": ["iris-*"]});
    let lane = rig.lane("choice", json!([{"predict": predict}]));
    let ask = |id: &str| json!({"id": id, "instances": [{"input": [6.3, 3.4, 5.6, 2.4]}]});
    let with = |id: &str, model: &str, version: Value| {
        let mut body = ask(id);
        body["model_name"] = json!(model);
        body["model_version"] = version;
        Ask::json(&body)
    };
    let mut worker = rig.worker();
    let answers = lane.exchange(&[
        with("latest", "iris-a", Value::Null),
        with("also latest", "iris-a", json!("latest")),
        with("number", "iris-a", json!(2)),
        with("text", "iris-a", json!("2")),
        with("other", "iris-b", Value::Null),
        with("header", "iris-b", Value::Null).header("Model-Name", "iris-a").header("model-version", "2"),
        Ask::json(&ask("header alone")).header("model-name", "iris-b"),
        with("old", "iris-a", json!(1)),
        with("no number", "iris-a", json!("two")),
        with("forbidden", "secret", Value::Null),
        with("path", "iris-a/../secret", Value::Null),
        Ask::json(&ask("silent")),
    ]);
    worker.stop();
    let came = |id: &str| {
        let body = json(&answers[id]);
        (
            body["model_name"].as_str().unwrap_or_default().to_owned(),
            body["model_version"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let from = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    assert_eq!((came("latest"), came("also latest")), (from("iris-a", "7"), from("iris-a", "7")));
    assert_eq!((came("number"), came("text")), (from("iris-a", "2"), from("iris-a", "2")));
    assert_eq!((came("other"), came("header alone")), (from("iris-b", "1"), from("iris-b", "1")));
    assert_eq!(came("header"), from("iris-a", "2"));
    assert_eq!(answers["header"].header("model-version"), Some(&b"2"[..]));
    let unknown =
        [("old", "there is 2, 7"), ("no number", "`two`"), ("forbidden", "`secret`"), ("path", "iris-a/../secret")];
    for (id, mentions) in unknown {
        let answer = json(&answers[id]);
        assert_eq!(answer["error"]["code"], "UNKNOWN_MODEL", "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(mentions), "{answer}");
    }
    assert_eq!(json(&answers["silent"])["error"]["code"], "INVALID_REQUEST");
}

#[test]
fn one_pipeline_serves_a_model_per_tenant_and_the_shared_one_for_the_others() {
    let Some(rig) = Rig::new("tenants") else { return };
    rig.model("churn", 1, "models/iris/1");
    rig.model("acme-churn", 1, "models/iris/1");
    rig.model("acme-churn", 2, "models/iris/1");
    rig.model("globex-churn", 1, "tests/data/trained/iris_zipmap/1");
    rig.model("initech-churn", 1, "models/iris/1");
    rig.model("unrelated", 1, "tests/data/fixtures/refused_text/1");
    // Nothing but the template and its list says what is to be loaded.
    rig.server(|server| {
        server["models"]["serve"] = json!([]);
        server["models"]["versions"] = json!("all");
    });
    let predict = json!({
        "model": "{header.tenant}-churn", "version": "{request.version}", "fallback": "churn",
        "allow": ["acme-*", "globex-*", "hooli-*"],
    });
    let tenants = rig.lane("tenants", json!([{"predict": predict}]));
    let regions = rig.lane("regions", json!([{"predict": {"model": "{parameter.tenant}-{key}"}}]));
    let ask = |id: &str| json!({"id": id, "instances": [{"input": [6.3, 3.4, 5.6, 2.4]}]});
    let of = |id: &str, tenant: &str| Ask::json(&ask(id)).header("Tenant", tenant);
    let versioned = |id: &str, tenant: &str, version: u64| {
        let mut body = ask(id);
        body["model_version"] = json!(version);
        Ask::json(&body).header("tenant", tenant)
    };
    // The parameters may stand after the data, too.
    let by_parameter = |id: &str, parameters: Value, key: &str| {
        let mut body = ask(id);
        body["parameters"] = parameters;
        Ask::json(&body).key(key)
    };
    let mut worker = rig.worker();
    let answers = tenants.exchange(&[
        of("acme", "acme"),
        versioned("acme old", "acme", 1),
        versioned("acme none", "acme", 9),
        of("globex", "globex"),
        of("absent", "hooli"),
        versioned("absent none", "hooli", 2),
        Ask::json(&ask("silent")),
        of("disallowed", "initech"),
        of("path", "acme-/../../unrelated/acme"),
        of("control", "acme-\u{1b}[2J"),
    ]);
    let by_key = regions.exchange(&[
        by_parameter("both", json!({"tenant": "acme"}), "churn"),
        by_parameter("no key", json!({"tenant": "acme"}), ""),
        by_parameter("no parameter", json!({"other": 1}), "churn"),
        by_parameter("a fraction", json!({"tenant": 1.5}), "churn"),
        by_parameter("nobody", json!({"tenant": 7}), "churn"),
    ]);
    let loaded = worker.lines_with("model loaded");
    worker.stop();
    let came = |id: &str| {
        let body = json(answers.get(id).unwrap_or_else(|| &by_key[id]));
        assert!(body.get("error").is_none(), "{id}: {body}");
        format!("{}/{}", body["model_name"].as_str().unwrap(), body["model_version"].as_str().unwrap())
    };
    for (id, model) in [
        ("acme", "acme-churn/2"),
        ("acme old", "acme-churn/1"),
        ("globex", "globex-churn/1"),
        ("absent", "churn/1"),
        ("silent", "churn/1"),
        ("both", "acme-churn/2"),
    ] {
        assert_eq!(came(id), model, "{id}");
    }
    for (id, code, mentions) in [
        ("acme none", "UNKNOWN_MODEL", "there is 1, 2"),
        ("absent none", "UNKNOWN_MODEL", "model `churn`"),
        ("disallowed", "UNKNOWN_MODEL", "`initech-churn`"),
        ("path", "UNKNOWN_MODEL", "`acme-/../../unrelated/acme-churn`"),
        ("control", "UNKNOWN_MODEL", "`acme-\\u{1b}[2J-churn`"),
        ("no key", "INVALID_REQUEST", "the record must have a key"),
        ("no parameter", "INVALID_REQUEST", "the parameter `tenant`"),
        ("a fraction", "INVALID_REQUEST", "a string or a whole number"),
        ("nobody", "UNKNOWN_MODEL", "there is no model `7-churn`"),
    ] {
        let error = json(answers.get(id).unwrap_or_else(|| &by_key[id]))["error"].clone();
        assert_eq!(error["code"], code, "{id}: {error}");
        assert!(error["message"].as_str().unwrap().contains(mentions), "{id}: {error}");
    }
    // `unrelated` has no place in either template.
    assert!(loaded.iter().all(|line| !line.contains("unrelated")), "{loaded:#?}");
}

#[test]
fn a_pipeline_that_does_not_fit_its_model_and_a_broken_model_stop_no_other() {
    let Some(rig) = Rig::new("misfit") else { return };
    rig.model("digits", 1, "models/digits/1");
    rig.model("iris", 1, "models/iris/1");
    rig.model("damaged", 1, "models/iris/1");
    let damaged = rig.folder().join("models/damaged/1/model.onnx");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    rig.model("text", 1, "tests/data/fixtures/refused_text/1");
    rig.model("torn", 1, "tests/data/fixtures/refused_truncated/1");
    let one = |name: &str, steps: Value| rig.lane_with(name, steps, 1, |_| {});
    let misfit = one("misfit", json!([{"predict": {"model": "digits"}}, {"softmax": {"column": "logit"}}]));
    let lost = one(
        "lost",
        json!([{"predict": {"model": "digits"}}, {"argmax": {"column": "logits", "labels": "classes.txt"}}]),
    );
    let broken = one("broken", json!([{"predict": {"model": "damaged"}}]));
    let no_model = one("text", json!([{"predict": {"model": "text"}}]));
    let torn = one("torn", json!([{"predict": {"model": "torn"}}]));
    let absent = one("absent", json!([{"predict": {"model": "nowhere"}}]));
    let good = one("good", json!([{"predict": {"model": "iris"}}]));
    let ask = |size: usize| Ask::json(&json!({"id": "a", "instances": [vec![1; size]]}));
    let mut worker = rig.worker();
    let said = |lane: &Lane, size: usize| json(&lane.exchange(&[ask(size)])["a"])["error"].clone();
    let errors =
        [said(&misfit, 64), said(&lost, 64), said(&broken, 4), said(&no_model, 4), said(&torn, 4), said(&absent, 4)];
    let answer = good.exchange(&[ask(4)]).remove("a").unwrap();
    let reported = worker.lines_with(r#""level":"ERROR""#);
    worker.stop();
    let expected = [
        ("MODEL_UNAVAILABLE", &["`digits`", "`misfit`", "`logit`", "`logits`"][..]),
        ("MODEL_UNAVAILABLE", &["`lost`", "`classes.txt`"]),
        ("MODEL_UNAVAILABLE", &["`damaged`", "sha256"]),
        ("MODEL_UNAVAILABLE", &["`text`"]),
        ("MODEL_UNAVAILABLE", &["`torn`"]),
        ("UNKNOWN_MODEL", &["`nowhere`"]),
    ];
    for (error, (code, mentions)) in errors.iter().zip(expected) {
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().unwrap();
        for word in mentions {
            assert!(message.contains(word), "{word}: {error}");
        }
        // Where the worker keeps its models is in its log alone.
        assert!(!message.contains(rig.folder().to_str().unwrap()), "{message}");
    }
    assert_eq!(json(&answer)["predictions"][0]["label"], 0, "{}", answer.text());
    // Each of them was in the log before the first request; the version that fits neither of its pipelines once.
    assert_eq!(reported.len(), 5, "{reported:#?}");
}

#[test]
fn a_model_without_inputs_is_called_without_inputs() {
    let Some(rig) = Rig::new("no-inputs") else { return };
    rig.model("constant", 1, "tests/data/fixtures/no_inputs/1");
    rig.model("iris", 1, "models/iris/1");
    let constant = rig.lane_with("constant", json!([{"predict": {"model": "constant"}}]), 1, |_| {});
    let iris = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 1, |_| {});
    let ask = |id: &str| Ask::json(&json!({"id": id, "inputs": []}));
    let input = json!({"name": "x", "shape": [1], "datatype": "FP32", "data": [1]});
    let mut worker = rig.worker();
    let answers = constant.exchange(&[ask("a"), ask("b"), Ask::json(&json!({"id": "too much", "inputs": [input]}))]);
    let lacking = json(&iris.exchange(&[ask("a")])["a"]);
    worker.stop();
    for id in ["a", "b"] {
        let output = &json(&answers[id])["outputs"][0];
        assert_eq!((&output["name"], &output["data"]), (&json!("answer"), &json!([42])), "{}", answers[id].text());
    }
    assert_eq!(answers["too much"].status(), "INVALID_INPUT", "{}", answers["too much"].text());
    // What a model lacks is not to be known without it: no dead letter.
    assert_eq!(lacking["error"]["code"], "INVALID_INPUT", "{lacking}");
    assert!(lacking["error"]["message"].as_str().unwrap().contains("missing"), "{lacking}");
    assert!(iris.dead_letters().is_empty());
}
