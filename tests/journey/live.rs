//! Models come and go while requests flow: uploads, broken uploads, roll-backs, deletions, memory, an outage of the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    s3::S3Server,
    support::{Ask, Lane, Rig, Worker, json, wait_for},
    traffic::{Traffic, ask, said},
};

pub const IRIS: &str = "models/iris/1";

/// Asks until `version` answers. Every answer on the way is one of `allowed`.
pub fn ask_until(lane: &Lane, version: &str, allowed: &[&str]) {
    let mut number = 0;
    wait_for(&format!("an answer of version {version}"), || {
        number += 1;
        let id = format!("until {version} {number}");
        let answers = lane.exchange(&[ask(&id)]);
        let said = said(&answers[&id]);
        assert!(said == version || allowed.contains(&said.as_str()), "{said} answered");
        (said == version).then_some(())
    });
}

/// A rig whose worker looks at the repository five times a second.
fn rig(label: &str) -> Option<Rig> {
    let rig = Rig::new(label)?;
    rig.server(|server| server["models"]["poll_interval"] = json!("200ms"));
    Some(rig)
}

fn folder(rig: &Rig, version: &str) -> std::path::PathBuf {
    rig.folder().join("models").join(version)
}

/// Waits until the admin endpoint tells of a version something that has `text` in it.
fn wait_for_index(worker: &Worker, text: &str) -> String {
    wait_for(&format!("{text:?} in the index"), || {
        let (_, index) = worker.post("/v2/repository/index");
        index.contains(text).then_some(index)
    })
}

