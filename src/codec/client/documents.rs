//! Requests in a text: one JSON document, or several one after another (JSON Lines, or pretty-printed ones).

use serde_json::value::RawValue;

use super::BodyError;

/// One request as it stands in its file.
pub type Document = Box<[u8]>;

/// The JSON documents of `text`, each byte for byte as it was written.
///
/// # Errors
/// Says which document, line and column is no JSON.
pub fn documents(text: &[u8]) -> Result<Vec<Document>, BodyError> {
    let mut found = Vec::new();
    for document in serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>() {
        match document {
            Ok(document) => found.push(Document::from(document.get().as_bytes())),
            Err(error) => return Err(BodyError(format!("document {} is no JSON: {error}", found.len() + 1))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_pretty_documents_are_told_apart_and_kept_as_written() {
        let text = b"{\"id\": \"a\"}\n\n{\n  \"id\": \"b\",\n  \"x\": 1.50\n}\n[1]\n";
        let found = documents(text).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(&*found[1], b"{\n  \"id\": \"b\",\n  \"x\": 1.50\n}");
        assert!(documents(b" \n").unwrap().is_empty());
    }

    #[test]
    fn a_broken_document_is_named_with_its_line() {
        let error = documents(b"{\"a\":1}\n{\"a\":}\n").unwrap_err().to_string();
        assert!(error.contains("document 2") && error.contains("line 2"), "{error}");
    }
}
