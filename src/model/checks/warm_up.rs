//! Warm-up: runs at the batch sizes in use, before the first request pays for what a session does once.
//!
//! The first run of a size makes the runtime's buffers for it, and some graphs break only when they are run. The rows are
//! those of the first golden sample if there is one, else one that was made up and that the model takes, repeated: what
//! fails then is the number of rows, not their values.

use std::time::{Duration, Instant};

use super::{CheckError, WarmUp, golden};
use crate::{
    backend::{BatchAxis, Session, sample},
    codec::json::GoldenSample,
    model::batcher::BatchOptions,
    tensor::{Column, Columns, Tensor},
};

/// Each size is run so often: the runtime learns the layout of its buffers in the first run and uses it from the second on.
const REPEATS: usize = 2;

/// The default sizes: each but the first two is so many times the one before it.
const GROWTH: usize = 4;

/// No larger inputs are made up than so many bytes: no request brings more at once.
const MOST_BYTES: usize = 64 << 20;

/// How the sessions of a version were warmed up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmUpReport {
    /// How long it took.
    pub time: Duration,
    /// The numbers of rows that were run in every session; for a model whose rows may not share a run, those of one request.
    pub batch_sizes: Vec<usize>,
    /// Why nothing was run, if that was not asked for.
    pub skipped: Option<String>,
}

/// Warms the sessions up, as far as the time allows.
///
/// # Errors
/// If the model fails at one of the sizes.
pub(super) fn run(
    sessions: &mut [Box<dyn Session>],
    axis: BatchAxis,
    batch: &BatchOptions,
    options: &WarmUp,
    golden: Option<&GoldenSample>,
) -> Result<WarmUpReport, CheckError> {
    let started = Instant::now();
    let wanted = options.batch_sizes.clone().unwrap_or_else(|| default_sizes(axis, batch.max_batch_size));
    let Some(first) = sessions.first_mut().filter(|_| !wanted.is_empty()) else { return Ok(WarmUpReport::default()) };
    let rows = match seed(&mut **first, axis, golden) {
        Ok(rows) => rows,
        Err(why) => return Ok(WarmUpReport { time: started.elapsed(), skipped: Some(why), ..WarmUpReport::default() }),
    };
    // Sizes that were asked for are not held against the target: whoever made the model knows better.
    let target = if options.batch_sizes.is_none() { batch.target_run_time } else { Duration::MAX };
    let mut round = Round { axis, rows: &rows, target, deadline: options.time_limit, started, last: None };
    let mut batch_sizes = Vec::new();
    for size in round.sizes(&wanted) {
        if !round.run(sessions, size)? {
            break;
        }
        batch_sizes.push(size);
    }
    Ok(WarmUpReport { time: started.elapsed(), batch_sizes, skipped: None })
}

/// What the batcher may form: one row, and more and more up to `most`.
fn default_sizes(axis: BatchAxis, most: usize) -> Vec<usize> {
    if let BatchAxis::Fixed(rows) = axis {
        // The session pads to its own size and cuts what is larger.
        return vec![rows];
    }
    let mut sizes = vec![1];
    sizes.extend(
        std::iter::successors(Some(8), |size: &usize| size.checked_mul(GROWTH)).take_while(|size| *size < most),
    );
    if most > 1 {
        sizes.push(most);
    }
    sizes
}

/// Inputs that the model is known, or said, to run with.
fn seed(session: &mut dyn Session, axis: BatchAxis, golden: Option<&GoldenSample>) -> Result<Columns, String> {
    if let Some(sample) = golden {
        let mut inputs = golden::inputs(session.signature(), axis, sample)?;
        // Inputs with a default do not share a run, and most requests leave them out.
        for spec in session.signature().inputs.iter().filter(|spec| spec.optional) {
            inputs.remove(&spec.name);
        }
        if axis == BatchAxis::None || golden::common_rows(&inputs).is_some_and(|rows| rows > 0) {
            return Ok(inputs);
        }
    }
    sample(session, axis).map_err(|error| {
        format!(
            "the model does not run with made-up rows ({error}); a golden sample in model.yaml would be used instead of them"
        )
    })
}

/// The sizes one after another, and what they have cost.
struct Round<'a> {
    axis: BatchAxis,
    rows: &'a Columns,
    /// How long a run may be expected to take.
    target: Duration,
    deadline: Duration,
    started: Instant,
    /// The size before, and its best time.
    last: Option<(usize, Duration)>,
}

