//! What is wrong with a configuration: where it stands and a sentence that says what to do.
//!
//! Problems are collected, never thrown one by one: whoever starts a worker sees all of them at once, each as
//! `file:line: path.to.key: sentence`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Into a map.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

/// Where a value stands in a document: `steps[2].predict.model`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Segment>);

impl KeyPath {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The value under `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The entry at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// From the document inwards.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether one of the two lies inside the other, or both are the same.
    pub fn touches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == theirs)
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl From<&str> for KeyPath {
    /// Keys with dots between them: `kafka.group`.
    fn from(keys: &str) -> Self {
        Self(keys.split('.').map(|key| Segment::Key(key.to_owned())).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if !reads_plainly(key) => write!(f, "[{key:?}]")?,
                Segment::Key(key) if place == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Whether a key needs no quotes in a path; librdkafka's properties have dots.
fn reads_plainly(key: &str) -> bool {
    key.starts_with(char::is_alphanumeric) && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// What is wrong with one value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which value.
    pub path: KeyPath,
    /// What was expected, what came, what to do.
    pub sentence: String,
}

impl Problem {
    /// A problem of the value at `path`.
    pub fn new(path: impl Into<KeyPath>, sentence: impl Into<String>) -> Self {
        Self { path: path.into(), sentence: sentence.into() }
    }
}

/// A problem with the place where a person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The file as it was named.
    pub file: PathBuf,
    /// Counted from 1; `None` if the problem is of the file as a whole.
    pub line: Option<usize>,
    /// Which value, and what is wrong with it.
    pub problem: Problem,
}

impl FileProblem {
    /// A problem of the file as a whole.
    pub fn of_file(file: &Path, sentence: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, problem: Problem::new(KeyPath::root(), sentence) }
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.problem.path.segments().is_empty() {
            write!(f, " {}:", self.problem.path)?;
        }
        write!(f, " {}", self.problem.sentence)
    }
}

/// Everything that is wrong with the files of a configuration, in the order of files and lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<FileProblem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            let newline = if place > 0 { "\n" } else { "" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_file_line_path_and_sentence() {
        let path = KeyPath::from("steps").index(2).key("predict").key("model");
        let problem = Problem::new(path, "is empty");
        let found = FileProblem { file: "pipeline.yaml".into(), line: Some(7), problem };
        assert_eq!(found.to_string(), "pipeline.yaml:7: steps[2].predict.model: is empty");
        let odd = KeyPath::from("models.per_model").key("../x").key("versions");
        assert_eq!(odd.to_string(), "models.per_model[\"../x\"].versions");
        assert_eq!(FileProblem::of_file(Path::new("a.yaml"), "is no file").to_string(), "a.yaml: is no file");
    }

    #[test]
    fn paths_touch_when_one_lies_inside_the_other() {
        let steps = KeyPath::from("steps");
        assert!(steps.touches(&steps.index(1)) && steps.index(1).touches(&steps) && steps.touches(&steps));
        assert!(!steps.index(0).touches(&steps.index(1)));
    }
}
