//! The path is secured: who may come in by which mechanism, who may not and what he is told, and that no secret is told anybody.
//!
//! The server files and the ACLs are those of docs/security.md, against one real Kafka with TLS, SASL and an authorizer.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{
    Ask, Lane, Rig, Worker,
    acls::{self, Right},
    kafka,
    secured::{KEY_PASSWORD, Secured, USER, password, secured},
    wait_for,
};

/// How long a worker of these tests tries to be let in.
const STARTUP: Duration = Duration::from_secs(4);

/// What a start takes besides: the process, the model, the farewell of the client, on a busy machine.
const BESIDES: Duration = Duration::from_secs(20);

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
    file + "\nadmin: {listen: \"127.0.0.1:0\"}\nstartup_timeout: 30s\n"
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
    for (mechanism, server) in [
        ("SCRAM-SHA-256", scram.replace("SCRAM-SHA-512", "SCRAM-SHA-256")),
        ("SCRAM-SHA-512", scram),
        ("PLAIN", documented_server(&rig, secured, "### SASL/PLAIN")),
        ("SSL", documented_server(&rig, secured, "### TLS with a client's certificate")),
    ] {
        fs::write(rig.server_file(), server).unwrap();
        let mut worker = Worker::start(with_secrets(rig.command(), mechanism));
        worker.wait_until_ready();
        let (good, bad) = (format!("{mechanism}-good"), format!("{mechanism}-bad"));
        let answers = lane.exchange(&[flower(&good), Ask::bytes("{").key(bad.as_bytes())]);
        let statuses = [&good, &bad].map(|id| answers[id].status());
        assert_eq!(statuses, ["OK", "INVALID_REQUEST"], "{mechanism}");
        worker.stop();
        let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
        assert_eq!(troubles, [""; 0], "{mechanism}");
    }
    assert_eq!(lane.dead_letters().len(), 4, "one by each mechanism");
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
    write_server(rig, brokers, properties, |_| {});
    let worker = rig.start();
    worker.wait_for_line("admin endpoint");
    worker
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

#[test]
fn wrong_credentials_are_one_line_that_says_what_to_do_and_exit_code_1() {
    let Some((rig, _lane, secured)) = rig("wrong") else { return };
    allow(&rig, &documented(&rig));
    let other_ca = secured.file("other/ca.pem");
    let no_sasl = [("sasl.mechanism", ""), ("sasl.username", ""), ("sasl.password", "")];
    let with = |first: &[(&'static str, &'static str)]| [first, &no_sasl].concat();
    let by_address = secured.sasl.replace("localhost", "127.0.0.1");
    let cases: Vec<(&str, &str, BTreeMap<String, String>, &str)> = vec![
        ("a wrong password", &secured.sasl, properties(secured, &[("sasl.password", "wrong-4711")]), "sasl.password"),
        ("an unknown user", &secured.sasl, properties(secured, &[("sasl.username", "nobody")]), "sasl.username"),
        (
            "a wrong password by PLAIN",
            &secured.sasl,
            properties(secured, &[("sasl.mechanism", "PLAIN"), ("sasl.password", "wrong-4711")]),
            "sasl.password",
        ),
        (
            "an unknown authority",
            &secured.sasl,
            properties(secured, &[("ssl.ca.location", &other_ca)]),
            "ssl.ca.location",
        ),
        ("a name that is not the certificate's", &by_address, properties(secured, &[]), "as that certificate has it"),
        (
            "no client's certificate",
            &secured.mtls,
            properties(secured, &with(&[("security.protocol", "SSL")])),
            "ssl.certificate.location",
        ),
        (
            "no TLS to a port of TLS",
            &secured.mtls,
            properties(secured, &with(&[("security.protocol", ""), ("ssl.ca.location", "")])),
            "security.protocol to SSL or SASL_SSL",
        ),
        (
            "SASL without TLS to a port of both",
            &secured.sasl,
            properties(secured, &[("security.protocol", "SASL_PLAINTEXT")]),
            "security.protocol to SSL or SASL_SSL",
        ),
        (
            "TLS without SASL to a port of both",
            &secured.sasl,
            properties(secured, &with(&[("security.protocol", "SSL")])),
            "security.protocol to SASL_SSL",
        ),
        ("TLS to a port without", &secured.open, properties(secured, &[]), "security.protocol to PLAINTEXT"),
    ];
    let began = Instant::now();
    let workers: Vec<_> = cases
        .iter()
        .map(|(what, brokers, properties, word)| (*what, *word, start(&rig, brokers, properties)))
        .collect();
    for (what, word, worker) in workers {
        let sentence = refusal(what, worker);
        assert!(sentence.contains(word), "{what}: {sentence}");
        for secret in ["wrong-4711", password("SCRAM-SHA-512")] {
            assert!(!sentence.contains(secret), "{what}: {sentence}");
        }
    }
    let took = began.elapsed();
    assert!(took < STARTUP + BESIDES, "they give up within startup_timeout, but took {took:?}");
}

