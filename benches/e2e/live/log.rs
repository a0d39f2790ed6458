//! The log of a worker: how long each version took to load, and what went wrong.
//!
//! Metrics tell it, too, but to ask for them after each of a thousand versions would be what the memory is measured of.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command, time::Duration};

use serde::Deserialize;

/// What the opener of models says.
const LEVELS: &str = "error,modelmill::app::opener=info";

/// A line.
#[derive(Deserialize)]
struct Line {
    level: String,
    message: String,
    /// `name/version`.
    #[serde(default)]
    model: String,
    #[serde(default)]
    took: String,
}

/// A file that a worker logs to.
pub struct Log {
    folder: tempfile::TempDir,
}

impl Log {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Has the worker that `command` will start write here.
    pub fn catch(&self, command: &mut Command) {
        command.env("MODELMILL_LOG", LEVELS).stderr(fs::File::create(self.path()).expect("a file for the log"));
    }

    /// Seconds that the load of each version took; errors are printed.
    pub fn loads(&self) -> BTreeMap<u64, f64> {
        let text = fs::read_to_string(self.path()).expect("the log can be read");
        let mut loads = BTreeMap::new();
        for line in text.lines() {
            let Ok(Line { level, message, model, took }) = serde_json::from_str(line) else { continue };
            match (level.as_str(), message.as_str()) {
                ("ERROR", _) => eprintln!("{line}"),
                (_, "model loaded") => {
                    let version = model.rsplit('/').next().and_then(|version| version.parse().ok());
                    loads.insert(version.expect("a version is a number"), seconds(&took));
                }
                _ => {}
            }
        }
        loads
    }
}

/// A time as [`Duration`] shows itself for debugging.
fn seconds(text: &str) -> f64 {
    let number = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[number.len()..] {
        "s" => Duration::from_secs(1),
        "ms" => Duration::from_millis(1),
        "\u{b5}s" => Duration::from_micros(1),
        other => panic!("`{text}`: {other} is no unit of a load's time"),
    };
    number.parse::<f64>().expect("a time is a number") * unit.as_secs_f64()
}
