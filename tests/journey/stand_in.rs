//! Workers that start beside versions that cannot be served: the nearest older one that works stands in until they are mended.

use std::fs;

use modelmill::broker::kafka::client::read_all;
use serde_json::{Value, json};

use crate::{
    bucket::{Bucket, IRIS, told, wait_for_reason},
    faults::noise,
    support::{Ask, Rig, json, kafka, wait_for},
    traffic::{Traffic, said},
};

/// A rig whose worker looks at the repository five times a second, and tells of its models on a topic.
fn rig(label: &str, versions: &Value) -> Option<(Rig, String)> {
    let rig = Rig::new(label)?;
    let events = format!("{}.events", rig.name);
    kafka::create_topic(&rig.brokers, &events, 1, &[]);
    rig.owns(&events);
    rig.server(|server| {
        server["models"]["poll_interval"] = json!("200ms");
        server["models"]["events_topic"] = json!(events);
        server["models"]["versions"] = versions.clone();
    });
    Some((rig, events))
}

/// Puts a version there whose model is not what its manifest says.
fn damaged(rig: &Rig, version: u32) {
    rig.model("iris", version, IRIS);
    let model = rig.folder().join(format!("models/iris/{version}/model.onnx"));
    let mut bytes = fs::read(&model).unwrap();
    bytes[100] ^= 1;
    fs::write(model, bytes).unwrap();
}

fn ask(id: &str, version: Option<u64>) -> Ask {
    Ask::json(&json!({"id": id, "model_version": version, "instances": [{"input": [6.3, 3.4, 5.6, 2.4]}]}))
}

#[test]
fn a_start_beside_damaged_versions_serves_the_nearest_that_works_until_the_newest_is_mended() {
    let Some((rig, events)) = rig("damaged-start", &json!({"latest": 1})) else { return };
    for version in [1, 2] {
        rig.model("iris", version, IRIS);
    }
    for version in [3, 4] {
        damaged(&rig, version);
    }
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris", "version": "{request.version}"}}]));
    let worker = rig.worker();
    let answers = lane.exchange(&[
        ask("latest", None),
        ask("what stands in", Some(2)),
        ask("damaged", Some(4)),
        ask("also damaged", Some(3)),
        ask("not needed", Some(1)),
    ]);
    let who = |id: &str| said(&answers[id]);
    assert_eq!([who("latest"), who("what stands in")], ["2", "2"]);
    assert_eq!(
        [who("damaged"), who("also damaged"), who("not needed")],
        ["MODEL_UNAVAILABLE", "MODEL_UNAVAILABLE", "UNKNOWN_MODEL"]
    );
    let state = |version| told(&worker, version).unwrap_or_default();
    assert_eq!(state(2), ("READY".to_owned(), String::new()));
    for version in [3, 4] {
        let (state, reason) = state(version);
        assert!(state == "UNAVAILABLE" && reason.contains("another sha256"), "{version}: {state}, {reason}");
    }
    assert_eq!(worker.lines_with("this older version stands in").len(), 2, "{:#?}", worker.log());
    let traffic = Traffic::start(lane);
    traffic.comes_to("2");
    rig.model("iris", 4, IRIS);
    traffic.comes_to("4");
    traffic.goes_on_with("4");
    wait_for("versions 2 and 3 to be gone", || {
        (told(&worker, 2).is_none() && told(&worker, 3).is_none()).then_some(())
    });
    assert_eq!(traffic.end(&mut [worker]), ["2", "4"]);
    let events: Vec<_> = read_all(&rig.brokers, &events).unwrap().iter().map(json).collect();
    // Whether its last users are waited for is a matter of the moment.
    let states = |version: u64| {
        let of = events.iter().filter(|event| event["version"] == version && event["state"] != "retiring");
        of.map(|event| event["state"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(states(4), ["loading", "failed", "loading", "available"]);
    assert_eq!(states(3), ["loading", "failed", "gone"]);
    assert_eq!(states(2), ["loading", "available", "gone"]);
    assert!(states(1).is_empty(), "the nearest one that works was enough");
}

#[test]
fn nothing_stands_in_for_a_version_that_was_asked_for_by_its_number() {
    let Some((rig, events)) = rig("damaged-specific", &json!({"specific": [2]})) else { return };
    rig.model("iris", 1, IRIS);
    damaged(&rig, 2);
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    assert_eq!(said(&lane.exchange(&[ask("a", None)])["a"]), "MODEL_UNAVAILABLE");
    worker.stop();
    let events = read_all(&rig.brokers, &events).unwrap();
    assert!(events.iter().all(|event| json(event)["version"] == 2), "version 1 is none of this worker's");
}

#[test]
fn a_start_beside_an_upload_whose_bytes_are_wrong_serves_the_version_before_from_the_bucket() {
    let Some(bucket) = Bucket::new("corrupt-start") else { return };
    bucket.push(1);
    // Bytes that version 1 has could be had from there.
    let (draft, sound) = (bucket.draft("2"), noise(1000));
    fs::write(draft.join("weights.bin"), &sound).unwrap();
    bucket.push_folder(&draft, 2);
    bucket.put("iris/2/weights.bin", vec![0; sound.len()]);
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.worker();
    traffic.comes_to("1");
    wait_for_reason(&worker, 2, "is not what manifest.json says");
    traffic.goes_on_with("1");
    bucket.put("iris/2/weights.bin", sound);
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}
