//! Tries a model with made-up rows when it is loaded: does a row get the same answer alone and among others?
//!
//! Nothing in a model file says so. What is found here is exact for models that mix rows always (a running sum, a mean over
//! the batch, one quantisation scale for all); a model that does it for rare inputs only cannot be found out by trying.

use std::ops::Range;

use super::{
    BackendError, BatchAxis, Session,
    draw::{self, RECIPES, Recipe},
};
use crate::tensor::{Column, Columns, Elements};

/// Rows that are tried together where a model takes any number.
const ROWS: usize = 4;
/// Of the rows that were tried together, how many are tried alone.
const ALONE: usize = 3;
/// Rounds with other rows each; more are run only where labels differ.
const ROUNDS: u64 = 2;
const MOST_ROUNDS: u64 = 4;

/// What trying a model has shown.
#[derive(Debug, PartialEq)]
pub(super) enum Finding {
    /// Rows may share a run.
    Independent,
    /// They may not, and why.
    Mixed(String),
    /// The model runs with nothing that could be made up; what it said.
    Untried(String),
}

/// Inputs that the model was tried with and runs with: one row where rows may share a run, else what it declares.
///
/// # Errors
/// What the model says if it runs with nothing that could be made up.
pub fn sample(session: &mut dyn Session, axis: BatchAxis) -> Result<Columns, String> {
    let rows = (axis != BatchAxis::None).then_some(1);
    workable(session, rows).map(|(_, columns)| columns)
}

/// Runs rows together and alone and compares.
pub(super) fn try_rows(session: &mut dyn Session, axis: BatchAxis) -> Finding {
    let rows = if let BatchAxis::Fixed(rows) = axis { rows } else { ROWS };
    let recipe = match workable(session, Some(rows)) {
        Ok((recipe, _)) => recipe,
        Err(error) => return Finding::Untried(error),
    };
    let mut odd = Vec::new();
    for round in 0..MOST_ROUNDS {
        if round >= ROUNDS && odd.is_empty() {
            break;
        }
        let recipe = if round % 2 == 0 { recipe.clone() } else { recipe.wider() };
        match try_round(session, rows, &recipe, round) {
            Ok(difference) => odd.extend(difference),
            Err(sentence) => return Finding::Mixed(sentence),
        }
    }
    // A label may flip once where two scores are equal but for the last digit. It does not do so round after round.
    match odd.pop() {
        Some(sentence) if !odd.is_empty() => Finding::Mixed(sentence),
        _ => Finding::Independent,
    }
}

/// The first recipe that the model runs with, and the inputs that it was tried with.
fn workable(session: &mut dyn Session, rows: Option<usize>) -> Result<(Recipe, Columns), String> {
    let named: Vec<_> = RECIPES[0].with_examples(session.examples()).collect();
    let mut first_error = None;
    for recipe in named.iter().chain(&RECIPES) {
        let columns = draw::columns(session.signature(), rows, recipe, 0)?;
        match session.run(&columns, rows.map(|rows| 0..rows)) {
            Ok(_) => return Ok((recipe.clone(), columns)),
            Err(error) => first_error.get_or_insert(error),
        };
    }
    Err(first_error.map_or_else(String::new, |error| error.to_string()))
}

/// One round, the first of which draws what the model is known to run with: all rows together, some of them alone. `Some` if only labels differ, `Err` if anything else does.
fn try_round(session: &mut dyn Session, rows: usize, recipe: &Recipe, round: u64) -> Result<Option<String>, String> {
    let columns = draw::columns(session.signature(), Some(rows), recipe, round)?;
    // Other values than those that are known to work may well be refused: that shows nothing.
    let Ok(together) = session.run(&columns, Some(0..rows)) else { return Ok(None) };
    whole_rows(&together, rows)?;
    let mut odd = None;
    for row in picks(rows) {
        let alone = match session.run(&columns, Some(row..row + 1)) {
            Ok(alone) => alone,
            Err(error) => return Err(failed_alone(&error)),
        };
        whole_rows(&alone, 1)?;
        for (alone, together) in alone.iter().zip(&together) {
            odd = compare(alone, together, row)?.or(odd);
        }
    }
    Ok(odd)
}

fn failed_alone(error: &BackendError) -> String {
    format!("a row that the model takes among others fails alone: {error}")
}

/// Some of the rows, the first and the last among them.
fn picks(rows: usize) -> impl Iterator<Item = usize> {
    let count = rows.min(ALONE);
    (0..count).map(move |pick| if count > 1 { pick * (rows - 1) / (count - 1) } else { 0 })
}

fn whole_rows(outputs: &[Column], rows: usize) -> Result<(), String> {
    let other = outputs.iter().find(|output| output.tensor.shape().first() != Some(&rows));
    other.map_or(Ok(()), |output| {
        let (name, shape) = (&output.name, output.tensor.shape());
        Err(format!("rows are not kept apart: the output `{name}` has the shape {shape:?} for {rows} rows"))
    })
}

