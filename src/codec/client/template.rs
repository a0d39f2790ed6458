//! A request body with a place for the id: parsed once, then written as prefix, id, suffix.

use serde_json::{Value, json};

use super::{
    BodyError,
    members::{Members, text_of},
};

/// A request whose id changes from one use to the next.
#[derive(Clone, Debug)]
pub struct Template {
    prefix: Box<[u8]>,
    suffix: Box<[u8]>,
    rows: usize,
}

impl Template {
    /// A template of the JSON object `body`: its `id` is replaced, or one is put first where it has none.
    ///
    /// Everything else stays byte for byte, unless `rows` asks for another number of rows: then those of the body are
    /// repeated in turn until there are so many.
    ///
    /// # Errors
    /// If the body is no JSON object, or its rows cannot be repeated because it is neither an Open Inference Protocol
    /// request whose data fit its shapes nor one with `instances`.
    pub fn new(body: &[u8], rows: Option<usize>) -> Result<Self, BodyError> {
        let mut request: Value =
            serde_json::from_slice(body).map_err(|error| BodyError(format!("the body is no JSON: {error}")))?;
        if !request.is_object() {
            return Err(BodyError("the body is no JSON object; a request is one, with `inputs` or `instances`".into()));
        }
        let Some(rows) = rows else { return Ok(Self::splice(body, rows_of(&request))) };
        repeat_rows(&mut request, rows)?;
        Ok(Self::splice(request.to_string().as_bytes(), rows))
    }

    /// Writes the body with this id into `body`, in place of what it held. The id must need no JSON escapes.
    pub fn write(&self, id: &[u8], body: &mut Vec<u8>) {
        body.clear();
        body.extend_from_slice(&self.prefix);
        body.extend_from_slice(id);
        body.extend_from_slice(&self.suffix);
    }

    /// How many rows the request asks predictions for, as far as its body shows it; else 1.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Gives a request an id if its body is a JSON object without one; `None` if it has one or is something else.
    pub fn without_id(body: &[u8]) -> Option<Self> {
        let request = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object)?;
        let has_id = request.get("id").is_some_and(|id| id.is_number() || id.as_str().is_some_and(|id| !id.is_empty()));
        (!has_id).then(|| Self::splice(body, rows_of(&request)))
    }

    /// Cuts a valid JSON object at its id.
    fn splice(body: &[u8], rows: usize) -> Self {
        let mut members = Members::of(body).expect("the caller has parsed it as an object");
        let opening = members.position();
        let mut names = 0;
        while let Some(name) = members.name() {
            let Some(value) = members.value() else { break };
            names += 1;
            if name == b"id" {
                let prefix = [&body[..value.start], b"\""].concat();
                let suffix = [b"\"", &body[value.end..]].concat();
                return Self { prefix: prefix.into(), suffix: suffix.into(), rows };
            }
        }
        let prefix = [&body[..opening], b"\"id\":\""].concat();
        let separator: &[u8] = if names > 0 { b"\"," } else { b"\"" };
        Self { prefix: prefix.into(), suffix: [separator, &body[opening..]].concat().into(), rows }
    }
}

fn rows_of(request: &Value) -> usize {
    let instances = request["instances"].as_array().map(Vec::len);
    let axis = request["inputs"][0]["shape"][0].as_u64().and_then(|rows| usize::try_from(rows).ok());
    instances.or(axis).unwrap_or(1)
}

fn repeat_rows(request: &mut Value, rows: usize) -> Result<(), BodyError> {
    if let Some(instances) = list(request, "instances") {
        *instances = instances.iter().cycle().take(rows).cloned().collect();
        return Ok(());
    }
    let Some(inputs) = list(request, "inputs") else {
        return Err(BodyError("rows can only be repeated in a body with `inputs` or `instances`".into()));
    };
    inputs.iter_mut().try_for_each(|input| repeat_input(input, rows))
}

fn list<'a>(request: &'a mut Value, name: &str) -> Option<&'a mut Vec<Value>> {
    request.get_mut(name)?.as_array_mut().filter(|list| !list.is_empty())
}

