//! The rules of the code's structure, held against the source: which crate may be named where, and which module may know
//! which. Comments and tests at the foot of a file do not count.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A crate and the places that may name it.
const CRATES: &[(&str, &[&str])] = &[
    ("rdkafka", &["broker/kafka/"]),
    ("rdkafka_sys", &["broker/kafka/"]),
    ("ort", &["backend/onnx/"]),
    ("aws_config", &["store/s3/"]),
    ("aws_sdk_s3", &["store/s3/"]),
    ("aws_smithy_http_client", &["store/s3/"]),
    ("rustls", &["store/s3/", "codec/registry/"]),
    ("hyper", &["codec/registry/"]),
    ("hyper_util", &["codec/registry/"]),
    ("hyper_rustls", &["codec/registry/"]),
    ("http_body_util", &["codec/registry/"]),
    ("prost", &["backend/onnx/", "codec/"]),
    ("prost_reflect", &["codec/"]),
    ("prost_types", &["codec/protobuf/schema/"]),
    ("protox_parse", &["codec/"]),
    ("flate2", &["codec/inflate/"]),
    ("zstd_safe", &["codec/inflate.rs", "codec/inflate/"]),
    ("serde_yaml", &["config/"]),
    // The JSON Schema of the configuration is a JSON value.
    ("serde_json", &["codec/", "admin/", "config/", "cli/", "steps/table/statistics.rs"]),
    ("axum", &["admin/"]),
    ("anyhow", &["main.rs", "cli/", "app.rs", "app/"]),
    // The form of the log is an argument as it stands.
    ("clap", &["main.rs", "cli/", "telemetry/"]),
];

/// A module and those that it may know beside itself.
const MODULES: &[(&str, &[&str])] = &[
    ("process", &[]),
    ("error", &[]),
    ("tensor", &[]),
    ("request", &["error", "tensor"]),
    ("backend", &["process", "tensor"]),
    ("store", &["error", "request"]),
    ("broker", &["codec", "error", "metrics"]),
    ("codec", &["broker", "error", "request", "tensor"]),
    ("steps", &["backend", "error", "request", "tensor"]),
    ("model", &["backend", "codec", "error", "process", "request", "store", "tensor"]),
    ("config", &["backend", "request", "steps", "store", "tensor"]),
    ("metrics", &["error"]),
    ("telemetry", &[]),
    ("worker", &["broker", "codec", "error", "metrics", "model", "request", "steps", "tensor"]),
    ("admin", &["backend", "metrics", "tensor"]),
];

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Each file by its path below `src`, without comments and without the tests at its foot.
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the source must be found to be judged");
    // Modules that are compiled for tests alone.
    files.retain(|file| !file.ends_with("testing.rs") && !file.ends_with("tests.rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let body = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let code: Vec<_> = body.lines().map(|line| line.split("//").next().unwrap()).collect();
        (path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), code.join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// Whether `text` names `word` followed by `::`, as a path that begins there.
fn names(text: &str, word: &str) -> bool {
    text.match_indices(&format!("{word}::"))
        .any(|(at, _)| !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

/// The modules of this crate that a file names: `crate::a` and the heads inside `crate::{a::…, b::…}`.
fn modules_named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut head = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut head)),
                    c if depth == 0 => head.push(c),
                    _ => {}
                }
            }
            found.push(head);
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let head = |name: String| name.trim().split("::").next().unwrap_or_default().trim().to_owned();
    found.into_iter().map(head).filter(|name| !name.is_empty()).collect()
}

#[test]
fn each_crate_is_named_only_where_it_belongs() {
    for (file, text) in code() {
        for (name, places) in CRATES {
            let allowed = places.iter().any(|place| file.starts_with(place));
            assert!(allowed || !names(&text, name), "{file} names `{name}`, which belongs into {places:?}");
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    for (file, text) in code() {
        let module = file.split(['/', '.']).next().unwrap();
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else { continue };
        for named in modules_named(&text) {
            let is_module = MODULES.iter().any(|(name, _)| *name == named) || named == "app" || named == "cli";
            assert!(
                !is_module || named == module || allowed.contains(&named.as_str()),
                "{file} knows `{named}`; `{module}` may know {allowed:?}"
            );
        }
    }
}

#[test]
fn no_file_outgrows_its_idea() {
    for (file, text) in code() {
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 400, "{file} has {lines} lines of code: split it by idea");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} opens without a word on what it is for", path.display());
    }
}

#[test]
fn only_what_touches_native_libraries_is_unsafe() {
    // Of our own code, arrays of numbers alone are worth vector instructions: they are most of what decoding costs.
    const UNSAFE: [&str; 6] = [
        "process.rs",
        "broker/journal/",
        "broker/kafka/",
        "backend/onnx/",
        "cli/load/process.rs",
        "codec/json/simd.rs",
    ];
    for (file, text) in code() {
        let allowed = UNSAFE.iter().any(|place| file.starts_with(place));
        assert!(allowed || !text.contains("unsafe "), "{file} is unsafe");
    }
}
