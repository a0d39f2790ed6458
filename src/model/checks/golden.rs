//! One golden sample: run it as requests are run, and compare what comes with what was promised.
//!
//! Strings, booleans and integers must be equal. Floating-point numbers may be off by `absolute + relative × |expected|`,
//! the rule of NumPy's `isclose`; NaN equals NaN, and an infinity equals itself. The defaults allow for other instruction
//! sets and other orders of summation, and for nothing else: FP32 has 7 digits and a deep network loses two of them, FP16
//! has 3, FP64 has 15.

use crate::{
    backend::{BatchAxis, Session, Signature},
    codec::json::{GoldenSample, Tolerance},
    each_elements,
    model::servable::fit,
    tensor::{Column, Columns, DataType, Elements, ShapeText, Tensor},
};

/// The longest text of a model's that a sentence shows whole.
const SHOWN: usize = 60;

/// Runs a sample and compares.
///
/// # Errors
/// A sentence: what does not fit, how the model fails, or the first element that is another.
pub(super) fn check(session: &mut dyn Session, axis: BatchAxis, sample: &GoldenSample) -> Result<(), String> {
    let inputs = inputs(session.signature(), axis, sample)?;
    let outputs = run(session, axis, &inputs)?;
    for expected in &sample.outputs {
        let Some(output) = outputs.iter().find(|output| output.name == expected.name) else {
            let known: Vec<_> = outputs.iter().map(|output| format!("`{}`", output.name)).collect();
            return Err(format!("there is no output `{}`; the model gives {}", expected.name, known.join(", ")));
        };
        compare(&output.tensor, &expected.tensor, sample.tolerance)
            .map_err(|why| format!("output `{}`{why}", expected.name))?;
    }
    Ok(())
}

/// The sample's inputs as the model takes them, cast as those of a request.
pub(super) fn inputs(signature: &Signature, axis: BatchAxis, sample: &GoldenSample) -> Result<Columns, String> {
    let takes = || signature.inputs.iter().map(|spec| format!("`{}` {spec}", spec.name)).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = sample.inputs.iter().find(|column| signature.input(&column.name).is_none()) {
        return Err(format!("there is no input `{}`; the model takes {}", unknown.name, takes()));
    }
    let mut inputs = Columns::default();
    for spec in &signature.inputs {
        match sample.inputs.find(&spec.name) {
            Some(column) => {
                let batched = axis != BatchAxis::None;
                inputs.put(fit(column, spec, batched).map_err(|error| error.message().to_owned())?);
            }
            None if spec.optional => {}
            None => return Err(format!("input `{}` is missing; the model takes {}", spec.name, takes())),
        }
    }
    Ok(inputs)
}

/// Runs whole inputs as the batcher would: by rows where they may share a run.
pub(super) fn run(session: &mut dyn Session, axis: BatchAxis, inputs: &Columns) -> Result<Vec<Column>, String> {
    let rows = if axis == BatchAxis::None { None } else { common_rows(inputs) };
    session.run(inputs, rows.map(|rows| 0..rows)).map_err(|error| error.to_string())
}

/// The length of the first axis, if all inputs have the same.
pub(super) fn common_rows(inputs: &Columns) -> Option<usize> {
    let rows = *inputs.iter().next()?.tensor.shape().first()?;
    inputs.iter().all(|input| input.tensor.shape().first() == Some(&rows)).then_some(rows)
}

/// Compares an output with what is expected of it.
///
/// # Errors
/// Where the first difference is and what it is, to be read after the output's name.
fn compare(came: &Tensor, expected: &Tensor, tolerance: Tolerance) -> Result<(), String> {
    let kind = |tensor: &Tensor| format!("{} {}", tensor.datatype(), ShapeText(tensor.shape()));
    if came.datatype() != expected.datatype() || came.shape() != expected.shape() {
        return Err(format!(" is {}, but {} is expected", kind(came), kind(expected)));
    }
    let allowed = Allowed::of(came.datatype(), tolerance);
    let differing = differing(came.elements(), expected.elements(), allowed);
    let Some(&first) = differing.first() else { return Ok(()) };
    let place = place(first, came.shape());
    let (other, wanted) = (text(came.elements(), first), text(expected.elements(), first));
    let mut why = format!("{place} is {other}, but {wanted} is expected");
    if came.datatype().is_float() {
        let Allowed { absolute, relative } = allowed;
        why += &format!(" (tolerance: absolute {absolute:?}, relative {relative:?})");
    }
    if came.elements().len() > 1 {
        why += &format!("; {} of {} elements differ", differing.len(), came.elements().len());
    }
    Err(why)
}

