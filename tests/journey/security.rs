//! The path is secured: who may come in by which mechanism, who may not and what he is told, and that no secret is told anybody.
//!
//! The server files and the ACLs are those of docs/security.md, against one real Kafka with TLS, SASL and an authorizer.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    Ask, Lane, Rig, Worker,
    acls::{self, Right},
    kafka,
    secured::{KEY_PASSWORD, Secured, USER, password, secured},
};

#[path = "security/credentials.rs"]
mod credentials;
#[path = "security/rights.rs"]
mod rights;
#[path = "security/secrets.rs"]
mod secrets;

/// How long a worker of these tests tries to be let in.
const STARTUP: Duration = Duration::from_secs(4);

const PAGE: &str = include_str!("../../docs/security.md");

/// The part of the page under a heading, up to the next.
fn part(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no `{heading}` on the page"));
    rest.split("\n##").next().unwrap()
}

/// The blocks of a part in this language.
fn blocks(part: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    part.split(&open).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// A rig on the secured Kafka, its pipeline `iris`, and the rights that the page gives a worker.
fn rig(label: &str) -> Option<(Rig, Lane, &'static Secured)> {
    let secured = secured()?;
    let rig = Rig::on(secured.open.clone(), label);
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    Some((rig, lane, secured))
}

/// The rights that the page gives, for the topics and the group of a rig.
fn documented(rig: &Rig) -> Vec<Right> {
    let commands = blocks(part("## What a worker must be allowed to do"), "sh").join("\n");
    let rights = commands.lines().filter(|line| line.starts_with("kafka-acls.sh ")).map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let after = |flag: &str| words.iter().position(|word| *word == flag).map(|at| words[at + 1]);
        let kinds = ["--topic", "--group", "--transactional-id"];
        let (kind, name) = kinds.iter().find_map(|kind| Some((*kind, after(kind)?))).expect("of what");
        assert_eq!(after("--allow-principal"), Some("User:worker"), "{line}");
        let right = Right::new(after("--operation").expect("which operation"), kind, &own(rig, name));
        if after("--resource-pattern-type") == Some("prefixed") { right.prefixed() } else { right }
    });
    let rights: Vec<_> = rights.collect();
    assert_eq!(rights.len(), 5, "three topics, the group, the transactional ids");
    rights
}

/// A name of the page as it is called here.
fn own(rig: &Rig, name: &str) -> String {
    match name {
        "iris" => rig.group(),
        "iris-" => format!("{}-", rig.group()),
        topic => format!("{}.{topic}", rig.name),
    }
}

/// The users of the page by the mechanisms of the tests' broker.
const PRINCIPALS: [&str; 2] = ["User:worker", "User:CN=worker"];

fn allow(rig: &Rig, rights: &[Right]) {
    PRINCIPALS.iter().for_each(|principal| acls::allow(&rig.brokers, principal, rights));
}

/// The server file of the page for a mechanism, with the addresses and files of the tests' broker.
fn documented_server(rig: &Rig, secured: &Secured, heading: &str) -> String {
    let [file]: [String; 1] = blocks(part(heading), "yaml").try_into().expect("one file for each mechanism");
    assert!(file.starts_with("# server.yaml\n"));
    let mut file = file
        .replace("kafka-1.example:9093", &secured.sasl)
        .replace("kafka-1.example:9094", &secured.mtls)
        .replace("group: iris", &format!("group: {}", rig.group()))
        .replace("repository: models", &format!("repository: {}", rig.folder().join("models").display()));
    for name in ["ca.pem", "client.pem", "client.key"] {
        file = file.replace(&format!("/etc/modelmill/{name}"), &secured.file(name));
    }
    assert!(!file.contains("/etc/"), "every file is one of the tests': {file}");
    let journal = rig.folder().join("journal");
    let own = format!("\ncrash_journal: {{directory: \"{}\"}}\n", journal.display());
    file + &own + "admin: {listen: \"127.0.0.1:0\"}\nstartup_timeout: 30s\n"
}

fn with_secrets(mut command: Command, mechanism: &str) -> Command {
    let password = if mechanism == "SSL" { "" } else { password(mechanism) };
    command.env("KAFKA_USERNAME", USER).env("KAFKA_PASSWORD", password).env("KAFKA_KEY_PASSWORD", KEY_PASSWORD);
    command
}

fn flower(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}))
}

