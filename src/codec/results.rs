//! The results of a group as bodies of answers, each in the form that its request remembers.
//!
//! What the answers of a group share is made when the first of them needs it, once for each form; so are the answers of
//! neighbours that ask for the same outputs.

use super::{
    avro, binary,
    cloudevents::{self, Content},
    encode::Model,
    envelope::HEADER_LENGTH,
    format::{AVRO, PROTOBUF},
    json, protobuf,
    registry::Subject,
};
use crate::{
    broker::OwnHeaders,
    request::{AskedOutput, Form, Group, Options, Request},
    tensor::Column,
};

const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

/// What an answer's headers must say of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is JSON.
    Json,
    /// It is JSON of so many bytes, with binary data behind it.
    Binary { header: usize },
    /// It is protobuf.
    Protobuf,
    /// It is Avro, behind the id of its schema.
    Avro,
    /// It is a CloudEvent in structured mode, whose data may be JSON of so many bytes with others behind it.
    Event { header: Option<usize> },
}

impl Written {
    /// The headers that say it.
    pub fn headers(self) -> OwnHeaders {
        match self {
            Self::Json => vec![("content-type", JSON.as_bytes().to_vec())],
            Self::Binary { header } => {
                vec![("content-type", OCTETS.as_bytes().to_vec()), (HEADER_LENGTH, header.to_string().into_bytes())]
            }
            Self::Protobuf => vec![("content-type", PROTOBUF.as_bytes().to_vec())],
            Self::Avro => vec![("content-type", AVRO.as_bytes().to_vec())],
            Self::Event { header } => cloudevents::structured_headers(header),
        }
    }

    /// The same as the data of an event in structured mode, and what the record's headers must then say.
    pub fn in_event(self) -> (Content, Self) {
        let (content_type, is_json, header) = match self {
            Self::Json => (JSON, true, None),
            Self::Binary { header } => (OCTETS, false, Some(header)),
            Self::Protobuf => (PROTOBUF, false, None),
            Self::Avro => (AVRO, false, None),
            Self::Event { .. } => unreachable!("an answer is put into one event"),
        };
        (Content { content_type, is_json }, Self::Event { header })
    }
}

/// Writes the results of one group.
pub(super) struct Results<'a> {
    columns: Vec<&'a Column>,
    /// Whether requests have their own rows of the columns, or the one request has them whole.
    single: bool,
    model: Model<'a>,
    tensors: Option<Writer<'a>>,
    rows: Option<Writer<'a>>,
    protobuf: Option<Writer<'a>>,
    avro: Option<Writer<'a>>,
    /// The id of the schema of answers in Avro.
    schema: Option<u32>,
    /// The last that was made for a request which says more than its form.
    asked: Option<Asked<'a>>,
}

/// One form of answers.
enum Writer<'a> {
    Json(json::Writer<'a>),
    Binary(binary::Writer<'a>),
    Protobuf(protobuf::Writer<'a>),
    Avro(avro::Writer<'a>),
}

/// A writer, and what its requests ask for.
struct Asked<'a> {
    form: Form,
    outputs: Option<Vec<AskedOutput>>,
    binary: bool,
    writer: Writer<'a>,
}

impl<'a> Results<'a> {
    /// Results that name this model.
    pub fn new(group: &'a Group, model: Model<'a>) -> Self {
        let columns = group.columns.iter().filter(|column| column.answer).collect();
        let (single, schema) = (group.is_single(), None);
        Self { columns, single, model, tensors: None, rows: None, protobuf: None, avro: None, schema, asked: None }
    }

    /// With answers in Avro where the schema of this group's is known under `subject`; without it they are rows in JSON.
    pub fn under(mut self, subject: Option<&Subject>, group: &Group) -> Self {
        let is_asked = || group.requests.iter().any(|request| request.form == Form::Avro);
        self.schema = subject.filter(|_| is_asked()).and_then(|subject| subject.id(&avro::Shape::of_group(group)));
        self
    }

    /// Appends the result of one request.
    pub fn write(&mut self, out: &mut Vec<u8>, id: &str, request: &Request) -> Written {
        let options = request.options.as_deref();
        let parameters = options.and_then(|options| options.parameters.as_deref());
        let rows = (!self.single).then(|| request.rows.clone());
        match self.writer(request.form, options) {
            Writer::Json(writer) => {
                writer.write(out, id, parameters, rows);
                Written::Json
            }
            Writer::Binary(writer) => Written::Binary { header: writer.write(out, id, parameters, rows) },
            Writer::Protobuf(writer) => {
                let parameters = options.and_then(|options| options.parameter_fields.as_deref());
                writer.write(out, id, parameters, rows);
                Written::Protobuf
            }
            Writer::Avro(writer) => {
                writer.write(out, id, rows);
                Written::Avro
            }
        }
    }

    /// The writer of answers to requests of this form that say this.
    fn writer(&mut self, form: Form, options: Option<&Options>) -> &Writer<'a> {
        let Self { columns, model, tensors, rows, protobuf, avro, schema, asked, .. } = self;
        let all = |form| json::Writer::new(model.name, model.version, columns.iter().copied(), form);
        match (form, options) {
            (Form::Binary, Some(options)) | (_, Some(options @ Options { outputs: Some(_), .. })) => {
                let kept = asked.take().filter(|asked| asked.suits(form, options));
                &asked.insert(kept.unwrap_or_else(|| Asked::new(columns, *model, form, options))).writer
            }
            (Form::Protobuf, _) => protobuf.get_or_insert_with(|| {
                let columns = columns.iter().copied();
                Writer::Protobuf(protobuf::Writer::new(model.name, model.version, columns))
            }),
            (Form::Avro, _) if schema.is_some() => avro.get_or_insert_with(|| {
                let columns = columns.iter().copied();
                Writer::Avro(avro::Writer::new(schema.unwrap_or_default(), model.name, model.version, columns))
            }),
            (Form::Rows | Form::Avro, _) => rows.get_or_insert_with(|| Writer::Json(all(Form::Rows))),
            (Form::Tensors | Form::Binary, _) => tensors.get_or_insert_with(|| Writer::Json(all(form))),
        }
    }
}

impl<'a> Asked<'a> {
    fn new(columns: &[&'a Column], model: Model<'_>, form: Form, options: &Options) -> Self {
        let outputs: Vec<_> = match &options.outputs {
            None => columns.iter().map(|column| (*column, options.is_binary(None))).collect(),
            Some(asked) => {
                let find = |output: &AskedOutput| {
                    let column = columns.iter().find(|column| column.name == output.name)?;
                    Some((*column, options.is_binary(Some(output))))
                };
                asked.iter().filter_map(find).collect()
            }
        };
        let writer = match form {
            Form::Binary => Writer::Binary(binary::Writer::new(model.name, model.version, &outputs)),
            Form::Protobuf => {
                let columns = outputs.into_iter().map(|(column, _)| column);
                Writer::Protobuf(protobuf::Writer::new(model.name, model.version, columns))
            }
            Form::Tensors | Form::Rows | Form::Avro => {
                let columns = outputs.into_iter().map(|(column, _)| column);
                Writer::Json(json::Writer::new(model.name, model.version, columns, form))
            }
        };
        Self { form, outputs: options.outputs.clone(), binary: options.binary, writer }
    }

    fn suits(&self, form: Form, options: &Options) -> bool {
        self.form == form && self.outputs == options.outputs && self.binary == options.binary
    }
}