/// How far a number may be off.
#[derive(Clone, Copy)]
struct Allowed {
    absolute: f64,
    relative: f64,
}

impl Allowed {
    fn of(datatype: DataType, tolerance: Tolerance) -> Self {
        let (absolute, relative) = match datatype {
            DataType::Fp16 => (1e-3, 1e-2),
            DataType::Fp32 => (1e-5, 1e-4),
            _ => (1e-8, 1e-7),
        };
        Self { absolute: tolerance.absolute.unwrap_or(absolute), relative: tolerance.relative.unwrap_or(relative) }
    }

    fn holds(self, came: f64, expected: f64) -> bool {
        if came == expected || (came.is_nan() && expected.is_nan()) {
            return true;
        }
        // An infinite tolerance would swallow everything.
        let finite = came.is_finite() && expected.is_finite();
        finite && (came - expected).abs() <= self.absolute + self.relative * expected.abs()
    }
}

/// The elements that are not what is expected; both have one datatype and length.
fn differing(came: &Elements, expected: &Elements, allowed: Allowed) -> Vec<usize> {
    macro_rules! exact {
        ($($kind:ident),*) => {
            match (came, expected) {
                $((Elements::$kind(came), Elements::$kind(expected)) => unlike(came, expected, |a, b| a == b),)*
                (Elements::Bytes(came), Elements::Bytes(expected)) => unlike(came.iter(), expected.iter(), |a, b| a == b),
                (Elements::Fp16(came), Elements::Fp16(expected)) => {
                    unlike(came, expected, |a, b| allowed.holds(a.to_f64(), b.to_f64()))
                }
                (Elements::Fp32(came), Elements::Fp32(expected)) => {
                    unlike(came, expected, |&a, &b| allowed.holds(a.into(), b.into()))
                }
                (Elements::Fp64(came), Elements::Fp64(expected)) => {
                    unlike(came, expected, |&a, &b| allowed.holds(a, b))
                }
                _ => unreachable!("other datatypes have been told apart"),
            }
        };
    }
    exact!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64)
}

fn unlike<T>(
    came: impl IntoIterator<Item = T>,
    expected: impl IntoIterator<Item = T>,
    same: impl Fn(T, T) -> bool,
) -> Vec<usize> {
    let pairs = came.into_iter().zip(expected).enumerate();
    pairs.filter_map(|(index, (came, expected))| (!same(came, expected)).then_some(index)).collect()
}

/// Where an element stands, for a sentence: `[0, 2]`; nothing for a scalar.
fn place(mut index: usize, shape: &[usize]) -> String {
    let mut place = vec![0; shape.len()];
    for (at, axis) in place.iter_mut().zip(shape).rev() {
        *at = index % axis;
        index /= axis;
    }
    if place.is_empty() { String::new() } else { ShapeText(&place).to_string() }
}

