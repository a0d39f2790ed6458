//! A schema's text as types whose names are resolved: the file, what it imports, and the well-known types, which need no registry.
//!
//! What no body depends on is left out before names are resolved: options (other than those that say what a type is), services,
//! extensions, and imports that nobody gave. So a schema that imports a file for the sake of its options does without it, and one
//! that needs a type of it is told which import is missing.
//!
//! Guarantee: no text harms the worker. Its size and that of its names are bounded, the parser bounds its depth, and a panic is an
//! error.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use prost::Message;
use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::{DescriptorProto, EnumDescriptorProto, EnumOptions, FileDescriptorProto, MessageOptions};

use crate::codec::{cloudevents::base64, framed::Referred};

/// Bytes of a schema and all that it imports; registries take schemas of a megabyte.
const LARGEST: usize = 4 << 20;

/// Bytes of the full names in it: each has the names of all that it is in before it, so that a short text may have very long ones.
const MOST_NAMES: usize = 32 << 20;

/// The name of the schema's own file, which no import has.
const OWN: &str = "the schema";

/// The file of a schema.
///
/// # Errors
/// A sentence on why it cannot be used.
pub fn file(text: &str, references: &[Referred]) -> Result<FileDescriptor, String> {
    let size = references.iter().fold(text.len(), |size, reference| size.saturating_add(reference.text.len()));
    if size > LARGEST {
        return Err(format!("it has {size} bytes with what it imports, and this worker takes {LARGEST}"));
    }
    catch_unwind(AssertUnwindSafe(|| resolved(text, references)))
        .unwrap_or_else(|_| Err("the compiler of protobuf schemas panicked at it".to_owned()))
}

fn resolved(text: &str, references: &[Referred]) -> Result<FileDescriptor, String> {
    let texts = references.iter().map(|reference| (&*reference.name, &*reference.text)).collect();
    let mut files = Files { texts, pool: DescriptorPool::new(), open: Vec::new(), missing: Vec::new(), names: 0 };
    files.add(OWN, parse(text)?).map_err(|why| match &*files.missing {
        [] => why,
        missing => format!("{why} (it imports `{}`, which is not among its references)", missing.join("`, `")),
    })?;
    files.pool.get_file_by_name(OWN).ok_or_else(|| "its file is not there".to_owned())
}

/// Files on their way into a pool, each behind those that it imports.
struct Files<'a> {
    /// Texts by the name that they are imported by.
    texts: HashMap<&'a str, &'a str>,
    pool: DescriptorPool,
    /// Those that wait for an import.
    open: Vec<String>,
    /// What is imported and not there.
    missing: Vec<String>,
    /// Bytes of the full names so far.
    names: usize,
}

impl Files<'_> {
    fn add(&mut self, name: &str, mut file: FileDescriptorProto) -> Result<(), String> {
        self.open.push(name.to_owned());
        let mut kept = Vec::new();
        for (index, import) in file.dependency.iter().enumerate() {
            if kept.iter().any(|other: &usize| file.dependency[*other] == *import) {
                continue;
            }
            if self.import(import)? {
                kept.push(index);
            }
        }
        self.open.pop();
        let place = |index: &i32| kept.iter().position(|kept| i32::try_from(*kept) == Ok(*index));
        file.public_dependency = file.public_dependency.iter().filter_map(place).map(|place| place as i32).collect();
        file.dependency = kept.iter().map(|index| std::mem::take(&mut file.dependency[*index])).collect();
        file.name = Some(name.to_owned());
        strip(&mut file);
        self.names = self.names.saturating_add(names(&file));
        if self.names > MOST_NAMES {
            return Err(format!("its full names have more than {MOST_NAMES} bytes"));
        }
        let wrong = |error| {
            let place = if name == OWN { String::new() } else { format!("its import `{name}`: ") };
            format!("{place}{error}")
        };
        self.pool.add_file_descriptor_proto(file).map_err(wrong)
    }

    /// Adds an import; whether it is there.
    fn import(&mut self, name: &str) -> Result<bool, String> {
        if self.pool.get_file_by_name(name).is_some() {
            return Ok(true);
        }
        if self.open.iter().any(|open| open == name) {
            return Err(format!("its import `{name}` imports itself"));
        }
        let well_known =
            DescriptorPool::global().get_file_by_name(name).filter(|_| name.starts_with("google/protobuf/"));
        let file = match (well_known, self.texts.get(name)) {
            (Some(file), _) => file.file_descriptor_proto().clone(),
            (None, Some(text)) => parse(text).map_err(|why| format!("its import `{name}`: {why}"))?,
            (None, None) => {
                self.missing.push(name.to_owned());
                return Ok(false);
            }
        };
        self.add(name, file).map(|()| true)
    }
}

