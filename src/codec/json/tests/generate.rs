//! Bodies of all kinds for property tests: right ones in every style of writing, and wrong ones.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::tensor::DataType;

/// A JSON tree that keeps doubles, order and how scalars are written.
#[derive(Clone, Debug)]
pub enum Json {
    Raw(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Decides how a tree is written; a shorter list is a plainer style, so failures shrink towards compact text.
struct Dice<'a> {
    throws: &'a [u8],
    at: usize,
}

impl Dice<'_> {
    fn throw(&mut self) -> u8 {
        self.at += 1;
        if self.throws.is_empty() { 0 } else { self.throws[self.at % self.throws.len()] }
    }
}

impl Json {
    /// The tree as text, with white space, escapes and the order of members as `throws` decide.
    pub fn write(&self, throws: &[u8]) -> String {
        let mut out = String::new();
        self.render(&mut Dice { throws, at: 0 }, &mut out);
        out
    }

    fn render(&self, dice: &mut Dice<'_>, out: &mut String) {
        space(dice, out);
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Text(text) => string(text, dice, out),
            Self::Array(entries) => {
                out.push('[');
                for (index, entry) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    entry.render(dice, out);
                }
                space(dice, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                let first = if dice.throw() > 200 { members.len() / 2 } else { 0 };
                let order = (first..members.len()).chain(0..first);
                for (index, member) in order.enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    let (key, value) = &members[member];
                    space(dice, out);
                    string(key, dice, out);
                    space(dice, out);
                    out.push(':');
                    value.render(dice, out);
                }
                space(dice, out);
                out.push('}');
            }
        }
        space(dice, out);
    }

    /// Changes the `nth` node (counted round) in one of several ways.
    pub fn spoil(&mut self, nth: usize, how: u8, with: &Json) {
        let count = self.count();
        self.spoil_at(&mut (nth % count), how, with);
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Array(entries) => entries.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.count()).sum(),
            _ => 0,
        }
    }

    fn spoil_at(&mut self, nth: &mut usize, how: u8, with: &Json) {
        if *nth == 0 {
            match (self, how % 4) {
                (Self::Object(members), 1) if !members.is_empty() => {
                    drop(members.remove(usize::from(how) % members.len()))
                }
                (Self::Object(members), 2) if !members.is_empty() => {
                    members.push(members[usize::from(how) % members.len()].clone());
                }
                (Self::Array(entries), 1) => drop(entries.pop()),
                (Self::Array(entries), 2) if !entries.is_empty() => entries.push(entries[0].clone()),
                (node, _) => *node = with.clone(),
            }
            *nth = usize::MAX;
            return;
        }
        *nth -= 1;
        let children: Vec<&mut Self> = match self {
            Self::Array(entries) => entries.iter_mut().collect(),
            Self::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
            _ => return,
        };
        for child in children {
            child.spoil_at(nth, how, with);
            if *nth == usize::MAX {
                return;
            }
        }
    }
}

fn space(dice: &mut Dice<'_>, out: &mut String) {
    match dice.throw() {
        200..=230 => out.push(' '),
        231..=243 => out.push_str(" \n\t"),
        244.. => out.push_str("\r\n    "),
        _ => {}
    }
}