/// An element, for a sentence.
fn text(elements: &Elements, index: usize) -> String {
    each_elements!(elements, numbers => format!("{:?}", numbers[index]), strings => {
        let whole = String::from_utf8_lossy(strings.at(index));
        match whole.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("`{}…`", whole[..end].escape_debug()),
            None => format!("`{}`", whole.escape_debug()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{TensorSpec, scripted::ScriptedSession},
        codec::json::golden_samples,
    };

    fn spec(name: &str, datatype: DataType, shape: &[Option<usize>]) -> TensorSpec {
        let shape = shape.to_vec();
        TensorSpec { name: name.into(), datatype, shape, unranked: false, optional: false, classes: None }
    }

    /// A model that gives back its input `x` as `y`.
    fn echo(datatype: DataType) -> ScriptedSession {
        let shape = [None, Some(2)];
        let signature =
            Signature { inputs: vec![spec("x", datatype, &shape)], outputs: vec![spec("y", datatype, &shape)] };
        let script = |inputs: &Columns, rows: Option<std::ops::Range<usize>>| {
            let x = &inputs.find("x").unwrap().tensor;
            Ok(vec![Column::new("y", x.slice(rows.unwrap_or(0..x.rows())))])
        };
        ScriptedSession::new(signature, Box::new(script))
    }

    /// Whether a model that gives back `x` passes for one that should give `y`.
    fn verdict(datatype: DataType, x: &str, y: &str, more: &str) -> Result<(), String> {
        let tensor = |name: &str, data: &str| {
            format!(r#"[{{"name": "{name}", "datatype": "{datatype}", "shape": [1, 2], "data": [{data}]}}]"#)
        };
        let text = format!(r#"{{"inputs": {}, "outputs": {}{more}}}"#, tensor("x", x), tensor("y", y));
        check(&mut echo(datatype), BatchAxis::Dynamic, &golden_samples(&text).unwrap()[0])
    }

    #[test]
    fn floats_may_be_off_by_the_tolerance_and_no_further() {
        use DataType::{Fp16, Fp32, Fp64};
        assert_eq!(verdict(Fp32, "1.00005, 0.000009", "1, 0", ""), Ok(()));
        let why = verdict(Fp32, "1.0, 0.5", "1, 0.75", "").unwrap_err();
        assert_eq!(
            why,
            "output `y`[0, 1] is 0.5, but 0.75 is expected (tolerance: absolute 1e-5, relative 0.0001); 1 of 2 elements \
             differ"
        );
        assert!(verdict(Fp32, "1.0002, 0", "1, 0", "").is_err());
        assert_eq!(verdict(Fp32, "1, 0.5", "1, 0.75", r#", "tolerance": {"absolute": 0.25}"#), Ok(()));
        assert!(verdict(Fp32, "1.00005, 0", "1, 0", r#", "tolerance": {"relative": 0, "absolute": 0}"#).is_err());
        assert_eq!(
            (verdict(Fp16, "1.005, 0", "1, 0", ""), verdict(Fp64, "1.00000001, 0", "1, 0", "")),
            (Ok(()), Ok(()))
        );
        assert!(verdict(Fp64, "1.000001, 0", "1, 0", "").is_err());
    }

    #[test]
    fn nan_is_nan_and_an_infinity_is_itself_alone() {
        use DataType::Fp32;
        assert_eq!(verdict(Fp32, "NaN, \"Infinity\"", "\"NaN\", Infinity", ""), Ok(()));
        for (x, y) in
            [("NaN, 1", "1, 1"), ("1, 1", "NaN, 1"), ("Infinity, 1", "-Infinity, 1"), ("3e38, 1", "Infinity, 1")]
        {
            assert!(verdict(Fp32, x, y, "").is_err(), "{x} for {y}");
        }
    }

    #[test]
    fn integers_booleans_and_strings_are_exact() {
        use DataType::{Bool, Bytes, Int64};
        assert_eq!(verdict(Int64, "9007199254740993, 0", "9007199254740993, 0", ""), Ok(()));
        let why = verdict(Int64, "9007199254740993, 0", "9007199254740992, 0", "").unwrap_err();
        assert!(why.starts_with("output `y`[0, 0] is 9007199254740993, but 9007199254740992 is expected;"), "{why}");
        assert!(verdict(Bool, "true, false", "true, true", "").is_err());
        assert_eq!(verdict(Bytes, r#""Zoë", """#, r#""Zoë", """#, ""), Ok(()));
        let why = verdict(Bytes, r#""ham", "a\nb""#, r#""ham", "a b""#, "").unwrap_err();
        assert_eq!(why, "output `y`[0, 1] is `a\\nb`, but `a b` is expected; 1 of 2 elements differ");
    }

    #[test]
    fn what_does_not_fit_the_model_is_told_with_what_it_takes() {
        let told = |text: &str| {
            check(&mut echo(DataType::Fp32), BatchAxis::Dynamic, &golden_samples(text).unwrap()[0]).unwrap_err()
        };
        let y = r#""outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]"#;
        let x = r#"{"name": "x", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}"#;
        assert_eq!(told(&format!("{{\"inputs\": [], {y}}}")), "input `x` is missing; the model takes `x` FP32 [?, 2]");
        let unknown = x.replace("\"x\"", "\"z\"");
        assert!(told(&format!("{{\"inputs\": [{unknown}], {y}}}")).starts_with("there is no input `z`"));
        let shape = x.replace("[1, 2]", "[2, 1]");
        assert!(told(&format!("{{\"inputs\": [{shape}], {y}}}")).contains("expected FP32 [?, 2], got FP32 [2, 1]"));
        let z = y.replace("\"y\"", "\"z\"");
        assert_eq!(told(&format!("{{\"inputs\": [{x}], {z}}}")), "there is no output `z`; the model gives `y`");
        let double = y.replace("FP32", "FP64");
        assert_eq!(
            told(&format!("{{\"inputs\": [{x}], {double}}}")),
            "output `y` is FP32 [1, 2], but FP64 [1, 2] is expected"
        );
    }
}
