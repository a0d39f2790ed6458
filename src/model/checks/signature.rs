//! Whether a version may take the place of another: would a client that works with the one in service work with it?
//!
//! The rule. **Inputs**: each one of the version in service is there, with the same datatype and a shape that takes at least
//! what was taken so far (as many axes, each of the same length or of any); one that could be left out still can. New
//! inputs are fine if they can be left out. **Outputs**: each one is there, with the same datatype, as many axes where both
//! say how many, and no axis of another length where both say how long; what only one of them says is no difference, since
//! what models declare of their outputs is not to be relied on. New outputs are fine. The order of either does not matter.

use crate::backend::{Signature, TensorSpec};

/// Holds the signature of a version against that of the one in service.
///
/// # Errors
/// The first difference that clients would break on, then both lists.
pub fn compatible(serving: &Signature, candidate: &Signature) -> Result<(), String> {
    inputs(serving, candidate).map_err(|why| told(&why, "input", &serving.inputs, &candidate.inputs))?;
    outputs(serving, candidate).map_err(|why| told(&why, "output", &serving.outputs, &candidate.outputs))
}

fn inputs(serving: &Signature, candidate: &Signature) -> Result<(), String> {
    for old in &serving.inputs {
        let name = &old.name;
        let Some(new) = candidate.input(name) else { return Err(format!("it has no input `{name}`")) };
        if new.datatype != old.datatype || !takes(new, old) {
            return Err(format!("its input `{name}` is {new}, which was {old}"));
        }
        if old.optional && !new.optional {
            return Err(format!("its input `{name}` has no default any more"));
        }
    }
    let added = candidate.inputs.iter().find(|new| !new.optional && serving.input(&new.name).is_none());
    added.map_or(Ok(()), |new| Err(format!("it needs an input `{}`, which clients do not send", new.name)))
}

/// Whether every shape that `old` took is taken by `new`.
fn takes(new: &TensorSpec, old: &TensorSpec) -> bool {
    let axes = || new.shape.iter().zip(&old.shape).all(|(new, old)| new.is_none() || new == old);
    new.unranked || (!old.unranked && new.shape.len() == old.shape.len() && axes())
}

fn outputs(serving: &Signature, candidate: &Signature) -> Result<(), String> {
    for old in &serving.outputs {
        let name = &old.name;
        let Some(new) = candidate.output(name) else { return Err(format!("it has no output `{name}`")) };
        if new.datatype != old.datatype || contradicts(new, old) {
            return Err(format!("its output `{name}` is {new}, which was {old}"));
        }
    }
    Ok(())
}

/// Whether the two declare what cannot both be.
fn contradicts(new: &TensorSpec, old: &TensorSpec) -> bool {
    let differ = |(new, old): (&Option<usize>, &Option<usize>)| new.is_some() && old.is_some() && new != old;
    let ranked = !new.unranked && !old.unranked;
    ranked && (new.shape.len() != old.shape.len() || new.shape.iter().zip(&old.shape).any(differ))
}

fn told(why: &str, kind: &str, serving: &[TensorSpec], candidate: &[TensorSpec]) -> String {
    format!(
        "clients of the version in service would break on this one: {why} ({kind}s in service: {}; of this version: {}); if \
         that is meant, `models.signature: any` allows it",
        list(serving),
        list(candidate)
    )
}

