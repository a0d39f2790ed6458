//! From a file to settings: parse, expand, hold against the schema, apply the rules; all problems in one go.
//!
//! What is wrong is mended with a stand-in before the next look, and a later look says nothing about a place where an
//! earlier one found something. Hence settings may be there although there are problems; they only serve to find more.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{
    document,
    expand::{Environment, Expansion, expand},
    lines::{line_of, line_of_duplicate},
    pipeline::PipelineConfig,
    problem::{FileProblem, KeyPath, Problem},
    server::ServerConfig,
    shape::Shape,
};

/// What a file describes.
pub trait Settings: DeserializeOwned + JsonSchema {
    /// Every rule that the types alone cannot hold.
    fn problems(&self) -> Vec<Problem>;
}

impl Settings for ServerConfig {
    fn problems(&self) -> Vec<Problem> {
        self.validate()
    }
}

impl Settings for PipelineConfig {
    fn problems(&self) -> Vec<Problem> {
        self.validate()
    }
}

/// A file and what is known of it.
pub struct FileRead<T> {
    /// The file as it was named.
    pub file: PathBuf,
    /// What it describes, with stand-ins where something is wrong; `None` if that is too much.
    pub settings: Option<T>,
    /// What is wrong.
    pub problems: Vec<FileProblem>,
    text: String,
    expansion: Expansion,
    mended: Vec<KeyPath>,
}

impl<T: Settings> FileRead<T> {
    /// Reads a file.
    pub fn new(file: &Path, environment: &Environment) -> Self {
        match std::fs::read(file).map(String::from_utf8) {
            Ok(Ok(text)) => Self::of_text(file, text, environment),
            Ok(Err(_)) => Self::failed(file, "is no UTF-8 text"),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::failed(file, "there is no such file"),
            Err(error) => Self::failed(file, format!("cannot be read: {error}")),
        }
    }

    /// Reads the text of a file.
    pub fn of_text(file: &Path, text: String, environment: &Environment) -> Self {
        let mut read = Self::empty(file, text);
        match document::parse(&read.text) {
            Ok(document) => read.settle(document, environment),
            Err(error) => {
                let problem = Problem::new(KeyPath::root(), error.sentence);
                read.problems.push(FileProblem { file: file.to_owned(), line: error.line, problem });
            }
        }
        read
    }

    fn failed(file: &Path, sentence: impl Into<String>) -> Self {
        let mut read = Self::empty(file, String::new());
        read.problems.push(FileProblem::of_file(file, sentence));
        read
    }

    fn empty(file: &Path, text: String) -> Self {
        Self {
            file: file.to_owned(),
            settings: None,
            problems: Vec::new(),
            text,
            expansion: Expansion::default(),
            mended: Vec::new(),
        }
    }

    /// Adds what a later look found, except for places that have been mended.
    pub fn add(&mut self, problems: impl IntoIterator<Item = Problem>) {
        let fresh = |problem: &Problem| !self.mended.iter().any(|mended| mended.touches(&problem.path));
        let problems: Vec<_> = problems.into_iter().filter(fresh).collect();
        self.place(problems);
    }

    fn place(&mut self, problems: Vec<Problem>) {
        for mut problem in problems {
            let line = line_of(&self.text, &problem.path);
            problem.sentence = self.expansion.conceal(&problem.path, &problem.sentence);
            self.problems.push(FileProblem { file: self.file.clone(), line, problem });
        }
    }

    fn settle(&mut self, document: document::Document, environment: &Environment) {
        let mut value = document.value;
        self.add_duplicates(&document.duplicates);
        self.expansion = expand(&mut value, environment);
        let problems = std::mem::take(&mut self.expansion.problems);
        self.mended.extend(problems.iter().map(|problem| problem.path.clone()));
        self.place(problems);
        let mended = Shape::of::<T>().mend(&mut value, &self.expansion.written);
        self.add(mended.problems);
        self.mended.extend(mended.places);
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(settings) => {
                self.add(settings.problems());
                self.settings = Some(settings);
            }
            Err(error) => self.add([Problem::new(key_path(error.path()), error.inner().to_string())]),
        }
    }

    fn add_duplicates(&mut self, paths: &[KeyPath]) {
        for path in paths {
            let first = line_of(&self.text, path).map_or_else(String::new, |line| format!(" (first in line {line})"));
            let problem = Problem::new(path.clone(), format!("is written twice{first}: keep one"));
            let line = line_of_duplicate(&self.text, path);
            self.problems.push(FileProblem { file: self.file.clone(), line, problem });
        }
    }
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    path.iter().fold(KeyPath::root(), |path, segment| match segment {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } | Segment::Enum { variant: key } => path.key(key),
        Segment::Unknown => path,
    })
}
