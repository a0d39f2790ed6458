//! Turns what goes wrong with a model into sentences for whoever trained it.
//!
//! The runtime's own messages name its source files, say things twice and leave out what to do. Where a message is known,
//! it is said anew; where it is not, it is at least cut down to what it says.

use std::{io, path::Path};

use super::wire::WireError;

/// A model file that cannot be opened or read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file `{}`", path.display()),
        _ => format!("`{}` cannot be read: {error}", path.display()),
    }
}

/// A file that is no whole ONNX model, of which the first bytes and the length are known.
pub(super) fn no_model(path: &Path, error: &WireError, start: &[u8], length: u64) -> String {
    let path = path.display();
    if let Some(what) = other_format(start) {
        return format!("`{path}` is no ONNX model but {what}");
    }
    match error {
        _ if length == 0 && !matches!(error, WireError::Io(_)) => format!("`{path}` is empty"),
        WireError::Io(error) => format!("`{path}` cannot be read: {error}"),
        WireError::CutShort { needed, end } if *end == length => {
            format!("`{path}` is cut short: it has {length} bytes of at least {needed}; copy it again")
        }
        WireError::CutShort { .. } | WireError::Nonsense => format!("`{path}` is no ONNX model, or it is damaged"),
    }
}

/// What a file is that people take for a model, by its first bytes.
fn other_format(start: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 7] = [
        (b"version https://git-lfs", "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
        (b"PK\x03\x04", "a zip archive, as PyTorch and Keras save their models: export the model to ONNX"),
        (b"\x80\x04", "a Python pickle: export the model to ONNX, with skl2onnx for scikit-learn"),
        (b"\x80\x05", "a Python pickle: export the model to ONNX, with skl2onnx for scikit-learn"),
        (b"\x89HDF", "an HDF5 file, as Keras saves its models: export the model to ONNX"),
        (b"\x1f\x8b", "gzip-compressed: uncompress it first"),
        (b"<", "a web page or XML"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(what);
    }
    let text = &start[..start.len().min(512)];
    let is_text = text.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..));
    (is_text && !text.is_empty()).then_some("a text file")
}

/// A whole model file that the runtime does not take.
pub(super) fn refused(path: &Path, message: &str, version: &str) -> String {
    let path = path.display();
    let message = message_only(message);
    if let Some(operator) = message.strip_suffix(" is not a registered function/op") {
        let operator = operator.rsplit(": ").next().unwrap_or(operator).split('(').next().unwrap_or(operator);
        return format!(
            "`{path}` uses the operator `{operator}`, which ONNX Runtime {version} does not have: it is custom, or newer than \
             this runtime"
        );
    }
    if let Some(opset) = between(&message, "Opset ", " is under development") {
        return format!(
            "`{path}` is of opset {opset}, which ONNX Runtime {version} does not know: export it for an older opset or take a \
             newer runtime"
        );
    }
    if let Some(found) = between(&message, "Unsupported model IR version: ", ",") {
        return format!(
            "`{path}` has version {found} of the file format, which ONNX Runtime {version} does not know: export it with an \
             older version of onnx or take a newer runtime"
        );
    }
    if let Some(locale) = between(&message, "construct locale with name:", ":") {
        return format!(
            "`{path}` normalises text in the locale `{locale}`, which this system does not have: install it (on Debian, the \
             package `locales` and `localedef -i en_US -f UTF-8 {locale}`), or leave the normalisation to a step"
        );
    }
    format!("ONNX Runtime {version} does not take `{path}`: {message}")
}

/// A model that failed while running: which node, and why.
pub(super) fn failed(message: &str) -> String {
    let Some(operator) = between(message, "while running ", " node.") else { return message_only(message) };
    let name = between(message, "Name:'", "'").filter(|name| !name.is_empty());
    let cause = message.split("Status Message: ").last().unwrap_or(message);
    let node = name.map_or_else(String::new, |name| format!(" `{name}`"));
    format!("the node{node} ({operator}) failed: {}", message_only(cause))
}

/// A message of the runtime without the places in its source code, the path that was asked for and the remark that it
/// failed.
fn message_only(message: &str) -> String {
    let message = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let message = match message.split_once(" failed:") {
        Some((before, after)) if before.starts_with("Load model from ") => after,
        _ => &message,
    };
    // `/onnxruntime_src/onnxruntime/core/….cc:123 Type::Function(…) text`: the text follows the last bracket of the signature.
    let source = message.find("onnxruntime/core/");
    let end_of = |end: &str| source.and_then(|at| Some(at + message[at..].find(end)? + end.len()));
    let text = end_of("<lambda()> ").or_else(|| end_of(") ")).unwrap_or(0);
    let message = &message[text..];
    message.trim().trim_end_matches('.').to_owned()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    rest.split_once(after).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_node_is_named_and_the_runtimes_source_is_not() {
        let message = "Non-zero status code returned while running Reshape node. Name:'/head/Reshape' Status Message: \
            /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:47 \
            onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) \
            input_shape_size == size was false. The input tensor cannot be reshaped to the requested shape.\n";
        assert_eq!(
            failed(message),
            "the node `/head/Reshape` (Reshape) failed: input_shape_size == size was false. The input tensor cannot be \
             reshaped to the requested shape"
        );
        assert_eq!(failed("Invalid input name: z"), "Invalid input name: z");
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        let message =
            "Got invalid dimensions for input: x for the following indices\n index: 0 Got: 3 Expected: 4\n Please.";
        assert_eq!(
            failed(message),
            "Got invalid dimensions for input: x for the following indices index: 0 Got: 3 Expected: 4 Please"
        );
    }

    #[test]
    fn a_missing_locale_is_told_with_what_to_do() {
        let message = "Exception during initialization: /onnxruntime_src/onnxruntime/core/providers/cpu/text/\
            string_normalizer.cc:235 onnxruntime::StringNormalizer::Locale::Locale(const std::string&)::<lambda()> Failed to \
            construct locale with name:en_US.UTF-8:locale::facet::_S_create_c_locale name not valid:Please, install necessary \
            language-pack-XX and configure locales";
        let sentence = refused(Path::new("m.onnx"), message, "1.31.1");
        assert!(sentence.starts_with("`m.onnx` normalises text in the locale `en_US.UTF-8`, which"), "{sentence}");
        assert!(message_only(message).starts_with("Failed to construct locale"));
    }

    #[test]
    fn what_is_not_known_is_passed_on() {
        let sentence = refused(Path::new("m.onnx"), "Load model from m.onnx failed:Something new.", "1.99.0");
        assert_eq!(sentence, "ONNX Runtime 1.99.0 does not take `m.onnx`: Something new");
    }
}
