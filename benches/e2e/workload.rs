//! What is asked of the contestants: a model, requests that vary, and the answers that are right.
//!
//! A workload has a few dozen different bodies; request `i` is body `i` modulo their number with the id `i`. The right
//! answers come from one run of the model for each body, before anything is measured.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use modelmill::{
    backend::{
        Session,
        onnx::{OnnxSession, SessionOptions},
    },
    tensor::{Column, Columns, Elements, Tensor},
};

/// Different bodies of a workload.
const BODIES: usize = 48;

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Iris, one row: the client and the broker are most of the cost.
    Iris,
    /// The same with four headers in every request, and so all headers in every answer.
    IrisHeaders,
    /// Iris, 32 rows a request.
    Iris32,
    /// A feed-forward network over 784 floats: parsing is most of the cost.
    Ffnn,
    /// A message of 160 characters: TF-IDF and a regression.
    Text,
    /// A small convolutional network over an image of 8 × 8.
    Cnn,
    /// A transformer over 64 tokens: the model is all of the cost.
    Encoder,
}

/// Headers that each request of [`Work::IrisHeaders`] has.
pub const HEADERS: [(&str, &str); 4] = [
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tenant", "north"),
    ("source", "checkout-service"),
    ("kafka_correlationId", "9f1c2a7d5b3e4680"),
];

/// One kind of work, ready to be asked for.
pub struct Workload {
    pub work: Work,
    /// The folder of the model's version.
    pub model: PathBuf,
    /// All of a body but for its id.
    tails: Vec<String>,
    /// The outputs that each body must be answered with.
    pub expected: Vec<Vec<Output>>,
}

/// An output by name.
pub struct Output {
    pub name: String,
    pub values: Values,
}

#[derive(Debug, PartialEq)]
pub enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

/// A fixed sequence of numbers of 31 bits that look random (Knuth's multiplier).
pub fn noise(index: usize) -> u64 {
    (index as u64 + 1).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

impl Work {
    /// Requests that keep a contestant busy for about a second.
    pub fn requests(self) -> usize {
        match self {
            Self::Iris => 600_000,
            Self::IrisHeaders => 300_000,
            Self::Iris32 => 100_000,
            Self::Ffnn => 60_000,
            Self::Text => 100_000,
            Self::Cnn => 120_000,
            Self::Encoder => 6_000,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Iris => "iris, 1 row",
            Self::IrisHeaders => "iris, 4 headers in, all out",
            Self::Iris32 => "iris, 32 rows",
            Self::Ffnn => "FFNN, 784 floats",
            Self::Text => "TF-IDF text",
            Self::Cnn => "digits CNN",
            Self::Encoder => "transformer, 64 tokens",
        }
    }

    /// Lines of the worker's `server.yaml`: a transformer is compared with a bare loop that has as many threads.
    pub fn server(self) -> String {
        match self {
            Self::Encoder => "inference: {sessions: 1, threads: 1}".to_owned(),
            _ => String::new(),
        }
    }

    /// Rows that the floor runs at once: of a transformer, about as many as the worker finds best within its 50 ms.
    pub fn rows_of_a_run(self) -> usize {
        match self {
            Self::Encoder => 24,
            _ => 2048,
        }
    }

    fn model(self) -> &'static str {
        match self {
            Self::Iris | Self::IrisHeaders | Self::Iris32 => "models/iris/1",
            Self::Ffnn => "benches/models/ffnn/1",
            Self::Text => "models/spam/1",
            Self::Cnn => "models/digits/1",
            Self::Encoder => "benches/models/encoder/1",
        }
    }

    /// The inputs of one body.
    fn inputs(self, body: usize) -> Vec<Column> {
        let number = |index: usize| noise(body * 4096 + index);
        let floats = |shape: Vec<usize>, value: &dyn Fn(u64) -> f32| {
            let count = shape.iter().product();
            Tensor::new(shape, Elements::Fp32((0..count).map(|index| value(number(index))).collect()))
                .expect("its shape")
        };
        // Measured in tenths, as the data set has them.
        let iris = |rows| floats(vec![rows, 4], &|value| (value % 80) as f32 / 10.0);
        match self {
            Self::Iris | Self::IrisHeaders => vec![Column::new("input", iris(1))],
            Self::Iris32 => vec![Column::new("input", iris(32))],
            Self::Ffnn => {
                // Grey values of 0 to 1 as Python writes them: seven or eight digits.
                let pixels = floats(vec![1, 784], &|value| (value % 16_777_216) as f32 / 16_777_216.0);
                vec![Column::new("input", pixels)]
            }
            Self::Text => vec![Column::new("text", message(number))],
            Self::Cnn => vec![Column::new("image", floats(vec![1, 1, 8, 8], &|value| (value % 17) as f32))],
            Self::Encoder => {
                let ids = (0..64).map(|index| (number(index) % 1000) as i64).collect();
                let length = 32 + body % 33;
                let mask = (0..64).map(|index| i64::from(index < length)).collect();
                let tensor = |values| Tensor::new(vec![1, 64], Elements::Int64(values)).expect("its shape");
                vec![Column::new("input_ids", tensor(ids)), Column::new("attention_mask", tensor(mask))]
            }
        }
    }
}

