//! Which models a request runs, where the pipeline lets requests choose: templates filled with what the request says.
//!
//! Guarantee: a name that goes into a route is one folder of the repository and on the pipeline's list. A route that was made
//! once is found again without an allocation, so that neighbours share it, and with it their group.

use std::{cell::RefCell, collections::HashMap, str::from_utf8, sync::Arc};

use parking_lot::RwLock;

use crate::{
    codec::{Asked, Parameter, RouteChoice},
    error::{ErrorCode, RequestError},
    request::{MODEL_NAME_RULE, ModelChoice, Route, VersionChoice, is_model_name},
    steps::predict::{ModelSelector, Part, Selector, Source, Template, VersionSelector},
};

/// More routes than this are not remembered: the names come from requests, and memory is not theirs to spend.
const MOST_ROUTES: usize = 10_000;

/// How much of a name that is too long a sentence shows.
const SHOWN: usize = 60;

/// A pipeline whose requests choose.
#[derive(Debug)]
pub(super) struct Chosen {
    pipeline: usize,
    selectors: Vec<Selector>,
    /// Routes by what was said; see [`Chosen::said`].
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
}

thread_local! {
    /// What the request at hand says, for looking its route up.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Chosen {
    /// The choice of the pipeline with this index, one selector for each of its `predict`s.
    pub(super) fn new(pipeline: usize, selectors: Vec<Selector>) -> Self {
        Self { pipeline, selectors, routes: RwLock::default() }
    }

    /// Writes down what decides the route: the model and version that each `predict` would run. No name and no version has
    /// a control character in it, so these keep them apart.
    fn said(&self, asked: &Asked<'_>, said: &mut String) -> Result<(), RequestError> {
        for selector in &self.selectors {
            if let ModelSelector::Template(template) = &selector.model {
                let start = said.len();
                if !fill_or_fall_back(selector, template, asked, said)? {
                    said.truncate(start);
                    said.push('\u{1}');
                }
                said.push('\0');
            }
            if selector.version == VersionSelector::FromRequest {
                said.push_str(version_text(asked)?);
                said.push('\0');
            }
        }
        Ok(())
    }

    fn make(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError> {
        let models = self.selectors.iter().map(|selector| choice(selector, asked)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Route { pipeline: self.pipeline, models }))
    }

    fn remember(&self, said: &str, route: &Arc<Route>) {
        let mut routes = self.routes.write();
        if routes.len() >= MOST_ROUTES {
            routes.clear();
        }
        routes.insert(said.into(), Arc::clone(route));
    }
}

impl RouteChoice for Chosen {
    fn route(&self, asked: &Asked<'_>) -> Result<Arc<Route>, RequestError> {
        SAID.with_borrow_mut(|said| {
            said.clear();
            self.said(asked, said)?;
            if let Some(route) = self.routes.read().get(said.as_str()) {
                return Ok(Arc::clone(route));
            }
            let route = self.make(asked)?;
            self.remember(said, &route);
            Ok(route)
        })
    }

    fn reads_parameters(&self) -> bool {
        let reads = |selector: &Selector| match &selector.model {
            ModelSelector::Template(template) => template.reads_parameters(),
            ModelSelector::Fixed(_) => false,
        };
        self.selectors.iter().any(reads)
    }
}

/// What one `predict` runs for a request.
fn choice(selector: &Selector, asked: &Asked<'_>) -> Result<ModelChoice, RequestError> {
    let version = match &selector.version {
        VersionSelector::Fixed(version) => version.clone(),
        VersionSelector::FromRequest => version(version_text(asked)?)?,
    };
    let template = match &selector.model {
        ModelSelector::Fixed(name) => return Ok(ModelChoice { name: name.clone(), version, fallback: None }),
        ModelSelector::Template(template) => template,
    };
    let mut name = String::new();
    if !fill_or_fall_back(selector, template, asked, &mut name)? {
        let name = selector.fallback.clone().expect("what is missing is an error where nothing takes over");
        return Ok(ModelChoice { name, version, fallback: None });
    }
    if !selector.allows(&name) {
        return Err(unknown(format!("there is no model `{name}` that requests may choose")));
    }
    Ok(ModelChoice { name: name.into(), version, fallback: selector.fallback.clone() })
}

/// Appends the legal name that the request makes of the template; `false` if it does not say enough and the fallback takes
/// over.
fn fill_or_fall_back(
    selector: &Selector,
    template: &Template,
    asked: &Asked<'_>,
    out: &mut String,
) -> Result<bool, RequestError> {
    let start = out.len();
    for part in template.parts() {
        let filled = match part {
            Part::Text(text) => {
                out.push_str(text);
                true
            }
            Part::Said(source) => fill(source, asked, out)?,
        };
        if !filled {
            let Part::Said(source) = part else { unreachable!("text is always there") };
            return if selector.fallback.is_some() { Ok(false) } else { Err(missing(source, template)) };
        }
    }
    let name = &out[start..];
    if is_model_name(name) {
        Ok(true)
    } else {
        Err(unknown(format!("there is no model {}: {MODEL_NAME_RULE}", shown(name))))
    }
}

