//! Which inputs of a graph the categories of its encoders are for, by following the graph back from each encoder.
//!
//! A table model of scikit-learn refuses a category that it has not seen, so that made-up words tell nothing about it; but it
//! names the ones that it has seen.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::proto::{Node, ValueInfo};
use crate::{backend::Example, tensor::Elements};

/// The nodes of a graph, as far as it takes to follow it back.
#[derive(Default)]
pub(super) struct Trace {
    /// What each value is made of.
    sources: HashMap<String, Arc<[String]>>,
    /// Values that encoders read, and what they may be.
    categories: Vec<(String, Arc<Elements>)>,
}

impl Trace {
    /// Remembers a node by its ends.
    pub(super) fn node(&mut self, inputs: &[String], outputs: Vec<String>) {
        let inputs: Arc<[String]> = inputs.into();
        self.sources.extend(outputs.into_iter().map(|output| (output, inputs.clone())));
    }

    /// Remembers what an encoder knows.
    pub(super) fn encoder(&mut self, node: &Node) {
        let names = ["cats_strings", "cats_int64s", "keys_strings"];
        let labels = names.iter().find_map(|name| node.labels(name));
        // An imputer looks for the empty text only; that is no category.
        let labels =
            labels.filter(|labels| !matches!(&**labels, Elements::Bytes(texts) if texts.iter().all(<[u8]>::is_empty)));
        if let (Some(input), Some(labels)) = (node.input.first(), labels) {
            self.categories.push((input.clone(), labels));
        }
    }

    /// What the encoders name for the graph's inputs; several things for inputs that run together before they are encoded.
    pub(super) fn examples(&self, inputs: &[ValueInfo]) -> Vec<Example> {
        let mut examples: Vec<Example> = Vec::new();
        for (value, labels) in &self.categories {
            let reached = self.reached(value);
            for input in inputs.iter().filter(|input| reached.contains(input.name.as_str())) {
                match examples.iter_mut().find(|example| *example.input == *input.name) {
                    Some(example) if example.values.contains(labels) => {}
                    Some(example) => example.values.push(labels.clone()),
                    None => examples.push(Example { input: input.name.as_str().into(), values: vec![labels.clone()] }),
                }
            }
        }
        examples
    }

    /// All values that `value` is made of, itself included.
    fn reached<'a>(&'a self, value: &'a str) -> HashSet<&'a str> {
        let mut reached = HashSet::from([value]);
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            for source in self.sources.get(value).into_iter().flat_map(|sources| sources.iter()) {
                if reached.insert(source) {
                    open.push(source);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::onnx::proto::Attribute;

    fn encoder(input: &str, categories: &[&str]) -> Node {
        let strings = categories.iter().map(|category| category.as_bytes().to_vec()).collect();
        let attribute = vec![Attribute { name: "cats_strings".to_owned(), strings, ..Attribute::default() }];
        Node { input: vec![input.to_owned()], attribute, ..Node::default() }
    }

    #[test]
    fn categories_belong_to_the_inputs_that_lead_to_their_encoder() {
        let text = str::to_owned;
        let mut trace = Trace::default();
        trace.node(&[text("sex"), text("port")], vec![text("both")]);
        trace.node(&[text("both"), text("one")], vec![text("second")]);
        trace.encoder(&encoder("second", &["S", "C"]));
        trace.encoder(&encoder("class", &["1st"]));
        let inputs = ["class", "port", "sex", "age"].map(|name| ValueInfo { name: text(name), kind: None });
        let examples = trace.examples(&inputs);
        let of = |name: &str| examples.iter().find(|example| &*example.input == name).map(|example| &*example.values);
        let harbours = Arc::new(Elements::Bytes(["S", "C"].iter().collect()));
        assert_eq!(of("port"), Some(&[harbours.clone()][..]));
        assert_eq!(of("sex"), Some(&[harbours][..]));
        assert_eq!(of("class"), Some(&[Arc::new(Elements::Bytes(["1st"].iter().collect()))][..]));
        assert_eq!(of("age"), None);
    }
}