impl Round<'_> {
    /// The sizes in growing order; where rows may not share a run, the one that the inputs have.
    fn sizes(&self, wanted: &[usize]) -> Vec<usize> {
        if self.axis == BatchAxis::None {
            return vec![golden::common_rows(self.rows).unwrap_or(1)];
        }
        let mut sizes = wanted.to_vec();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// Runs one size in every session; `false` if it is left out, as larger ones then are, too.
    fn run(&mut self, sessions: &mut [Box<dyn Session>], size: usize) -> Result<bool, CheckError> {
        let Some(inputs) = self.inputs(size).filter(|_| self.expected(size) <= self.target) else { return Ok(false) };
        let mut best = None;
        for session in sessions {
            for repeat in 0..REPEATS {
                let expected = best.unwrap_or_else(|| self.expected(size));
                if self.started.elapsed() + expected > self.deadline && !self.is_first(best) {
                    // A second run is a bonus; a session without its first one is cold.
                    if repeat == 0 {
                        return Ok(false);
                    }
                    break;
                }
                let begun = Instant::now();
                golden::run(&mut **session, self.axis, &inputs).map_err(|why| self.failure(size, &why))?;
                best = Some(best.unwrap_or(Duration::MAX).min(begun.elapsed()));
            }
        }
        self.last = best.map(|best| (size, best));
        Ok(true)
    }

    /// Whether nothing at all has been run: the first run shows what runs cost.
    fn is_first(&self, best: Option<Duration>) -> bool {
        self.last.is_none() && best.is_none()
    }

    /// What a run of so many rows may cost: rows never get dearer in larger runs.
    fn expected(&self, size: usize) -> Duration {
        let Some((rows, time)) = self.last else { return Duration::ZERO };
        Duration::try_from_secs_f64(time.as_secs_f64() * size as f64 / rows.max(1) as f64).unwrap_or(Duration::MAX)
    }

    /// The rows repeated until there are `size`; `None` if that is more than any request brings.
    fn inputs(&self, size: usize) -> Option<Columns> {
        if self.axis == BatchAxis::None {
            return Some(self.rows.clone());
        }
        let bytes: usize = self.rows.iter().map(|column| column.tensor.size() / column.tensor.rows().max(1)).sum();
        if bytes.saturating_mul(size) > MOST_BYTES {
            return None;
        }
        let repeat = |column: &Column| Column { tensor: repeated(&column.tensor, size).into(), ..column.clone() };
        Some(self.rows.iter().map(repeat).collect())
    }

    fn failure(&self, size: usize, why: &str) -> CheckError {
        CheckError::WarmUp(match self.axis {
            BatchAxis::None => format!("the model fails in its warm-up: {why}"),
            _ => format!(
                "the model fails in its warm-up with {size} rows in one run: {why}; if it cannot take so many, say \
                 `batching: off` in model.yaml, and if it runs elsewhere, try `optimization: basic`"
            ),
        })
    }
}