#[test]
fn every_request_of_a_steady_stream_is_answered_while_versions_come_and_go() {
    let Some(rig) = rig("stream") else { return };
    rig.model("iris", 1, IRIS);
    let lane = rig.lane("stream", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    ask_until(&lane, "1", &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let stop = Arc::clone(&stop);
        let stream = Lane::open(&lane.brokers, lane.requests.clone(), lane.results.clone(), lane.dead_letters.clone());
        move || {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let asks: Vec<_> = (sent..sent + 50).map(|number| ask(&format!("stream {number}"))).collect();
                stream.send(&asks);
                sent += asks.len();
            }
            sent
        }
    });
    for version in 2..6 {
        rig.model("iris", version, IRIS);
        // A version that cannot be read is among them.
        if version == 3 {
            drop(fs::remove_file(folder(&rig, "iris/3/manifest.json")));
            fs::write(folder(&rig, "iris/3/model.onnx"), b"half of a model").unwrap();
            worker.wait_for_line("cannot be served");
        } else {
            worker.wait_until_served("iris", &version.to_string());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    while ids.len() < sent {
        for answer in lane.receive(1) {
            let id = answer.id().unwrap().into_owned();
            if id.starts_with("stream") {
                assert!(ids.insert(id.clone()), "{id} is answered twice");
                *versions.entry(said(&answer)).or_default() += 1;
            }
        }
    }
    worker.stop();
    let names: Vec<_> = versions.keys().map(String::as_str).collect();
    assert!(names.iter().all(|version| ["1", "2", "4", "5"].contains(version)), "{versions:?}");
    assert!(names.len() >= 2, "{versions:?}");
}

#[test]
fn a_broken_upload_is_reported_and_the_version_before_goes_on_until_it_is_mended() {
    let Some(rig) = rig("broken") else { return };
    rig.model("iris", 1, IRIS);
    let lane = rig.lane("broken", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    // Not the bytes that its manifest says.
    rig.model("iris", 2, IRIS);
    let size = fs::metadata(folder(&rig, "iris/2/model.onnx")).unwrap().len();
    let manifest = json!({"files": [{"path": "model.onnx", "size": size, "sha256": "0".repeat(64)}]});
    fs::write(folder(&rig, "iris/2/manifest.json"), manifest.to_string()).unwrap();
    let index = wait_for_index(&worker, "another sha256");
    assert!(index.contains(r#""name":"iris","version":"1","state":"READY","reason":"""#), "{index}");
    // Half of it has come.
    rig.model("iris", 3, IRIS);
    let manifest = json!({"files": [{"path": "model.onnx", "size": size + 1, "sha256": "0".repeat(64)}]});
    fs::write(folder(&rig, "iris/3/manifest.json"), manifest.to_string()).unwrap();
    wait_for_index(&worker, "incomplete: waits for `model.onnx`");
    // Another model altogether: clients would break.
    fs::remove_dir_all(folder(&rig, "iris/3")).unwrap();
    rig.model("iris", 4, "models/digits/1");
    wait_for_index(&worker, "it has no input `input`");
    ask_until(&lane, "1", &[]);
    // The second one, as it should have been.
    fs::remove_dir_all(folder(&rig, "iris/4")).unwrap();
    fs::remove_file(folder(&rig, "iris/2/manifest.json")).unwrap();
    ask_until(&lane, "2", &["1"]);
    assert_eq!(worker.lines_with("another sha256").len(), 1, "a failure is logged once");
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn a_damaged_file_that_is_mended_under_its_manifest_serves_at_once() {
    let Some(rig) = rig("mended") else { return };
    rig.model("iris", 1, IRIS);
    let traffic = Traffic::start(rig.lane("mended", json!([{"predict": {"model": "iris"}}])));
    let worker = rig.worker();
    traffic.comes_to("1");
    let (model, sound) = (folder(&rig, "iris/2/model.onnx"), fs::read(folder(&rig, "iris/1/model.onnx")).unwrap());
    // As uploads go: the model first and the manifest last.
    fs::create_dir_all(folder(&rig, "iris/2")).unwrap();
    fs::write(&model, vec![0; sound.len()]).unwrap();
    for file in ["labels.txt", "manifest.json"] {
        fs::copy(folder(&rig, "iris/1").join(file), folder(&rig, "iris/2").join(file)).unwrap();
    }
    wait_for_index(&worker, "another sha256");
    traffic.goes_on_with("1");
    let mended = Instant::now();
    fs::write(&model, sound).unwrap();
    traffic.comes_to("2");
    // A version that nobody has touched is tried again after half a minute at the earliest.
    assert!(mended.elapsed() < Duration::from_secs(20), "{:?}", mended.elapsed());
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_file_that_leads_out_of_the_repository_is_refused_and_the_version_before_goes_on() {
    let Some(rig) = rig("outside") else { return };
    rig.model("iris", 1, IRIS);
    let labelled = json!({"argmax": {"column": "probabilities", "labels": "labels.txt", "into": "class"}});
    let traffic = Traffic::start(rig.lane("outside", json!([{"predict": {"model": "iris"}}, labelled])));
    let worker = rig.worker();
    traffic.comes_to("1");
    let outside = rig.folder().join("secret.txt");
    fs::copy(folder(&rig, "iris/1/labels.txt"), &outside).unwrap();
    let link = |target: &Path, version: &str| {
        let draft = rig.folder().join(version);
        fs::create_dir(&draft).unwrap();
        fs::copy(folder(&rig, "iris/1/model.onnx"), draft.join("model.onnx")).unwrap();
        std::os::unix::fs::symlink(target, draft.join("labels.txt")).unwrap();
        fs::rename(draft, folder(&rig, "iris").join(version)).unwrap();
    };
    link(&outside, "2");
    let index = wait_for_index(&worker, "`labels.txt` is a link that leads out of the model repository");
    assert!(!index.contains("secret.txt"), "where it leads is nobody's business: {index}");
    traffic.goes_on_with("1");
    link(Path::new("../1/labels.txt"), "3");
    traffic.comes_to("3");
    assert_eq!(traffic.end(&mut [worker]), ["1", "3"]);
}

#[test]
fn a_label_rolls_back_and_a_deleted_version_gives_way() {
    let Some(rig) = rig("labels") else { return };
    rig.model("iris", 1, IRIS);
    rig.model("iris", 2, IRIS);
    let labels = |text: &str| fs::write(folder(&rig, "iris/labels.yaml"), text).unwrap();
    labels("stable: 2\n");
    let stable = rig.lane("labels", json!([{"predict": {"model": "iris", "version": "stable"}}]));
    let latest = rig.lane("latest", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    ask_until(&stable, "2", &[]);
    labels("stable: 1\n");
    ask_until(&stable, "1", &["2"]);
    ask_until(&latest, "2", &[]);
    fs::remove_dir_all(folder(&rig, "iris/2")).unwrap();
    ask_until(&latest, "1", &["2"]);
    // An outage of the whole repository changes nothing.
    let (models, away) = (rig.folder().join("models"), rig.folder().join("away"));
    fs::rename(&models, &away).unwrap();
    worker.wait_for_line("the model repository cannot be looked at; what serves goes on");
    ask_until(&latest, "1", &[]);
    fs::rename(&away, &models).unwrap();
    worker.wait_for_line("the model repository answers again");
    ask_until(&stable, "1", &[]);
    worker.stop();
}

#[test]
fn models_beyond_the_memory_budget_come_when_they_are_asked_for() {
    let Some(rig) = rig("budget") else { return };
    for tenant in 0..12 {
        rig.model(&format!("t{tenant}"), 1, IRIS);
        // What lies beside a model counts as what it takes at least.
        fs::write(folder(&rig, &format!("t{tenant}/1/weights.bin")), vec![0; 4 << 20]).unwrap();
        drop(fs::remove_file(folder(&rig, &format!("t{tenant}/1/manifest.json"))));
    }
    rig.server(|server| {
        server["models"]["poll_interval"] = json!("200ms");
        server["models"]["memory"] = json!({"budget": "30MiB"});
    });
    let lane = rig.lane("budget", json!([{"predict": {"model": "{request.model}"}}]));
    let mut worker = rig.worker();
    let tenant = |round: usize, tenant: usize| {
        let id = format!("{round} {tenant}");
        let mut body: Value = serde_json::from_slice(ask(&id).value().unwrap()).unwrap();
        body["model_name"] = json!(format!("t{tenant}"));
        Ask::json(&body)
    };
    for round in 0..3 {
        let asks: Vec<_> = (0..12).map(|number| tenant(round, number)).collect();
        for (id, answer) in lane.exchange(&asks) {
            assert_eq!(said(&answer), "1", "{id}: {}", answer.text());
        }
    }
    let (_, index) = worker.post("/v2/repository/index");
    let index: Value = serde_json::from_str(&index).unwrap();
    let resident = index.as_array().unwrap().iter().filter(|entry| entry["state"] == "READY").count();
    assert!((1..12).contains(&resident), "{index}");
    worker.stop();
    lane.assert_nothing_more();
}

#[test]
fn an_operator_unloads_and_loads_a_model_and_events_tell_it() {
    let Some(rig) = rig("operator") else { return };
    rig.model("iris", 1, IRIS);
    let events = format!("{}.events", rig.name);
    crate::support::kafka::create_topic(&rig.brokers, &events, 1, &[]);
    rig.owns(&events);
    rig.server(|server| {
        server["models"]["poll_interval"] = json!("200ms");
        server["models"]["events_topic"] = json!(events);
    });
    let lane = rig.lane("operator", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    ask_until(&lane, "1", &[]);
    assert_eq!(worker.post("/v2/repository/models/iris/unload").0, 200);
    ask_until(&lane, "MODEL_UNAVAILABLE", &[]);
    assert_eq!(worker.post("/v2/repository/models/iris/load").0, 200);
    ask_until(&lane, "1", &[]);
    let (code, text) = worker.post("/v2/repository/models/nobody/load");
    assert!(code == 400 && text.contains("there is no model `nobody`"), "{text}");
    let (_, metadata) = worker.page("/v2/models/iris");
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert!(metadata["parameters"]["memory_bytes"].as_u64().unwrap() > 0, "{metadata}");
    assert!(metadata["parameters"]["requests"].as_u64().unwrap() > 0, "{metadata}");
    worker.stop();
    let told = modelmill::broker::kafka::client::read_all(&rig.brokers, &events).unwrap();
    let states: Vec<String> = told.iter().map(|event| json(event)["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["loading", "available", "unloaded", "loading", "available"]);
    assert!(told.iter().all(|event| event.key.as_deref() == Some(b"iris")));
}

/// Puts a version into a bucket as an upload does, its manifest last.
pub fn push(server: &S3Server, from: &str, version: &str) {
    let mut push = std::process::Command::new(env!("CARGO_BIN_EXE_modelmill"));
    push.args(["push", from, &format!("s3://models/{version}")]).current_dir(env!("CARGO_MANIFEST_DIR"));
    server.environment(&mut push);
    let pushed = push.output().unwrap();
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
}

/// A rig whose models are in a bucket of `server`, and in a disk cache of its own; `change` sees its models' part.
pub fn bucket_rig(label: &str, server: &S3Server, change: impl FnOnce(&mut Value)) -> Option<Rig> {
    let rig = Rig::new(label)?;
    let (endpoint, credentials) = (server.endpoint(), server.credentials_file());
    rig.server(|config| {
        let cache = json!({"directory": rig.folder().join("cache")});
        let s3 = json!({"endpoint": endpoint, "credentials_file": credentials});
        config["models"] = json!({"repository": "s3://models", "s3": s3, "poll_interval": "200ms", "cache": cache});
        change(&mut config["models"]);
    });
    Some(rig)
}

#[test]
fn a_bucket_is_served_from_the_cache_through_a_frozen_server_and_a_restart() {
    let Some(server) = S3Server::start() else { return };
    server.bucket("models");
    push(&server, IRIS, "iris/1");
    let Some(rig) = bucket_rig("bucket", &server, |_| {}) else { return };
    let lane = rig.lane("bucket", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    ask_until(&lane, "1", &[]);
    push(&server, IRIS, "iris/2");
    ask_until(&lane, "2", &["1"]);
    server.freeze();
    worker.wait_for_line("the model repository cannot be looked at; what serves goes on");
    ask_until(&lane, "2", &[]);
    server.thaw();
    worker.wait_for_line("the model repository answers again");
    push(&server, IRIS, "iris/3");
    ask_until(&lane, "3", &["2"]);
    worker.stop();
    // With a warm cache nothing is fetched again: the objects' bytes need not even be there any more.
    let cached = cached_bytes(&rig.folder().join("cache"));
    let mut worker = rig.worker();
    ask_until(&lane, "3", &[]);
    assert_eq!(cached_bytes(&rig.folder().join("cache")), cached);
    worker.stop();
    lane.assert_nothing_more();
}

/// The names and times of all files below a folder.
fn cached_bytes(folder: &Path) -> BTreeSet<(std::path::PathBuf, std::time::SystemTime)> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(cached_bytes(&path));
        } else if path.extension().is_none() {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            found.insert((path, modified));
        }
    }
    found
}
