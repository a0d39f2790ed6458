//! Whether a version fits the pipelines that run it, before it serves: column names, datatypes, and the files that steps name.
//!
//! Guarantee: no version takes the place of another that does more. The rule: wherever the version in service fits, the new
//! one must, too. Where neither does, the pipeline is at fault, which no version can help and no other pipeline should
//! suffer for. The first version of a model must fit at least one of the pipelines that may run it.

use std::fmt;

use super::{VersionFiles, predict::Selector, program::Segment};
use crate::backend::Signature;

/// One version of a model, as steps see it.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// What it takes and gives.
    pub signature: &'a Signature,
    /// The files beside it.
    pub files: &'a VersionFiles,
}

/// The places where models run: every segment of every pipeline.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<Place>);

#[derive(Clone, Debug)]
struct Place {
    pipeline: String,
    segment: Segment,
    selector: Selector,
}

/// Why a version does not fit somewhere.
struct Misfit<'a> {
    pipeline: &'a str,
    why: String,
}

impl fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pipeline `{}`: {}", self.pipeline, self.why)
    }
}

impl Places {
    /// The places of these pipelines: their names and segments. A segment whose `predict` has problems runs nothing and is
    /// left out.
    pub fn new(pipelines: impl IntoIterator<Item = (String, Vec<Segment>)>) -> Self {
        let places = pipelines.into_iter().flat_map(|(pipeline, segments)| {
            segments.into_iter().filter_map(move |segment| {
                let selector = segment.predict.selector().ok()?;
                Some(Place { pipeline: pipeline.clone(), segment, selector })
            })
        });
        Self(places.collect())
    }

    /// Holds a version of `model` against every place that may run it, beside the version that serves now.
    ///
    /// # Errors
    /// A sentence: where it does not fit and why, with the names of pipeline and step. If it fits nowhere, all of them.
    pub fn check(&self, model: &str, candidate: Candidate<'_>, serving: Option<Candidate<'_>>) -> Result<(), String> {
        let places: Vec<_> = self.0.iter().filter(|place| place.selector.may_run(model)).collect();
        let mut misfits = Vec::new();
        for place in &places {
            let Err(misfit) = place.fits(candidate) else { continue };
            if serving.is_some_and(|serving| place.fits(serving).is_ok()) {
                return Err(format!("it does not fit where the version in service does, {misfit}"));
            }
            misfits.push(misfit.to_string());
        }
        if places.is_empty() || misfits.len() < places.len() {
            return Ok(());
        }
        Err(format!("it does not fit {}", misfits.join("; nor ")))
    }
}

impl Place {
    fn fits(&self, version: Candidate<'_>) -> Result<(), Misfit<'_>> {
        match self.segment.bind(version.files, version.signature) {
            Ok(_) => Ok(()),
            Err(error) => Err(Misfit { pipeline: &self.pipeline, why: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::TensorSpec,
        steps::{StepConfig, program::segments},
        tensor::DataType,
    };

    fn signature(output: &str) -> Signature {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: DataType::Fp32,
            shape: vec![None, Some(2)],
            unranked: false,
            optional: false,
            classes: None,
        };
        Signature { inputs: vec![spec("x")], outputs: vec![spec(output)] }
    }

    /// A folder of a version, with or without labels.
    fn folder(labels: &str) -> (tempfile::TempDir, VersionFiles) {
        let folder = tempfile::tempdir().unwrap();
        if !labels.is_empty() {
            std::fs::write(folder.path().join("labels.txt"), labels).unwrap();
        }
        let files = VersionFiles { folder: folder.path().to_owned() };
        (folder, files)
    }

    fn places(pipelines: &[(&str, &str)]) -> Places {
        let steps = |json: &str| -> Vec<StepConfig> { serde_json::from_str(json).unwrap() };
        Places::new(pipelines.iter().map(|(name, json)| ((*name).to_owned(), segments(&steps(json)))))
    }

    const LABELLED: &str = r#"[{"predict": {"model": "m"}}, {"argmax": {"column": "y", "labels": "labels.txt"}}]"#;
    const SOFT: &str = r#"[{"predict": {"model": "m"}}, {"softmax": {"column": "z"}}]"#;
    const ANY: &str = r#"[{"predict": {"model": "{request.model}"}}, {"softmax": {"column": "z"}}]"#;

    #[test]
    fn a_missing_file_and_a_wrong_column_are_told_with_pipeline_and_step() {
        let (_with, labels) = folder("yes\nno\n");
        let (_without, bare) = folder("");
        let (y, other) = (signature("y"), signature("w"));
        let places = places(&[("churn", LABELLED)]);
        let check = |signature, files| places.check("m", Candidate { signature, files }, None);
        assert_eq!(check(&y, &labels), Ok(()));
        let missing = check(&y, &bare).unwrap_err();
        let expected =
            "it does not fit pipeline `churn`: step `argmax`: the file `labels.txt`, which must lie beside model.onnx";
        assert!(missing.starts_with(expected), "{missing}");
        let column = check(&other, &labels).unwrap_err();
        assert!(column.contains("pipeline `churn`: step `argmax`") && column.contains("`w`"), "{column}");
    }

    #[test]
    fn a_version_must_fit_wherever_the_one_in_service_does_and_nowhere_else() {
        let (_with, labels) = folder("yes\nno\n");
        let (_without, bare) = folder("");
        let (y, z) = (signature("y"), signature("z"));
        let of = |signature, files| Candidate { signature, files };
        let places = places(&[("labelled", LABELLED), ("soft", SOFT), ("any", ANY)]);
        // `soft` and `any` want another model: that is no fault of a version.
        assert_eq!(places.check("m", of(&y, &labels), None), Ok(()));
        assert_eq!(places.check("m", of(&y, &labels), Some(of(&y, &labels))), Ok(()));
        let worse = places.check("m", of(&y, &bare), Some(of(&y, &labels))).unwrap_err();
        assert!(worse.contains("where the version in service does, pipeline `labelled`"), "{worse}");
        let nowhere = places.check("m", of(&y, &bare), None).unwrap_err();
        for pipeline in ["`labelled`", "; nor pipeline `soft`", "; nor pipeline `any`"] {
            assert!(nowhere.contains(pipeline), "{nowhere}");
        }
        assert!(places.check("m", of(&y, &bare), Some(of(&y, &bare))).is_err(), "fits nowhere, as the one before");
        assert_eq!(places.check("other", of(&z, &bare), None), Ok(()));
        assert!(places.check("other", of(&y, &bare), None).unwrap_err().contains("`any`"));
    }

    #[test]
    fn a_model_that_no_pipeline_runs_has_nothing_to_fit() {
        let (_folder, files) = folder("");
        let y = signature("y");
        assert_eq!(places(&[("soft", SOFT)]).check("idle", Candidate { signature: &y, files: &files }, None), Ok(()));
    }
}