fn list(specs: &[TensorSpec]) -> String {
    let spec = |spec: &TensorSpec| {
        let optional = if spec.optional { " (optional)" } else { "" };
        format!("`{}` {spec}{optional}", spec.name)
    };
    if specs.is_empty() { "none".to_owned() } else { specs.iter().map(spec).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType::{self, Bytes, Fp32, Fp64};

    fn spec(name: &str, datatype: DataType, shape: &[Option<usize>]) -> TensorSpec {
        let shape = shape.to_vec();
        TensorSpec { name: name.into(), datatype, shape, unranked: false, optional: false, classes: None }
    }

    fn optional(spec: TensorSpec) -> TensorSpec {
        TensorSpec { optional: true, ..spec }
    }

    fn unranked(spec: TensorSpec) -> TensorSpec {
        TensorSpec { unranked: true, shape: vec![], ..spec }
    }

    const N: Option<usize> = None;
    const FOUR: Option<usize> = Some(4);

    #[test]
    fn inputs_may_only_become_more_tolerant() {
        let x = || spec("x", Fp32, &[N, FOUR]);
        let y = || spec("y", Bytes, &[N]);
        // In service, candidate, what is said of it.
        let table: &[(&[TensorSpec], &[TensorSpec], Option<&str>)] = &[
            (&[x(), y()], &[y(), x()], None),
            (&[x()], &[], Some("it has no input `x`")),
            (&[x()], &[spec("X", Fp32, &[N, FOUR])], Some("it has no input `x`")),
            (&[x()], &[spec("x", Fp64, &[N, FOUR])], Some("its input `x` is FP64 [?, 4], which was FP32 [?, 4]")),
            (&[x()], &[spec("x", Fp32, &[N, Some(5)])], Some("is FP32 [?, 5], which was FP32 [?, 4]")),
            (&[x()], &[spec("x", Fp32, &[N])], Some("is FP32 [?], which was")),
            (&[x()], &[spec("x", Fp32, &[N, N])], None),
            (&[spec("x", Fp32, &[Some(1), FOUR])], &[x()], None),
            (&[x()], &[spec("x", Fp32, &[Some(1), FOUR])], Some("is FP32 [1, 4], which was FP32 [?, 4]")),
            (&[x()], &[unranked(x())], None),
            (&[unranked(x())], &[unranked(x())], None),
            (&[unranked(x())], &[x()], Some("which was FP32 of any shape")),
            (&[x()], &[x(), y()], Some("it needs an input `y`")),
            (&[x()], &[x(), optional(y())], None),
            (&[x(), optional(y())], &[x()], Some("it has no input `y`")),
            (&[x(), optional(y())], &[x(), y()], Some("`y` has no default any more")),
            (&[x(), y()], &[x(), optional(y())], None),
        ];
        for (serving, candidate, expected) in table {
            let signature = |inputs: &[TensorSpec]| Signature { inputs: inputs.to_vec(), outputs: vec![] };
            assert_told(&signature(serving), &signature(candidate), *expected);
        }
    }

    #[test]
    fn outputs_may_be_added_and_declared_more_or_less_exactly() {
        let y = || spec("y", Fp32, &[N, FOUR]);
        let table: &[(TensorSpec, &[TensorSpec], Option<&str>)] = &[
            (y(), &[spec("z", Bytes, &[N]), y()], None),
            (y(), &[], Some("it has no output `y` (outputs in service: `y` FP32 [?, 4]; of this version: none)")),
            (y(), &[spec("y", Fp64, &[N, FOUR])], Some("its output `y` is FP64 [?, 4], which was FP32 [?, 4]")),
            (y(), &[spec("y", Fp32, &[N, Some(3)])], Some("its output `y` is FP32 [?, 3]")),
            (y(), &[spec("y", Fp32, &[N])], Some("its output `y` is FP32 [?]")),
            (y(), &[spec("y", Fp32, &[FOUR, N])], None),
            (y(), &[unranked(y())], None),
            (unranked(y()), &[y()], None),
        ];
        for (serving, candidate, expected) in table {
            let signature = |outputs: &[TensorSpec]| Signature { inputs: vec![], outputs: outputs.to_vec() };
            assert_told(&signature(std::slice::from_ref(serving)), &signature(candidate), *expected);
        }
    }

    #[track_caller]
    fn assert_told(serving: &Signature, candidate: &Signature, expected: Option<&str>) {
        match (compatible(serving, candidate), expected) {
            (Ok(()), None) => {}
            (Err(why), Some(expected)) => {
                assert!(why.contains(expected) && why.contains("`models.signature: any`"), "{why}");
            }
            (verdict, _) => panic!("{candidate:?} after {serving:?}: {verdict:?}"),
        }
    }
}
