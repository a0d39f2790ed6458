//! The report for people.

use std::fmt::{self, Display, Formatter};

use bytesize::ByteSize;

use super::report::{Report, Value};

/// A request with more elements than this is not printed but counted.
const MOST_ELEMENTS: usize = 1024;
/// Of many classes, how many are printed.
const MOST_CLASSES: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => writeln!(f, "{}, version {version}", self.model)?,
            None => writeln!(f, "{}", self.model)?,
        }
        writeln!(f, "  file      {} ({})", self.file.display(), ByteSize(self.size).display().iec())?;
        writeln!(f, "  sha256    {}", self.sha256)?;
        writeln!(f, "  made by   {}", self.origin())?;
        writeln!(f, "  runs in   ONNX Runtime {}{}", self.runtime, self.time())?;
        write_values(f, "inputs", &self.inputs)?;
        write_values(f, "outputs", &self.outputs)?;
        writeln!(f, "\nbatching\n  {}: {}", self.verdict(), self.batching.reason)?;
        writeln!(f, "\npipeline.yaml\n\n{}", self.pipeline)?;
        self.write_place(f)?;
        self.write_request(f)
    }
}

impl Report {
    fn origin(&self) -> String {
        let opsets: Vec<_> = self.opsets.iter().map(|opset| format!("{} {}", opset.domain, opset.version)).collect();
        let producer = if self.producer.is_empty() { "an unnamed program" } else { &self.producer };
        format!("{producer}, operators of {}, file format {}", opsets.join(", "), self.ir_version)
    }

    fn time(&self) -> String {
        let Some(seconds) = self.run_seconds else { return String::new() };
        let time = match seconds {
            ..1e-3 => format!("{:.1} µs", seconds * 1e6),
            ..1.0 => format!("{:.1} ms", seconds * 1e3),
            _ => format!("{seconds:.1} s"),
        };
        format!(", {time} for the request below")
    }

    fn verdict(&self) -> String {
        match (self.batching.axis, self.batching.rows) {
            ("dynamic", _) => "the first axis is the batch; rows of many requests share a run".to_owned(),
            (_, Some(1)) => "the first axis is the batch; rows run one by one".to_owned(),
            (_, Some(rows)) => format!("the first axis is the batch; runs are cut and filled up to {rows} rows"),
            _ => "one request a run".to_owned(),
        }
    }

    fn write_place(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.repository {
            Some(repository) => {
                writeln!(f, "server.yaml needs\n\nmodels:\n  repository: {}\n", repository.display())
            }
            None => writeln!(f, "The model belongs at REPOSITORY/{}/1/model.onnx.\n", self.model),
        }
    }

    fn write_request(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(request) = &self.request else {
            let error = self.no_request.as_deref().unwrap_or_default();
            return writeln!(f, "The model runs with no request that could be made up: {error}");
        };
        let elements: usize = request.inputs.iter().map(|input| input.shape.iter().product::<usize>()).sum();
        if elements <= MOST_ELEMENTS {
            return write!(f, "request.json\n\n{}", request.pretty());
        }
        writeln!(f, "request.json has {elements} elements: `--write FOLDER` writes it to a file.")
    }
}

fn write_values(f: &mut Formatter<'_>, title: &str, values: &[Value]) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    if values.is_empty() {
        return writeln!(f, "  none");
    }
    let widest = |text: fn(&Value) -> &str| values.iter().map(|value| text(value).chars().count()).max().unwrap_or(0);
    let (names, kinds) = (widest(|value| &value.name), widest(|value| &value.shown));
    for value in values {
        let line = format!("  {:names$}  {:kinds$}  {}", value.name, value.shown, remark(value));
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

fn remark(value: &Value) -> String {
    match &value.classes {
        _ if value.optional => "may be left out".to_owned(),
        Some(classes) if classes.len() > MOST_CLASSES => {
            format!("{}, … ({} classes)", classes[..MOST_CLASSES].join(", "), classes.len())
        }
        Some(classes) => classes.join(", "),
        None => String::new(),
    }
}
