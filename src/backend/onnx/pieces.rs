//! Models whose first axis has a fixed length: rows in any number are run in pieces of that many.
//!
//! The last piece is filled up by repeating its last row, and what comes out for the repetitions is cut off. Right for
//! models whose rows do not touch each other, which is for the batching rule to find out before anybody relies on it.

use std::{ops::Range, sync::Arc};

use super::session::OnnxSession;
use crate::{
    backend::{BackendError, Session, TensorSpec},
    tensor::{Column, Columns, Tensor},
};

impl OnnxSession {
    /// Runs `rows` in pieces of `fixed` rows and joins what comes out.
    pub(super) fn run_pieces(
        &mut self,
        inputs: &Columns,
        rows: Range<usize>,
        fixed: usize,
    ) -> Result<Vec<Column>, BackendError> {
        if rows.is_empty() {
            return Ok(self.signature().outputs.iter().map(no_rows).collect());
        }
        let mut joined: Vec<Column> = Vec::new();
        for start in rows.clone().step_by(fixed) {
            let piece = start..rows.end.min(start + fixed);
            let outputs = if piece.len() == fixed {
                self.run_once(inputs, Some(&piece))?
            } else {
                let taken = self.signature().inputs.iter().filter_map(|spec| inputs.find(&spec.name));
                let filled: Columns = taken.map(|column| fill_up(column, &piece, fixed)).collect();
                self.run_once(&filled, None)?
            };
            if joined.is_empty() {
                joined = cut_off(outputs, piece.len(), fixed)?;
                continue;
            }
            for (all, output) in joined.iter_mut().zip(cut_off(outputs, piece.len(), fixed)?) {
                append(all, &output)?;
            }
        }
        Ok(joined)
    }
}

/// The rows of a column and its last row again, as often as it takes.
fn fill_up(column: &Column, piece: &Range<usize>, fixed: usize) -> Column {
    if column.tensor.shape().is_empty() {
        return column.clone();
    }
    let mut tensor = column.tensor.slice(piece.clone());
    for _ in piece.len()..fixed {
        tensor.append(&column.tensor, piece.end - 1..piece.end);
    }
    Column { tensor: Arc::new(tensor), ..column.clone() }
}

/// What came out for the rows that were asked for.
fn cut_off(mut outputs: Vec<Column>, rows: usize, fixed: usize) -> Result<Vec<Column>, BackendError> {
    for output in &mut outputs {
        if output.tensor.shape().first() != Some(&fixed) {
            return Err(BackendError::Run(format!(
                "the output `{}` has the shape {:?} instead of {fixed} rows",
                output.name,
                output.tensor.shape()
            )));
        }
        if rows < fixed {
            output.tensor_mut().truncate_rows(rows);
        }
    }
    Ok(outputs)
}

fn append(all: &mut Column, piece: &Column) -> Result<(), BackendError> {
    if all.tensor.row_shape() != piece.tensor.row_shape() {
        let sentence = format!("the output `{}` has rows of different shapes, which cannot be joined", all.name);
        return Err(BackendError::Run(sentence));
    }
    all.tensor_mut().append(&piece.tensor, 0..piece.tensor.rows());
    Ok(())
}

fn no_rows(spec: &TensorSpec) -> Column {
    let row_shape: Vec<_> = spec.shape.iter().skip(1).map(|axis| axis.unwrap_or(0)).collect();
    let tensor = Tensor::without_rows(spec.datatype, &row_shape);
    Column { classes: spec.classes.clone(), answer: true, ..Column::new(spec.name.clone(), tensor) }
}
