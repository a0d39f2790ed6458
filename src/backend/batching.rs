//! The rule by which rows of several requests may share a run of a model.
//!
//! The first axis of every input and output must be dynamic, or have the same fixed length, *and* trying the model must
//! show that a row gets the same answer alone and among others: the first axis may be time, a batch may share one
//! quantisation scale, a graph may drop rows. In doubt, requests run one by one, which is always right. Inputs that the graph
//! has a default for are left out of it all: the verdict is about requests that leave them out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BatchAxis, Batching, Session, Signature, TensorSpec,
    probe::{Finding, try_rows},
};

/// Whether rows may share a run, as `batching:` of `model.yaml` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchingChoice {
    /// If the model declares it and trying it shows it.
    #[default]
    Auto,
    /// Yes: whoever made the model knows that rows do not touch each other.
    On,
    /// No.
    Off,
}

/// Decides whether rows may share a run; in `Auto`, runs the model some dozen times with made-up rows.
pub fn decide(session: &mut dyn Session, choice: BatchingChoice) -> Batching {
    let declared = declared_axis(session.signature());
    match (choice, declared) {
        (BatchingChoice::Off, _) => alone("`batching: off` in model.yaml"),
        (BatchingChoice::On, Ok(axis)) => Batching { axis, reason: "`batching: on` in model.yaml".to_owned() },
        (BatchingChoice::On, Err(why)) => match input_axis(session.signature()) {
            Ok(BatchAxis::Dynamic) => {
                let reason = format!("`batching: on` in model.yaml, although {why}");
                Batching { axis: BatchAxis::Dynamic, reason }
            }
            _ => alone(format!("`batching: on` in model.yaml cannot be followed: {why}")),
        },
        (BatchingChoice::Auto, Ok(axis)) => tried(session, axis),
        (BatchingChoice::Auto, Err(why)) => alone(why),
    }
}

fn alone(reason: impl Into<String>) -> Batching {
    Batching { axis: BatchAxis::None, reason: reason.into() }
}

fn tried(session: &mut dyn Session, axis: BatchAxis) -> Batching {
    let declared = match axis {
        BatchAxis::Fixed(rows) => format!("every first axis is {rows}"),
        BatchAxis::Dynamic | BatchAxis::None => "every first axis is dynamic".to_owned(),
    };
    let declares_one = axis == BatchAxis::Fixed(1)
        && session.signature().outputs.iter().all(|output| output.shape.first() == Some(&Some(1)));
    match try_rows(session, axis) {
        Finding::Independent if axis == BatchAxis::Fixed(1) => Batching { axis, reason: declared },
        Finding::Independent => {
            let reason = format!("{declared}, and rows get the same answers alone and among others");
            Batching { axis, reason }
        }
        Finding::Mixed(sentence) => alone(sentence),
        Finding::Untried(_) if declares_one => Batching { axis, reason: declared },
        Finding::Untried(error) => alone(format!(
            "{declared}, but the model could not be tried with made-up rows ({error}); if rows do not touch each other, say \
             `batching: on` in model.yaml"
        )),
    }
}

/// What the signature alone allows.
///
/// # Errors
/// Why rows cannot share a run.
pub(super) fn declared_axis(signature: &Signature) -> Result<BatchAxis, String> {
    let axis = input_axis(signature)?;
    for output in signature.outputs.iter().filter(|output| !output.unranked) {
        match (axis, output.shape.first()) {
            (_, None) => return Err(format!("the output `{}` is a scalar", output.name)),
            (BatchAxis::Dynamic, Some(Some(_))) => {
                return Err(format!("the first axis of the output `{}` is fixed ({output})", output.name));
            }
            (BatchAxis::Fixed(rows), Some(Some(length))) if *length != rows => {
                let name = &output.name;
                return Err(format!("inputs have a first axis of {rows}, but the output `{name}` has one of {length}"));
            }
            _ => {}
        }
    }
    Ok(axis)
}

/// What the inputs alone allow.
fn input_axis(signature: &Signature) -> Result<BatchAxis, String> {
    let mut axis = None;
    for input in signature.inputs.iter().filter(|input| !input.optional) {
        let this = axis_of(input)?;
        if *axis.get_or_insert(this) != this {
            return Err(format!("the first axis of the input `{}` ({input}) differs from that of others", input.name));
        }
    }
    axis.ok_or_else(|| "the model has no inputs".to_owned())
}

fn axis_of(input: &TensorSpec) -> Result<BatchAxis, String> {
    let name = &input.name;
    match input.shape.first() {
        _ if input.unranked => Err(format!("the input `{name}` declares no shape")),
        None => Err(format!("the input `{name}` is a scalar")),
        Some(None) => Ok(BatchAxis::Dynamic),
        Some(Some(0)) => Err(format!("the input `{name}` has no rows ({input})")),
        Some(Some(rows)) => Ok(BatchAxis::Fixed(*rows)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DataType;

    fn spec(name: &str, shape: &[Option<usize>]) -> TensorSpec {
        let shape = shape.to_vec();
        TensorSpec {
            name: name.into(),
            datatype: DataType::Fp32,
            shape,
            unranked: false,
            optional: false,
            classes: None,
        }
    }

    fn declared(inputs: &[&[Option<usize>]], outputs: &[&[Option<usize>]]) -> Result<BatchAxis, String> {
        let specs = |shapes: &[&[Option<usize>]]| shapes.iter().map(|shape| spec("t", shape)).collect();
        declared_axis(&Signature { inputs: specs(inputs), outputs: specs(outputs) })
    }

    #[test]
    fn all_first_axes_must_be_of_one_kind() {
        let (any, four) = (&[None, Some(4)][..], &[Some(4), Some(2)][..]);
        assert_eq!(declared(&[any, any], &[any]), Ok(BatchAxis::Dynamic));
        assert_eq!(declared(&[four, four], &[four]), Ok(BatchAxis::Fixed(4)));
        assert_eq!(declared(&[four], &[any]), Ok(BatchAxis::Fixed(4)));
        assert!(declared(&[any, four], &[any]).unwrap_err().contains("differs from that of others"));
        assert!(declared(&[any], &[any, four]).unwrap_err().contains("the output `t` is fixed (FP32 [4, 2])"));
        assert!(declared(&[four], &[&[Some(1)]]).unwrap_err().contains("but the output `t` has one of 1"));
        assert!(declared(&[any], &[&[]]).unwrap_err().contains("the output `t` is a scalar"));
        assert!(declared(&[&[Some(0)]], &[any]).unwrap_err().contains("has no rows"));
    }

    #[test]
    fn inputs_with_a_default_have_no_say() {
        let optional = TensorSpec { optional: true, ..spec("factor", &[]) };
        let inputs = vec![spec("x", &[None]), optional];
        assert_eq!(declared_axis(&Signature { inputs, outputs: vec![] }), Ok(BatchAxis::Dynamic));
    }

    #[test]
    fn an_output_of_unknown_rank_is_left_to_the_trial() {
        let unranked = TensorSpec { unranked: true, ..spec("y", &[]) };
        let signature = Signature { inputs: vec![spec("x", &[None])], outputs: vec![unranked] };
        assert_eq!(declared_axis(&signature), Ok(BatchAxis::Dynamic));
    }
}
