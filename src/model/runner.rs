//! One session, used by one thread at a time: runs batches, isolates what makes them fail, hands the outputs back.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{
    batcher::Part,
    queue::{Batch, Piece},
};
use crate::{
    backend::{BackendError, BatchAxis, Session},
    error::{ErrorCode, RequestError},
    tensor::{Column, Columns, Tensor},
};

/// A session and what may be done to it.
pub struct Runner {
    session: Box<dyn Session>,
    axis: BatchAxis,
    /// Whether a run of the present batch failed.
    failed: bool,
}

/// Rows of one request, or of a part of it: what a failing run is cut down to.
#[derive(Clone)]
struct Unit {
    piece: usize,
    rows: Range<usize>,
}

impl Runner {
    /// A runner for `session`.
    pub fn new(session: Box<dyn Session>, axis: BatchAxis) -> Self {
        Self { session, axis, failed: false }
    }

    /// Runs a batch and settles every row of it. Says whether the model took all of them.
    pub fn run(&mut self, batch: Batch) -> bool {
        self.failed = false;
        self.run_batch(batch);
        !self.failed
    }

    fn run_batch(&mut self, batch: Batch) {
        let pieces = batch.0;
        let work = &pieces[0].job.work;
        let together = self.axis != BatchAxis::None && work.rows && work.shared;
        if !together {
            return self.one_by_one(&pieces, &units_of(&pieces));
        }
        // The whole batch first; its requests are looked at only if that fails.
        match self.attempt(&pieces) {
            Ok(outputs) if rows_match(&outputs, batch_rows(&pieces)) => settle_split(&pieces, outputs),
            // Rows came or went: so they may in any mixture.
            Ok(_) => self.one_by_one(&pieces, &units_of(&pieces)),
            Err(_) => self.halve(&pieces, &units_of(&pieces)),
        }
    }

    /// Finds the requests that make a run fail, by halves; all others get their outputs.
    fn halve(&mut self, pieces: &[Piece], units: &[Unit]) {
        if units.len() == 1 {
            return self.one_by_one(pieces, units);
        }
        let (left, right) = units.split_at(units.len() / 2);
        for half in [left, right] {
            if half.len() == 1 {
                self.one_by_one(pieces, half);
                continue;
            }
            let some = pieces_of(pieces, half);
            match self.attempt(&some) {
                Ok(outputs) if rows_match(&outputs, batch_rows(&some)) => settle_split(&some, outputs),
                Ok(_) => self.one_by_one(pieces, half),
                Err(_) => self.halve(pieces, half),
            }
        }
    }

    fn one_by_one(&mut self, pieces: &[Piece], units: &[Unit]) {
        for unit in units {
            let piece = &pieces[unit.piece];
            let outputs = self.alone(piece, &unit.rows);
            piece.job.settle(Part { rows: unit.rows.clone(), outputs });
        }
    }

    /// One request by itself; its outputs may have any shape.
    fn alone(&mut self, piece: &Piece, rows: &Range<usize>) -> Result<Vec<Column>, RequestError> {
        let work = &piece.job.work;
        let rows = work.rows.then(|| rows.clone());
        self.guarded(&work.inputs, rows)
            .map_err(|error| RequestError::new(ErrorCode::InferenceFailed, format!("the model failed: {error}")))
    }

    fn attempt(&mut self, pieces: &[Piece]) -> Result<Vec<Column>, BackendError> {
        if let [piece] = pieces {
            return self.guarded(&piece.job.work.inputs, Some(piece.rows.clone()));
        }
        let joined = join(pieces);
        self.guarded(&joined, Some(0..batch_rows(pieces)))
    }

    /// A panic below is an error of the run, not the end of the session's thread.
    fn guarded(&mut self, inputs: &Columns, rows: Option<Range<usize>>) -> Result<Vec<Column>, BackendError> {
        let session = &mut self.session;
        let outcome = catch_unwind(AssertUnwindSafe(|| session.run(inputs, rows)))
            .unwrap_or_else(|_| Err(BackendError::Run("the backend panicked".to_owned())));
        self.failed |= outcome.is_err();
        outcome
    }
}

fn batch_rows(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.rows.len()).sum()
}

/// Whether every output has one row for each row that went in.
fn rows_match(outputs: &[Column], rows: usize) -> bool {
    outputs.iter().all(|output| output.tensor.shape().first() == Some(&rows))
}

/// The rows of all pieces in one tensor for each input.
fn join(pieces: &[Piece]) -> Columns {
    let first = &pieces[0].job.work.inputs;
    let column = |model: &Column| {
        let mut tensor = Tensor::without_rows(model.tensor.datatype(), model.tensor.row_shape());
        tensor.elements_mut().reserve(batch_rows(pieces) * model.tensor.row_len());
        for piece in pieces {
            let column = piece.job.work.inputs.find(&model.name).expect("pieces of a batch have the same inputs");
            tensor.append(&column.tensor, piece.rows.clone());
        }
        Column::new(model.name.clone(), tensor)
    };
    first.iter().map(column).collect()
}

/// Gives each piece its rows of the outputs.
fn settle_split(pieces: &[Piece], outputs: Vec<Column>) {
    if let [piece] = pieces {
        piece.job.settle(Part { rows: piece.rows.clone(), outputs: Ok(outputs) });
        return;
    }
    let mut start = 0;
    for piece in pieces {
        let rows = start..start + piece.rows.len();
        start = rows.end;
        let slice = |output: &Column| Column { tensor: output.tensor.slice(rows.clone()).into(), ..output.clone() };
        piece.job.settle(Part { rows: piece.rows.clone(), outputs: Ok(outputs.iter().map(slice).collect()) });
    }
}

/// The requests of all pieces; one that was cut between runs counts with the rows that are here.
fn units_of(pieces: &[Piece]) -> Vec<Unit> {
    let mut units = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        for request in &piece.job.work.requests {
            let rows = request.start.max(piece.rows.start)..request.end.min(piece.rows.end);
            if rows.start < rows.end {
                units.push(Unit { piece: index, rows });
            }
        }
        // Work without any rows is still work: its one answer has none either.
        if piece.rows.is_empty() {
            units.push(Unit { piece: index, rows: piece.rows.clone() });
        }
    }
    units
}

/// Neighbouring units as pieces again, so that a run over them copies as little as it can.
fn pieces_of(pieces: &[Piece], units: &[Unit]) -> Vec<Piece> {
    let mut joined: Vec<(usize, Range<usize>)> = Vec::new();
    for unit in units {
        match joined.last_mut() {
            Some((piece, rows)) if *piece == unit.piece && rows.end == unit.rows.start => rows.end = unit.rows.end,
            _ => joined.push((unit.piece, unit.rows.clone())),
        }
    }
    joined.into_iter().map(|(piece, rows)| Piece { job: pieces[piece].job.clone(), rows }).collect()
}
