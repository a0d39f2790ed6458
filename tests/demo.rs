//! `modelmill demo` as a stranger runs it: the binary alone, in a folder of its own.
//!
//! Needs ONNX Runtime, as every test with models does; nothing else.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The demo with a temporary folder of its own, which shows what is left in it.
fn demo(temporary: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
    command.arg("demo").args(arguments).current_dir(temporary.path()).env("TMPDIR", temporary.path());
    command.env_remove("MODELMILL_LOG").env_remove("MODELMILL_LOG_FORMAT").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn is_empty(folder: &tempfile::TempDir) -> bool {
    fs::read_dir(folder.path()).unwrap().next().is_none()
}

/// The columns of a model's row: requests, answers, lost, errors.
fn counts(output: &str, model: &str) -> [u64; 4] {
    let rows = output.lines().skip_while(|line| !line.contains("requests   answers   lost   errors"));
    let row = rows.into_iter().find(|line| line.trim_start().starts_with(model)).unwrap_or_else(|| panic!("{output}"));
    let cells: Vec<_> =
        row.split_whitespace().skip(1).take(4).map(|cell| cell.replace(',', "").parse().unwrap()).collect();
    cells.try_into().unwrap()
}

#[test]
fn every_request_to_every_model_is_answered_once_and_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let (code, output, log) = run(&mut demo(&temporary, &["--seconds", "4", "--rate", "300"]));
    assert_eq!((code, log.as_str()), (Some(0), ""), "{output}");
    for model in ["iris", "spam", "digits"] {
        let [requests, answers, lost, errors] = counts(&output, model);
        assert!(requests > 0 && answers == requests, "{output}");
        assert_eq!((lost, errors), (0, 0), "{output}");
    }
    assert!(output.contains("each answered exactly once and with the right class"), "{output}");
    // Two versions answered, and the damaged one did not.
    let versions = output.lines().find(|line| line.contains("version 1:")).unwrap_or_else(|| panic!("{output}"));
    assert!(versions.contains("version 2:"), "{output}");
    assert!(output.contains("version 3 refused: `model.onnx` has another sha256"), "{output}");
    // The samples: what was asked beside what was answered.
    for (asked, answered) in [("sepal length  5.1 cm", "setosa"), ("\"Upgrade to the new car", "spam"), ("░░▓▓░░", "9")]
    {
        let line = output.lines().find(|line| line.contains(asked)).unwrap_or_else(|| panic!("{output}"));
        assert!(line.contains(&format!("  {answered} ")), "{line}");
    }
    assert!(!output.contains('\x1b'), "a pipe gets no colours: {output}");
    // Paths are as long as they are.
    let has_path = |line: &str| line.contains("modelmill") || line.contains("ORT_DYLIB_PATH");
    assert!(output.lines().all(|line| line.chars().count() <= 80 || has_path(line)), "{output}");
    assert!(is_empty(&temporary));
}

#[test]
fn without_the_runtime_library_there_is_one_sentence_that_says_what_to_do() {
    let temporary = tempfile::tempdir().unwrap();
    let (code, output, log) = run(demo(&temporary, &[]).env("ORT_DYLIB_PATH", "/no/such/libonnxruntime.so"));
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(log.starts_with("error: the ONNX Runtime library is not at `/no/such/libonnxruntime.so`"), "{log}");
    assert!(log.lines().count() == 1 && log.contains("--onnxruntime"), "{log}");
    assert!(is_empty(&temporary));
}

#[test]
fn an_interrupted_demo_stops_soon_says_so_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = demo(&temporary, &["--seconds", "600"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().starts_with("Traffic for 600 s")), "the traffic begins");
    assert!(!is_empty(&temporary), "the worker's files are there while it runs");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let asked = Instant::now();
    // Read to its end: a full pipe would hold the demo up.
    output.for_each(|line| drop(line.unwrap()));
    let (code, log) = (child.wait().unwrap().code(), std::io::read_to_string(child.stderr.take().unwrap()).unwrap());
    assert_eq!((code, log.trim_end()), (Some(130), "stopped before its end; nothing is left behind"));
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    assert!(is_empty(&temporary));
}

#[test]
fn a_reader_that_goes_away_ends_the_demo() {
    let temporary = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = demo(&temporary, &["--seconds", "600"]);
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    // The command keeps the far end of the pipe otherwise.
    drop(command);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));
    assert!(is_empty(&temporary));
}
