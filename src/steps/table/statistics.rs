//! Statistics of the training data, in a JSON file of the model's version: what `impute` and `standardize` can take
//! instead of numbers in the pipeline, so that they change together with the model.
//!
//! ```json
//! {"age": {"mean": 29.7, "std": 14.5, "median": 28}, "pixels": {"mean": [0.1, 0.2], "std": [1, 2]}, "port": {"mode": "S"}}
//! ```
//!
//! One entry for each column; a statistic is a number, a list with a number for each feature, or a text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::steps::{PerFeature, StepError, VersionFiles, schema::listing};

/// A statistics file.
pub(super) struct Statistics<'a> {
    file: &'a str,
    columns: BTreeMap<String, BTreeMap<String, Value>>,
}

impl<'a> Statistics<'a> {
    /// Reads the file called `file`.
    ///
    /// # Errors
    /// If it is not there, or is no JSON object of objects.
    pub(super) fn read(file: &'a str, files: &VersionFiles) -> Result<Self, StepError> {
        let columns = serde_json::from_slice(&files.bytes(file)?)
            .map_err(|error| StepError(format!("the file `{file}` holds no statistics by column: {error}")))?;
        Ok(Self { file, columns })
    }

    /// A numeric statistic of a column.
    ///
    /// # Errors
    /// If the file does not have it, or it is neither a finite number nor a list of them.
    pub(super) fn numbers(&self, column: &str, statistic: &str) -> Result<PerFeature, StepError> {
        let numbers = PerFeature::deserialize(self.find(column, statistic)?).map_err(|error| {
            StepError(format!("the file `{}`, `{statistic}` of column `{column}`: {error}", self.file))
        })?;
        match numbers.problem(statistic) {
            Some(problem) => Err(StepError(format!("the file `{}`, column `{column}`: {problem}", self.file))),
            None => Ok(numbers),
        }
    }

    /// A statistic of a column that is a text, if it is one.
    ///
    /// # Errors
    /// If the file does not have it.
    pub(super) fn text(&self, column: &str, statistic: &str) -> Result<Option<&str>, StepError> {
        Ok(self.find(column, statistic)?.as_str())
    }

    fn find(&self, column: &str, statistic: &str) -> Result<&Value, StepError> {
        let Some(statistics) = self.columns.get(column) else {
            let known = listing(self.columns.keys().map(String::as_str));
            return Err(StepError(format!("the file `{}` has no column `{column}`; it has {known}", self.file)));
        };
        statistics.get(statistic).ok_or_else(|| {
            let known = listing(statistics.keys().map(String::as_str));
            StepError(format!("the file `{}` has no `{statistic}` of column `{column}`; it has {known}", self.file))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<PerFeature, StepError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("stats.json"), content).unwrap();
        let files = VersionFiles { folder: folder.path().to_owned() };
        Statistics::read("stats.json", &files)?.numbers("age", "mean")
    }

    #[test]
    fn a_statistic_is_a_number_or_one_for_each_feature() {
        assert_eq!(read(r#"{"age": {"mean": 30, "count": 891}}"#).unwrap(), PerFeature::Same(30.0));
        assert_eq!(read(r#"{"age": {"mean": [1, 2.5]}}"#).unwrap(), PerFeature::Each(vec![1.0, 2.5]));
    }

    #[test]
    fn what_is_missing_is_named_beside_what_there_is() {
        let error = read(r#"{"fare": {"mean": 1}, "sex": {}}"#).unwrap_err();
        assert_eq!(error.0, "the file `stats.json` has no column `age`; it has `fare`, `sex`");
        let error = read(r#"{"age": {"median": 1}}"#).unwrap_err();
        assert_eq!(error.0, "the file `stats.json` has no `mean` of column `age`; it has `median`");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for content in [r#"{"age": {"mean": "30"}}"#, r#"{"age": {"mean": []}}"#, r#"{"age": {"mean": [1, null]}}"#] {
            assert!(read(content).is_err(), "{content}");
        }
        assert!(read(r#"{"age": 30}"#).unwrap_err().0.contains("holds no statistics by column"));
        assert!(read(r#"{"age": {"mean": NaN}}"#).is_err());
    }
}
