//! `labels.yaml`: names for versions of a model, beside its version folders, so that pinning and rolling back is one upload.
//!
//! Format: one `label: version` a line, such as `stable: 3` and `canary: 4`; `#` begins a comment. It is a corner of YAML, the
//! one in which a number cannot be taken for anything else, so that every YAML library writes and reads it.

use std::collections::BTreeMap;

use crate::{
    request::{VERSION_LABEL_RULE, is_version_label},
    tensor::Name,
};

/// The labels of a model and the version that each of them names.
pub type Labels = BTreeMap<Name, u64>;

/// Reads the file; an empty one gives no label.
///
/// # Errors
/// A sentence with the line if one is not `label: version`, or a label stands there twice.
pub fn parse(text: &[u8]) -> Result<Labels, String> {
    let text = std::str::from_utf8(text).map_err(|_| "labels.yaml is no UTF-8 text".to_owned())?;
    let mut labels = Labels::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let said = line.split_once('#').map_or(line, |(said, _)| said).trim();
        // YAML writers may begin a document with three dashes.
        if said.is_empty() || (said == "---" && labels.is_empty()) {
            continue;
        }
        let (label, version) = entry(said).map_err(|why| format!("labels.yaml, line {}: {why}", index + 1))?;
        if labels.insert(label.into(), version).is_some() {
            return Err(format!("labels.yaml, line {}: `{label}` is there twice: keep one", index + 1));
        }
    }
    Ok(labels)
}

fn entry(said: &str) -> Result<(&str, u64), String> {
    let Some((label, version)) = said.split_once(':').filter(|(_, version)| version.starts_with([' ', '\t'])) else {
        return Err(format!("`{}` is no label: write `stable: 3`", said.escape_debug()));
    };
    let label = label.trim_end();
    if !is_version_label(label) {
        return Err(format!("`{}` is no label: {VERSION_LABEL_RULE}", label.escape_debug()));
    }
    let version = version.trim();
    match version.parse() {
        Ok(number @ 1..) if version.bytes().all(|c| c.is_ascii_digit()) => Ok((label, number)),
        _ => Err(format!("`{}` is no version: write a whole number from 1 up, without quotes", version.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_names_a_version() {
        let labels = parse(b"\xef\xbb\xbf---\n# who serves\nstable: 3   # since May\r\ncanary:  14\n\n").unwrap();
        assert_eq!(labels, [("stable".into(), 3), ("canary".into(), 14)].into());
        assert_eq!(parse(b"").unwrap(), Labels::new());
    }

    #[test]
    fn what_is_no_label_is_told_with_its_line() {
        for (text, words) in [
            ("a: 1\nstable 3", "line 2: `stable 3` is no label: write `stable: 3`"),
            ("stable:3", "write `stable: 3`"),
            ("stable: 0", "`0` is no version"),
            ("stable: +3", "`+3` is no version"),
            ("stable: \"3\"", "without quotes"),
            ("latest: 3", "is not `latest`"),
            ("3: 4", "`3` is no label"),
            ("a: 1\na: 2", "`a` is there twice"),
            ("{a: 1}", "`{a` is no label"),
        ] {
            let problem = parse(text.as_bytes()).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
        assert!(parse(b"\xff").unwrap_err().contains("UTF-8"));
    }
}
