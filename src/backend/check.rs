//! Whether a tensor of a request fits an input of a model; if not, the sentence that the caller reads.

use super::TensorSpec;
use crate::tensor::{ShapeText, Tensor};

/// Holds a tensor of a request against the input that it is for. With `batched`, the first axis counts the rows of the
/// request and may have any length, also where the model's own is fixed.
///
/// # Errors
/// Which input, what it takes and what came: ``input `x`: expected FP32 [?, 4], got FP32 [2, 3]``.
pub fn check_input(spec: &TensorSpec, tensor: &Tensor, batched: bool) -> Result<(), String> {
    let fits_axis = |(index, (wanted, came)): (usize, (&Option<usize>, &usize))| {
        (batched && index == 0) || wanted.is_none_or(|wanted| wanted == *came)
    };
    let shape = tensor.shape();
    let fits_shape =
        spec.unranked || (spec.shape.len() == shape.len() && spec.shape.iter().zip(shape).enumerate().all(fits_axis));
    if fits_shape && spec.datatype == tensor.datatype() {
        return Ok(());
    }
    let mut expected = spec.clone();
    if batched && let Some(first) = expected.shape.first_mut() {
        *first = None;
    }
    Err(format!("input `{}`: expected {expected}, got {} {}", spec.name, tensor.datatype(), ShapeText(shape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::{DataType, Elements};

    fn spec(shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec {
            name: "x".into(),
            datatype: DataType::Fp32,
            shape: shape.to_vec(),
            unranked: false,
            optional: false,
            classes: None,
        }
    }

    fn tensor(shape: &[usize]) -> Tensor {
        Tensor::new(shape.to_vec(), Elements::zeros(DataType::Fp32, shape.iter().product())).unwrap()
    }

    #[test]
    fn a_wrong_shape_is_told_with_what_was_expected_and_what_came() {
        let error = check_input(&spec(&[None, Some(4)]), &tensor(&[2, 3]), true).unwrap_err();
        assert_eq!(error, "input `x`: expected FP32 [?, 4], got FP32 [2, 3]");
        assert!(check_input(&spec(&[None, Some(4)]), &tensor(&[4]), true).is_err());
        assert!(check_input(&spec(&[]), &tensor(&[1]), false).is_err());
    }

    #[test]
    fn a_wrong_datatype_is_told() {
        let integers = Tensor::new(vec![1, 4], Elements::zeros(DataType::Int64, 4)).unwrap();
        let error = check_input(&spec(&[None, Some(4)]), &integers, true).unwrap_err();
        assert_eq!(error, "input `x`: expected FP32 [?, 4], got INT64 [1, 4]");
    }

    #[test]
    fn a_batched_model_of_a_fixed_length_takes_any_number_of_rows() {
        let four = spec(&[Some(4), Some(3)]);
        assert_eq!(check_input(&four, &tensor(&[9, 3]), true), Ok(()));
        let error = check_input(&four, &tensor(&[9, 2]), true).unwrap_err();
        assert_eq!(error, "input `x`: expected FP32 [?, 3], got FP32 [9, 2]");
        let error = check_input(&four, &tensor(&[9, 3]), false).unwrap_err();
        assert_eq!(error, "input `x`: expected FP32 [4, 3], got FP32 [9, 3]");
    }

    #[test]
    fn a_model_that_declares_no_rank_takes_any() {
        let any = TensorSpec { unranked: true, ..spec(&[]) };
        assert_eq!(check_input(&any, &tensor(&[2, 3, 4]), false), Ok(()));
    }
}