#[test]
fn a_right_that_is_missing_is_named_at_the_start_and_a_right_that_comes_in_time_is_enough() {
    let Some((rig, lane, secured)) = rig("rights") else { return };
    let right = properties(secured, &[]);
    let sentence = refusal("no right at all", start(&rig, &secured.sasl, &right));
    let all = [
        format!("read topic `{}`", lane.requests),
        format!("write topic `{}`", lane.results),
        format!("write topic `{}`", lane.dead_letters),
        format!("read group `{}`", rig.group()),
    ];
    assert!(all.iter().all(|what| sentence.contains(what)), "{sentence}");

    // To see a topic is not to write it: without a look at the rights, the worker would find out with the first answer.
    allow(
        &rig,
        &[
            Right::new("Read", "--topic", &lane.requests),
            Right::new("Read", "--topic", &lane.results),
            Right::new("Write", "--topic", &lane.dead_letters),
            Right::new("Describe", "--group", &rig.group()),
        ],
    );
    let named = |sentence: &str| all.clone().map(|what| sentence.contains(&what));
    let sentence = wait_for("the rights of a reader", || {
        let sentence = refusal("a reader", start(&rig, &secured.sasl, &right));
        (named(&sentence) == [false, true, false, true]).then_some(sentence)
    });
    assert!(sentence.contains("docs/security.md"), "{sentence}");

    write_server(&rig, &secured.sasl, &right, |server| server["startup_timeout"] = json!("60s"));
    let mut worker = rig.start();
    worker.wait_for_line("trying again");
    allow(&rig, &[Right::new("Write", "--topic", &lane.results), Right::new("Read", "--group", &rig.group())]);
    worker.wait_until_ready();
    assert_eq!(lane.exchange(&[flower("a")])["a"].status(), "OK");
    worker.stop();
}

#[test]
fn a_right_to_write_that_is_taken_away_stops_the_commit_and_is_said_once() {
    let Some((rig, lane, secured)) = rig("revoked") else { return };
    allow(&rig, &documented(&rig));
    write_server(&rig, &secured.sasl, &properties(secured, &[]), |_| {});
    let mut worker = rig.worker();
    let asks: Vec<_> = (0..20).map(|number| flower(&format!("before-{number}")).partition(0)).collect();
    lane.exchange(&asks);
    acls::deny(&rig.brokers, "User:worker", &Right::new("Write", "--topic", &lane.results));
    // The broker takes a moment to hear of it, and answers until then.
    let mut sent = asks.len();
    while worker.is_running() {
        lane.send(&[flower(&format!("after-{sent}")).partition(0)]);
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(worker.ended().code(), Some(1));
    let said = worker.lines_with(&lane.results);
    assert_eq!(said.len(), 1, "{:#?}", worker.log());
    assert!(said[0].contains("uthorization"), "{said:?}");
    let answered = modelmill::broker::kafka::client::read_all(&rig.brokers, &lane.results).unwrap().len();
    let (committed, end) = kafka::committed_and_end(&rig.brokers, &rig.group(), &lane.requests)[&0];
    assert_eq!(end, sent as i64);
    assert!(answered < sent, "the broker refused some answer");
    let committed = usize::try_from(committed.unwrap_or(0)).unwrap();
    assert!(committed <= answered, "{committed} are committed, and {answered} of {sent} answered");

    // And the next one does not even begin.
    let sentence = refusal("a worker that may not write", start(&rig, &secured.sasl, &properties(secured, &[])));
    assert!(sentence.contains(&format!("write topic `{}`", lane.results)), "{sentence}");
}

#[test]
fn rights_of_a_consumer_that_are_taken_away_are_no_flood_of_lines_and_end_nothing() {
    let Some((rig, lane, secured)) = rig("deaf") else { return };
    allow(&rig, &documented(&rig));
    write_server(&rig, &secured.sasl, &properties(secured, &[]), |_| {});
    let mut worker = rig.worker();
    lane.exchange(&[flower("before")]);
    let deny = |right: Right| acls::deny(&rig.brokers, "User:worker", &right);
    deny(Right::new("Read", "--topic", &lane.requests));
    deny(Right::new("Read", "--group", &rig.group()));
    let told = |what: &str| worker.lines_with("\"WARN\"").iter().any(|line| line.contains(what));
    wait_for("word of the topic and of the group", || {
        lane.send(&[flower("unheard")]);
        (told("Topic authorization failed") && told("Group authorization failed")).then_some(())
    });
    // That it does not go on and on can only be seen by waiting for longer than the client waits between its tries.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert!(worker.is_running(), "the right may come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
    assert!(troubles.len() <= 5, "{troubles:#?}");
    worker.stop();
}

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
