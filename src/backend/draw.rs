//! Made-up inputs for a model of which only the signature is known: to try it when it is loaded, and as a sample for people.
//!
//! No one way of drawing suits every model (a table of embeddings takes small integers only, a convolution wants some
//! pixels), hence a few [`RECIPES`], of which the first that the model takes is used. Drawing is a pure function of its seed:
//! every replica tries the same.

use std::{ops::Range, sync::Arc};

use half::f16;

use super::{Example, Signature, TensorSpec};
use crate::tensor::{ByteStrings, Column, Columns, DataType, Elements, Name, Tensor, element_count};

/// A model that wants larger inputs than this is not tried.
const MAX_ELEMENTS: usize = 1 << 24;

/// In how many ways what a model names is given out to its inputs.
const MAX_WAYS: usize = 64;

const WORDS: &[&str] = &["red", "green", "blue", "good morning", "a", "the quick brown fox", "Zoë", "0"];
const DIGITS: &[&str] = &["0", "1", "2", "3"];

/// How inputs are drawn.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// The length of axes that may have any.
    axis: usize,
    integers: Range<i64>,
    floats: Range<f64>,
    strings: &'static [&'static str],
    /// What the model itself names for an input: texts or integers, never empty.
    known: Vec<(Name, Arc<Elements>)>,
}

/// What is tried, in this order: plain values, then what fits small tables, text that stands for numbers, images, and ones.
pub(super) static RECIPES: [Recipe; 5] = [
    Recipe { axis: 8, integers: 0..8, floats: 0.0..1.0, strings: WORDS, known: Vec::new() },
    Recipe { axis: 8, integers: 0..2, floats: 0.0..1.0, strings: DIGITS, known: Vec::new() },
    Recipe { axis: 1, integers: 0..2, floats: 0.0..1.0, strings: DIGITS, known: Vec::new() },
    Recipe { axis: 64, integers: 0..2, floats: 0.0..1.0, strings: WORDS, known: Vec::new() },
    Recipe { axis: 1, integers: 1..2, floats: 1.0..1.0, strings: &["1"], known: Vec::new() },
];

impl Recipe {
    /// The same with numbers on both sides of zero.
    pub(super) fn wider(&self) -> Self {
        Self { floats: -4.0..4.0, ..self.clone() }
    }

    /// The same with what the model names for its inputs. Where it names several things for one, each way of choosing is a
    /// recipe, up to a few dozen.
    pub(super) fn with_examples(&self, examples: &[Example]) -> impl Iterator<Item = Self> {
        let ways = examples.iter().fold(1_usize, |ways, example| ways.saturating_mul(example.values.len()));
        let ways = if examples.is_empty() { 0 } else { ways.min(MAX_WAYS) };
        (0..ways).map(move |mut way| {
            let mut known = Vec::with_capacity(examples.len());
            for Example { input, values } in examples {
                known.push((input.clone(), values[way % values.len()].clone()));
                way /= values.len();
            }
            Self { known, ..self.clone() }
        })
    }
}

/// All inputs without a default: `rows` rows of each, or tensors as the model declares them for `None`.
///
/// # Errors
/// If the model declares an input that cannot be made up.
pub(super) fn columns(
    signature: &Signature,
    rows: Option<usize>,
    recipe: &Recipe,
    seed: u64,
) -> Result<Columns, String> {
    let mut random = Random(seed);
    let mut columns = Columns::default();
    for spec in signature.inputs.iter().filter(|spec| !spec.optional) {
        columns.put(Column::new(spec.name.clone(), tensor(spec, rows, recipe, &mut random)?));
    }
    Ok(columns)
}

fn tensor(spec: &TensorSpec, rows: Option<usize>, recipe: &Recipe, random: &mut Random) -> Result<Tensor, String> {
    if spec.unranked {
        return Err(format!("the input `{}` declares no shape", spec.name));
    }
    let mut shape: Vec<_> = spec.shape.iter().map(|axis| axis.unwrap_or(recipe.axis)).collect();
    if let (Some(rows), Some(first)) = (rows, shape.first_mut()) {
        *first = rows;
    }
    let count = element_count(&shape).filter(|count| *count <= MAX_ELEMENTS);
    let count = count.ok_or_else(|| format!("the input `{}` is too large to be made up", spec.name))?;
    // A mask of anything but ones hides what is to be seen.
    let is_mask = spec.name.contains("mask");
    let recipe = if is_mask { &Recipe { integers: 1..2, floats: 1.0..1.0, ..recipe.clone() } } else { recipe };
    let known = recipe.known.iter().find(|(name, _)| *name == spec.name).map(|(_, values)| &**values);
    Tensor::new(shape, elements(spec.datatype, count, recipe, known, random)).map_err(|error| error.to_string())
}

