//! `top_k`: the best classes of each instance, best first: their labels in one column, their scores in another.
//!
//! Equal scores stand in the order of their classes, and NaN after all numbers. Where there are fewer classes than `k`, all
//! of them are given, so that one pipeline serves models of different sizes.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    classes_of, known_outer,
    labels::{Labels, gathered},
};
use crate::{
    each_elements,
    steps::{
        Properties, Refusals, Schema, Step, StepError, VersionFiles,
        files::file_problem,
        place::{NUMBERS, derive, name_problems},
    },
    tensor::{Columns, Name, Tensor},
};

/// Properties of `top_k`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The column of scores: numbers with at least two axes, of which the last counts classes.
    pub column: String,
    /// How many classes to give, at least 1; all of them where there are fewer.
    pub k: usize,
    /// A text file of the model's version with one label a line, in the order of the classes. Without it, the model's own
    /// class names are taken if it has any, else the numbers of the classes, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The column of labels that is written: BYTES with a file, the datatype of the model's class names, or INT64.
    #[serde(default = "labels")]
    pub into_labels: String,
    /// The column of scores that is written, of the datatype of `column`.
    #[serde(default = "scores")]
    pub into_scores: String,
}

fn labels() -> String {
    "labels".to_owned()
}

fn scores() -> String {
    "scores".to_owned()
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = name_problems("column", &self.column);
        problems.extend(name_problems("into_labels", &self.into_labels));
        problems.extend(name_problems("into_scores", &self.into_scores));
        if self.into_labels == self.into_scores {
            problems.push(format!("`into_labels` and `into_scores` are both `{}`", self.into_labels));
        }
        if self.k == 0 {
            problems.push("`k` is 0, but must be at least 1".to_owned());
        }
        problems.extend(self.labels.as_deref().and_then(file_problem));
        problems
    }

    fn build(&self, files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(TopK {
            column: self.column.as_str().into(),
            k: self.k,
            labels: Labels::load(self.labels.as_deref(), files)?,
            into_labels: self.into_labels.as_str().into(),
            into_scores: self.into_scores.as_str().into(),
        }))
    }
}

struct TopK {
    column: Name,
    k: usize,
    labels: Labels,
    into_labels: Name,
    into_scores: Name,
}

impl Step for TopK {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let column = NUMBERS.known(schema, &self.column)?;
        let (outer, classes) = (known_outer(&column)?, column.width());
        let datatype = self.labels.check(&column, classes)?;
        let shape = outer.map(|outer| [outer, vec![classes.map(|classes| classes.min(self.k))]].concat());
        schema.put(column.derive(&self.into_labels, Some(datatype), shape.clone()));
        schema.put(column.derive(&self.into_scores, column.datatype, shape));
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        let column = NUMBERS.find(columns, &self.column)?;
        let (outer, classes) = classes_of(column)?;
        let elements = column.tensor.elements();
        let best = each_elements!(elements,
            scores => best(scores, classes, self.k),
            _strings => unreachable!("only numbers are found"));
        let labels = self.labels.of(column, classes, &best.classes)?;
        let shape = [outer, vec![self.k.min(classes)]].concat();
        let tensor = |elements| Tensor::new(shape.clone(), elements).expect("the best of each place of the other axes");
        let labels = derive(column, &self.into_labels, tensor(labels));
        let scores = derive(column, &self.into_scores, tensor(gathered(elements, &best.places)));
        columns.put(labels);
        columns.put(scores);
        Ok(())
    }
}

/// The best of every instance, one after another.
#[derive(Default)]
struct Best {
    /// Their numbers among the classes.
    classes: Vec<usize>,
    /// Their places among all scores.
    places: Vec<usize>,
}

fn best<T: PartialOrd + Copy>(scores: &[T], classes: usize, k: usize) -> Best {
    let mut best = Best::default();
    let mut ranking: Vec<usize> = Vec::new();
    // Without classes there are no scores either.
    for (instance, scores) in scores.chunks_exact(classes.max(1)).enumerate() {
        let by_score = |a: &usize, b: &usize| descending(scores[*a], scores[*b]).then(a.cmp(b));
        ranking.clear();
        ranking.extend(0..classes);
        if k < classes {
            ranking.select_nth_unstable_by(k, by_score);
            ranking.truncate(k);
        }
        ranking.sort_unstable_by(by_score);
        best.classes.extend_from_slice(&ranking);
        best.places.extend(ranking.iter().map(|class| instance * classes + class));
    }
    best
}

