//! What docs/formats.md says of requests and their answers is what a worker does: its examples, sent as they stand there; those in
//! Python as they were run by `scripts/make_document_goldens.py`.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    examples,
    goldens::{bytes, is_same_prediction, lines},
    kept::{self, Given},
    support::{Ask, Lane, Rig, json, wait_for},
};

/// The fenced blocks of one section: language and text.
fn blocks<'a>(page: &'a str, section: &str) -> Vec<(&'a str, &'a str)> {
    let heading = format!("\n## {section}\n");
    let section = page.split_once(&heading).unwrap_or_else(|| panic!("no section `{section}`")).1;
    let section = section.split("\n## ").next().unwrap();
    section.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

/// The first block that is in this language.
fn block<'a>(page: &'a str, section: &str, language: &str) -> &'a str {
    let found = blocks(page, section).into_iter().find(|(name, _)| *name == language);
    found.unwrap_or_else(|| panic!("no block of `{language}` in `{section}`")).1
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md")).unwrap()
}

fn assert_same(context: &str, answered: &Value, documented: &Value) {
    assert!(is_same_prediction(answered, documented), "{context}: {answered}, but the page says {documented}");
}

/// A block with the broker and the topics of a lane in the place of those that it names.
fn at_home(block: &str, name: &str, lane: &Lane) -> String {
    let text = block.replace("localhost:9092", &lane.brokers);
    text.replace(&format!("{name}.requests"), &lane.requests).replace(&format!("{name}.results"), &lane.results)
}

/// Runs the commands of a shell block against the topics of a lane; says the lines that they print.
fn run(block: &str, name: &str, lane: &Lane) -> Vec<String> {
    let commands = at_home(block, name, lane).replace("modelmill send", "\"$MODELMILL\" send");
    let mut shell = Command::new("sh");
    shell.env("MODELMILL", env!("CARGO_BIN_EXE_modelmill")).env("MODELMILL_BROKERS", &lane.brokers);
    shell.arg("-ec").arg(commands);
    said(shell)
}

/// The lines that a program prints, which must succeed.
fn said(mut program: Command) -> Vec<String> {
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut process = program.stdin(Stdio::null()).stdout(output.reopen().unwrap()).spawn().unwrap();
    let ended = wait_for("the end of a program", || process.try_wait().unwrap());
    let said = std::fs::read_to_string(output.path()).unwrap();
    assert!(ended.success(), "{program:?}\n{said}");
    said.lines().map(str::to_owned).collect()
}

/// The JSON that a line ends with; what is measured is left out.
fn json_of(line: &str) -> Value {
    let at = line.find('{').unwrap_or_else(|| panic!("no JSON: {line}"));
    let mut value: Value = serde_json::from_str(&line[at..]).unwrap();
    for measured in ["latency_ms", "partition", "offset"] {
        value.as_object_mut().unwrap().remove(measured);
    }
    value
}

#[test]
fn requests_that_the_page_shows_are_answered_as_it_shows() {
    let Some(rig) = Rig::new("documented") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("passengers", 1, "tests/data/trained/gradient_boosting/1");
    let iris = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let passengers = rig.lane("passengers", json!([{"predict": {"model": "passengers"}}]));
    let page = page();
    let mut worker = rig.worker();
    let ask = |lane: &Lane, ask: Ask| {
        lane.send(&[ask]);
        json(&lane.receive(1)[0])
    };
    for section in ["Open Inference Protocol v2", "Rows"] {
        let shown: Vec<_> = blocks(&page, section).into_iter().filter(|(name, _)| *name == "json").collect();
        let [(_, request), (_, answer)] = shown[..] else { panic!("{section}: two blocks") };
        assert_same(section, &ask(&iris, Ask::bytes(request)), &serde_json::from_str(answer).unwrap());
    }
    let narrow = json!({"name": "input", "shape": [1, 3], "datatype": "FP32", "data": [1.5, 2.5, 3.5]});
    let error = ask(&iris, Ask::json(&json!({"id": "7", "inputs": [narrow]})));
    assert_same("Errors", &error, &serde_json::from_str(block(&page, "Errors", "json")).unwrap());
    let table = ask(&passengers, Ask::bytes(block(&page, "Tables", "")).header("content-type", "text/csv"));
    let rows = table["predictions"].as_array().unwrap_or_else(|| panic!("{table}"));
    assert!(rows.len() == 2 && rows.iter().all(|row| row["label"].is_string()), "{table}");
    worker.stop();
}

