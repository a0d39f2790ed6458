//! A request's parameters: a map from names to one of five kinds of values.
//!
//! They come back in the answer byte for byte: `parameters` has the same number and type in requests and in answers.

use serde_json::{Map, Value as Json};

use super::wire::{Broken, Field, Value, Walk};

/// The field of a request, and of an answer, that holds one of them.
pub const PARAMETERS: u32 = 4;

/// One entry of the map; of several with one name, the last counts.
pub fn entry<'a>(mut entry: Walk<'a>) -> Result<(&'a str, Json), Broken> {
    let (mut name, mut value) = ("", Json::Null);
    while let Some(field) = entry.field()? {
        match field.number {
            1 => name = field.text()?,
            // Messages of one field are merged: one that says nothing leaves what was there.
            2 => parameter(field.part()?, &mut value)?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// An `InferParameter`.
fn parameter(mut message: Walk<'_>, value: &mut Json) -> Result<(), Broken> {
    while let Some(field) = message.field()? {
        let found = match (field.number, field.value) {
            (1, Value::Varint(number)) => Json::from(number != 0),
            (2, Value::Varint(number)) => Json::from(number as i64),
            (3, _) => Json::from(field.text()?),
            // What JSON has no number for is null.
            (4, Value::Fixed64(bytes)) => Json::from(f64::from_le_bytes(bytes)),
            (5, Value::Varint(number)) => Json::from(number),
            (1..=5, _) => return Err(field.of_wrong_type()),
            _ => continue,
        };
        *value = found;
    }
    Ok(())
}

/// The parameters of a message as the text of a JSON object, for what chooses a model by them.
pub fn json(mut message: Walk<'_>) -> Result<String, Broken> {
    let mut parameters = Map::new();
    while let Some(field) = message.field()? {
        if field.number == PARAMETERS {
            let (name, value) = entry(field.part()?)?;
            parameters.insert(name.to_owned(), value);
        }
    }
    Ok(Json::Object(parameters).to_string())
}

/// Appends an entry whose value is a text.
pub fn put_text(out: &mut Vec<u8>, name: &str, text: &str) {
    use super::wire::put_bytes;
    let (mut value, mut entry) = (Vec::new(), Vec::new());
    put_bytes(&mut value, 3, text.as_bytes());
    put_bytes(&mut entry, 1, name.as_bytes());
    put_bytes(&mut entry, 2, &value);
    put_bytes(out, PARAMETERS, &entry);
}

/// Checks an entry that nobody reads.
pub fn check(field: Field<'_>) -> Result<(), Broken> {
    entry(field.part()?).map(drop)
}
