//! The clients of `examples/`, each as a process of its own, in the languages that this machine has: a request, the wait, the
//! answer. Spring's is run by `spring`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Rig, skip, wait_for};

/// Runs a client with a request that is right and one that is not; both are answered. `ids` are those in their bodies.
fn run(label: &str, mut client: Command, ids: [&str; 2]) {
    let Some(rig) = Rig::new(label) else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    let (output, errors) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    client.args([&lane.brokers, &lane.requests, &lane.results]);
    for (id, row) in ids.into_iter().zip([vec![5.1, 3.5, 1.4, 0.2], vec![5.1]]) {
        client.arg(json!({"id": id, "instances": [row]}).to_string());
    }
    client.stdin(Stdio::null()).stdout(output.reopen().unwrap()).stderr(errors.reopen().unwrap());
    let mut process = client.spawn().unwrap();
    let ended = wait_for("the end of the client", || process.try_wait().unwrap());
    worker.stop();
    let said = std::fs::read_to_string(errors.path()).unwrap();
    assert!(ended.success(), "the client failed: {said}");
    let text = std::fs::read_to_string(output.path()).unwrap();
    let mut seen: Vec<(String, Value)> = text
        .lines()
        .map(|line| {
            let parts: Vec<_> = line.splitn(3, '\t').collect();
            (parts[1].to_owned(), serde_json::from_str(parts[2]).unwrap())
        })
        .collect();
    seen.sort_by(|one, other| other.0.cmp(&one.0));
    let [(right, prediction), (wrong, error)] = seen.as_slice() else { panic!("two answers: {text}") };
    assert_eq!((right.as_str(), &prediction["predictions"][0]["label"]), ("OK", &json!(0)), "{text}");
    assert_eq!((wrong.as_str(), &error["error"]["code"]), ("INVALID_INPUT", &json!("INVALID_INPUT")), "{text}");
}

/// A Python that has a client of Kafka; said aloud if there is none.
pub fn python() -> Option<Command> {
    let packages = std::env::var_os("PYTHONPATH").unwrap_or_else(|| root().join(".deps/python-client").into());
    let python = || {
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", &packages);
        python
    };
    let has_client = python().args(["-c", "import confluent_kafka"]).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        skip("this Python has no confluent-kafka (`make setup` fetches it into .deps/python-client)");
        return None;
    }
    Some(python())
}

/// A Java that runs sources, with a client of Kafka; said aloud if there is none.
pub fn java() -> Option<Command> {
    if !root().join(".deps/kafka/libs").is_dir() {
        skip("the jars of Kafka are not in .deps/kafka/libs (`make setup` fetches them)");
        return None;
    }
    if !Command::new("javac").arg("-version").output().is_ok_and(|output| output.status.success()) {
        skip("there is no javac (`make setup` installs one on Debian)");
        return None;
    }
    let mut java = Command::new("java");
    java.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(root().join(".deps/kafka/libs/*"));
    Some(java)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_python_client_gets_its_answers() {
    let Some(mut client) = python() else { return };
    client.arg(root().join("examples/python/client.py"));
    run("python", client, ["right", "wrong"]);
}

#[test]
fn the_java_client_gets_its_answers() {
    let Some(mut client) = java() else { return };
    client.arg(root().join("examples/java/Client.java"));
    // Its requests have their ids in a header; an empty one in the body counts as none.
    run("java", client, ["", ""]);
}

#[test]
fn the_go_client_gets_its_answers() {
    let (source, folder) = (root().join("examples/go"), root().join(".deps/go"));
    if std::fs::read(folder.join("go.sum")).ok() != std::fs::read(source.join("go.sum")).ok() {
        return skip("the modules of the Go client are not in .deps/go (`make setup` fetches them where there is Go)");
    }
    let built = tempfile::tempdir().unwrap();
    let program = built.path().join("client");
    let mut go = Command::new("go");
    // The same as in scripts/fetch-go-client.sh, but without a network, and with whatever else Go writes in a folder of ours.
    go.env("GOPATH", &folder).env("GOMODCACHE", folder.join("modules")).env("GOCACHE", folder.join("cache"));
    go.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0").env("GOFLAGS", "-modcacherw -mod=readonly");
    go.env("GOPROXY", "off").env("XDG_CONFIG_HOME", built.path());
    go.args(["build", "-o"]).arg(&program).arg(".").current_dir(source);
    let said = match go.output() {
        Ok(output) => output,
        Err(error) => return skip(&format!("there is no Go ({error})")),
    };
    assert!(said.status.success(), "Go: {}", String::from_utf8_lossy(&said.stderr));
    run("go", Command::new(&program), ["right", "wrong"]);
    // What cannot be done is told at once, and nothing is sent.
    let mut client = Command::new(&program);
    let refused =
        client.args(["127.0.0.1:1", "in", "out", r#"{"instances": [[5.1, 3.5, 1.4, 0.2]]}"#]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "request 1 has no id of its own\n");
}
