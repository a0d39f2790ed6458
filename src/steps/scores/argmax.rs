//! `argmax`: the class with the greatest score, by its label or its number.
//!
//! Of equal scores, the first wins. NaN never wins; an instance that has nothing but NaN is refused, since any label would
//! be a lie.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{classes_of, known_outer, labels::Labels};
use crate::{
    each_elements,
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        files::file_problem,
        place::{NUMBERS, derive, name_problems},
    },
    tensor::{Columns, Name, Tensor},
};

/// Properties of `argmax`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of scores: numbers with at least two axes, of which the last counts classes.
    pub column: String,
    /// A text file of the model's version with one label a line, in the order of the classes. Without it, the model's own
    /// class names are taken if it has any, else the number of the class, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The column that is written: BYTES with a file, the datatype of the model's class names, or INT64.
    #[serde(default = "label")]
    pub into: String,
}

fn label() -> String {
    "label".to_owned()
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = name_problems("column", &self.column);
        problems.extend(name_problems("into", &self.into));
        problems.extend(self.labels.as_deref().and_then(file_problem));
        problems
    }

    fn build(&self, files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Argmax {
            column: self.column.as_str().into(),
            labels: Labels::load(self.labels.as_deref(), files)?,
            into: self.into.as_str().into(),
        }))
    }
}

struct Argmax {
    column: Name,
    labels: Labels,
    into: Name,
}

impl Step for Argmax {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = NUMBERS.known(schema, &self.column)?;
        let (outer, classes) = (known_outer(&column)?, column.width());
        let datatype = self.labels.check(&column, classes)?;
        schema.put(column.derive(&self.into, Some(datatype), outer));
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, refusals: &mut Refusals) -> Result<(), StepError> {
        let column = NUMBERS.find(columns, &self.column)?;
        let (outer, classes) = classes_of(column)?;
        let instances = column.tensor.rows();
        let mut winners = each_elements!(column.tensor.elements(),
            scores => winners(scores, classes),
            _strings => unreachable!("only numbers are found"));
        if classes == 0 && !outer.contains(&0) {
            return Err(StepError(format!("column `{}` has no classes to choose from", self.column)));
        }
        let decisions = (winners.len() / instances.max(1)).max(1);
        for (index, winner) in winners.iter_mut().enumerate() {
            if *winner == NOBODY {
                *winner = 0;
                refusals.row(index / decisions, format!("column `{}` holds no score that is a number", self.column));
            }
        }
        let tensor = Tensor::new(outer, self.labels.of(column, classes, &winners)?);
        let label = derive(column, &self.into, tensor.expect("one winner for each place of the axes before the last"));
        columns.put(label);
        Ok(())
    }
}

/// Where there is no number among the scores.
const NOBODY: usize = usize::MAX;

fn winners<T: PartialOrd + Copy>(scores: &[T], classes: usize) -> Vec<usize> {
    scores.chunks_exact(classes.max(1)).map(winner).collect()
}