#[test]
fn commands_that_the_page_shows_print_what_it_shows() {
    let Some(rig) = Rig::new("typed") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("topics", 1, "tests/data/trained/tfidf_topics/1");
    let iris = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let topics = rig.lane("topics", json!([{"predict": {"model": "topics"}}]));
    let page = page();
    let mut worker = rig.worker();
    for (section, language) in [("Numbers", ""), ("From the shell", "json")] {
        let lines = run(block(&page, section, "sh"), "iris", &iris);
        let documented = json_of(block(&page, section, language));
        assert_same(section, &json_of(&lines[0]), &documented);
    }
    let event = json_of(&run(block(&page, "CloudEvents", "sh"), "iris", &iris)[0]);
    let said = &event["body"];
    assert_eq!(
        (&said["id"], &said["type"], &said["tenant"]),
        (&json!("e-1"), &json!("flower.seen.response"), &json!("blue"))
    );
    assert_eq!(said["data"]["predictions"][0]["label"], 0, "{event}");
    let text = run(block(&page, "Bodies that are the input", "sh"), "topics", &topics);
    let label = json!({"name": "output_label", "shape": [1], "datatype": "BYTES", "data": ["weather"]});
    assert_eq!(json_of(&text[0])["outputs"][0], label, "{text:?}");
    worker.stop();
}

#[test]
fn what_the_examples_in_python_send_is_answered_as_they_read_it() {
    let Some(rig) = Rig::new("python-examples") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.model("passengers", 1, "tests/data/trained/gradient_boosting/1");
    let lane = |model: &str| rig.lane(model, json!([{"predict": {"model": model}}]));
    let (iris, passengers) = (lane("iris"), lane("passengers"));
    let page = page();
    let mut worker = rig.worker();
    let mut answers = Vec::new();
    for request in lines("documented/requests.jsonl") {
        let (text, section) = (|key: &str| request[key].as_str().unwrap(), request["section"].as_str().unwrap());
        let shown = block(&page, section, "python");
        assert_eq!(shown, text("code"), "`{section}` has changed: run scripts/make_document_goldens.py for it");
        let ask = Ask::bytes(bytes(&request["body"]));
        let ask = request["key"].as_str().into_iter().fold(ask, |ask, key| ask.key(key));
        let headers = request["headers"].as_object().unwrap().iter();
        let ask = headers.fold(ask, |ask, (name, value)| ask.header(name, value.as_str().unwrap()));
        let lane = if text("topic") == "iris.requests" { &iris } else { &passengers };
        lane.send(&[ask]);
        answers.push((section.to_owned(), Given::of(&lane.receive(1)[0])));
    }
    worker.stop();
    assert!(answers.len() > 5, "{} examples", answers.len());
    kept::hold("documented/answers.jsonl", "section", answers);
}

/// Runs the program that a section shows, from a file called `file`; says what it prints, and what the section says it would.
fn program(section: &str, language: &str, file: &str, command: Option<Command>) -> Option<[Vec<String>; 2]> {
    let mut command = command?;
    let rig = Rig::new("programs")?;
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let (page, file) = (page(), rig.folder().join(file));
    std::fs::write(&file, at_home(block(&page, section, language), "iris", &lane)).unwrap();
    let mut worker = rig.worker();
    command.arg(file);
    let printed = said(command);
    worker.stop();
    let documented = block(&page, section, "").lines().map(str::to_owned).collect();
    Some([printed, documented])
}

#[test]
fn the_program_in_python_that_the_page_shows_prints_what_it_shows() {
    let printed = program("From Python", "python", "client.py", examples::python());
    let Some([mut printed, mut documented]) = printed else { return };
    // Answers come in any order.
    printed.sort();
    documented.sort();
    let lists = |line: &String| {
        let (id, lists) = line.split_once(' ').unwrap();
        json!([id, serde_json::from_str::<Value>(&format!("[{}]", lists.replace("] [", "],["))).unwrap()])
    };
    let [printed, documented] = [printed, documented].map(|lines| lines.iter().map(lists).collect::<Value>());
    assert_same("From Python", &printed, &documented);
}

#[test]
fn the_program_in_java_that_the_page_shows_prints_what_it_shows() {
    let printed = program("From Java", "java", "SendIris.java", examples::java());
    let Some([printed, documented]) = printed else { return };
    assert_same("From Java", &json_of(&printed[0]), &json_of(&documented[0]));
    assert_eq!(printed[1..], documented[1..]);
}