fn string(text: &str, dice: &mut Dice<'_>, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match (character, dice.throw()) {
            (_, 235..) => {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            ('"' | '\\', _) | ('/', 150..) => out.extend(['\\', character]),
            ('\n', _) => out.push_str("\\n"),
            ('\u{8}', _) => out.push_str("\\b"),
            (..'\u{20}', _) => out.push_str(&format!("\\u{:04X}", character as u32)),
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn raw(text: impl Into<String>) -> Json {
    Json::Raw(text.into())
}

/// One value of a datatype; now and then one that is out of its range.
fn leaf(datatype: DataType) -> BoxedStrategy<Json> {
    match datatype {
        DataType::Bool => any::<bool>().prop_map(|value| raw(value.to_string())).boxed(),
        DataType::Bytes => ".{0,9}".prop_map(Json::Text).boxed(),
        _ if datatype.is_float() => float(),
        _ => prop_oneof![
            8 => (0..128_i32).prop_map(|value| raw(value.to_string())),
            1 => "-?(0|[1-9][0-9]{0,20})".prop_map(raw),
            1 => r"-?[1-9](\.0{1,3})?([eE]\+?[0-2])?".prop_map(raw),
            1 => select(vec!["255", "256", "9223372036854775808", "18446744073709551615", "1.20e1", "-0", "0.5"]).prop_map(raw),
        ]
        .boxed(),
    }
}

fn float() -> BoxedStrategy<Json> {
    prop_oneof![
        6 => r"-?[0-9]\.[0-9]{1,9}".prop_map(raw),
        2 => any::<f32>().prop_filter_map("finite", |value| value.is_finite().then(|| raw(format!("{value:?}")))),
        2 => r"-?(0|[1-9][0-9]{0,4})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?".prop_map(raw),
        1 => select(vec!["null", "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "0", "-0", "1e39"]).prop_map(raw),
    ]
    .boxed()
}

/// What a spoilt node becomes.
fn wrong() -> impl Strategy<Value = Json> {
    let text = vec![
        "null",
        "1",
        "-1",
        "1.5",
        "1e400",
        "\"s\"",
        "\"\"",
        "[]",
        "{}",
        "[[1]]",
        "[1,[2]]",
        "[null]",
        "true",
        "\"NaN\"",
        "20000000",
        "9007199254740993",
        "99999999999999999999",
        "\"\\ud800\"",
        "{\"a\":1}",
        "18446744073709551616",
    ];
    select(text).prop_map(raw)
}

/// The values of one row or several, `shape` deep.
fn nest(shape: &[usize], leaves: &mut impl Iterator<Item = Json>) -> Json {
    match shape.split_first() {
        None => leaves.next().unwrap_or_else(|| raw("0")),
        Some((&axis, inner)) => Json::Array((0..axis).map(|_| nest(inner, leaves)).collect()),
    }
}

type Signature = Vec<(String, DataType, Vec<usize>)>;

fn tensors(signature: Signature) -> BoxedStrategy<Json> {
    (0..4_usize, any::<bool>())
        .prop_flat_map(move |(rows, is_nested)| {
            let inputs: Vec<_> = signature.iter().map(|input| tensor(input.clone(), rows, is_nested)).collect();
            inputs.prop_map(|inputs| Json::Object(vec![("inputs".to_owned(), Json::Array(inputs))]))
        })
        .boxed()
}

fn tensor(
    (name, datatype, row_shape): (String, DataType, Vec<usize>),
    rows: usize,
    is_nested: bool,
) -> BoxedStrategy<Json> {
    let shape: Vec<usize> = std::iter::once(rows).chain(row_shape).collect();
    let count: usize = shape.iter().product();
    let axes = Json::Array(shape.iter().map(|axis| raw(axis.to_string())).collect());
    vec(leaf(datatype), count)
        .prop_map(move |leaves| {
            let data = if is_nested { nest(&shape, &mut leaves.into_iter()) } else { Json::Array(leaves) };
            let member = |key: &str, value| (key.to_owned(), value);
            Json::Object(vec![
                member("name", Json::Text(name.clone())),
                member("shape", axes.clone()),
                member("datatype", Json::Text(datatype.as_str().to_owned())),
                member("data", data),
            ])
        })
        .boxed()
}

/// Row form has three kinds of values; integers are sometimes large.
fn instances(signature: Signature, is_named: bool) -> BoxedStrategy<Json> {
    let value = move |(_, datatype, row_shape): &(String, DataType, Vec<usize>)| {
        let row_shape = row_shape.clone();
        let leaf = if datatype.is_float() || !datatype.is_number() { leaf(*datatype) } else { leaf(DataType::Int64) };
        vec(leaf, row_shape.iter().product::<usize>())
            .prop_map(move |leaves| nest(if row_shape == [1] { &[] } else { &row_shape }, &mut leaves.into_iter()))
    };
    let names: Vec<String> = signature.iter().map(|(name, ..)| name.clone()).collect();
    let instance = signature.iter().map(value).collect::<Vec<_>>().prop_map(move |mut values| {
        if is_named { Json::Object(names.iter().cloned().zip(values).collect()) } else { values.remove(0) }
    });
    vec(instance, 1..4)
        .prop_map(|instances| Json::Object(vec![("instances".to_owned(), Json::Array(instances))]))
        .boxed()
}

/// Id, names, parameters, outputs and the unknown, some of them.
fn surroundings() -> impl Strategy<Value = Vec<(String, Json)>> {
    let part = |key: &'static str, values: &'static [&'static str]| {
        let value = select(values).prop_map(move |text| (key.to_owned(), raw(text)));
        prop::option::weighted(0.3, value)
    };
    let parts = [
        part("id", &["\"r-1\"", "17", "1e3", "null", "\"\"", "\"\\u00e9\""]),
        part("model_name", &["\"a\"", "\"b\"", "null"]),
        part("model_version", &["\"1\"", "2", "null"]),
        part("parameters", &["{}", "{\"k\": [1, {\"l\": null}]}", "null"]),
        part(
            "outputs",
            &["[{\"name\": \"y\"}]", "[]", "null", "[{\"name\":\"y\",\"parameters\":{}},{\"name\":\"z\"}]"],
        ),
        part("signature_name", &["\"s\"", "1e999", "[{\"deep\": []}]"]),
    ];
    parts.to_vec().prop_map(|parts| parts.into_iter().flatten().collect())
}

/// The bodies of a chunk: of one signature, mostly of one form, some of them spoilt.
pub fn chunk() -> impl Strategy<Value = Vec<String>> {
    let names = prop::sample::subsequence(vec!["x", "y", "é\n", "a \"b\""], 1..3);
    let row_shape = prop_oneof![3 => Just(vec![1]), 3 => vec(0..4_usize, 0..3)];
    let kind = (select(&DataType::ALL[..]), row_shape);
    let signature = (names, vec(kind, 3)).prop_map(|(names, kinds)| {
        names.into_iter().zip(kinds).map(|(name, (datatype, shape))| (name.to_owned(), datatype, shape)).collect()
    });
    (signature, 0..3_u8).prop_flat_map(|(signature, form): (Signature, u8)| vec(body(signature, form), 1..6))
}

fn body(signature: Signature, form: u8) -> impl Strategy<Value = String> {
    let usual = match form {
        0 => tensors(signature.clone()),
        1 => instances(signature.clone(), true),
        _ => instances(signature.clone(), false),
    };
    let data = prop_oneof![
        8 => usual,
        1 => tensors(signature.clone()),
        1 => instances(signature, true),
    ];
    let spoilt = prop::option::weighted(0.2, (any::<usize>(), any::<u8>(), wrong()));
    // Compact, with white space alone, with escapes too.
    let throws = prop_oneof![2 => Just(Vec::new()), 2 => vec(0..235_u8, 1..50), 1 => vec(any::<u8>(), 1..50)];
    (data, surroundings(), any::<prop::sample::Index>(), spoilt, throws).prop_map(
        |(mut data, surroundings, first, spoilt, throws)| {
            let Json::Object(members) = &mut data else { unreachable!() };
            members.splice(0..0, surroundings);
            let first = first.index(members.len());
            members.rotate_left(first);
            if let Some((nth, how, with)) = spoilt {
                data.spoil(nth, how, &with);
            }
            data.write(&throws)
        },
    )
}
