//! One entry of a pipeline's `steps:`: which step, with which properties.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Properties, Step, StepError, VersionFiles, predict, scores, table, text};

/// One entry of a pipeline's `steps:`, a map with one key: the step's name.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum StepConfig {
    /// Turns text into lower case.
    Lowercase(text::lowercase::Config),
    /// Takes web addresses out of text.
    RemoveUrls(text::remove_urls::Config),
    /// Takes punctuation out of text.
    RemovePunctuation(text::remove_punctuation::Config),
    /// Leaves single spaces between words and nothing around them.
    CollapseWhitespace(text::collapse_whitespace::Config),
    /// Replaces what a regular expression finds in text.
    Replace(text::replace::Config),
    /// Keeps only some columns; after `predict`, says what stands in the answer.
    Select(table::select::Config),
    /// Gives columns other names.
    Rename(table::rename::Config),
    /// Turns columns into another datatype.
    Cast(table::cast::Config),
    /// Fills in what is missing: NaN, or empty text.
    Impute(table::impute::Config),
    /// Moves numbers that are out of bounds to the bound.
    Clip(table::clip::Config),
    /// Subtracts a mean and divides by a standard deviation.
    Standardize(table::standardize::Config),
    /// Joins columns into one tensor, side by side.
    Stack(table::stack::Config),
    /// Gives each instance another shape.
    Reshape(table::reshape::Config),
    /// Runs a model of the repository on the columns that it takes.
    Predict(predict::Config),
    /// Turns logits into probabilities that sum to 1.
    Softmax(scores::softmax::Config),
    /// Turns each logit into a probability of its own.
    Sigmoid(scores::sigmoid::Config),
    /// Finds the best class.
    Argmax(scores::argmax::Config),
    /// Finds the best classes, best first, with their scores.
    TopK(scores::top_k::Config),
    /// Decides by whether a score reaches a bound.
    Threshold(scores::threshold::Config),
    /// Rounds to a number of decimals.
    Round(scores::round::Config),
}

