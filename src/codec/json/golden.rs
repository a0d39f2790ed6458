//! Golden samples of a model version: requests with the answers that it must give, as JSON.
//!
//! A sample is an object with the `inputs` of an Open Inference Protocol request, the `outputs` of its answer and perhaps a
//! `tolerance`; whatever else a pasted request or answer holds is ignored. A text holds one sample, an array of them, or an
//! object whose `cases` is such an array. Numbers and strings are read as those of requests are: 64-bit integers exactly,
//! `NaN` bare or as a string.

use super::{
    fault::{Fault, refused, unexpected},
    scan::{Bare, Broken, Scanner},
    tensors::{Input, List},
};
use crate::tensor::{Column, Columns};

/// What a model gets, and what it must answer.
#[derive(Clone, Debug)]
pub struct GoldenSample {
    /// The inputs.
    pub inputs: Columns,
    /// The outputs that are looked at, at least one; the model may have others.
    pub outputs: Vec<Column>,
    /// How far floating-point outputs may be off.
    pub tolerance: Tolerance,
}

/// How far a floating-point number may be from the one that is expected: `absolute + relative × |expected|`. `None` is the
/// default for its datatype.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tolerance {
    /// In the unit of the output.
    pub absolute: Option<f64>,
    /// As a part of the expected number.
    pub relative: Option<f64>,
}

/// Reads all samples of a text.
///
/// # Errors
/// A sentence that says which sample is wrong and why.
pub fn golden_samples(text: &str) -> Result<Vec<GoldenSample>, String> {
    let samples = read_all(text)?;
    if samples.is_empty() { Err("there is no sample".to_owned()) } else { Ok(samples) }
}

fn read_all(text: &str) -> Result<Vec<GoldenSample>, String> {
    let mut scanner = Scanner::new(text);
    if scanner.peek() == Some(b'[') {
        let samples = list(&mut scanner)?;
        scanner.end().map_err(|broken| sentence(broken.into(), text))?;
        return Ok(samples);
    }
    match cases(&mut scanner).map_err(|fault| sentence(fault, text))? {
        Some(at) => list(&mut Scanner::starting(text, at)),
        None => Ok(vec![sample(&mut Scanner::new(text)).map_err(|fault| sentence(fault, text))?]),
    }
}

/// Where the array of cases begins, if the object has one.
fn cases(scanner: &mut Scanner<'_>) -> Result<Option<usize>, Fault> {
    if scanner.peek() != Some(b'{') {
        return Err(unexpected(scanner, "the whole", "an array of samples, or one sample"));
    }
    let mut found = None;
    scanner.members(|scanner, key| {
        if key == "cases" {
            if scanner.peek() != Some(b'[') {
                return Err(unexpected(scanner, "`cases`", "an array of samples"));
            }
            found = Some(scanner.at());
        }
        Ok::<_, Fault>(scanner.skip(Bare::Allowed).map(drop)?)
    })?;
    scanner.end()?;
    Ok(found)
}

fn list(scanner: &mut Scanner<'_>) -> Result<Vec<GoldenSample>, String> {
    let text = scanner.text();
    let mut samples = Vec::new();
    let read = |scanner: &mut Scanner<'_>, _: usize| {
        samples.push(sample(scanner)?);
        Ok::<_, Fault>(())
    };
    let outcome = scanner.entries(read);
    match outcome {
        Ok(_) => Ok(samples),
        Err(fault) => Err(format!("sample {}: {}", samples.len() + 1, sentence(fault, text))),
    }
}

fn sample(scanner: &mut Scanner<'_>) -> Result<GoldenSample, Fault> {
    if scanner.peek() != Some(b'{') {
        return Err(unexpected(scanner, "a sample", "an object with `inputs` and `outputs`"));
    }
    let text = scanner.text();
    let (mut inputs, mut outputs, mut tolerance) = (None, None, None);
    scanner.members(|scanner, key| {
        let seen = match key {
            "inputs" => inputs.replace(tensors(scanner, text, List::Inputs)?).is_some(),
            "outputs" => outputs.replace(tensors(scanner, text, List::Outputs)?).is_some(),
            "tolerance" => tolerance.replace(self::tolerance(scanner)?).is_some(),
            _ => return Ok(scanner.skip(Bare::Allowed).map(drop)?),
        };
        if seen { Err(refused(format!("the key `{key}` stands twice"))) } else { Ok(()) }
    })?;
    let inputs = inputs.ok_or_else(|| refused("it has no `inputs`".to_owned()))?;
    match outputs.filter(|outputs| !outputs.is_empty()) {
        Some(outputs) => {
            let tolerance = tolerance.unwrap_or_default();
            Ok(GoldenSample { inputs: inputs.into_iter().collect(), outputs, tolerance })
        }
        None => Err(refused("it has no `outputs`, so that there is nothing to compare".to_owned())),
    }
}