/// Appends what the request says in one place; `false` if that is nothing.
fn fill(source: &Source, asked: &Asked<'_>, out: &mut String) -> Result<bool, RequestError> {
    let bytes = match source {
        Source::Model => asked.model.unwrap_or_default().as_bytes(),
        Source::Key => asked.key.unwrap_or_default(),
        Source::Header(name) => asked.headers.find(name).unwrap_or_default(),
        Source::Parameter(name) => {
            let text = match asked.parameter(name) {
                Parameter::Missing => return Ok(false),
                Parameter::Text(text) => text,
                Parameter::Other => {
                    let why =
                        format!("the parameter `{name}` chooses the model: it must be a string or a whole number");
                    return Err(RequestError::new(ErrorCode::InvalidRequest, why));
                }
            };
            out.push_str(&text);
            return Ok(!text.is_empty());
        }
    };
    match from_utf8(bytes) {
        Ok(text) => {
            out.push_str(text);
            Ok(!text.is_empty())
        }
        Err(_) => Err(unknown(format!("{} is no UTF-8 text, so that it names no model", whose(source)))),
    }
}

fn missing(source: &Source, template: &Template) -> RequestError {
    let why = match source {
        Source::Model => {
            "the request must name a model: in the header `model-name`, or as `model_name` in the body".to_owned()
        }
        Source::Key => format!("the record must have a key: it chooses the model, which is `{template}`"),
        other => format!("the request must have {}: it chooses the model, which is `{template}`", whose(other)),
    };
    RequestError::new(ErrorCode::InvalidRequest, why)
}

fn whose(source: &Source) -> String {
    match source {
        Source::Model => "the model's name".to_owned(),
        Source::Key => "the record's key".to_owned(),
        Source::Header(name) => format!("the header `{name}`"),
        Source::Parameter(name) => format!("the parameter `{name}` (in `parameters` of the body)"),
    }
}

/// The version that a request names; empty if it names none.
fn version_text<'a>(asked: &Asked<'a>) -> Result<&'a str, RequestError> {
    let text = asked.version.unwrap_or_default();
    // Nothing that `version` takes has one; what was said must not be taken for something else.
    if text.contains(char::is_control) { Err(no_version(text)) } else { Ok(text) }
}

fn version(text: &str) -> Result<VersionChoice, RequestError> {
    match text {
        "" | "latest" => Ok(VersionChoice::Latest),
        number => number.parse().map(VersionChoice::Number).map_err(|_| no_version(text)),
    }
}

fn no_version(text: &str) -> RequestError {
    unknown(format!("{} is no version: send a whole number or `latest`", shown(text)))
}

fn unknown(why: String) -> RequestError {
    RequestError::new(ErrorCode::UnknownModel, why)
}

