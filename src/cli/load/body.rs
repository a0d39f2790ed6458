//! What the requests ask: the built-in flowers, or a file's documents in turn.

use std::fmt::Write;

use crate::codec::client::{BodyError, Template, documents};

/// Rows of Fisher's iris data, two of each species (UCI repository, CC BY 4.0): sepal length and width, petal length and
/// width in centimetres.
const FLOWERS: [[f32; 4]; 6] = [
    [5.1, 3.5, 1.4, 0.2],
    [7.0, 3.2, 4.7, 1.4],
    [6.3, 3.3, 6.0, 2.5],
    [4.9, 3.0, 1.4, 0.2],
    [6.4, 3.2, 4.5, 1.5],
    [5.8, 2.7, 5.1, 1.9],
];

/// Requests to be sent in turn.
pub struct Bodies(Vec<Template>);

impl Bodies {
    /// Requests in the Open Inference Protocol with so many flowers each, for an input called `input`, FP32 `[rows, 4]`.
    pub fn iris(rows: usize) -> Self {
        let body = |first: usize| {
            let mut data = String::new();
            for row in 0..rows {
                for length in FLOWERS[(first + row) % FLOWERS.len()] {
                    let comma = if data.is_empty() { "" } else { "," };
                    write!(data, "{comma}{length:.1}").expect("a string takes everything");
                }
            }
            let input = format!(r#"{{"name":"input","shape":[{rows},4],"datatype":"FP32","data":[{data}]}}"#);
            Template::new(format!(r#"{{"id":"","inputs":[{input}]}}"#).as_bytes(), None).expect("it is a JSON object")
        };
        Self((0..FLOWERS.len()).map(body).collect())
    }

    /// The JSON documents of `text`, with their own rows or so many.
    ///
    /// # Errors
    /// If there is none, or one is no request.
    pub fn of(text: &[u8], rows: Option<usize>) -> Result<Self, BodyError> {
        let templates: Result<Vec<_>, _> =
            documents(text)?.iter().map(|document| Template::new(document, rows)).collect();
        let templates = templates?;
        // An empty text is refused in the words for one broken document.
        if templates.is_empty() { Template::new(text, rows).map(|one| Self(vec![one])) } else { Ok(Self(templates)) }
    }

    /// Writes the request number `sequence`, under this id, in place of what `body` held.
    pub fn write(&self, sequence: u64, id: &[u8], body: &mut Vec<u8>) {
        let turn = usize::try_from(sequence % self.0.len() as u64).expect("below the number of bodies");
        self.0[turn].write(id, body);
    }

    /// Rows in a request, on average.
    pub fn rows(&self) -> f64 {
        let rows: usize = self.0.iter().map(Template::rows).sum();
        rows as f64 / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bodies: &Bodies, sequence: u64) -> String {
        let mut body = Vec::new();
        bodies.write(sequence, b"run-1", &mut body);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn flowers_take_turns_and_fill_their_shape() {
        let bodies = Bodies::iris(2);
        assert_eq!(
            written(&bodies, 6),
            r#"{"id":"run-1","inputs":[{"name":"input","shape":[2,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2,7.0,3.2,4.7,1.4]}]}"#
        );
        assert!(written(&bodies, 5).contains("[5.8,2.7,5.1,1.9,5.1,3.5,1.4,0.2]"));
        assert!((bodies.rows() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_documents_of_a_file_take_turns() {
        let bodies = Bodies::of(b"{\"instances\":[1]}\n{\"instances\":[2,3]}\n", None).unwrap();
        assert!(written(&bodies, 0).contains("[1]") && written(&bodies, 3).contains("[2,3]"));
        assert!((bodies.rows() - 1.5).abs() < f64::EPSILON);
        assert!(Bodies::of(b"", None).is_err());
    }
}
