//! Spring Kafka's `ReplyingKafkaTemplate` as it comes, through a worker: the client of `examples/java-spring`, run from its
//! source as a process of its own.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Lane, Rig, kafka, skip, wait_for};

const SOURCE: &str = "examples/java-spring/src/main/java/example/ReplyingClient.java";

/// What one answer, or its absence, looks like to the client.
#[derive(Debug)]
struct Seen {
    status: String,
    partition: Option<i32>,
    body: Value,
}

/// Whether a Java with a compiler and Spring's jars are here; said aloud if not.
fn spring_is_here() -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".deps/spring/libs").is_dir() {
        skip("the jars of Spring Kafka are not in .deps/spring/libs (`make setup` fetches them)");
        return false;
    }
    let has_compiler = Command::new("javac").arg("-version").output().is_ok_and(|output| output.status.success());
    if !has_compiler {
        skip("there is no javac (`make setup` installs one on Debian)");
    }
    has_compiler
}

/// The client as a process, which does not outlive its test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Has the client send requests, and says what it saw, by the request's id.
fn exchange(lane: &Lane, replies: &str, partition: &str, patience: u32, requests: &[Value]) -> BTreeMap<String, Seen> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut client = Command::new("java");
    client.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    client.arg(root.join(".deps/spring/libs/*")).arg(root.join(SOURCE));
    client.args([&*lane.brokers, &*lane.requests, replies, partition, &*patience.to_string()]);
    let (output, errors) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    client.stdin(Stdio::piped()).stdout(output.reopen().unwrap()).stderr(errors.reopen().unwrap());
    let mut client = Client(client.spawn().unwrap());
    let mut input = client.0.stdin.take().unwrap();
    requests.iter().for_each(|request| writeln!(input, "{request}").unwrap());
    drop(input);
    let ended = wait_for("the end of the Java client", || client.0.try_wait().unwrap());
    let said = || std::fs::read_to_string(errors.path()).unwrap();
    assert!(ended.success(), "the client failed: {}", said());
    let text = std::fs::read_to_string(output.path()).unwrap();
    let seen = text.lines().map(|line| {
        let parts: Vec<_> = line.splitn(3, '\t').collect();
        let body: Value = serde_json::from_str(parts[2]).unwrap();
        let seen = Seen { status: parts[0].to_owned(), partition: parts[1].parse().ok(), body };
        (seen.body["id"].as_str().unwrap().to_owned(), seen)
    });
    let seen: BTreeMap<_, _> = seen.collect();
    assert_eq!(seen.len(), requests.len(), "{text}");
    seen
}

fn request(id: &str, columns: usize) -> Value {
    json!({"id": id, "instances": [vec![1.5; columns]]})
}

#[test]
fn springs_replying_template_gets_its_answers_without_knowing_of_us() {
    if !spring_is_here() {
        return;
    }
    spring("spring", "at_least_once");
}

#[test]
fn springs_replying_template_gets_its_answers_out_of_transactions() {
    if !spring_is_here() {
        return;
    }
    spring("spring-exactly", "exactly_once");
}

fn spring(label: &str, delivery: &str) {
    let Some(rig) = Rig::new(label) else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.server(|server| server["delivery"] = json!(delivery));
    let topic = |name: &str| {
        let topic = format!("{}.{name}", rig.name);
        kafka::create_topic(&rig.brokers, &topic, 3, &[]);
        rig.owns(&topic);
        topic
    };
    let (replies, other) = (topic("replies"), topic("other"));
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 4, |pipeline| {
        pipeline["output"]["reply_topics"] = json!([format!("{}.repl*", rig.name)]);
    });
    let mut worker = rig.worker();
    let mut requests: Vec<_> = (0..100).map(|number| request(&format!("r-{number}"), 4)).collect();
    requests.push(request("misfit", 1));
    for partition in ["any", "2"] {
        let seen = exchange(&lane, &replies, partition, 30, &requests);
        for (id, Seen { status, partition: came_by, body }) in &seen {
            let (expected, member) = if id == "misfit" { ("INVALID_INPUT", "error") } else { ("OK", "predictions") };
            assert!(status == expected && body.get(member).is_some(), "{id}: {status}, {body}");
            assert!(partition == "any" || *came_by == Some(2), "{id} came by partition {came_by:?}");
        }
        let partitions: std::collections::BTreeSet<_> = seen.values().map(|seen| seen.partition).collect();
        assert_eq!(partitions.len(), if partition == "any" { 3 } else { 1 }, "{partitions:?}");
    }
    // Nothing comes where nothing may go: the reason stands on the result topic.
    let seen = exchange(&lane, &other, "any", 3, &[request("nowhere", 4)]);
    assert_eq!(seen["nowhere"].status, "TIMEOUT");
    let answer = lane.receive(1).remove(0);
    assert_eq!((answer.id().as_deref(), answer.status().as_ref()), (Some("nowhere"), "INVALID_REQUEST"));
    worker.stop();
    lane.assert_nothing_more();
}
