//! How to go on: the commands for one's own model and a real Kafka.

use std::path::{Path, PathBuf};

use super::screen::Screen;
use crate::backend::onnx::RuntimeInfo;

/// The commands, to be pasted as they are.
pub fn onward(screen: Screen, runtime: &RuntimeInfo, args: &super::DemoArgs) -> String {
    let program = program(std::env::args_os().next().map(PathBuf::from).as_deref());
    let mut lines = Vec::new();
    if args.runtime.onnxruntime.is_some() || std::env::var_os("ORT_DYLIB_PATH").is_some() {
        lines.push(format!("export ORT_DYLIB_PATH={}", quoted(&runtime.path.display().to_string())));
    }
    let commands = [
        "mkdir -p models/mymodel/1 && cp model.onnx models/mymodel/1/".to_owned(),
        format!("{program} inspect models/mymodel --write ."),
        // Indented alike, they are YAML with the indentation, too.
        "echo '".to_owned(),
        "kafka: {brokers: localhost:9092, group: mine, create_topics: {enabled: true}}".to_owned(),
        "models: {repository: models}' > server.yaml".to_owned(),
        format!("{program} check --server server.yaml --pipeline pipeline.yaml"),
        format!("{program} worker --server server.yaml --pipeline pipeline.yaml &"),
        "# once it says `ready`".to_owned(),
        format!("{program} send --topic mymodel.requests \\"),
        "  --results mymodel.results --file request.json".to_owned(),
    ];
    lines.extend(commands);
    let mut text = format!("{}\n\n", screen.strong("Your own model.onnx on a real Kafka"));
    for line in lines {
        text.push_str(format!("  {line}").trim_end());
        text.push('\n');
    }
    text
}

/// How this program was called, so that the commands call it the same way.
fn program(called: Option<&Path>) -> String {
    called.map_or_else(|| "modelmill".to_owned(), |path| quoted(&path.display().to_string()))
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_called_as_it_was() {
        assert_eq!(program(Some(Path::new("target/release/modelmill"))), "target/release/modelmill");
        assert_eq!(program(Some(Path::new("/my files/modelmill"))), "'/my files/modelmill'");
        assert_eq!(program(None), "modelmill");
    }
}
