//! A model's name with places for what a request says: `churn-{key}`, `{header.tenant}-churn`.
//!
//! A template is taken apart once, when the pipeline is set up. What a place stands for is looked up by whoever has the
//! request; whether the name that comes of it is legal and allowed is [`super::Selector`]'s to say.

use std::fmt;

use regex::Regex;

use crate::request::{MODEL_NAME_RULE, is_model_name};

/// A model's name with places in it, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Stands in every name.
    Text(Box<str>),
    /// What the request says there.
    Said(Source),
}

/// Where a request says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `{request.model}`: the header for the model, else the body's `model_name`.
    Model,
    /// `{key}`: the record's key.
    Key,
    /// `{header.NAME}`: a header, its name in any case.
    Header(Box<str>),
    /// `{parameter.NAME}`: a string or whole number among the body's `parameters`.
    Parameter(Box<str>),
}

/// The places that there are, for sentences.
const PLACES: &str = "`{request.model}`, `{key}`, `{header.NAME}` and `{parameter.NAME}`";

impl Template {
    /// Takes a template apart.
    ///
    /// # Errors
    /// What is wrong with it, to be read after ``  `model` is `…` ``.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let inside = rest[open..].strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let Some((place, after)) = inside else { return Err("each `{` needs a `}` after it".to_owned()) };
            if open > 0 {
                parts.push(Part::Text(rest[..open].into()));
            }
            let source =
                Source::parse(place).ok_or_else(|| format!("there is no place `{{{place}}}`; there are {PLACES}"))?;
            parts.push(Part::Said(source));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        let template = Self(parts);
        if is_model_name(&template.filled("x")) { Ok(template) } else { Err(MODEL_NAME_RULE.to_owned()) }
    }

    /// Its pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether it says nothing of its own, so that every name may come of it.
    pub fn is_open(&self) -> bool {
        !self.0.iter().any(|part| matches!(part, Part::Text(_)))
    }

    /// Whether it has a place for one of the body's parameters.
    pub fn reads_parameters(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Said(Source::Parameter(_))))
    }

    /// Matches every name that may come of it.
    pub(super) fn pattern(&self) -> Regex {
        let piece = |part: &Part| match part {
            Part::Text(text) => regex::escape(text),
            Part::Said(_) => "(?s:.+)".to_owned(),
        };
        let pattern: String = self.0.iter().map(piece).collect();
        Regex::new(&format!("^{pattern}$")).expect("escaped text and wildcards are a small pattern")
    }

    fn filled(&self, value: &str) -> String {
        let piece = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Said(_) => value.to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

impl Source {
    fn parse(place: &str) -> Option<Self> {
        match place.split_once('.') {
            None if place == "key" => Some(Self::Key),
            Some(("request", "model")) => Some(Self::Model),
            Some(("header", name)) if !name.is_empty() => Some(Self::Header(name.into())),
            Some(("parameter", name)) if !name.is_empty() => Some(Self::Parameter(name.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Template {
    /// As it stands in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Said(source) => source.fmt(f),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("{request.model}"),
            Self::Key => f.write_str("{key}"),
            Self::Header(name) => write!(f, "{{header.{name}}}"),
            Self::Parameter(name) => write!(f, "{{parameter.{name}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_has_places_with_text_around_them() {
        let template = Template::parse("{header.X-Tenant}-churn-{parameter.a.b}{key}").unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Said(Source::Header("X-Tenant".into())),
                Part::Text("-churn-".into()),
                Part::Said(Source::Parameter("a.b".into())),
                Part::Said(Source::Key),
            ]
        );
        assert!(template.reads_parameters() && !template.is_open());
        assert!(Template::parse("{request.model}").unwrap().is_open());
    }

    #[test]
    fn what_is_no_template_is_told() {
        for (text, expected) in [
            ("churn-{key", "each `{` needs a `}`"),
            ("churn-key}", "each `{` needs a `}`"),
            ("{a{key}}", "there is no place `{a{key}`"),
            ("{tenant}", "there is no place `{tenant}`; there are `{request.model}`, `{key}`,"),
            ("{header.}", "there is no place `{header.}`"),
            ("{}", "there is no place `{}`"),
            ("../{key}", "one folder of the repository"),
            (".{key}", "one folder of the repository"),
        ] {
            let problem = Template::parse(text).unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }

    #[test]
    fn only_what_may_come_of_it_matches() {
        let matches = |template: &str, name: &str| Template::parse(template).unwrap().pattern().is_match(name);
        assert!(matches("churn-{key}", "churn-7") && matches("{key}.v[1]", "a.v[1]") && matches("{key}", "anything"));
        for (template, name) in [("churn-{key}", "churn-"), ("churn-{key}", "a-churn-7"), ("{key}.v1", "abv1")] {
            assert!(!matches(template, name), "{name} of {template}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_reads_back_and_matches_what_it_makes(text in "[a-c.*\\[{}]{0,6}(\\{key\\}|\\{header\\.h\\})[a-c{}]{0,4}", value in "[a-c.]{1,4}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(template.to_string(), text);
                prop_assert!(template.pattern().is_match(&template.filled(&value)));
            }
        }
    }
}