fn winner<T: PartialOrd + Copy>(scores: &[T]) -> usize {
    let mut best = NOBODY;
    for (class, score) in scores.iter().enumerate() {
        // Nothing is greater than NaN or equal to it, not even itself.
        let wins = if best == NOBODY { score.partial_cmp(score).is_some() } else { *score > scores[best] };
        if wins {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{
            apply, apply_with_files, check, columns, elements, json, known, matrix, output, shape, strings, vector,
        },
        tensor::{DataType, Elements},
    };

    const LABELS: (&str, &str) = ("labels.txt", "cat\ndog\nowl\n");

    #[test]
    fn the_best_class_is_named_by_the_models_labels() {
        let mut columns = columns([("scores", matrix(&[[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]]))]);
        let step = json!({"argmax": {"column": "scores", "labels": "labels.txt"}});
        apply_with_files(step, &[LABELS], &mut columns).unwrap();
        assert_eq!(strings(&columns, "label"), ["dog", "cat"]);
        assert_eq!(shape(&columns, "label"), [2]);
    }

    #[test]
    fn without_a_file_classes_have_the_models_names_or_numbers() {
        let mut columns = columns([("scores", matrix(&[[0.1, 0.7, 0.2]]))]);
        apply(json!({"argmax": {"column": "scores", "into": "best"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "best"), &Elements::Int64(vec![1]));
        columns.find_mut("scores").unwrap().classes = Some(Arc::new(Elements::Int64(vec![7, 8, 9])));
        apply(json!({"argmax": {"column": "scores", "into": "best"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "best"), &Elements::Int64(vec![8]));
    }

    #[test]
    fn nan_never_wins_and_an_instance_without_a_number_is_refused() {
        let nan = f32::NAN;
        let mut columns = columns([("scores", matrix(&[[nan, -1.0, nan], [nan, nan, nan], [1.0, nan, 2.0]]))]);
        let refused = apply(json!({"argmax": {"column": "scores"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "label"), &Elements::Int64(vec![1, 0, 2]));
        assert_eq!(refused, [(1, "column `scores` holds no score that is a number".to_owned())]);
    }

    #[test]
    fn a_class_for_each_token_or_pixel() {
        let scores = Elements::Int32(vec![1, 2, 4, 3, 5, 6, 0, -1]);
        let mut columns = columns([("scores", Tensor::new(vec![2, 2, 2], scores).unwrap())]);
        apply(json!({"argmax": {"column": "scores"}}), &mut columns).unwrap();
        assert_eq!(shape(&columns, "label"), [2, 2]);
        assert_eq!(elements(&columns, "label"), &Elements::Int64(vec![1, 0, 1, 0]));
    }

    #[test]
    fn the_answer_holds_the_label_of_an_output_and_not_that_of_an_input() {
        let mut columns = columns([("input", matrix(&[[1.0, 2.0]])), ("output", matrix(&[[1.0, 2.0]]))]);
        columns.find_mut("output").unwrap().answer = true;
        apply(json!({"argmax": {"column": "input", "into": "a"}}), &mut columns).unwrap();
        apply(json!({"argmax": {"column": "output", "into": "b"}}), &mut columns).unwrap();
        assert_eq!((columns.find("a").unwrap().answer, columns.find("b").unwrap().answer), (false, true));
    }

    #[test]
    fn the_wrong_number_of_labels_is_found_when_the_model_is_loaded() {
        let step = json!({"argmax": {"column": "scores", "labels": "labels.txt"}});
        let mut schema = output("scores", DataType::Fp32, &[None, Some(4)]);
        let error = check(step.clone(), &[LABELS], &mut schema).unwrap_err();
        assert_eq!(error.0, "the file `labels.txt` has 3 labels, but column `scores` has 4 classes");
        let mut schema = output("scores", DataType::Fp32, &[None, Some(3)]);
        check(step, &[LABELS], &mut schema).unwrap();
        let label = known(&schema, "label");
        assert_eq!((label.datatype, label.shape.clone()), (Some(DataType::Bytes), Some(vec![None])));
    }

    #[test]
    fn no_classes_and_a_single_score_fail_the_group() {
        let step = json!({"argmax": {"column": "scores"}});
        let mut none = columns([("scores", Tensor::new(vec![2, 0], Elements::Fp32(vec![])).unwrap())]);
        assert_eq!(apply(step.clone(), &mut none).unwrap_err().0, "column `scores` has no classes to choose from");
        assert!(apply(step, &mut columns([("scores", vector(&[1.0]))])).is_err());
    }

    proptest! {
        #[test]
        fn no_score_is_greater_than_the_winner(scores in prop::collection::vec(any::<f32>(), 1..20)) {
            let best = scores[winner(&scores)];
            prop_assert!(scores.iter().all(|score| *score <= best));
        }
    }
}