impl StepConfig {
    /// The step's name, as it stands in the pipeline.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Lowercase(_) => "lowercase",
            Self::RemoveUrls(_) => "remove_urls",
            Self::RemovePunctuation(_) => "remove_punctuation",
            Self::CollapseWhitespace(_) => "collapse_whitespace",
            Self::Replace(_) => "replace",
            Self::Select(_) => "select",
            Self::Rename(_) => "rename",
            Self::Cast(_) => "cast",
            Self::Impute(_) => "impute",
            Self::Clip(_) => "clip",
            Self::Standardize(_) => "standardize",
            Self::Stack(_) => "stack",
            Self::Reshape(_) => "reshape",
            Self::Predict(_) => "predict",
            Self::Softmax(_) => "softmax",
            Self::Sigmoid(_) => "sigmoid",
            Self::Argmax(_) => "argmax",
            Self::TopK(_) => "top_k",
            Self::Threshold(_) => "threshold",
            Self::Round(_) => "round",
        }
    }

    /// What is wrong with the step's own properties, one sentence each; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Predict(config) => config.problems(),
            other => other.properties().map(Properties::problems).unwrap_or_default(),
        }
    }

    /// The step, with what it needs from the files of a model version; `None` for `predict`, which the program runs itself.
    ///
    /// # Errors
    /// If a file is missing or does not say what it should, or the properties have [`Self::problems`].
    pub fn build(&self, files: &VersionFiles) -> Result<Option<Box<dyn Step>>, StepError> {
        let Some(properties) = self.properties() else { return Ok(None) };
        match properties.problems().as_slice() {
            [] => properties.build(files).map(Some),
            problems => Err(StepError(problems.join("; "))),
        }
    }

    fn properties(&self) -> Option<&dyn Properties> {
        Some(match self {
            Self::Lowercase(config) => config,
            Self::RemoveUrls(config) => config,
            Self::RemovePunctuation(config) => config,
            Self::CollapseWhitespace(config) => config,
            Self::Replace(config) => config,
            Self::Select(config) => config,
            Self::Rename(config) => config,
            Self::Cast(config) => config,
            Self::Impute(config) => config,
            Self::Clip(config) => config,
            Self::Standardize(config) => config,
            Self::Stack(config) => config,
            Self::Reshape(config) => config,
            Self::Predict(_) => return None,
            Self::Softmax(config) => config,
            Self::Sigmoid(config) => config,
            Self::Argmax(config) => config,
            Self::TopK(config) => config,
            Self::Threshold(config) => config,
            Self::Round(config) => config,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{Arc, LazyLock},
    };

    use half::f16;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        steps::{KnownColumn, Refusals, Schema},
        tensor::{Column, Columns, DataType, Elements, Tensor, element_count},
    };

    /// Every step at least once, over the columns `x` and `y`.
    fn samples() -> Vec<Value> {
        vec![
            json!({"lowercase": {"column": "x"}}),
            json!({"lowercase": {"column": "x", "into": "z"}}),
            json!({"remove_urls": {"column": "x"}}),
            json!({"remove_punctuation": {"column": "x", "into": "y"}}),
            json!({"collapse_whitespace": {"column": "x"}}),
            json!({"replace": {"column": "x", "pattern": "(a)", "with": "$1$1"}}),
            json!({"select": {"columns": ["y", "x"]}}),
            json!({"select": {"columns": ["y"]}}),
            json!({"rename": {"columns": {"x": "z"}}}),
            json!({"rename": {"columns": {"x": "y", "y": "x"}}}),
            json!({"cast": {"columns": ["x", "y"], "datatype": "INT16", "mode": "round"}}),
            json!({"cast": {"column": "x", "datatype": "FP16"}}),
            json!({"cast": {"column": "x", "datatype": "BYTES"}}),
            json!({"cast": {"column": "x", "datatype": "BOOL"}}),
            json!({"impute": {"column": "x", "value": 7}}),
            json!({"impute": {"column": "x", "value": [7, 8, 9]}}),
            json!({"impute": {"columns": ["x", "y"], "value": "text"}}),
            json!({"impute": {"column": "x", "file": "stats.json"}}),
            json!({"clip": {"columns": ["x", "y"], "min": -1.5, "max": 2e5}}),
            json!({"standardize": {"columns": ["x", "y"], "mean": 1, "std": 2}}),
            json!({"standardize": {"column": "x", "mean": 1, "std": [1, 2, 3]}}),
            json!({"standardize": {"column": "x", "file": "stats.json"}}),
            json!({"stack": {"columns": ["x", "y"], "into": "z"}}),
            json!({"stack": {"columns": ["x", "y"], "into": "x"}}),
            json!({"reshape": {"column": "x", "shape": [1, -1]}}),
            json!({"reshape": {"column": "x", "shape": [3], "into": "z"}}),
            json!({"reshape": {"column": "x", "shape": []}}),
            json!({"predict": {"model": "m"}}),
            json!({"softmax": {"column": "x"}}),
            json!({"softmax": {"column": "x", "axis": 1, "into": "y"}}),
            json!({"sigmoid": {"column": "x"}}),
            json!({"argmax": {"column": "x"}}),
            json!({"argmax": {"column": "x", "labels": "labels.txt", "into": "x"}}),
            json!({"top_k": {"column": "x", "k": 2}}),
            json!({"top_k": {"column": "x", "k": 2, "labels": "labels.txt", "into_labels": "x", "into_scores": "y"}}),
            json!({"threshold": {"column": "x", "at": 0.5}}),
            json!({"threshold": {"column": "x", "at": [0.1, 0.5, 0.7], "reached": "yes", "below": "no", "into": "x"}}),
            json!({"round": {"column": "x", "decimals": 2}}),
        ]
    }

    /// The names of all variants, from what editors are told of them.
    fn variants() -> BTreeSet<String> {
        let schema = serde_json::to_value(schemars::schema_for!(StepConfig)).unwrap();
        let variants = schema["oneOf"].as_array().unwrap().iter();
        variants.flat_map(|variant| variant["properties"].as_object().unwrap().keys().cloned()).collect()
    }

    fn config(sample: &Value) -> StepConfig {
        serde_json::from_value(sample.clone()).unwrap_or_else(|error| panic!("{sample}: {error}"))
    }

    #[test]
    fn every_step_has_a_sample_without_problems_under_its_name() {
        let mut sampled = BTreeSet::new();
        for sample in samples() {
            let config = config(&sample);
            assert_eq!(config.problems(), [""; 0], "{sample}");
            assert!(sample.get(config.name()).is_some(), "{} is not the name of {sample}", config.name());
            sampled.insert(config.name().to_owned());
        }
        assert_eq!(sampled, variants());
    }

    #[test]
    fn a_property_that_there_is_not_is_refused() {
        for sample in samples() {
            let mut wrong = sample.clone();
            wrong.as_object_mut().unwrap().values_mut().next().unwrap()["colour"] = json!("x");
            assert!(serde_json::from_value::<StepConfig>(wrong).is_err(), "{sample}");
        }
    }

    #[test]
    fn a_step_with_problems_is_not_built() {
        let files = VersionFiles { folder: "no such folder".into() };
        let error = config(&json!({"clip": {"column": "x"}})).build(&files).err().unwrap();
        assert_eq!(error.0, "say `min`, `max` or both");
    }

    fn elements(datatype: DataType, count: usize) -> BoxedStrategy<Elements> {
        fn of<T: std::fmt::Debug + Clone + 'static>(values: Vec<T>, count: usize) -> BoxedStrategy<Vec<T>> {
            prop::collection::vec(prop::sample::select(values), count).boxed()
        }
        let floats = vec![0.0, -0.0, 1.0, 0.5, -3.25, 0.7, 60000.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        match datatype {
            DataType::Bool => of(vec![false, true], count).prop_map(Elements::Bool).boxed(),
            DataType::Uint8 => of(vec![0, 1, u8::MAX], count).prop_map(Elements::Uint8).boxed(),
            DataType::Uint16 => of(vec![0, 1, u16::MAX], count).prop_map(Elements::Uint16).boxed(),
            DataType::Uint32 => of(vec![0, 1, u32::MAX], count).prop_map(Elements::Uint32).boxed(),
            DataType::Uint64 => of(vec![0, 1, u64::MAX], count).prop_map(Elements::Uint64).boxed(),
            DataType::Int8 => of(vec![0, 1, i8::MIN, i8::MAX], count).prop_map(Elements::Int8).boxed(),
            DataType::Int16 => of(vec![0, 1, i16::MIN, i16::MAX], count).prop_map(Elements::Int16).boxed(),
            DataType::Int32 => of(vec![0, 1, i32::MIN, i32::MAX], count).prop_map(Elements::Int32).boxed(),
            DataType::Int64 => of(vec![0, 1, i64::MIN, i64::MAX], count).prop_map(Elements::Int64).boxed(),
            DataType::Fp16 => {
                of(floats.into_iter().map(f16::from_f64).collect(), count).prop_map(Elements::Fp16).boxed()
            }
            DataType::Fp32 => of(floats.iter().map(|&x| x as f32).collect(), count).prop_map(Elements::Fp32).boxed(),
            DataType::Fp64 => of([floats, vec![f64::MAX]].concat(), count).prop_map(Elements::Fp64).boxed(),
            DataType::Bytes => {
                let texts: [&[u8]; 8] =
                    [b"", b"a B.", b"12", b"-1.5", b"true", b"\xff", "é https://a.b".as_bytes(), b" "];
                of(texts.to_vec(), count).prop_map(|texts| Elements::Bytes(texts.into_iter().collect())).boxed()
            }
        }
    }

    fn tensor() -> impl Strategy<Value = Tensor> {
        let usual = prop::collection::vec(0_usize..4, 0..5);
        let tables = (0_usize..4, 1_usize..4).prop_map(|(rows, width)| vec![rows, width]);
        let boundless = prop::sample::select(vec![vec![0, usize::MAX], vec![0, usize::MAX, 2], vec![2, 0, usize::MAX]]);
        let shape = prop_oneof![4 => usual, 4 => tables, 1 => boundless];
        (shape, prop::sample::select(DataType::ALL.to_vec())).prop_flat_map(|(shape, datatype)| {
            elements(datatype, element_count(&shape).unwrap())
                .prop_map(move |elements| Tensor::new(shape.clone(), elements).unwrap())
        })
    }

    /// The samples, built once; `predict` is none of them.
    static STEPS: LazyLock<Vec<(Value, Box<dyn Step>)>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("labels.txt"), "a\nb\nc\n").unwrap();
        let stats = json!({"x": {"mean": [1, 2, 3], "std": 2}}).to_string();
        std::fs::write(folder.path().join("stats.json"), stats).unwrap();
        let files = VersionFiles { folder: folder.path().to_owned() };
        let built = samples().into_iter().filter_map(|sample| {
            let step = config(&sample).build(&files).unwrap()?;
            Some((sample, step))
        });
        built.collect()
    });

    fn schema_of(columns: &Columns, known: bool) -> Schema {
        let mut schema = Schema::open();
        schema.close();
        for column in columns.iter() {
            let shape: Vec<_> = column.tensor.shape().iter().map(|&axis| Some(axis).filter(|_| known)).collect();
            schema.put(KnownColumn {
                name: column.name.clone(),
                datatype: Some(column.tensor.datatype()),
                shape: Some(shape),
                classes: column.classes.clone(),
                answer: column.answer,
            });
        }
        schema
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever a request holds, no step panics, and what the check said of names, datatypes, shapes and the answer
        /// comes true.
        #[test]
        fn the_check_foretells_what_happens_to_any_tensors(
            x in tensor(), y in tensor(), alike: bool, answer: bool, known: bool, classes: bool,
        ) {
            let width = x.row_shape().last().copied().filter(|&width| classes && width < 10);
            let classes = width.map(|width| Arc::new(Elements::zeros(DataType::Int8, width)));
            let y = Column::new("y", if alike { x.clone() } else { y });
            let given: Columns = [Column { answer, classes, ..Column::new("x", x) }, y].into_iter().collect();
            for (sample, step) in &*STEPS {
                let mut schema = schema_of(&given, known);
                let foretold = step.check(&mut schema);
                let mut columns = given.clone();
                let mut refusals = Refusals::default();
                let applied = step.apply(&mut columns, &mut refusals);
                if let (Err(error), Ok(())) = (&foretold, &applied) {
                    // A list of the wrong length matters to `impute` only where something is missing.
                    prop_assert!(sample.get("impute").is_some(), "{sample} went through in spite of: {error}");
                }
                if foretold.is_err() || applied.is_err() {
                    continue;
                }
                let names: BTreeSet<_> = columns.iter().map(|column| column.name.clone()).collect();
                let foretold: BTreeSet<_> = schema.columns().iter().map(|column| column.name.clone()).collect();
                prop_assert_eq!(names, foretold, "{}", sample);
                for column in columns.iter() {
                    let known = schema.find(&column.name).unwrap();
                    let tensor = &column.tensor;
                    prop_assert_eq!(element_count(tensor.shape()), Some(tensor.elements().len()), "{}", sample);
                    prop_assert_eq!(known.datatype, Some(tensor.datatype()), "{}: {}", sample, column.name);
                    prop_assert_eq!(known.answer, column.answer, "{}: {}", sample, column.name);
                    let shape = known.shape.as_ref().unwrap();
                    prop_assert_eq!(shape.len(), tensor.shape().len(), "{}: {}", sample, column.name);
                    for (known, axis) in shape.iter().zip(tensor.shape()) {
                        prop_assert!(known.is_none_or(|known| known == *axis), "{}: {}", sample, column.name);
                    }
                }
                let rows = given.iter().map(|column| column.tensor.rows()).max().unwrap();
                for (row, why) in refusals.into_rows() {
                    prop_assert!(row < rows && !why.is_empty(), "{sample}: row {row}, {why}");
                }
            }
        }
    }
}