fn repeat_input(input: &mut Value, rows: usize) -> Result<(), BodyError> {
    let before = input["shape"][0].as_u64().and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
    let length = input["data"].as_array().map_or(0, Vec::len);
    if before == 0 || length == 0 || !length.is_multiple_of(before) {
        let name = text_of(input["name"].to_string().as_bytes()).unwrap_or_default().into_owned();
        return Err(BodyError(format!(
            "rows of input `{name}` cannot be repeated: its shape says {before} rows, its data has {length} entries"
        )));
    }
    let data = input["data"].as_array_mut().expect("it has a length");
    *data = data.iter().cycle().take(length / before * rows).cloned().collect();
    input["shape"][0] = json!(rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(body: &str, rows: Option<usize>) -> String {
        let mut text = b"left over".to_vec();
        Template::new(body.as_bytes(), rows).unwrap().write(b"r-7", &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn only_the_id_changes() {
        assert_eq!(
            written(r#"{ "x": [1.50], "id" : 12, "y": {"id": 1}}"#, None),
            r#"{ "x": [1.50], "id" : "r-7", "y": {"id": 1}}"#
        );
        assert_eq!(written(r#"{"id":null}"#, None), r#"{"id":"r-7"}"#);
    }

    #[test]
    fn a_body_without_an_id_gets_one_first() {
        assert_eq!(written(r#"{"instances":[[1]]}"#, None), r#"{"id":"r-7","instances":[[1]]}"#);
        assert_eq!(written(" { } ", None), r#" {"id":"r-7" } "#);
    }

    #[test]
    fn rows_are_repeated_in_flat_and_nested_data_and_in_instances() {
        let flat = r#"{"id":"","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3,4]}]}"#;
        assert_eq!(
            written(flat, Some(3)),
            r#"{"id":"r-7","inputs":[{"name":"x","shape":[3,2],"datatype":"FP32","data":[1,2,3,4,1,2]}]}"#
        );
        let nested = r#"{"id":"","inputs":[{"name":"x","shape":[1,2],"data":[[1,2]]}]}"#;
        assert_eq!(
            written(nested, Some(2)),
            r#"{"id":"r-7","inputs":[{"name":"x","shape":[2,2],"data":[[1,2],[1,2]]}]}"#
        );
        assert_eq!(written(r#"{"instances":["a","b"]}"#, Some(3)), r#"{"id":"r-7","instances":["a","b","a"]}"#);
        assert_eq!(written(r#"{"instances":["a","b"]}"#, Some(1)), r#"{"id":"r-7","instances":["a"]}"#);
    }

    #[test]
    fn rows_are_counted_where_the_body_shows_them() {
        let rows = |body: &str| Template::new(body.as_bytes(), None).unwrap().rows();
        assert_eq!(rows(r#"{"instances":[1,2,3]}"#), 3);
        assert_eq!(rows(r#"{"inputs":[{"shape":[32,4]}]}"#), 32);
        assert_eq!(rows("{}"), 1);
    }

    #[test]
    fn what_cannot_be_a_template_is_refused_with_a_reason() {
        let refusal = |body: &str, rows| Template::new(body.as_bytes(), rows).unwrap_err().to_string();
        assert!(refusal("{", None).contains("no JSON"));
        assert!(refusal("[1]", None).contains("no JSON object"));
        assert!(refusal(r#"{"text":"x"}"#, Some(2)).contains("`inputs` or `instances`"));
        let ragged = r#"{"inputs":[{"name":"x","shape":[2],"data":[1,2,3]}]}"#;
        assert!(refusal(ragged, Some(2)).contains("input `x`"), "{}", refusal(ragged, Some(2)));
    }

    #[test]
    fn an_id_is_given_only_where_there_is_none() {
        assert!(Template::without_id(br#"{"id":"a"}"#).is_none());
        assert!(Template::without_id(br#"{"id":3}"#).is_none());
        assert!(Template::without_id(b"no json").is_none());
        assert!(Template::without_id(br#"{"id":"","instances":[1]}"#).is_some());
    }
}