/// A file that is a text, or what protoc makes of one, in base64: Confluent's clients register it so, and some registries hand
/// it out as it came.
fn parse(text: &str) -> Result<FileDescriptorProto, String> {
    if let Ok(bytes) = base64::decode(text.trim())
        && !bytes.is_empty()
    {
        return FileDescriptorProto::decode(&*bytes).map_err(|error| format!("it is base64 of no file: {error}"));
    }
    protox_parse::parse("schema", text).map_err(|error| {
        let line = error.span().map(|span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let line = line.map(|line| format!(" in line {line}")).unwrap_or_default();
        format!("it is no text of a protobuf schema{line}: {error}")
    })
}

/// Leaves out what no body depends on.
fn strip(file: &mut FileDescriptorProto) {
    (file.options, file.source_code_info) = (None, None);
    file.service.clear();
    file.extension.clear();
    file.weak_dependency.clear();
    file.message_type.iter_mut().for_each(strip_message);
    file.enum_type.iter_mut().for_each(strip_enum);
}

fn strip_message(message: &mut DescriptorProto) {
    let is_entry = message.options.as_ref().is_some_and(MessageOptions::map_entry);
    message.options = is_entry.then(|| MessageOptions { map_entry: Some(true), ..MessageOptions::default() });
    message.extension.clear();
    message.field.iter_mut().for_each(|field| field.options = None);
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.extension_range.iter_mut().for_each(|range| range.options = None);
    message.nested_type.iter_mut().for_each(strip_message);
    message.enum_type.iter_mut().for_each(strip_enum);
}

fn strip_enum(list: &mut EnumDescriptorProto) {
    // That several names of a value are allowed, the registry has judged.
    let mut numbers = HashSet::new();
    let has_aliases = !list.value.iter().all(|value| numbers.insert(value.number()));
    list.options = has_aliases.then(|| EnumOptions { allow_alias: Some(true), ..EnumOptions::default() });
    list.value.iter_mut().for_each(|value| value.options = None);
}

/// Bytes of the full names in a file.
fn names(file: &FileDescriptorProto) -> usize {
    // The names that a package is in are names, too.
    let (within, parts) = (file.package().len(), 1 + file.package().matches('.').count());
    let messages = file.message_type.iter().map(|message| message_names(message, within));
    let enums = file.enum_type.iter().map(|list| enum_names(list, within));
    messages.chain(enums).fold(within.saturating_mul(parts), usize::saturating_add)
}

fn message_names(message: &DescriptorProto, within: usize) -> usize {
    let within = within.saturating_add(1 + message.name().len());
    let own = message.field.iter().map(|field| field.name()).chain(message.oneof_decl.iter().map(|oneof| oneof.name()));
    let own = own.map(|name| within.saturating_add(1 + name.len()));
    let messages = message.nested_type.iter().map(|message| message_names(message, within));
    let enums = message.enum_type.iter().map(|list| enum_names(list, within));
    own.chain(messages).chain(enums).fold(within, usize::saturating_add)
}

fn enum_names(list: &EnumDescriptorProto, within: usize) -> usize {
    let within = within.saturating_add(1 + list.name().len());
    let values = list.value.iter().map(|value| within.saturating_add(1 + value.name().len()));
    values.fold(within, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str, references: &[(&str, &str)]) -> Result<FileDescriptor, String> {
        let referred = |(name, text): &(&str, &str)| Referred { name: (*name).to_owned(), text: (*text).to_owned() };
        file(text, &references.iter().map(referred).collect::<Vec<_>>())
    }

    const PLACE: &str = "syntax = \"proto3\"; package geo; message Place { string city = 1; }";
    const USES: &str = "syntax = \"proto3\"; import \"geo/place.proto\"; message M { geo.Place home = 1; }";

    #[test]
    fn a_schema_uses_the_types_of_what_it_imports_also_where_that_is_imported_publicly() {
        let found = compiled(USES, &[("geo/place.proto", PLACE)]).unwrap();
        let home = found.messages().next().unwrap().get_field_by_name("home").unwrap();
        assert_eq!(home.kind().as_message().unwrap().full_name(), "geo.Place");
        let public = "syntax = \"proto3\"; import \"not/here.proto\"; import public \"real.proto\";";
        assert!(compiled(USES, &[("real.proto", PLACE), ("geo/place.proto", public)]).is_ok());
    }

    #[test]
    fn what_protoc_makes_of_a_file_is_taken_in_base64() {
        let mut parsed = protox_parse::parse("x", PLACE).unwrap();
        parsed.source_code_info = None;
        let mut text = Vec::new();
        base64::encode(&mut text, &parsed.encode_to_vec());
        let text = String::from_utf8(text).unwrap();
        assert!(compiled(USES, &[("geo/place.proto", &text)]).is_ok());
        assert_eq!(compiled(&text, &[]).unwrap().messages().next().unwrap().full_name(), "geo.Place");
        assert!(compiled("AAAA", &[]).unwrap_err().contains("base64 of no file"));
    }

    #[test]
    fn an_import_that_is_missing_is_missed_only_if_it_is_needed() {
        let why = compiled(USES, &[]).unwrap_err();
        assert!(why.contains("geo.Place") && why.contains("`geo/place.proto`, which is not among"), "{why}");
        let options = "syntax = \"proto3\"; import \"rules.proto\";
            message M { float x = 1 [(rules.field).ge = 0, deprecated = true]; option (rules.of) = { a: { b: 1 } }; }
            enum E { option allow_alias = true; A = 0; B = 0; }";
        assert!(compiled(options, &[]).is_ok(), "{:?}", compiled(options, &[]));
    }

    #[test]
    fn well_known_types_need_no_reference_and_cannot_be_replaced() {
        let text = "syntax = \"proto3\"; import \"google/protobuf/struct.proto\"; import \"google/protobuf/any.proto\";
            import \"google/protobuf/type.proto\"; message M { google.protobuf.Struct a = 1; google.protobuf.Any b = 2; }";
        let other = "syntax = \"proto3\"; package google.protobuf; message Struct { int32 x = 1; }";
        let found = compiled(text, &[("google/protobuf/struct.proto", other)]).unwrap();
        let message = found.messages().next().unwrap().get_field_by_name("a").unwrap().kind();
        assert!(message.as_message().unwrap().get_field_by_name("fields").unwrap().is_map());
    }

    #[test]
    fn a_text_whose_names_would_be_far_longer_than_itself_is_refused_at_once() {
        let package = format!("syntax = \"proto3\"; package {}; message M {{}}", vec!["a"; 100_000].join("."));
        let fields: String = (1..1000).map(|number| format!("float f{number} = {number};")).collect();
        let message = format!("syntax = \"proto3\"; message {} {{ {fields} }}", "M".repeat(100_000));
        for text in [package, message] {
            let error = compiled(&text, &[]).unwrap_err();
            assert!(error.contains("its full names have more than"), "{error}");
        }
    }

    #[test]
    fn what_is_no_schema_is_refused_in_a_sentence() {
        let deep = format!("message A {}{}", "{ message B ".repeat(5000), "}".repeat(5000));
        let circle = "syntax = \"proto3\"; import \"geo/place.proto\"; message X {}";
        for (text, references, why) in [
            ("{\"type\": \"long\"}", &[][..], "no text of a protobuf schema in line 1"),
            ("syntax = \"proto3\";\nmessage M { float x = 0; }", &[], "line 2"),
            ("edition = \"2023\"; message M { float x = 1; }", &[], "no text of a protobuf schema"),
            ("syntax = \"proto3\"; message M { N x = 1; }", &[], "N"),
            ("syntax = \"proto3\"; message M { float x = 1; float y = 1; }", &[], "1"),
            (&deep, &[], "recursion limit"),
            (USES, &[("geo/place.proto", circle)], "imports itself"),
            (USES, &[("geo/place.proto", "message")], "its import `geo/place.proto`"),
            (&" ".repeat(LARGEST + 1), &[], "4194305 bytes"),
        ] {
            let error = compiled(text, references).unwrap_err();
            assert!(error.contains(why), "{error}, not {why}");
        }
    }
}
