//! A bucket with everything that befalls buckets, under a worker whose models serve: half an upload, a server that dies,
//! freezes, drips, falls silent or refuses.

use std::fs;

use serde_json::Value;

use crate::{
    bucket::{BUCKET, Bucket, original, told, wait_for_reason},
    faults::{Fault, noise},
    support::{Worker, wait_for},
    traffic::{Traffic, ask, said},
};

/// A worker whose version 1 serves, and its traffic.
fn serving(bucket: &Bucket) -> (Worker, Traffic) {
    bucket.push(1);
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.worker();
    traffic.comes_to("1");
    (worker, traffic)
}

#[test]
fn half_an_upload_is_refused_with_a_reason_and_served_once_the_rest_is_there() {
    let Some(bucket) = Bucket::new("half") else { return };
    let (worker, traffic) = serving(&bucket);
    let (model, labels, manifest) = (original("model.onnx"), original("labels.txt"), original("manifest.json"));
    // No manifest, and an upload that broke off within the model: nothing but the model itself can tell.
    bucket.put("iris/2/model.onnx", &model[..model.len() / 2]);
    wait_for_reason(&worker, 2, "model.onnx");
    traffic.goes_on_with("1");
    bucket.remove("iris/2/model.onnx");
    bucket.push(2);
    traffic.comes_to("2");
    // A manifest that came too early.
    bucket.put("iris/3/manifest.json", &*manifest);
    bucket.put("iris/3/model.onnx", &*model);
    wait_for_reason(&worker, 3, "incomplete: waits for `labels.txt` of 28 bytes as manifest.json says");
    traffic.goes_on_with("2");
    bucket.put("iris/3/labels.txt", &*labels);
    traffic.comes_to("3");
    // A file that is shorter than its manifest says.
    bucket.put("iris/4/labels.txt", &*labels);
    bucket.put("iris/4/model.onnx", &model[..300]);
    bucket.put("iris/4/manifest.json", &*manifest);
    wait_for_reason(&worker, 4, "waits for `model.onnx` of 634 bytes, not 300, as manifest.json says");
    traffic.goes_on_with("3");
    bucket.put("iris/4/model.onnx", &*model);
    traffic.comes_to("4");
    // A file of the right size and other bytes.
    let weights = noise(1000);
    let sealed = bucket.manifest_with("weights.bin", &weights);
    bucket.put("iris/5/model.onnx", &*model);
    bucket.put("iris/5/labels.txt", &*labels);
    bucket.put("iris/5/weights.bin", [0; 1000]);
    bucket.put("iris/5/manifest.json", sealed);
    wait_for_reason(&worker, 5, "`iris/5/weights.bin` is not what manifest.json says");
    traffic.goes_on_with("4");
    bucket.put("iris/5/weights.bin", weights);
    traffic.comes_to("5");
    assert_eq!(worker.lines_with("cannot be served").len(), 2, "what failed is told once: {:#?}", worker.log());
    assert_eq!(traffic.end(&mut [worker]), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_version_that_lacks_a_file_of_a_step_is_refused_until_it_comes_with_it() {
    let Some(bucket) = Bucket::new("lacking") else { return };
    let (worker, traffic) = serving(&bucket);
    let draft = bucket.draft("bare");
    fs::remove_file(draft.join("labels.txt")).unwrap();
    bucket.push_folder(&draft, 2);
    wait_for_reason(&worker, 2, "step `argmax`: the file `labels.txt`, which must lie beside model.onnx");
    traffic.goes_on_with("1");
    let log = worker.lines_with("cannot be served");
    assert!(log.len() == 1 && log[0].contains("pipeline `iris`"), "{log:?}");
    // With another manifest it is another upload.
    bucket.put("iris/2/labels.txt", original("labels.txt"));
    bucket.put("iris/2/manifest.json", original("manifest.json"));
    traffic.comes_to("2");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_server_that_is_killed_within_a_download_is_gone_on_with_when_it_is_back() {
    const SIZE: usize = 24 << 20;
    let Some(mut bucket) = Bucket::new("killed") else { return };
    let (worker, traffic) = serving(&bucket);
    let draft = bucket.draft("large");
    fs::write(draft.join("weights.bin"), noise(SIZE)).unwrap();
    // Slow enough to be in the midst of it, and more than buffers on the way hold.
    bucket.proxy.set(Fault::Drip(8 << 20));
    bucket.push_folder(&draft, 2);
    let downloads = || bucket.proxy.requests_for("iris/2/weights.bin");
    wait_for("the midst of a download", || downloads().first().filter(|first| first.sent() > 2 << 20).map(|_| ()));
    bucket.server.kill();
    worker.wait_for_line("the model repository cannot be looked at; what serves goes on");
    traffic.goes_on_with("1");
    bucket.proxy.set(Fault::None);
    bucket.server.restart();
    traffic.comes_to("2");
    let downloads = bucket.proxy.requests_for("iris/2/weights.bin");
    let came: Vec<_> = downloads.iter().filter(|request| request.sent() > 0).collect();
    let [first, rest] = came[..] else { panic!("one download in two pieces: {downloads:?}") };
    let from = rest.from.expect("the second one asks for the rest");
    assert!(first.from.is_none() && from >= 2 << 20 && from <= first.sent(), "{first:?}, then from {from}");
    assert_eq!(from + rest.sent(), SIZE as u64, "nothing of it came twice");
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

/// What can be wrong with a server that is there.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// In the proxy before it.
    Proxy(Fault),
    /// SIGSTOP.
    Frozen,
    /// It answers, and there is no such bucket any more.
    Gone,
}

impl Outage {
    fn begin(self, bucket: &Bucket) {
        match self {
            Self::Proxy(fault) => bucket.proxy.set(fault),
            Self::Frozen => bucket.server.freeze(),
            Self::Gone => Self::rename(bucket, BUCKET, "away"),
        }
    }

    fn end(self, bucket: &Bucket) {
        match self {
            Self::Proxy(_) => bucket.proxy.set(Fault::None),
            Self::Frozen => bucket.server.thaw(),
            Self::Gone => Self::rename(bucket, "away", BUCKET),
        }
    }

    fn rename(bucket: &Bucket, from: &str, to: &str) {
        fs::rename(bucket.server.bucket_folder(from), bucket.server.bucket_folder(to)).unwrap();
    }
}

#[test]
fn an_outage_of_any_kind_is_told_once_and_unloads_nothing() {
    const LOST: &str = "the model repository cannot be looked at; what serves goes on";
    let silent = [Outage::Proxy(Fault::BlackHole), Outage::Frozen];
    let outages = [Outage::Proxy(Fault::Unavailable(u32::MAX)), Outage::Gone].into_iter().chain(silent);
    // Side by side, since a worker takes its time to call a server that says nothing an outage.
    let mut places = Vec::new();
    for (number, outage) in outages.enumerate() {
        let Some(bucket) = Bucket::new(&format!("outage{number}")) else { return };
        let (worker, traffic) = serving(&bucket);
        outage.begin(&bucket);
        places.push((outage, bucket, worker, traffic));
    }
    for (outage, _, worker, traffic) in &places {
        worker.wait_for_line(LOST);
        traffic.goes_on_with("1");
        assert_eq!(told(worker, 1).unwrap().0, "READY", "{outage:?}");
        assert_eq!(worker.page("/readyz").0, 200, "{outage:?}");
    }
    for (outage, bucket, worker, traffic) in places {
        outage.end(&bucket);
        bucket.push(2);
        worker.wait_for_line("the model repository answers again");
        traffic.comes_to("2");
        let lost = worker.lines_with(LOST);
        // One that lasts for more than a minute is told again, in other words.
        let reminders = worker.lines_with("the model repository still cannot be looked at");
        assert_eq!(troubles(&worker).len(), lost.len() + reminders.len(), "{outage:?}: {:#?}", worker.log());
        assert_eq!(lost.len(), 1, "{outage:?}: {lost:#?}");
        assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
    }
}

/// What a worker complains of.
fn troubles(worker: &Worker) -> Vec<String> {
    let is_trouble =
        |line: &String| [r#""level":"WARN""#, r#""level":"ERROR""#, "error: "].iter().any(|mark| line.contains(mark));
    worker.log().into_iter().filter(is_trouble).collect()
}

#[test]
fn a_server_too_slow_for_a_download_is_told_and_gone_on_with_at_full_speed() {
    const SIZE: usize = 1 << 20;
    let Some(bucket) = Bucket::new("drip") else { return };
    let (worker, traffic) = serving(&bucket);
    let draft = bucket.draft("large");
    fs::write(draft.join("weights.bin"), noise(SIZE)).unwrap();
    // A listing gets through in time.
    bucket.proxy.set(Fault::Drip(4000));
    bucket.push_folder(&draft, 2);
    wait_for_reason(&worker, 2, "a second are expected");
    traffic.goes_on_with("1");
    bucket.proxy.set(Fault::None);
    traffic.comes_to("2");
    let downloads = bucket.proxy.requests_for("iris/2/weights.bin");
    let from = downloads.last().unwrap().from.expect("the last one asks for the rest");
    assert!(from > 1000, "what has come slowly has come: {from}");
    assert_eq!(troubles(&worker).len(), 1, "it is told once: {:#?}", worker.log());
    assert_eq!(traffic.end(&mut [worker]), ["1", "2"]);
}

#[test]
fn a_worker_that_starts_beside_a_frozen_server_says_so_waits_and_serves() {
    let Some(bucket) = Bucket::new("frozen") else { return };
    bucket.push(1);
    bucket.server.freeze();
    let traffic = Traffic::start(bucket.lane());
    let worker = bucket.rig.start();
    let line = worker.wait_for_line("retrying until it answers");
    assert!(line.contains(&bucket.proxy.address()), "{line}");
    assert_eq!((worker.page("/healthz").0, worker.page("/readyz").0), (200, 503));
    bucket.server.thaw();
    worker.wait_until_ready();
    traffic.goes_on_with("1");
    assert_eq!(troubles(&worker), [line], "it is told once");
    assert_eq!(traffic.end(&mut [worker]), ["1"]);
}

#[test]
fn a_missing_bucket_and_wrong_credentials_are_one_sentence_and_no_request_is_lost() {
    let Some(bucket) = Bucket::new("denied") else { return };
    let lane = bucket.lane();
    lane.send(&[ask("early")]);
    let refusal = |expected: &str| {
        let mut worker = bucket.rig.start();
        assert_eq!(worker.ended().code(), Some(1));
        let [sentence] = &troubles(&worker)[..] else { panic!("one sentence: {:#?}", worker.log()) };
        assert!(sentence.contains(expected), "{sentence}");
        assert!(!worker.log().concat().contains("wrongsecret"), "{:#?}", worker.log());
    };
    bucket.configure(|models| models["repository"] = Value::from("s3://modles"));
    refusal("there is no bucket `modles`");
    bucket.configure(|_| {});
    bucket.server.write_credentials("wrongsecret");
    refusal("the secret does not belong to the access key");
    // Set right, the next one answers what nobody could.
    bucket.server.write_credentials("testsecret");
    bucket.push(1);
    let mut worker = bucket.rig.worker();
    let answers = lane.receive(1);
    assert_eq!((answers[0].id().as_deref(), said(&answers[0])), (Some("early"), "1".to_owned()));
    worker.stop();
    lane.assert_nothing_more();
}
