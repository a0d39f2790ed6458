//! What an answer says: a class, and how sure the model is of the likeliest ones.

use serde_json::Value;

/// An answer, whatever its form.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The class that the model chose.
    pub class: String,
    /// The likeliest classes with their probabilities, best first.
    pub candidates: Vec<(String, f64)>,
}

impl Answer {
    /// Reads an answer of the Open Inference Protocol or in row form: `label` with `probabilities` of all `labels`, or
    /// `labels` with `scores`, best first. `None` if it has neither.
    pub fn read(body: &[u8], labels: &[&str]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let mut candidates: Vec<_> = match (output(&body, "labels"), output(&body, "scores")) {
            (Some(best), Some(scores)) => numbers(scores).zip(best.as_array()?).map(named).collect::<Option<_>>()?,
            _ => {
                let scores = numbers(output(&body, "probabilities")?);
                scores.zip(labels).map(|(score, label)| ((*label).to_owned(), score)).collect()
            }
        };
        candidates.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let class = match output(&body, "label").map(first) {
            Some(label) => class_of(label, labels)?,
            None => candidates.first()?.0.clone(),
        };
        Some(Self { class, candidates })
    }
}

/// The first row of an output.
fn output<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let tensors = body["outputs"].as_array().into_iter().flatten();
    let tensor = tensors.into_iter().find(|tensor| tensor["name"] == name).map(|tensor| &tensor["data"]);
    tensor.or_else(|| body["predictions"][0].get(name))
}

/// The entry itself in row form, the only one of a tensor.
fn first(value: &Value) -> &Value {
    value.get(0).unwrap_or(value)
}

fn numbers(value: &Value) -> impl Iterator<Item = f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64)
}

fn named((score, label): (f64, &Value)) -> Option<(String, f64)> {
    Some((label.as_str()?.to_owned(), score))
}

/// A label as the model gives it: its text, or its number.
fn class_of(label: &Value, labels: &[&str]) -> Option<String> {
    let by_number = || labels.get(usize::try_from(label.as_u64()?).ok()?).copied();
    label.as_str().or_else(by_number).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(class: &str, candidates: &[(&str, f64)]) -> Option<Answer> {
        let candidates = candidates.iter().map(|(label, score)| ((*label).to_owned(), *score)).collect();
        Some(Answer { class: class.to_owned(), candidates })
    }

    #[test]
    fn both_forms_say_the_same() {
        let labels = ["setosa", "virginica"];
        let expected = answer("virginica", &[("virginica", 0.75), ("setosa", 0.25)]);
        let tensors =
            br#"{"id":"a","outputs":[{"name":"label","data":[1]},{"name":"probabilities","data":[0.25,0.75]}]}"#;
        assert_eq!(Answer::read(tensors, &labels), expected);
        let rows = br#"{"id":"a","predictions":[{"label":1,"probabilities":[0.25,0.75]}]}"#;
        assert_eq!(Answer::read(rows, &labels), expected);
    }

    #[test]
    fn the_best_labels_come_with_their_scores() {
        let expected = answer("7", &[("7", 0.9), ("1", 0.1)]);
        let tensors = br#"{"outputs":[{"name":"labels","data":["7","1"]},{"name":"scores","data":[0.9,0.1]}]}"#;
        assert_eq!(Answer::read(tensors, &[]), expected);
        let rows = br#"{"predictions":[{"logits":[1,2],"labels":["7","1"],"scores":[0.9,0.1]}]}"#;
        assert_eq!(Answer::read(rows, &[]), expected);
    }

    #[test]
    fn an_answer_without_a_class_is_none() {
        for body in ["no json", "{}", r#"{"id":"a","error":{"code":"INTERNAL"}}"#, r#"{"predictions":[{"label":9}]}"#] {
            assert_eq!(Answer::read(body.as_bytes(), &["one"]), None, "{body}");
        }
    }
}
