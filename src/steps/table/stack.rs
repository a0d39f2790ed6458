//! `stack`: columns side by side in one tensor, as models of tables want their features: `[n]`, `[n, 1]` and `[n, k]`
//! become one `[n, sum of the widths]`.
//!
//! Columns of one datatype keep it. Numbers and booleans of several become floats, as NumPy has it: FP64 if one of them is
//! FP64 or an integer of 32 bits or more, else FP32. Text does not mix with numbers.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::convert::{Fractions, convert};
use crate::{
    steps::{
        KnownColumn, Properties, Refusals, Schema, Step, StepError, VersionFiles,
        place::{ANYTHING, list_problems, name_problems, targets},
    },
    tensor::{ByteStrings, Column, Columns, DataType, Element, Elements, Name, ShapeText, Tensor},
};

/// Properties of `stack`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns, in the order of the features.
    pub columns: Vec<String>,
    /// The column that is written. The others stay.
    pub into: String,
}

impl Properties for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = list_problems("columns", &self.columns);
        problems.extend(name_problems("into", &self.into));
        problems
    }

    fn build(&self, _files: &VersionFiles) -> Result<Box<dyn Step>, StepError> {
        Ok(Box::new(Stack { columns: targets(None, &self.columns), into: self.into.as_str().into() }))
    }
}

struct Stack {
    columns: Vec<Name>,
    into: Name,
}

impl Step for Stack {
    fn check(&self, schema: &mut Schema) -> Result<(), StepError> {
        let mut known = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            known.push(schema.read(name)?);
        }
        let mut rows = None;
        let mut width = Some(0);
        for column in &known {
            if let Some(shape) = &column.shape {
                refuse_rank(&column.name, shape.len())?;
                rows = rows.or(shape.first().copied().flatten());
            }
            width = width.zip(column.width()).and_then(|(sum, width): (usize, usize)| sum.checked_add(width));
        }
        let datatype = promoted(known.iter().map(|column| (&column.name, column.datatype)))?;
        let answer = known.iter().any(|column| column.answer);
        let shape = Some(vec![rows, width]);
        schema.put(KnownColumn { name: self.into.clone(), datatype, shape, classes: None, answer });
        Ok(())
    }

    fn apply(&self, columns: &mut Columns, _refusals: &mut Refusals) -> Result<(), StepError> {
        let mut parts = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            parts.push(ANYTHING.find(columns, name)?);
        }
        let datatype = promoted(parts.iter().map(|part| (&part.name, Some(part.tensor.datatype()))))?;
        let datatype = datatype.expect("known, since every part's is");
        let stacked = Column {
            answer: parts.iter().any(|part| part.answer),
            ..Column::new(self.into.clone(), stack(&parts, datatype)?)
        };
        columns.put(stacked);
        Ok(())
    }
}

/// The datatype that holds all of these; `None` where one is not known yet.
///
/// # Errors
/// If there are numbers beside text.
fn promoted<'a>(parts: impl Iterator<Item = (&'a Name, Option<DataType>)>) -> Result<Option<DataType>, StepError> {
    let mut common: Option<(&Name, DataType)> = None;
    let mut all_known = true;
    for (name, datatype) in parts {
        let Some(datatype) = datatype else {
            all_known = false;
            continue;
        };
        let Some((first, so_far)) = common else {
            common = Some((name, datatype));
            continue;
        };
        if (so_far == DataType::Bytes) != (datatype == DataType::Bytes) {
            let sentence =
                format!("column `{first}` is {so_far} and `{name}` is {datatype}: text and numbers do not stack");
            return Err(StepError(sentence));
        }
        if so_far != datatype {
            common = Some((first, if is_wide(so_far) || is_wide(datatype) { DataType::Fp64 } else { DataType::Fp32 }));
        }
    }
    Ok(common.map(|(_, datatype)| datatype).filter(|_| all_known))
}

/// Whether FP32 could not hold all of the datatype's numbers.
fn is_wide(datatype: DataType) -> bool {
    use DataType::{Fp64, Int32, Int64, Uint32, Uint64};
    matches!(datatype, Fp64 | Int32 | Int64 | Uint32 | Uint64)
}