/// Compares the one row of `alone` with the row `row` of `together`: `Some` for another label, `Err` for another number or
/// shape.
fn compare(alone: &Column, together: &Column, row: usize) -> Result<Option<String>, String> {
    let name = &together.name;
    if alone.tensor.row_shape() != together.tensor.row_shape() {
        return Err(format!("rows disturb each other: `{name}` has another shape alone than among others"));
    }
    let range = together.tensor.range_of(&(row..row + 1));
    let (alone, together) = (alone.tensor.elements(), together.tensor.elements());
    let different = match (alone, together) {
        (Elements::Fp16(alone), Elements::Fp16(together)) => {
            let wide = |numbers: &[half::f16]| numbers.iter().map(|number| number.to_f64()).collect::<Vec<_>>();
            numbers_differ(&wide(alone), &wide(&together[range]), 2e-3)
        }
        (Elements::Fp32(alone), Elements::Fp32(together)) => {
            let wide = |numbers: &[f32]| numbers.iter().map(|&number| f64::from(number)).collect::<Vec<_>>();
            numbers_differ(&wide(alone), &wide(&together[range]), 1e-5)
        }
        (Elements::Fp64(alone), Elements::Fp64(together)) => numbers_differ(alone, &together[range], 1e-5),
        (alone, together) => {
            let sentence = || format!("rows disturb each other: `{name}` of a row is another alone than among others");
            return Ok(labels_differ(alone, together, range).then(sentence));
        }
    };
    different.map_or(Ok(None), |(alone, among)| {
        Err(format!("rows disturb each other: `{name}` of a row is {alone} alone and {among} among others"))
    })
}

/// The first pair of numbers that are not the same but for rounding, which depends on the largest number of the row.
fn numbers_differ(alone: &[f64], together: &[f64], tolerance: f64) -> Option<(f64, f64)> {
    let finite = alone.iter().chain(together).filter(|number| number.is_finite());
    let largest = finite.fold(0.0_f64, |largest, number| largest.max(number.abs()));
    let allowed = tolerance / 10.0 + tolerance * largest;
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= allowed;
    alone.iter().zip(together).map(|(&a, &b)| (a, b)).find(|&(a, b)| !same(a, b))
}

fn labels_differ(alone: &Elements, together: &Elements, range: Range<usize>) -> bool {
    let mut row = Elements::empty(together.datatype());
    row.extend_from(together, range);
    *alone != row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Signature, TensorSpec, scripted::ScriptedSession},
        tensor::{DataType, Tensor},
    };

    fn spec(name: &str, datatype: DataType) -> TensorSpec {
        let shape = vec![None, Some(2)];
        TensorSpec { name: name.into(), datatype, shape, unranked: false, optional: false, classes: None }
    }

    /// A model from `x` [?, 2] to `y`, which gets the numbers of its rows.
    fn model(y: DataType, mut run: impl FnMut(&[f32], usize) -> Elements + Send + 'static) -> ScriptedSession {
        let signature = Signature { inputs: vec![spec("x", DataType::Fp32)], outputs: vec![spec("y", y)] };
        let script = move |inputs: &Columns, rows: Option<Range<usize>>| {
            let x = &inputs.find("x").unwrap().tensor;
            let rows = rows.unwrap_or(0..x.rows());
            let Elements::Fp32(numbers) = x.elements() else { unreachable!() };
            Ok(vec![Column::new("y", Tensor::matrix(2, run(&numbers[x.range_of(&rows)], rows.len())))])
        };
        ScriptedSession::new(signature, Box::new(script))
    }

    #[test]
    fn rounding_is_no_disturbance_and_a_small_shift_is() {
        let noisy = |by: f32| {
            let run =
                move |x: &[f32], rows| Elements::Fp32(x.iter().map(|x| (x + 1.0) * (1.0 + by * rows as f32)).collect());
            try_rows(&mut model(DataType::Fp32, run), BatchAxis::Dynamic)
        };
        assert_eq!(noisy(2e-7), Finding::Independent);
        let Finding::Mixed(sentence) = noisy(1e-4) else { panic!("not found out") };
        assert!(sentence.contains("`y` of a row is") && sentence.contains("among others"), "{sentence}");
    }

    #[test]
    fn a_number_that_is_none_is_the_same_as_itself() {
        let run = |x: &[f32], _| Elements::Fp32(x.iter().map(|x| (x - 0.5).ln()).collect());
        assert_eq!(try_rows(&mut model(DataType::Fp32, run), BatchAxis::Dynamic), Finding::Independent);
    }

    #[test]
    fn a_label_may_flip_once_but_not_round_after_round() {
        let flipping = |mut flips: usize| {
            let run = move |x: &[f32], rows| {
                let flip = i64::from(rows == 1 && flips > 0);
                flips -= flip as usize;
                Elements::Int64(x.iter().map(|x| *x as i64 + flip).collect())
            };
            try_rows(&mut model(DataType::Int64, run), BatchAxis::Dynamic)
        };
        assert_eq!(flipping(0), Finding::Independent);
        assert_eq!(flipping(1), Finding::Independent);
        assert!(matches!(flipping(usize::MAX), Finding::Mixed(_)));
    }

    #[test]
    fn a_model_that_takes_nothing_is_untried() {
        let signature = Signature { inputs: vec![spec("x", DataType::Fp32)], outputs: vec![spec("y", DataType::Fp32)] };
        let script = |_: &Columns, _| Err(BackendError::Run("the node `a` (Gather) failed".to_owned()));
        let mut session = ScriptedSession::new(signature, Box::new(script));
        let finding = try_rows(&mut session, BatchAxis::Dynamic);
        assert_eq!(finding, Finding::Untried("the node `a` (Gather) failed".to_owned()));
    }

    #[test]
    fn the_first_and_the_last_row_are_among_those_tried_alone() {
        assert_eq!(picks(4).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(picks(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(picks(1).collect::<Vec<_>>(), [0]);
    }
}