/// The greatest first, what is no number last.
fn descending<T: PartialOrd>(a: T, b: T) -> Ordering {
    let is_number = |score: &T| score.partial_cmp(score).is_some();
    b.partial_cmp(&a).unwrap_or_else(|| is_number(&b).cmp(&is_number(&a)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        steps::testing::{
            apply, apply_with_files, check, columns, elements, floats, json, known, matrix, output, problems, shape,
            strings,
        },
        tensor::{DataType, Elements},
    };

    #[test]
    fn the_best_classes_come_best_first_with_their_scores() {
        let mut columns = columns([("scores", matrix(&[[0.1, 0.7, 0.2], [0.4, 0.2, 0.4]]))]);
        let step = json!({"top_k": {"column": "scores", "k": 2, "labels": "labels.txt", "into_scores": "p"}});
        apply_with_files(step, &[("labels.txt", "cat\ndog\nowl")], &mut columns).unwrap();
        assert_eq!(strings(&columns, "labels"), ["dog", "owl", "cat", "owl"]);
        assert_eq!(floats(&columns, "p"), [0.7, 0.2, 0.4, 0.4]);
        assert_eq!((shape(&columns, "labels"), shape(&columns, "p")), (&[2, 2][..], &[2, 2][..]));
    }

    #[test]
    fn where_there_are_fewer_classes_all_are_given() {
        let mut columns = columns([("x", matrix(&[[0.1, 0.7]]))]);
        columns.find_mut("x").unwrap().classes = Some(Arc::new(Elements::Bytes(["no", "yes"].into_iter().collect())));
        apply(json!({"top_k": {"column": "x", "k": 5}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "labels"), ["yes", "no"]);
        assert_eq!(shape(&columns, "scores"), [1, 2]);
    }

    #[test]
    fn the_column_itself_can_be_written_over() {
        let mut columns = columns([("scores", matrix(&[[0.1, 0.7, 0.2]]))]);
        apply(json!({"top_k": {"column": "scores", "k": 1}}), &mut columns).unwrap();
        assert_eq!(floats(&columns, "scores"), [0.7]);
        assert_eq!(elements(&columns, "labels"), &Elements::Int64(vec![1]));
    }

    #[test]
    fn the_check_foretells_datatypes_and_shapes() {
        let step = json!({"top_k": {"column": "logits", "k": 3}});
        let mut schema = output("logits", DataType::Fp16, &[None, Some(2)]);
        check(step.clone(), &[], &mut schema).unwrap();
        let (labels, scores) = (known(&schema, "labels"), known(&schema, "scores"));
        assert_eq!((labels.datatype, scores.datatype), (Some(DataType::Int64), Some(DataType::Fp16)));
        assert_eq!((labels.shape.clone(), scores.answer), (Some(vec![None, Some(2)]), true));
        assert!(check(step, &[], &mut output("logits", DataType::Bytes, &[None, Some(2)])).is_err());
    }

    #[test]
    fn none_of_them_and_one_name_for_both_columns_are_problems() {
        assert_eq!(problems(json!({"top_k": {"column": "x", "k": 0}})), ["`k` is 0, but must be at least 1"]);
        let both = json!({"top_k": {"column": "x", "k": 1, "into_labels": "a", "into_scores": "a"}});
        assert_eq!(problems(both), ["`into_labels` and `into_scores` are both `a`"]);
    }

    proptest! {
        #[test]
        fn it_is_the_head_of_a_stable_sort(
            scores in prop::collection::vec(prop_oneof![(-3_i8..3).prop_map(f32::from), Just(f32::NAN)], 0..12), k in 1_usize..8,
        ) {
            let mut sorted: Vec<_> = (0..scores.len()).collect();
            sorted.sort_by_key(|&class| if scores[class].is_nan() { 99 } else { -scores[class] as i8 });
            sorted.truncate(k);
            prop_assert_eq!(best(&scores, scores.len(), k).classes, sorted);
        }
    }
}