/// A caller's text in a sentence of ours: escaped, and its beginning if it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", text[..end].escape_debug()),
        None => format!("`{}`", text.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        broker::{
            Chunk,
            memory::{MemoryRecord, MemoryRecords},
        },
        codec::Headers,
        steps::predict::Config,
    };

    fn chosen(properties: serde_json::Value) -> Chosen {
        let config: Config = serde_json::from_value(properties).unwrap();
        Chosen::new(0, vec![config.selector().unwrap()])
    }

    fn by_key(key: &str) -> Asked<'_> {
        Asked { key: Some(key.as_bytes()), ..Asked::default() }
    }

    /// The model and its fallback, or the error.
    fn outcome(chosen: &Chosen, asked: &Asked<'_>) -> Result<(String, Option<String>), (ErrorCode, String)> {
        match chosen.route(asked) {
            Ok(route) => {
                let ModelChoice { name, fallback, .. } = &route.models[0];
                Ok((name.to_string(), fallback.as_ref().map(ToString::to_string)))
            }
            Err(error) => Err((error.code(), error.message().to_owned())),
        }
    }

    fn name(chosen: &Chosen, asked: &Asked<'_>) -> String {
        outcome(chosen, asked).unwrap().0
    }

    #[test]
    fn every_place_is_filled_with_what_the_request_says() {
        let headers = vec![("Tenant".to_owned(), Some(b"acme".to_vec()))];
        let chunk = Chunk::new(Box::new(MemoryRecords(vec![MemoryRecord { headers, ..MemoryRecord::default() }])));
        let asked = Asked {
            model: Some("iris"),
            key: Some(b"k7"),
            headers: Headers::of(&chunk, 0),
            parameters: Some(r#"{"region": "eu", "shard": 12}"#),
            ..Asked::default()
        };
        for (template, expected) in [
            ("{request.model}", "iris"),
            ("churn-{key}", "churn-k7"),
            ("{header.tenant}-churn", "acme-churn"),
            ("{parameter.region}.{parameter.shard}", "eu.12"),
            ("{header.TENANT}-{key}-{request.model}", "acme-k7-iris"),
        ] {
            let chosen = chosen(serde_json::json!({"model": template}));
            assert_eq!(name(&chosen, &asked), expected);
            assert_eq!(chosen.reads_parameters(), template.contains("parameter"));
        }
    }

    #[test]
    fn what_is_missing_is_told_unless_there_is_a_fallback() {
        for (template, expected) in [
            ("{request.model}", "must name a model"),
            ("churn-{key}", "the record must have a key: it chooses the model, which is `churn-{key}`"),
            ("{header.tenant}-churn", "the header `tenant`"),
            ("{parameter.region}", "the parameter `region`"),
        ] {
            let asked = Asked { key: Some(b""), parameters: Some(r#"{"region": null}"#), ..Asked::default() };
            let (code, why) = outcome(&chosen(serde_json::json!({"model": template})), &asked).unwrap_err();
            assert!(code == ErrorCode::InvalidRequest && why.contains(expected), "{why}");
            let with_fallback = chosen(serde_json::json!({"model": template, "fallback": "shared"}));
            assert_eq!(outcome(&with_fallback, &asked), Ok(("shared".to_owned(), None)));
        }
        let with_fallback = chosen(serde_json::json!({"model": "churn-{key}", "fallback": "churn"}));
        assert_eq!(outcome(&with_fallback, &by_key("a")), Ok(("churn-a".to_owned(), Some("churn".to_owned()))));
    }

    #[test]
    fn no_name_leaves_the_repository_or_the_list() {
        let tenants = chosen(serde_json::json!({"model": "churn-{key}", "allow": ["churn-a*"], "fallback": "churn"}));
        let long = "x".repeat(300);
        for (key, expected) in [
            ("b", "there is no model `churn-b` that requests may choose"),
            ("a/../../x", "there is no model `churn-a/../../x`: a name is one folder"),
            ("a\0", "`churn-a\\0`"),
            ("a\n\u{1b}[2J", "`churn-a\\n\\u{1b}[2J`"),
            (&long, "xxxx…`: a name is one folder"),
        ] {
            let (code, why) = outcome(&tenants, &by_key(key)).unwrap_err();
            assert!(code == ErrorCode::UnknownModel && why.contains(expected), "{why}");
        }
        let open = chosen(serde_json::json!({"model": "{key}"}));
        for key in ["..", ".git", "/etc", "a\\b", "C:\\x"] {
            assert_eq!(outcome(&open, &by_key(key)).unwrap_err().0, ErrorCode::UnknownModel, "{key}");
        }
        let bytes = Asked { key: Some(b"\xff"), ..Asked::default() };
        let (code, why) = outcome(&open, &bytes).unwrap_err();
        assert!(code == ErrorCode::UnknownModel && why.contains("the record's key is no UTF-8"), "{why}");
        let shape = Asked { parameters: Some(r#"{"p": 1.5}"#), ..Asked::default() };
        let (code, why) = outcome(&chosen(serde_json::json!({"model": "{parameter.p}"})), &shape).unwrap_err();
        assert!(code == ErrorCode::InvalidRequest && why.contains("a string or a whole number"), "{why}");
    }

    #[test]
    fn neighbours_that_say_the_same_share_a_route_and_no_others_do() {
        let config = serde_json::json!({"model": "m{key}", "version": "{request.version}", "fallback": "shared"});
        let chosen = chosen(config);
        let ask = |key: &'static [u8], version| Asked { key: Some(key), version, ..Asked::default() };
        let route = |asked: &Asked<'_>| chosen.route(asked).unwrap();
        let first = route(&ask(b"a", Some("2")));
        assert!(Arc::ptr_eq(&first, &route(&ask(b"a", Some("2")))));
        for other in [ask(b"a", None), ask(b"a2", None), ask(b"", Some("2")), ask(b"b", Some("2"))] {
            assert!(first != route(&other), "{other:?}");
        }
        assert_eq!(chosen.routes.read().len(), 5);
        for wrong in ["two", "2\0", "-1"] {
            let (code, why) = outcome(&chosen, &ask(b"a", Some(wrong))).unwrap_err();
            assert!(code == ErrorCode::UnknownModel && why.contains("is no version"), "{why}");
        }
    }

    #[test]
    fn names_that_never_end_do_not_fill_the_memory() {
        let chosen = chosen(serde_json::json!({"model": "{key}"}));
        for number in 0..MOST_ROUTES + 10 {
            chosen.route(&by_key(&number.to_string())).unwrap();
        }
        assert_eq!(chosen.routes.read().len(), 10);
    }
}