fn refuse_rank(column: &str, rank: usize) -> Result<(), StepError> {
    if rank <= 2 {
        return Ok(());
    }
    Err(StepError(format!("column `{column}` has {rank} axes, but only [n] and [n, k] stack; `reshape` it first")))
}

fn stack(parts: &[&Column], datatype: DataType) -> Result<Tensor, StepError> {
    let first = parts.first().expect("problems() asks for at least one column");
    let rows = first.tensor.rows();
    let mut width = 0_usize;
    for part in parts {
        refuse_rank(&part.name, part.tensor.shape().len())?;
        if part.tensor.rows() != rows {
            return Err(StepError(format!(
                "columns `{}` of shape {} and `{}` of shape {} have different numbers of instances",
                first.name,
                ShapeText(first.tensor.shape()),
                part.name,
                ShapeText(part.tensor.shape())
            )));
        }
        width =
            part.tensor.row_len().checked_add(width).ok_or_else(|| StepError("the stack is too wide".to_owned()))?;
    }
    let parts: Vec<_> = parts.iter().map(|part| (part.tensor.row_len(), as_datatype(&part.tensor, datatype))).collect();
    let elements = interleaved(&parts, rows, width, datatype);
    Ok(Tensor::new(vec![rows, width], elements).expect("as many as the parts have together"))
}

fn as_datatype(tensor: &Tensor, datatype: DataType) -> Cow<'_, Elements> {
    if tensor.datatype() == datatype {
        return Cow::Borrowed(tensor.elements());
    }
    Cow::Owned(convert(tensor.elements(), datatype, Fractions::Exact, |_, _| {
        unreachable!("a promoted datatype has a nearest number for everything that goes into it");
    }))
}