#[test]
fn every_mechanism_of_the_page_answers_with_the_rights_of_the_page_and_no_others() {
    let Some((rig, lane, secured)) = rig("mechanisms") else { return };
    allow(&rig, &documented(&rig));
    let scram = documented_server(&rig, secured, "### SASL/SCRAM");
    for (case, mechanism, server) in [
        ("sha-256", "SCRAM-SHA-256", scram.replace("SCRAM-SHA-512", "SCRAM-SHA-256")),
        ("exactly-once", "SCRAM-SHA-512", format!("{scram}delivery: exactly_once\n")),
        ("sha-512", "SCRAM-SHA-512", scram),
        ("plain", "PLAIN", documented_server(&rig, secured, "### SASL/PLAIN")),
        ("mtls", "SSL", documented_server(&rig, secured, "### TLS with a client's certificate")),
    ] {
        fs::write(rig.server_file(), server).unwrap();
        let mut worker = Worker::start(with_secrets(rig.command(), mechanism));
        worker.wait_until_ready();
        let (good, bad) = (format!("{case}-good"), format!("{case}-bad"));
        let answers = lane.exchange(&[flower(&good), Ask::bytes("{").key(bad.as_bytes())]);
        let statuses = [&good, &bad].map(|id| answers[id].status());
        assert_eq!(statuses, ["OK", "INVALID_REQUEST"], "{case}");
        worker.stop();
        let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
        assert_eq!(troubles, [""; 0], "{case}");
    }
    assert_eq!(lane.dead_letters().len(), 5, "one in each case");
    for (partition, (committed, end)) in kafka::committed_and_end(&rig.brokers, &rig.group(), &lane.requests) {
        assert_eq!(committed, Some(end), "partition {partition}");
    }
}

/// Properties that are right for the user of SCRAM-SHA-512, changed by `changes`; an empty value leaves one out.
fn properties(secured: &Secured, changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let ca = secured.file("ca.pem");
    let right = [
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", &ca),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", USER),
        ("sasl.password", password("SCRAM-SHA-512")),
    ];
    let mut properties: BTreeMap<_, _> =
        right.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    properties.retain(|_, value| !value.is_empty());
    properties
}

fn write_server(rig: &Rig, brokers: &str, properties: &BTreeMap<String, String>, change: impl FnOnce(&mut Value)) {
    rig.server(|server| {
        server["kafka"]["brokers"] = json!(brokers);
        server["kafka"]["properties"] = json!(properties);
        server["startup_timeout"] = json!(format!("{}s", STARTUP.as_secs()));
        change(server);
    });
}

/// Starts a worker with a server file of its own, which is read before this returns.
fn start(rig: &Rig, brokers: &str, properties: &BTreeMap<String, String>) -> Worker {
    start_for(rig, brokers, properties, STARTUP)
}

/// The same with so much time to be let in.
fn start_for(rig: &Rig, brokers: &str, properties: &BTreeMap<String, String>, startup: Duration) -> Worker {
    write_server(rig, brokers, properties, |server| {
        server["startup_timeout"] = json!(format!("{}s", startup.as_secs()));
    });
    let worker = rig.start();
    worker.wait_for_line("admin endpoint");
    worker
}

/// A worker with the rights of the page, and where it works.
fn admitted(label: &str) -> Option<(Rig, Lane, &'static Secured, Worker)> {
    let (rig, lane, secured) = rig(label)?;
    allow(&rig, &documented(&rig));
    write_server(&rig, &secured.sasl, &properties(secured, &[]), |_| {});
    let worker = rig.worker();
    Some((rig, lane, secured, worker))
}

/// Its one sentence, and that there was nothing else to be alarmed about.
fn refusal(what: &str, mut worker: Worker) -> String {
    let code = worker.ended().code();
    let log = worker.log();
    let is_alarming = |line: &&String| {
        line.starts_with("error: ") || line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#)
    };
    let mut alarming: Vec<_> = log.iter().filter(is_alarming).cloned().collect();
    assert_eq!(alarming.len(), 1, "{what}: one line: {log:#?}");
    assert_eq!(code, Some(1), "{what}: {log:#?}");
    assert!(worker.lines_with("librdkafka").is_empty(), "{what}: {log:#?}");
    assert!(worker.lines_with("trying again").len() <= 1, "{what}: {log:#?}");
    alarming.remove(0)
}
