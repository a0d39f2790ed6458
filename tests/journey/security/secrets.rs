//! Secrets: told nobody, neither by a worker nor by a client, which comes in by the same properties.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
};

use serde_json::json;

use super::{allow, documented, flower, properties, rig, write_server};
use crate::support::{
    Rig, Worker,
    acls::Right,
    secured::{KEY_PASSWORD, password},
};

/// Everything that a process has said.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

#[test]
fn no_secret_is_told_anybody() {
    let Some((rig, lane, secured)) = rig("secrets") else { return };
    allow(&rig, &documented(&rig));
    let secrets = [password("SCRAM-SHA-512"), KEY_PASSWORD, "mistyped-6642"];
    let hidden = |what: &str, text: &str| {
        for secret in secrets {
            assert!(!text.contains(secret), "{what} tells {secret}: {text}");
        }
    };
    let key = [
        ("ssl.certificate.location", secured.file("client.pem")),
        ("ssl.key.location", secured.file("client.key")),
        ("ssl.key.password", KEY_PASSWORD.to_owned()),
        ("debug", "all".to_owned()),
    ];
    let changes: Vec<_> = key.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let all = properties(secured, &changes);
    write_server(&rig, &secured.sasl, &all, |_| {});
    let mut command = rig.command();
    command.args(["--log-level", "trace"]);
    let mut worker = Worker::start(command);
    worker.wait_until_ready();
    lane.exchange(&[flower("a")]);
    for page in
        ["/healthz", "/readyz", "/metrics", "/v2", "/v2/models/iris", "/v2/models/iris/config", "/v2/health/ready"]
    {
        hidden(page, &worker.page(page).1);
    }
    hidden("the repository's index", &worker.post("/v2/repository/index").1);
    worker.stop();
    let log = worker.log().join("\n");
    assert!(log.contains("SCRAM"), "librdkafka's own log is there to be judged");
    hidden("the log", &log);

    let check = |properties: &BTreeMap<String, String>| {
        write_server(&rig, &secured.sasl, properties, |_| {});
        let mut check = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        check.args(["check", "--online", "--server"]).arg(rig.server_file()).arg("--pipeline").arg(rig.pipelines());
        check.output().unwrap()
    };
    let output = check(&all);
    assert!(output.status.success(), "{}", said(&output));
    hidden("check", &said(&output));
    for (name, value) in [
        ("sasl.password", "mistyped-6642"),
        ("sasl.pasword", "mistyped-6642"),
        ("security.protocol", "mistyped-6642"),
        ("ssl.key.password", "mistyped-6642"),
        ("ssl.key.pem", "mistyped-6642"),
    ] {
        let wrong = properties(secured, &[&changes[..], &[(name, value)]].concat());
        let output = check(&wrong);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
        hidden(&format!("check with a wrong {name}"), &said(&output));
        let worker = start_any(&rig, &secured.sasl, &wrong);
        hidden(&format!("a worker with a wrong {name}"), &worker);
    }
    write_server(&rig, &secured.sasl, &all, |server| {
        server["kafka"]["properties"]["sasl.password"] = json!(["mistyped-6642"]);
    });
    hidden("a value of a wrong type", &said(&rig.command().output().unwrap()));
}

/// All that a worker says that does not start.
fn start_any(rig: &Rig, brokers: &str, properties: &BTreeMap<String, String>) -> String {
    write_server(rig, brokers, properties, |_| {});
    let output = rig.command().args(["--log-level", "trace"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

#[test]
fn send_and_load_come_in_with_the_same_properties() {
    let Some((rig, lane, secured)) = rig("clients") else { return };
    allow(&rig, &documented(&rig));
    // The same user may be a worker and a client; a client needs these.
    allow(&rig, &[Right::new("Write", "--topic", &lane.requests), Right::new("Read", "--topic", &lane.results)]);
    write_server(&rig, &secured.sasl, &properties(secured, &[]), |_| {});
    let _worker = rig.worker();
    let file = rig.folder().join("client.properties");
    let lines: Vec<_> = properties(secured, &[]).iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    fs::write(&file, lines.concat()).unwrap();
    let client = |command: &str, rest: &[&str]| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        client.args([command, "--brokers", &secured.sasl, "--topic", &lane.requests, "--results", &lane.results]);
        client.arg("--properties-file").arg(&file).args(rest).output().unwrap()
    };
    let body = r#"{"instances": [[6.3, 3.4, 5.6, 2.4]]}"#;
    let sent = client("send", &[body]);
    assert!(sent.status.success() && said(&sent).contains("OK"), "{}", said(&sent));
    let loaded = client("load", &["--requests", "500"]);
    assert!(loaded.status.success(), "{}", said(&loaded));
    // What stands on the command line wins.
    let refused = client("send", &["--property", "sasl.password=mistyped-6642", body]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let sentence = said(&refused);
    assert_eq!(sentence.trim().lines().count(), 1, "{sentence}");
    assert!(sentence.contains("sasl.password") && !sentence.contains("mistyped"), "{sentence}");
}
