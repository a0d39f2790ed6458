//! Row form, the complete path: `instances` of named features, arrays, numbers or strings become columns.
//!
//! Row form states no datatypes, so all instances of a request are surveyed first ([`survey`]): what their values have in
//! common makes each feature's datatype and shape. Then each feature is read into its column, from the places that the
//! survey noted.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{
    array,
    body::twice,
    explain::explain,
    fault::{Clip, Fault, refused},
    scan::Scanner,
};
use crate::{
    codec::{Announced, Groups, Rows},
    request::Route,
    tensor::Elements,
};
use survey::Survey;

mod survey;

/// What `instances` says.
#[derive(Debug)]
pub(super) struct Table {
    features: Vec<Feature>,
    instances: usize,
}

/// One feature over all instances.
#[derive(Debug)]
struct Feature {
    name: Box<str>,
    /// Whether the name is the caller's, or stands for instances without names.
    named: bool,
    survey: Survey,
    /// Where its value begins in each instance.
    places: Vec<usize>,
}

impl Table {
    /// Surveys the instances, an array that begins at byte `at` of `text`. `unnamed` is the column of those that are no
    /// objects.
    pub fn read(text: &str, at: usize, unnamed: &str) -> Result<Self, Fault> {
        let mut table = Self { features: Vec::new(), instances: 0 };
        let mut index_of = HashMap::new();
        table.instances = Scanner::starting(text, at).entries(|scanner, index| {
            let named = scanner.peek() == Some(b'{');
            if index == 0 && !named {
                table.features.push(Feature::new(unnamed, false));
            }
            match table.features.first_mut() {
                Some(first) if first.named != named => Err(table.unlike(index)),
                Some(first) if !named => first.value(scanner, index),
                _ => table.object(scanner, index, &mut index_of),
            }
        })?;
        if table.instances == 0 {
            return Err(refused("`instances` is empty; a request has at least one instance".to_owned()));
        }
        Ok(table)
    }

    fn object(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        index_of: &mut HashMap<Box<str>, usize>,
    ) -> Result<(), Fault> {
        let mut next = 0;
        scanner.members(|scanner, name| {
            let feature = self.feature(name, index, next, index_of)?;
            next += 1;
            feature.value(scanner, index)
        })?;
        if self.features.is_empty() {
            return Err(refused(format!("instances[{index}] has no features")));
        }
        if index == 0
            && let Some(name) = twice(self.features.iter().map(|feature| &*feature.name))
        {
            return Err(refused(format!("instances[0] has the feature `{}` twice", Clip(name))));
        }
        match self.features.iter().find(|feature| feature.places.len() <= index) {
            Some(Feature { name, .. }) => {
                Err(refused(format!("instances[{index}] lacks the feature `{}`, which instances[0] has", Clip(name))))
            }
            None => Ok(()),
        }
    }

    /// The feature called `name`: in the first instance a new one, in the others most likely the `next` one.
    fn feature(
        &mut self,
        name: &str,
        index: usize,
        next: usize,
        index_of: &mut HashMap<Box<str>, usize>,
    ) -> Result<&mut Feature, Fault> {
        if name.is_empty() {
            return Err(refused(format!("instances[{index}] has a feature without a name")));
        }
        if index == 0 {
            self.features.push(Feature::new(name, true));
            return Ok(&mut self.features[next]);
        }
        let found = if self.features.get(next).is_some_and(|feature| *feature.name == *name) {
            Some(next)
        } else {
            if index_of.is_empty() {
                index_of.extend(self.features.iter().enumerate().map(|(index, feature)| (feature.name.clone(), index)));
            }
            index_of.get(name).copied()
        };
        match found.map(|found| &mut self.features[found]) {
            Some(feature) if feature.places.len() <= index => Ok(feature),
            Some(_) => Err(refused(format!("instances[{index}] has the feature `{}` twice", Clip(name)))),
            None => {
                Err(refused(format!("instances[{index}] has the feature `{}`, which instances[0] has not", Clip(name))))
            }
        }
    }

    fn unlike(&self, index: usize) -> Fault {
        let (came, before) = if self.features[0].named { ("no object", "one") } else { ("an object", "none") };
        refused(format!("instances[{index}] is {came}, but instances[0] is {before}: all must be of one kind"))
    }

    /// Puts every feature into its column.
    pub fn place<'g>(&self, text: &str, route: &Arc<Route>, groups: &'g mut Groups) -> Result<Rows<'g>, Fault> {
        let types = self.features.iter().map(|feature| feature.survey.datatype()).collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<_> = self.features.iter().map(|feature| feature.survey.shape(self.instances)).collect();
        let announced: Vec<_> = self
            .features
            .iter()
            .zip(types.iter().zip(&shapes))
            .map(|(feature, (&datatype, shape))| Announced { name: &feature.name, datatype, shape, exact: false })
            .collect();
        let mut rows = groups.place(route, &announced).map_err(|oversized| refused(oversized.to_string()))?;
        for (feature, input) in self.features.iter().zip(&announced) {
            rows.fill(input.shape, |elements, _| feature.fill(text, &input.shape[1..], elements))?;
        }
        Ok(rows)
    }
}

impl Feature {
    fn new(name: &str, named: bool) -> Self {
        Self { name: name.into(), named, survey: Survey::default(), places: Vec::new() }
    }

    /// Takes note of the value of one instance.
    fn value(&mut self, scanner: &mut Scanner<'_>, index: usize) -> Result<(), Fault> {
        scanner.peek();
        self.places.push(scanner.at());
        self.survey.value(scanner, &Subject { named: self.named, name: &self.name, index })
    }

    fn fill(&self, text: &str, row_shape: &[usize], elements: &mut Elements) -> Result<(), Fault> {
        let datatype = elements.datatype();
        for (index, &place) in self.places.iter().enumerate() {
            let bytes = text.as_bytes();
            let row_shape = if bytes[place] == b'[' { row_shape } else { &[] };
            let end = if row_shape.is_empty() {
                array::value(bytes, place, elements)
            } else {
                array::arrays(bytes, place, row_shape, elements)
            };
            if end.is_none() {
                let subject = Subject { named: self.named, name: &self.name, index };
                return Err(explain(text, place, &subject, datatype, row_shape));
            }
        }
        Ok(())
    }
}

/// Whose value it is, as a sentence begins.
struct Subject<'a> {
    named: bool,
    name: &'a str,
    index: usize,
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { named: true, name, index } => write!(f, "instances[{index}]: feature `{}`", Clip(name)),
            Self { index, .. } => write!(f, "instances[{index}]"),
        }
    }
}