/// The rows of a tensor, in turn, until there are `size` of them.
fn repeated(tensor: &Tensor, size: usize) -> Tensor {
    let rows = tensor.rows();
    let mut repeated = Tensor::without_rows(tensor.datatype(), tensor.row_shape());
    for start in (0..size).step_by(rows) {
        repeated.append(tensor, 0..rows.min(size - start));
    }
    repeated
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, sync::Arc, thread::sleep};

    use parking_lot::Mutex;

    use super::*;
    use crate::{
        backend::{BackendError, Signature, TensorSpec, scripted::ScriptedSession},
        codec::json::golden_samples,
        tensor::{DataType, Elements},
    };

    /// The rows of every run, and what the first of them was.
    type Runs = Arc<Mutex<Vec<(usize, f32)>>>;

    /// A model from `x` [?] to `y` that notes its runs; `each` may take its time or fail.
    fn session(
        runs: &Runs,
        mut each: impl FnMut(usize) -> Result<(), BackendError> + Send + 'static,
    ) -> Box<dyn Session> {
        let spec = |name: &str| TensorSpec {
            name: name.into(),
            datatype: DataType::Fp32,
            shape: vec![None],
            unranked: false,
            optional: false,
            classes: None,
        };
        let signature = Signature { inputs: vec![spec("x")], outputs: vec![spec("y")] };
        let runs = Arc::clone(runs);
        let script = move |inputs: &Columns, rows: Option<Range<usize>>| {
            let x = &inputs.find("x").unwrap().tensor;
            let rows = rows.unwrap_or(0..x.rows());
            let Elements::Fp32(numbers) = x.elements() else { unreachable!() };
            runs.lock().push((rows.len(), numbers[rows.start]));
            each(rows.len())?;
            Ok(vec![Column::new("y", x.slice(rows))])
        };
        Box::new(ScriptedSession::new(signature, Box::new(script)))
    }

    fn sizes_of(runs: &Runs) -> Vec<usize> {
        runs.lock().iter().map(|(rows, _)| *rows).collect()
    }

    fn options(batch_sizes: &[usize], limit: Duration) -> WarmUp {
        WarmUp { batch_sizes: Some(batch_sizes.to_vec()), time_limit: limit }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_default_sizes_are_those_that_the_batcher_may_form() {
        assert_eq!(default_sizes(BatchAxis::Dynamic, 512), [1, 8, 32, 128, 512]);
        assert_eq!(default_sizes(BatchAxis::Dynamic, 100), [1, 8, 32, 100]);
        assert_eq!(default_sizes(BatchAxis::Dynamic, 1), [1]);
        assert_eq!(default_sizes(BatchAxis::Fixed(16), 512), [16]);
    }

    #[test]
    fn every_session_is_run_at_every_size_with_the_golden_rows() {
        let (one, two) = (Runs::default(), Runs::default());
        let mut sessions = [session(&one, |_| Ok(())), session(&two, |_| Ok(()))];
        let text = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [7, 8]}],
                       "outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [7, 8]}]}"#;
        let sample = golden_samples(text).unwrap().remove(0);
        let wanted = options(&[5, 1], LONG);
        let report = run(&mut sessions, BatchAxis::Dynamic, &BatchOptions::default(), &wanted, Some(&sample)).unwrap();
        assert_eq!(report.batch_sizes, [1, 5]);
        for runs in [one, two] {
            assert_eq!(*runs.lock(), [(1, 7.0), (1, 7.0), (5, 7.0), (5, 7.0)]);
        }
    }

    #[test]
    fn sizes_that_the_batcher_would_never_form_are_left_out() {
        let runs = Runs::default();
        // From 8 rows on a run takes 200 ms: 32 rows are expected to take 800, and the target is 500.
        let mut sessions = [session(&runs, |rows| {
            sleep(Duration::from_millis(if rows < 8 { 0 } else { 200 }));
            Ok(())
        })];
        let batch = BatchOptions { target_run_time: Duration::from_millis(500), ..BatchOptions::default() };
        let options = WarmUp { time_limit: LONG, ..WarmUp::default() };
        let report = run(&mut sessions, BatchAxis::Dynamic, &batch, &options, None).unwrap();
        assert_eq!(report.batch_sizes, [1, 8]);
    }

    #[test]
    fn a_dear_model_is_run_once_and_then_no_longer_than_the_limit() {
        let runs = Runs::default();
        let mut sessions = [session(&runs, |rows| {
            sleep(Duration::from_millis(60 * rows as u64));
            Ok(())
        })];
        let text = r#"{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [7]}],
                       "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [7]}]}"#;
        let sample = golden_samples(text).unwrap().remove(0);
        let mut warm = |limit: u64| {
            let options = options(&[1, 100], Duration::from_millis(limit));
            let report = run(&mut sessions, BatchAxis::Dynamic, &BatchOptions::default(), &options, Some(&sample));
            (report.unwrap().batch_sizes, std::mem::take(&mut *runs.lock()).len())
        };
        assert_eq!(warm(0), (vec![1], 1));
        // A second run of one row would end after 120 ms at the earliest, 100 rows would take 6 s.
        assert_eq!(warm(100), (vec![1], 1));
        assert_eq!(warm(4000), (vec![1], 2));
    }

    #[test]
    fn a_model_that_fails_at_a_size_in_use_is_refused_with_that_size() {
        let runs = Runs::default();
        let failing =
            |rows| if rows > 4 { Err(BackendError::Run("the node `a` (Reshape) failed".into())) } else { Ok(()) };
        let mut sessions = [session(&runs, failing)];
        let outcome = run(&mut sessions, BatchAxis::Dynamic, &BatchOptions::default(), &options(&[4, 8], LONG), None);
        let Err(CheckError::WarmUp(why)) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("with 8 rows in one run: the node `a` (Reshape) failed"), "{why}");
    }

    #[test]
    fn a_model_that_takes_no_made_up_rows_is_not_refused_but_said_to_be_cold() {
        let runs = Runs::default();
        let mut sessions = [session(&runs, |_| Err(BackendError::Run("no such user".into())))];
        let batch = BatchOptions::default();
        let report = run(&mut sessions, BatchAxis::Dynamic, &batch, &WarmUp::default(), None).unwrap();
        assert_eq!(report.batch_sizes, [0_usize; 0]);
        let why = report.skipped.unwrap();
        assert!(why.contains("no such user") && why.contains("golden sample"), "{why}");
    }

    #[test]
    fn rows_that_may_not_share_a_run_are_run_as_a_request_and_no_sizes_means_no_run() {
        let runs = Runs::default();
        let mut sessions = [session(&runs, |_| Ok(()))];
        let batch = BatchOptions::default();
        let report = run(&mut sessions, BatchAxis::None, &batch, &WarmUp::default(), None).unwrap();
        assert_eq!(report.batch_sizes.len(), 1);
        runs.lock().clear();
        let report = run(&mut sessions, BatchAxis::Dynamic, &batch, &options(&[], LONG), None).unwrap();
        assert_eq!((report.batch_sizes.len(), report.skipped, sizes_of(&runs)), (0, None, vec![]));
    }
}
