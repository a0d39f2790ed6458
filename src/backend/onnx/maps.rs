//! A sequence of maps from class to score, as scikit-learn's ZipMap gives it, becomes the matrix `[n, classes]` that it
//! was made of.

use std::{collections::HashMap, sync::Arc};

use ort::{Error, memory::Allocator};

use super::value::Value;
use crate::tensor::{Elements, Tensor};

/// The matrix of a sequence of maps, and the classes of its columns: `declared`, or else those of the first map.
pub(super) fn matrix(sequence: &Value<'_>, declared: Option<&Arc<Elements>>) -> Result<(Tensor, Arc<Elements>), Error> {
    let allocator = Allocator::default();
    let rows = sequence.count()?;
    let mut places = declared.map(|classes| Places::new(classes.clone()));
    let mut scores = Vec::new();
    for row in 0..rows {
        let map = sequence.item(row, &allocator)?;
        let (_, labels) = map.item(0, &allocator)?.tensor()?.into_parts();
        let Elements::Fp32(values) = map.item(1, &allocator)?.tensor()?.into_parts().1 else {
            return Err(Error::new("a map holds something else than single-precision numbers"));
        };
        let places = places.get_or_insert_with(|| Places::new(Arc::new(labels.clone())));
        let start = scores.len();
        scores.resize(start + places.classes.len(), 0.0);
        places.put(&labels, &values, &mut scores[start..])?;
    }
    let classes = places.map_or_else(|| Arc::new(Elements::Int64(Vec::new())), |places| places.classes);
    let tensor = Tensor::new(vec![rows, classes.len()], Elements::Fp32(scores));
    Ok((tensor.map_err(|error| Error::new(error.to_string()))?, classes))
}

/// In which column each class stands.
struct Places {
    classes: Arc<Elements>,
    /// The labels of the map before and their columns: maps of one model have the same labels in the same order.
    last: Option<(Elements, Vec<usize>)>,
}

impl Places {
    fn new(classes: Arc<Elements>) -> Self {
        Self { classes, last: None }
    }

    /// Puts the scores of one map into its row.
    fn put(&mut self, labels: &Elements, values: &[f32], row: &mut [f32]) -> Result<(), Error> {
        if self.last.as_ref().is_none_or(|(known, _)| known != labels) {
            self.last = Some((labels.clone(), self.columns(labels)?));
        }
        let (_, columns) = self.last.as_ref().expect("it was just set");
        for (&column, &value) in columns.iter().zip(values) {
            row[column] = value;
        }
        Ok(())
    }

    fn columns(&self, labels: &Elements) -> Result<Vec<usize>, Error> {
        let columns = match (&*self.classes, labels) {
            (Elements::Int64(classes), Elements::Int64(labels)) => lookup(classes.iter(), labels.iter()),
            (Elements::Bytes(classes), Elements::Bytes(labels)) => lookup(classes.iter(), labels.iter()),
            _ => None,
        };
        let all = columns.filter(|columns| columns.len() == self.classes.len());
        all.ok_or_else(|| Error::new("a map has other classes than the model declares"))
    }
}

fn lookup<L: std::hash::Hash + Eq>(
    classes: impl Iterator<Item = L>,
    labels: impl Iterator<Item = L>,
) -> Option<Vec<usize>> {
    let places: HashMap<L, usize> = classes.enumerate().map(|(column, class)| (class, column)).collect();
    labels.map(|label| places.get(&label).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stand_in_the_order_of_the_declared_classes() {
        let classes = ["virginica", "setosa", "versicolor"];
        let mut places = Places::new(Arc::new(Elements::Bytes(classes.iter().collect())));
        let mut row = [0.0; 3];
        // The runtime's maps are sorted by label.
        let labels = Elements::Bytes(["setosa", "versicolor", "virginica"].iter().collect());
        places.put(&labels, &[0.1, 0.2, 0.7], &mut row).unwrap();
        assert_eq!(row, [0.7, 0.1, 0.2]);
    }

    #[test]
    fn a_map_with_other_classes_is_an_error() {
        let mut places = Places::new(Arc::new(Elements::Int64(vec![0, 1])));
        for labels in [vec![0, 2], vec![0]] {
            assert!(places.put(&Elements::Int64(labels), &[0.5, 0.5], &mut [0.0; 2]).is_err());
        }
    }
}