/// About 160 characters of words as they come in short messages.
fn message(number: impl Fn(usize) -> u64) -> Tensor {
    const WORDS: [&str; 24] = [
        "free", "prize", "call", "now", "see", "you", "at", "the", "station", "tonight", "urltoken", "win", "cash",
        "claim", "lunch", "tomorrow", "meeting", "moved", "to", "your", "account", "please", "thanks", "offer",
    ];
    let words: Vec<_> = (0..28).map(|index| WORDS[number(index) as usize % WORDS.len()]).collect();
    let texts = [words.join(" ")].into_iter().collect();
    Tensor::new(vec![1, 1], Elements::Bytes(texts)).expect("one text")
}

impl Workload {
    /// Makes the bodies and asks the model for the right answers.
    pub fn new(work: Work) -> Self {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(work.model());
        let options = SessionOptions::default();
        let mut session = OnnxSession::open(&model.join("model.onnx"), &options).expect("the model can be opened");
        let (mut tails, mut expected) = (Vec::new(), Vec::new());
        for body in 0..BODIES {
            let inputs = work.inputs(body);
            let written: Vec<_> = inputs.iter().map(written).collect();
            tails.push(format!(r#""inputs":[{}]}}"#, written.join(",")));
            let columns: Columns = inputs.into_iter().collect();
            let outputs = session.run(&columns, None).expect("the model takes the request");
            expected.push(outputs.iter().map(Output::from).collect());
        }
        Self { work, model, tails, expected }
    }

    /// Request `index`: its id and its body.
    pub fn request(&self, index: usize) -> (String, String) {
        let id = format!("{index:08}");
        let body = format!(r#"{{"id":"{id}",{}"#, self.tails[index % self.tails.len()]);
        (id, body)
    }

    /// The outputs that request `index` must be answered with.
    pub fn expected(&self, index: usize) -> &[Output] {
        &self.expected[index % self.expected.len()]
    }

    /// Bytes of a request's body.
    pub fn bytes(&self) -> usize {
        self.request(0).1.len()
    }

    /// The name of the model.
    pub fn model_name(&self) -> String {
        let folder = self.model.parent().and_then(Path::file_name).expect("a folder of versions");
        folder.to_string_lossy().into_owned()
    }

    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        if self.work == Work::IrisHeaders { &HEADERS } else { &[] }
    }
}

/// A column as an input of the Open Inference Protocol.
fn written(column: &Column) -> String {
    let (datatype, data): (_, Vec<String>) = match column.tensor.elements() {
        Elements::Fp32(values) => ("FP32", values.iter().map(f32::to_string).collect()),
        Elements::Int64(values) => ("INT64", values.iter().map(i64::to_string).collect()),
        Elements::Bytes(texts) => {
            ("BYTES", texts.iter().map(|text| format!("\"{}\"", String::from_utf8_lossy(text))).collect())
        }
        other => unreachable!("no workload has inputs of {:?}", other.datatype()),
    };
    let shape: Vec<_> = column.tensor.shape().iter().map(usize::to_string).collect();
    format!(
        r#"{{"name":"{}","shape":[{}],"datatype":"{datatype}","data":[{}]}}"#,
        column.name,
        shape.join(","),
        data.join(",")
    )
}

impl From<&Column> for Output {
    fn from(column: &Column) -> Self {
        let values = match column.tensor.elements() {
            Elements::Fp32(values) => Values::Numbers(values.iter().map(|value| f64::from(*value)).collect()),
            Elements::Int64(values) => Values::Numbers(values.iter().map(|value| *value as f64).collect()),
            Elements::Bytes(texts) => {
                Values::Texts(texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
            }
            other => unreachable!("no workload has outputs of {:?}", other.datatype()),
        };
        Self { name: column.name.to_string(), values }
    }
}