fn tensors(scanner: &mut Scanner<'_>, text: &str, list: List) -> Result<Vec<Column>, Fault> {
    Input::read_all(scanner, list)?.iter().map(|tensor| tensor.column(text, list)).collect()
}

fn tolerance(scanner: &mut Scanner<'_>) -> Result<Tolerance, Fault> {
    const WHAT: &str = "`tolerance`";
    if scanner.peek() != Some(b'{') {
        return Err(unexpected(scanner, WHAT, "an object such as {\"absolute\": 1e-5, \"relative\": 1e-4}"));
    }
    let mut tolerance = Tolerance::default();
    scanner.members(|scanner, key| {
        let slot = match key {
            "absolute" => &mut tolerance.absolute,
            "relative" => &mut tolerance.relative,
            _ => return Err(refused(format!("{WHAT} has `absolute` and `relative`, but no `{key}`"))),
        };
        let at = scanner.at();
        let number = scanner.number().ok().and_then(|number| number.parse::<f64>().ok());
        match number.filter(|number| number.is_finite() && *number >= 0.0) {
            Some(number) => {
                *slot = Some(number);
                Ok(())
            }
            None => {
                scanner.go(at);
                Err(unexpected(scanner, format_args!("`{key}` of {WHAT}"), "a number, 0 or more"))
            }
        }
    })?;
    Ok(tolerance)
}

fn sentence(fault: Fault, text: &str) -> String {
    match fault {
        Fault::Refused(error) => error.message().to_owned(),
        Fault::Broken(Broken { at, expected }) => {
            let line = text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("it is no JSON from line {line} (byte {at}) on: expected {expected}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Elements;

    const X: &str = r#"{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1.5, NaN]]}"#;
    const Y: &str = r#"{"name": "y", "datatype": "INT64", "shape": [1], "data": [9007199254740993], "parameters": {}}"#;

    fn sample(more: &str) -> String {
        format!(r#"{{"id": "pasted", "inputs": [{X}], "model_name": "m", "outputs": [{Y}]{more}}}"#)
    }

    #[test]
    fn a_sample_stands_alone_in_an_array_or_among_cases() {
        let one = sample("");
        for (text, count) in [
            (one.clone(), 1),
            (format!("[{one}, {one}]"), 2),
            (format!("{{\"made_by\": \"us\", \"cases\": [{one}]}}\n"), 1),
        ] {
            let samples = golden_samples(&text).unwrap();
            assert_eq!(samples.len(), count, "{text}");
            let Elements::Fp32(x) = samples[0].inputs.find("x").unwrap().tensor.elements() else { panic!("FP32") };
            assert!(x[0] == 1.5 && x[1].is_nan());
            assert_eq!(samples[0].outputs[0].tensor.elements(), &Elements::Int64(vec![9_007_199_254_740_993]));
            assert_eq!(samples[0].tolerance, Tolerance::default());
        }
    }

    #[test]
    fn a_tolerance_is_one_or_two_numbers() {
        let tolerance = |text: &str| {
            let samples = golden_samples(&sample(&format!(r#", "tolerance": {text}"#)))?;
            Ok::<_, String>(samples[0].tolerance)
        };
        let both = Tolerance { absolute: Some(0.01), relative: Some(0.0) };
        assert_eq!(tolerance(r#"{"absolute": 1e-2, "relative": 0}"#), Ok(both));
        assert_eq!(tolerance(r#"{"relative": 0.5}"#), Ok(Tolerance { absolute: None, relative: Some(0.5) }));
        for wrong in ["0.1", r#"{"absolute": -1}"#, r#"{"absolute": "1"}"#, r#"{"relativ": 1}"#] {
            assert!(tolerance(wrong).unwrap_err().contains("`tolerance`"), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_the_sample_and_the_place() {
        let one = sample("");
        let told = |text: &str| golden_samples(text).unwrap_err();
        assert_eq!(told("[]"), "there is no sample");
        assert!(told("7").contains("an array of samples"));
        assert_eq!(
            told(&format!("[{one}, {{\"inputs\": []}}]")),
            "sample 2: it has no `outputs`, so that there is nothing to compare"
        );
        let short = one.replace("[1, 2]", "[1, 3]");
        let error = told(&format!("[{short}]"));
        assert!(error.starts_with("sample 1: input `x`: data"), "{error}");
        let other = one.replace("INT64", "INT65");
        assert!(told(&other).starts_with("the datatype of output `y` must be one of"), "{}", told(&other));
        let broken = told(&format!("[{one},\n\n{{]"));
        assert!(broken.starts_with("sample 2: it is no JSON from line 3"), "{broken}");
    }
}