fn elements(
    datatype: DataType,
    count: usize,
    recipe: &Recipe,
    known: Option<&Elements>,
    random: &mut Random,
) -> Elements {
    let integer = |random: &mut Random| match known {
        Some(Elements::Int64(values)) => values[random.below(values.len())],
        _ => random.integer(&recipe.integers),
    };
    let float = |random: &mut Random| match known {
        Some(Elements::Int64(values)) => values[random.below(values.len())] as f64,
        _ => random.float(&recipe.floats),
    };
    macro_rules! drawn {
        ($kind:ident, $draw:ident as $number:ty) => {
            Elements::$kind((0..count).map(|_| $draw(random) as $number).collect())
        };
    }
    match datatype {
        DataType::Bool => Elements::Bool((0..count).map(|_| random.below(2) == 1).collect()),
        DataType::Uint8 => drawn!(Uint8, integer as u8),
        DataType::Uint16 => drawn!(Uint16, integer as u16),
        DataType::Uint32 => drawn!(Uint32, integer as u32),
        DataType::Uint64 => drawn!(Uint64, integer as u64),
        DataType::Int8 => drawn!(Int8, integer as i8),
        DataType::Int16 => drawn!(Int16, integer as i16),
        DataType::Int32 => drawn!(Int32, integer as i32),
        DataType::Int64 => drawn!(Int64, integer as i64),
        DataType::Fp16 => Elements::Fp16((0..count).map(|_| f16::from_f64(float(random))).collect()),
        DataType::Fp32 => drawn!(Fp32, float as f32),
        DataType::Fp64 => drawn!(Fp64, float as f64),
        DataType::Bytes => Elements::Bytes(match known {
            Some(Elements::Bytes(values)) => (0..count).map(|_| values.at(random.below(values.len()))).collect(),
            _ => (0..count).map(|_| recipe.strings[random.below(recipe.strings.len())]).collect::<ByteStrings>(),
        }),
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): enough for inputs that nobody guesses, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    fn integer(&mut self, range: &Range<i64>) -> i64 {
        range.start + (self.next() % range.end.abs_diff(range.start)) as i64
    }

    /// A number with two decimals, so that a sample is pleasant to read.
    fn float(&mut self, range: &Range<f64>) -> f64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((range.start + unit * (range.end - range.start)) * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(datatype: DataType, shape: &[Option<usize>]) -> Signature {
        let spec = TensorSpec {
            name: "x".into(),
            datatype,
            shape: shape.to_vec(),
            unranked: false,
            optional: false,
            classes: None,
        };
        Signature { inputs: vec![spec], outputs: vec![] }
    }

    #[test]
    fn every_datatype_can_be_made_up_in_the_declared_shape() {
        for datatype in DataType::ALL {
            for recipe in &RECIPES {
                let drawn = columns(&signature(datatype, &[None, Some(3)]), Some(5), recipe, 1).unwrap();
                let tensor = &drawn.find("x").unwrap().tensor;
                assert_eq!((tensor.datatype(), tensor.shape()), (datatype, &[5, 3][..]));
            }
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_seed_something_else() {
        let draw = |seed| {
            let columns = columns(&signature(DataType::Fp32, &[None, Some(4)]), None, &RECIPES[0], seed).unwrap();
            columns.find("x").unwrap().tensor.clone()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert_eq!(draw(3).shape(), [8, 4]);
    }

    #[test]
    fn what_a_model_names_is_given_out_in_every_way() {
        let words = |words: &[&str]| Arc::new(Elements::Bytes(words.iter().collect()));
        let both = vec![words(&["m", "f"]), words(&["S"])];
        let examples = ["a", "b"].map(|input| Example { input: input.into(), values: both.clone() });
        let ways: Vec<_> = RECIPES[0].with_examples(&examples).map(|recipe| recipe.known).collect();
        assert_eq!(ways.len(), 4);
        assert!(ways.contains(&vec![("a".into(), both[1].clone()), ("b".into(), both[0].clone())]));
        assert_eq!(RECIPES[0].with_examples(&[]).count(), 0);

        let recipe = Recipe { known: vec![("x".into(), words(&["S"]))], ..RECIPES[0].clone() };
        let drawn = columns(&signature(DataType::Bytes, &[None]), Some(3), &recipe, 1).unwrap();
        assert_eq!(*drawn.find("x").unwrap().tensor.elements(), Elements::Bytes(["S", "S", "S"].iter().collect()));
        let known = vec![("x".into(), Arc::new(Elements::Int64(vec![7])))];
        let recipe = Recipe { known, ..RECIPES[0].clone() };
        let drawn = columns(&signature(DataType::Fp32, &[None]), Some(2), &recipe, 1).unwrap();
        assert_eq!(*drawn.find("x").unwrap().tensor.elements(), Elements::Fp32(vec![7.0, 7.0]));
    }

    #[test]
    fn an_input_of_absurd_size_is_not_drawn() {
        let error =
            columns(&signature(DataType::Fp32, &[None, Some(usize::MAX)]), Some(4), &RECIPES[0], 1).unwrap_err();
        assert!(error.contains("`x` is too large"), "{error}");
    }
}