/// Row by row, the elements of each part, given with its width.
fn interleaved(parts: &[(usize, Cow<'_, Elements>)], rows: usize, width: usize, datatype: DataType) -> Elements {
    macro_rules! same {
        ($($kind:ident),*) => {
            match datatype {
                $(DataType::$kind => scattered(parts, rows, width, |elements| match elements {
                    Elements::$kind(vector) => vector,
                    _ => unreachable!("every part has been made {}", datatype),
                }),)*
                DataType::Bytes => {
                    let mut texts = ByteStrings::default();
                    for row in 0..rows {
                        for (width, part) in parts {
                            let Elements::Bytes(part) = &**part else { unreachable!("text stacks with text only") };
                            texts.extend_from(part, row * width..(row + 1) * width);
                        }
                    }
                    Elements::Bytes(texts)
                }
            }
        };
    }
    same!(Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Fp32, Fp64)
}

fn scattered<T: Element>(
    parts: &[(usize, Cow<'_, Elements>)],
    rows: usize,
    width: usize,
    vector: impl Fn(&Elements) -> &[T],
) -> Elements {
    let mut all = vec![T::default(); rows * width];
    let mut start = 0;
    for (part_width, part) in parts {
        if *part_width > 0 {
            // The last row ends where the vector does, so each row's slot begins `width` after the one before.
            let slots = all.get_mut(start..).unwrap_or_default().chunks_mut(width);
            for (slot, row) in slots.zip(vector(part).chunks_exact(*part_width)) {
                slot[..*part_width].copy_from_slice(row);
            }
        }
        start += part_width;
    }
    T::wrap(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{
        apply, check, columns, elements, floats, json, known, matrix, problems, shape, strings, texts, vector,
    };

    #[test]
    fn features_stand_side_by_side_in_the_order_of_the_configuration() {
        let mut columns = columns([
            ("a", vector(&[1.0, 2.0])),
            ("b", matrix(&[[3.0], [4.0]])),
            ("c", matrix(&[[5.0, 6.0], [7.0, 8.0]])),
        ]);
        apply(json!({"stack": {"columns": ["c", "a", "b"], "into": "x"}}), &mut columns).unwrap();
        assert_eq!(shape(&columns, "x"), [2, 4]);
        assert_eq!(floats(&columns, "x"), [5.0, 6.0, 1.0, 3.0, 7.0, 8.0, 2.0, 4.0]);
        assert_eq!(floats(&columns, "a"), [1.0, 2.0]);
    }

    #[test]
    fn numbers_of_several_datatypes_become_the_float_that_numpy_promotes_them_to() {
        // NumPy: numpy.result_type(numpy.int8, numpy.float32) is float32, (int64, float32) float64.
        let mut columns = columns([
            ("small", Tensor::vector(Elements::Int8(vec![1, 2]))),
            ("large", Tensor::vector(Elements::Int64(vec![i64::MAX, 4]))),
            ("truth", Tensor::vector(Elements::Bool(vec![true, false]))),
            ("real", vector(&[0.5, 1.5])),
        ]);
        apply(json!({"stack": {"columns": ["small", "real", "truth"], "into": "x"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "x"), &Elements::Fp32(vec![1.0, 0.5, 1.0, 2.0, 1.5, 0.0]));
        apply(json!({"stack": {"columns": ["large", "real"], "into": "y"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "y"), &Elements::Fp64(vec![2_f64.powi(63), 0.5, 4.0, 1.5]));
    }

    #[test]
    fn integers_alone_stay_integers_and_text_stays_text() {
        let mut columns = columns([
            ("a", Tensor::vector(Elements::Int64(vec![1, 2]))),
            ("b", Tensor::vector(Elements::Int64(vec![3, 4]))),
            ("s", texts(["x", "yy"])),
            ("t", texts(["", "z"])),
        ]);
        apply(json!({"stack": {"columns": ["a", "b"], "into": "n"}}), &mut columns).unwrap();
        assert_eq!(elements(&columns, "n"), &Elements::Int64(vec![1, 3, 2, 4]));
        apply(json!({"stack": {"columns": ["s", "t"], "into": "words"}}), &mut columns).unwrap();
        assert_eq!(strings(&columns, "words"), ["x", "", "yy", "z"]);
    }

    #[test]
    fn text_beside_numbers_is_refused() {
        let mut columns = columns([("a", vector(&[1.0])), ("s", texts(["x"]))]);
        let error = apply(json!({"stack": {"columns": ["a", "s"], "into": "x"}}), &mut columns).unwrap_err();
        assert_eq!(error.0, "column `a` is FP32 and `s` is BYTES: text and numbers do not stack");
    }

    #[test]
    fn columns_of_different_lengths_or_too_many_axes_are_refused() {
        let cube = Tensor::new(vec![1, 1, 1], Elements::Fp32(vec![0.0])).unwrap();
        let mut columns = columns([("a", vector(&[1.0])), ("b", vector(&[1.0, 2.0])), ("cube", cube)]);
        let error = apply(json!({"stack": {"columns": ["a", "b"], "into": "x"}}), &mut columns).unwrap_err();
        assert_eq!(error.0, "columns `a` of shape [1] and `b` of shape [2] have different numbers of instances");
        let error = apply(json!({"stack": {"columns": ["a", "cube"], "into": "x"}}), &mut columns).unwrap_err();
        assert_eq!(error.0, "column `cube` has 3 axes, but only [n] and [n, k] stack; `reshape` it first");
    }

    #[test]
    fn the_check_asks_for_every_column_and_adds_up_the_widths_that_it_knows() {
        let mut schema = Schema::open();
        schema.write("pixels", Some(DataType::Fp32), Some(vec![None, Some(784)]));
        schema.write("age", Some(DataType::Int64), Some(vec![None]));
        check(json!({"stack": {"columns": ["pixels", "age"], "into": "x"}}), &[], &mut schema).unwrap();
        let x = known(&schema, "x");
        assert_eq!((x.datatype, x.shape.clone()), (Some(DataType::Fp64), Some(vec![None, Some(785)])));
        check(json!({"stack": {"columns": ["x", "fare"], "into": "y"}}), &[], &mut schema).unwrap();
        assert_eq!((known(&schema, "y").datatype, known(&schema, "y").width()), (None, None));
        assert_eq!(schema.required(), ["fare".into()]);
    }

    #[test]
    fn a_column_twice_is_a_problem() {
        assert_eq!(problems(json!({"stack": {"columns": ["a", "a"], "into": "x"}})), ["`columns` names `a` twice"]);
        assert_eq!(problems(json!({"stack": {"columns": [], "into": ""}})).len(), 2);
    }
}
