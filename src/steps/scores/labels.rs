//! What classes are called: by a file of the model's version, by the model itself, or by their numbers.

use std::sync::Arc;

use crate::{
    each_elements,
    steps::{KnownColumn, StepError, VersionFiles},
    tensor::{ByteStrings, Column, DataType, Element, Elements},
};

/// Where the names of classes come from.
pub(super) enum Labels {
    /// A file with one label a line: its name and its content.
    File(String, Arc<Elements>),
    /// The model, where it says what its classes are; else their numbers, from 0.
    Model,
}

impl Labels {
    /// Reads the labels, one a line, if there is a file for them. Line ends may be those of Windows, and the last line
    /// may have one or not.
    ///
    /// # Errors
    /// If the file cannot be read, holds no label or has an empty line among them.
    pub(super) fn load(file: Option<&str>, files: &VersionFiles) -> Result<Self, StepError> {
        let Some(file) = file else { return Ok(Self::Model) };
        let text = files.text(file)?;
        let labels: Vec<_> = text.lines().collect();
        if labels.is_empty() {
            return Err(StepError(format!("the file `{file}` is empty, but must hold one label a line")));
        }
        if let Some(index) = labels.iter().position(|label| label.is_empty()) {
            return Err(StepError(format!(
                "the file `{file}` must hold one label a line, but line {} is empty",
                index + 1
            )));
        }
        let labels = labels.into_iter().collect::<ByteStrings>();
        Ok(Self::File(file.to_owned(), Arc::new(Elements::Bytes(labels))))
    }

    /// The datatype that labels of a column will have.
    ///
    /// # Errors
    /// If there are not as many labels as classes, as far as these are known.
    pub(super) fn check(&self, column: &KnownColumn, classes: Option<usize>) -> Result<DataType, StepError> {
        let labels = match self {
            Self::File(_, labels) => Some(labels),
            Self::Model => column.classes.as_ref(),
        };
        let Some(labels) = labels else { return Ok(DataType::Int64) };
        match classes {
            Some(classes) if classes != labels.len() => Err(self.mismatch(&column.name, classes, labels.len())),
            _ => Ok(labels.datatype()),
        }
    }

    /// The labels of the classes with these numbers, which lie below `classes`.
    ///
    /// # Errors
    /// If there are not as many labels as classes.
    pub(super) fn of(&self, column: &Column, classes: usize, numbers: &[usize]) -> Result<Elements, StepError> {
        let labels = match self {
            Self::File(_, labels) => Some(labels),
            Self::Model => column.classes.as_ref(),
        };
        match labels {
            None => Ok(Elements::Int64(numbers.iter().map(|&number| number as i64).collect())),
            Some(labels) if labels.len() == classes => Ok(gathered(labels, numbers)),
            Some(labels) => Err(self.mismatch(&column.name, classes, labels.len())),
        }
    }

    fn mismatch(&self, column: &str, classes: usize, labels: usize) -> StepError {
        let source = match self {
            Self::File(file, _) => format!("the file `{file}`"),
            Self::Model => "the model".to_owned(),
        };
        StepError(format!("{source} has {labels} labels, but column `{column}` has {classes} classes"))
    }
}

/// The elements at these places.
pub(super) fn gathered(elements: &Elements, places: &[usize]) -> Elements {
    fn gather<T: Element>(vector: &[T], places: &[usize]) -> Elements {
        T::wrap(places.iter().map(|&place| vector[place]).collect())
    }
    each_elements!(elements,
        vector => gather(vector, places),
        strings => Elements::Bytes(places.iter().map(|&place| strings.at(place)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    fn load(content: &str) -> Result<Labels, StepError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("labels.txt"), content).unwrap();
        Labels::load(Some("labels.txt"), &VersionFiles { folder: folder.path().to_owned() })
    }

    fn scores() -> Column {
        Column::new("scores", Tensor::matrix(3, Elements::Fp32(vec![0.0; 3])))
    }

    #[test]
    fn one_label_a_line_whatever_ends_it() {
        for content in ["a\nb c\nd", "a\nb c\nd\n", "a\r\nb c\r\nd\r\n", "\u{feff}a\nb c\nd\n"] {
            let labels = load(content).unwrap().of(&scores(), 3, &[2, 0, 1]).unwrap();
            assert_eq!(labels, Elements::Bytes(["d", "a", "b c"].into_iter().collect()), "{content:?}");
        }
    }

    #[test]
    fn a_file_without_labels_or_with_a_gap_is_refused() {
        let error = |content| load(content).err().unwrap().0;
        assert_eq!(error(""), "the file `labels.txt` is empty, but must hold one label a line");
        assert_eq!(error("a\n\nb\n"), "the file `labels.txt` must hold one label a line, but line 2 is empty");
    }

    #[test]
    fn labels_must_be_as_many_as_classes_before_and_with_a_group() {
        let labels = load("yes\nno").unwrap();
        let error = labels.of(&scores(), 3, &[0]).unwrap_err();
        assert_eq!(error.0, "the file `labels.txt` has 2 labels, but column `scores` has 3 classes");
        let known = KnownColumn {
            name: "scores".into(),
            datatype: Some(DataType::Fp32),
            shape: Some(vec![None, Some(3)]),
            classes: None,
            answer: true,
        };
        assert_eq!(labels.check(&known, known.width()).unwrap_err(), error);
        assert_eq!(labels.check(&known, None), Ok(DataType::Bytes));
    }

    #[test]
    fn without_a_file_the_model_names_its_classes_and_else_they_are_numbers() {
        let mut column = scores();
        assert_eq!(Labels::Model.of(&column, 3, &[2, 1]).unwrap(), Elements::Int64(vec![2, 1]));
        column.classes = Some(Arc::new(Elements::Uint8(vec![10, 20, 30])));
        assert_eq!(Labels::Model.of(&column, 3, &[2, 1]).unwrap(), Elements::Uint8(vec![30, 20]));
    }
}
