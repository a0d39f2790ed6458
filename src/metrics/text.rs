//! The texts of several exporters as one: each family of series once, with what the catalogue says of it.
//!
//! The format wants all lines of a family together: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::{collections::BTreeMap, fmt::Write};

use super::catalogue::{ALL, Definition};

/// Every sample of `texts`, sorted by family.
pub fn merge(texts: &[String]) -> String {
    let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut family = "";
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.split(' ').next()) {
            family = name;
        } else if !line.is_empty() && !line.starts_with('#') {
            families.entry(family).or_default().push(line);
        }
    }
    let mut merged = String::with_capacity(texts.iter().map(String::len).sum());
    for (name, samples) in families {
        if let Some(definition) = ALL.iter().find(|definition| definition.name == name) {
            merged.push_str(&header(definition));
        }
        for sample in samples {
            merged.push_str(sample);
            merged.push('\n');
        }
        merged.push('\n');
    }
    merged
}

/// What stands above the samples of a family.
pub fn header(Definition { name, kind, help, .. }: &Definition) -> String {
    let mut header = String::new();
    write!(header, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str())
        .expect("a text takes whatever is written");
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::catalogue::{BATCH_ROWS, ROWS_ANSWERED};

    #[test]
    fn a_family_of_many_texts_stands_together_under_one_header() {
        let rows = |pipeline| format!("# TYPE {0} counter\n{0}{{pipeline=\"{pipeline}\"}} 1\n\n", ROWS_ANSWERED.name);
        let batch = format!("# TYPE {0} histogram\n{0}_sum 2\n{0}_count 1\n\n", BATCH_ROWS.name);
        let merged = merge(&[rows("b") + &batch, rows("a")]);
        let expected = format!(
            "{}{1}_sum 2\n{1}_count 1\n\n{2}{3}{{pipeline=\"b\"}} 1\n{3}{{pipeline=\"a\"}} 1\n\n",
            header(&BATCH_ROWS),
            BATCH_ROWS.name,
            header(&ROWS_ANSWERED),
            ROWS_ANSWERED.name
        );
        assert_eq!(merged, expected);
    }
}
