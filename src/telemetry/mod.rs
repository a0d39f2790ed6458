//! Logs: for people on a terminal, JSON lines for machines; always on standard error.
//!
//! Standard output belongs to what a command prints. Messages of libraries that use the `log` crate (librdkafka's come
//! that way) go the same road, librdkafka's through a limiter: a broker that is away is one line, not a stream.

use std::{
    env,
    io::{self, IsTerminal},
};

use clap::ValueEnum;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, ParseError},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::Registry,
};

pub use once_per::{OncePer, SharedOncePer};

mod bridge;
mod once_per;

/// The environment variable that names levels where the command line does not.
pub const LEVEL_VARIABLE: &str = "MODELMILL_LOG";

/// At `info`, ONNX Runtime tells of every buffer that it reserves, and the AWS SDK of every place where it looks for credentials.
const QUIET: &str = "ort=warn,aws_config=warn";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people if standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One line of text for each event.
    Human,
    /// One JSON object for each event.
    Json,
}

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A word that is no level.
    #[error(
        "`{0}` is no log level; levels are off, error, warn, info, debug and trace, and a part can have its own: \
         `info,modelmill::broker=debug`"
    )]
    Level(String),
    /// A directive that cannot be read.
    #[error("`{directives}` are no log levels ({source}); an example that is: `info,modelmill::broker=debug`")]
    Directives {
        /// As they were given.
        directives: String,
        /// What is wrong with them.
        source: ParseError,
    },
    /// There is a log already.
    #[error("logging is set up once for a process, and it was before")]
    AlreadySet,
}

/// Sets the process's log up; to be called once, before anything is logged.
///
/// `levels` come from the command line; without them from [`LEVEL_VARIABLE`], else `info`.
///
/// # Errors
/// If the levels cannot be read, or the process logs already.
pub fn init(format: LogFormat, levels: Option<&str>) -> Result<(), TelemetryError> {
    let filter = filter(&chosen_levels(levels, env::var(LEVEL_VARIABLE).ok().as_deref()))?;
    let terminal = io::stderr().is_terminal();
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = Lines { json: is_json(format, terminal), colour };
    tracing::subscriber::set_global_default(lines.subscriber(filter, io::stderr))
        .map_err(|_| TelemetryError::AlreadySet)?;
    bridge::install(LevelFilter::current()).map_err(|_| TelemetryError::AlreadySet)
}

/// An empty choice is none: `MODELMILL_LOG=` in a service file means nothing in particular.
fn chosen_levels(argument: Option<&str>, variable: Option<&str>) -> String {
    let given = |text: &&str| !text.trim().is_empty();
    argument.filter(given).or(variable.filter(given)).unwrap_or("info").to_owned()
}

fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    }
}

/// Levels as a filter. A list that sets parts only leaves the others at `info`.
fn filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    for word in directives.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        // A bare word that is no level would be taken for a part of the program, and everything else fall silent.
        if !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err() {
            return Err(TelemetryError::Level(word.to_owned()));
        }
    }
    let all = format!("info,{QUIET},{directives}");
    EnvFilter::builder()
        .parse(all)
        .map_err(|source| TelemetryError::Directives { directives: directives.to_owned(), source })
}

/// The look of a line.
#[derive(Clone, Copy, Debug)]
struct Lines {
    json: bool,
    colour: bool,
}

impl Lines {
    fn subscriber<W>(self, filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
    where
        W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    {
        let lines: Box<dyn Layer<Registry> + Send + Sync> = if self.json {
            let json = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            Box::new(json.with_writer(writer))
        } else {
            Box::new(fmt::layer().with_target(false).with_ansi(self.colour).with_writer(writer))
        };
        tracing_subscriber::registry().with(lines.with_filter(filter))
    }
}

/// A log that is kept in memory, for tests.
#[cfg(test)]
mod captured {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;

    #[derive(Clone, Default)]
    pub struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// What `act` logs at these levels.
        pub fn log_of(json: bool, levels: &str, act: impl FnOnce()) -> Vec<String> {
            let captured = Self::default();
            let writer = captured.clone();
            let lines = super::Lines { json, colour: false };
            let subscriber = lines.subscriber(super::filter(levels).unwrap(), move || writer.clone());
            tracing::subscriber::with_default(subscriber, act);
            let bytes = captured.0.lock().clone();
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{captured::Captured, *};

    #[test]
    fn a_terminal_gets_text_and_everything_else_json_unless_told() {
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Human, false));
        assert!(is_json(LogFormat::Json, true));
    }

    #[test]
    fn the_command_line_comes_before_the_environment_and_that_before_the_default() {
        assert_eq!(chosen_levels(Some("debug"), Some("warn")), "debug");
        assert_eq!(chosen_levels(None, Some("warn")), "warn");
        assert_eq!(chosen_levels(None, Some(" ")), "info");
        assert_eq!(chosen_levels(None, None), "info");
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top() {
        let lines = Captured::log_of(true, "info", || tracing::info!(partitions = 8, "assigned"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with(r#"{"timestamp":""#) && lines[0].ends_with('}'), "{}", lines[0]);
        for field in [r#""level":"INFO""#, r#""message":"assigned""#, r#""partitions":8"#] {
            assert!(lines[0].contains(field), "{}", lines[0]);
        }
        assert_eq!(lines[0].matches('{').count(), 1, "{}", lines[0]);
    }

    #[test]
    fn a_line_for_people_has_level_message_and_fields() {
        let lines = Captured::log_of(false, "info", || tracing::warn!(topic = "iris.requests", "topic is missing"));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("WARN topic is missing topic=\"iris.requests\""), "{}", lines[0]);
    }

    #[test]
    fn levels_hold_for_all_parts_but_those_with_their_own() {
        let act = || {
            tracing::debug!(target: "modelmill::broker", "chatty part");
            tracing::debug!(target: "modelmill::codec", "quiet part");
            tracing::info!(target: "modelmill::codec", "ordinary");
            tracing::info!(target: "ort::logging", "buffer reserved");
        };
        let lines = Captured::log_of(false, "modelmill::broker=debug", act);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("chatty part") && lines[1].ends_with("ordinary"), "{lines:?}");
        assert_eq!(Captured::log_of(false, "warn,ort=info", act).len(), 1);
        assert_eq!(Captured::log_of(false, "off", act).len(), 0);
    }

    #[test]
    fn a_misspelt_level_is_refused_with_the_levels_that_there_are() {
        let error = filter("inof").unwrap_err().to_string();
        assert!(error.starts_with("`inof` is no log level; levels are off, error, warn, info"), "{error}");
        let error = filter("modelmill=loud").unwrap_err().to_string();
        assert!(error.starts_with("`modelmill=loud` are no log levels ("), "{error}");
    }
}
