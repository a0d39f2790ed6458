//! The command line as a shell sees it: exit codes, what goes to which stream, and readers that go away.

use std::{
    io::Read,
    path::Path,
    process::{Command, Output, Stdio},
};

fn modelmill(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for variable in ["MODELMILL_SERVER", "MODELMILL_PIPELINE", "MODELMILL_LOG", "MODELMILL_LOG_FORMAT"] {
        command.env_remove(variable);
    }
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_examples_are_in_order() {
    let (code, output, log) =
        run(&mut modelmill(&["check", "--server", "config/server.yaml", "--pipeline", "config/pipeline.yaml"]));
    assert_eq!((code, log.as_str()), (Some(0), ""));
    assert!(output.contains("pipeline sentiment\n  requests      sentiment.requests\n"), "{output}");
}

#[test]
fn files_may_be_named_by_the_environment_and_pipelines_by_their_folder() {
    let mut command = modelmill(&["check"]);
    command.env("MODELMILL_SERVER", "config/server.yaml").env("MODELMILL_PIPELINE", "config");
    assert_eq!(run(&mut command).0, Some(0));
}

#[test]
fn every_problem_is_an_error_line_and_the_exit_code_says_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (server, pipeline) = (path("server.yaml"), path("pipeline.yaml"));
    std::fs::write(&server, "kafka: {brokers: k, group: g}\nmodels: {repository: m}\nadmim: {}\n").unwrap();
    std::fs::write(&pipeline, "name: a b\n").unwrap();
    let (code, output, log) = run(&mut modelmill(&["check", "--server", &server, "--pipeline", &pipeline]));
    assert_eq!((code, output.as_str()), (Some(2), ""));
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines[0], format!("error: {server}:3: admim: unknown key `admim`; did you mean `admin`?"));
    assert!(lines.len() == 5 && lines.iter().all(|line| line.starts_with("error: ")), "{log}");
}

#[test]
fn online_names_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (server, pipeline) = (path("server.yaml"), path("pipeline.yaml"));
    // Nobody listens on port 1.
    let settings = format!("kafka: {{brokers: \"127.0.0.1:1\", group: g}}\nmodels: {{repository: {}}}\n", path(""));
    std::fs::write(&server, settings).unwrap();
    let steps = "steps: [{predict: {model: iris}}]\n";
    std::fs::write(&pipeline, format!("name: p\ninput: {{topics: [a]}}\noutput: {{topic: b}}\n{steps}")).unwrap();
    let (code, _, log) = run(&mut modelmill(&["check", "--server", &server, "--pipeline", &pipeline, "--online"]));
    assert_eq!(code, Some(1));
    assert!(log.contains("error: cannot reach Kafka at `127.0.0.1:1`"), "{log}");
    assert!(log.contains("error: model `iris` has no version to serve in"), "{log}");
}

#[test]
fn wrong_usage_exits_2_and_says_how_it_is_used() {
    for arguments in [&["chekc"][..], &["check"], &["schema"], &["schema", "server", "--write", "x"], &[]] {
        let (code, output, log) = run(&mut modelmill(arguments));
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(log.contains("Usage: modelmill"), "{arguments:?}: {log}");
    }
}

#[test]
fn what_cannot_be_written_is_a_failure_with_its_cause() {
    let (code, _, log) = run(&mut modelmill(&["schema", "--write", "no/such/folder"]));
    assert_eq!(code, Some(1));
    assert!(log.starts_with("error: cannot write no/such/folder/server.schema.json: "), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn schemas_are_written_as_they_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&mut modelmill(&["schema", "--write", folder.path().to_str().unwrap()])).0, Some(0));
    for file in ["server", "pipeline"] {
        let (code, printed, _) = run(&mut modelmill(&["schema", file]));
        assert_eq!(code, Some(0));
        assert_eq!(printed, std::fs::read_to_string(folder.path().join(format!("{file}.schema.json"))).unwrap());
    }
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&mut modelmill(&["completions", shell]));
        assert_eq!(code, Some(0));
        assert!(script.contains("check") && script.contains("completions"), "{shell}");
    }
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let (code, help, _) = run(&mut modelmill(&["check", "--help"]));
    assert_eq!(code, Some(0));
    assert!(help.contains("Examples:") && help.contains("Exit codes:") && help.contains("--pipeline"), "{help}");
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    // Nobody reads from the beginning: the far end of the pipe is closed before anything is written.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = modelmill(&["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!((child.wait().unwrap().code(), log.as_str()), (Some(0), ""));
}

#[test]
fn an_error_that_nobody_reads_keeps_its_exit_code() {
    assert!(!Path::new("no.yaml").exists());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let arguments = ["check", "--server", "no.yaml", "--pipeline", "no.yaml"];
    let status = modelmill(&arguments).stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
