//! Brings what libraries say through the `log` crate into our log, librdkafka's messages at most once a minute each.
//!
//! librdkafka retries for ever and says so every time, for every address of every broker, and rdkafka says it once more (some
//! eight lines a second between them). What repeats is the *gist*: the message without addresses, numbers and counts. Its errors are warnings here: those that no retry cures come to the
//! worker as errors of a call, and only such ones are for somebody to act on.

use std::{sync::OnceLock, time::Instant};

use log::{Level, Log, Metadata, Record, SetLoggerError};
use tracing::level_filters::LevelFilter;

use super::SharedOncePer;

/// Our target for the Kafka client. rdkafka passes librdkafka's messages on under this one too.
const LIBRDKAFKA: &str = "librdkafka";

/// Under this one rdkafka repeats them as errors of the client.
const RDKAFKA: &str = "rdkafka";

/// The target of all other libraries' messages; the field `part` says which.
const OTHERS: &str = "log";

/// The process's logger for the `log` crate.
#[derive(Debug, Default)]
struct Bridge {
    limiter: SharedOncePer,
}

/// Takes the `log` crate's messages up to `level` from now on.
///
/// # Errors
/// If the process has a logger already.
pub fn install(level: LevelFilter) -> Result<(), SetLoggerError> {
    static BRIDGE: OnceLock<Bridge> = OnceLock::new();
    log::set_logger(BRIDGE.get_or_init(Bridge::default))?;
    log::set_max_level(most_verbose(level));
    Ok(())
}

fn most_verbose(level: LevelFilter) -> log::LevelFilter {
    match level.into_level() {
        None => log::LevelFilter::Off,
        Some(tracing::Level::ERROR) => log::LevelFilter::Error,
        Some(tracing::Level::WARN) => log::LevelFilter::Warn,
        Some(tracing::Level::INFO) => log::LevelFilter::Info,
        Some(tracing::Level::DEBUG) => log::LevelFilter::Debug,
        Some(tracing::Level::TRACE) => log::LevelFilter::Trace,
    }
}

/// Calls one of tracing's macros for a level that is known only now; it wants a constant.
macro_rules! at_level {
    ($level:expr, $call:ident!(target: $target:expr $(, $($fields:tt)*)?)) => {
        match $level {
            Level::Error => tracing::$call!(target: $target, tracing::Level::ERROR $(, $($fields)*)?),
            Level::Warn => tracing::$call!(target: $target, tracing::Level::WARN $(, $($fields)*)?),
            Level::Info => tracing::$call!(target: $target, tracing::Level::INFO $(, $($fields)*)?),
            Level::Debug => tracing::$call!(target: $target, tracing::Level::DEBUG $(, $($fields)*)?),
            Level::Trace => tracing::$call!(target: $target, tracing::Level::TRACE $(, $($fields)*)?),
        }
    };
}

impl Log for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = level_of(metadata);
        if is_kafka(metadata.target()) {
            at_level!(level, enabled!(target: LIBRDKAFKA))
        } else {
            at_level!(level, enabled!(target: OTHERS))
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = level_of(record.metadata());
        if !is_kafka(record.target()) {
            at_level!(level, event!(target: OTHERS, part = record.target(), "{}", record.args()));
            return;
        }
        self.pass_on(level, &record.args().to_string(), Instant::now());
    }

    fn flush(&self) {}
}

impl Bridge {
    /// Logs a message of librdkafka unless its gist was logged lately.
    fn pass_on(&self, level: Level, message: &str, now: Instant) {
        match self.limiter.admit_at(&gist(message), now) {
            None => {}
            Some(0) => at_level!(level, event!(target: LIBRDKAFKA, "{message}")),
            Some(suppressed) => at_level!(level, event!(target: LIBRDKAFKA, suppressed, "{message}")),
        }
    }
}

fn level_of(metadata: &Metadata<'_>) -> Level {
    match metadata.level() {
        Level::Error if is_kafka(metadata.target()) => Level::Warn,
        level => level,
    }
}

fn is_kafka(target: &str) -> bool {
    target == LIBRDKAFKA || target.split("::").next() == Some(RDKAFKA)
}

/// A message without what changes from one time to the next: who says it, words with a digit in them, how long and how
/// often.
fn gist(message: &str) -> String {
    let mut gist = String::with_capacity(message.len());
    for word in cause(message).split_whitespace() {
        gist.push_str(if word.contains(|character: char| character.is_ascii_digit()) { "#" } else { word });
        gist.push(' ');
    }
    gist
}

/// The part of a message that says what happened.
///
/// The same comes as `librdkafka: FAIL [thrd:…]: CAUSE (after 0ms in state CONNECT, 30 identical error(s) suppressed)`, where
/// the brackets or the count may be missing, and as `librdkafka: Global error: NAME (DESCRIPTION): CAUSE (after …)`.
fn cause(message: &str) -> &str {
    let message = message.split_once(" (after ").map_or(message, |(message, _)| message);
    let (start, end) = if message.contains("Global error: ") { ("Global error: ", "): ") } else { ("[thrd:", "]: ") };
    let said = message.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    said.map_or(message, |(_, cause)| cause)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::telemetry::captured::Captured;

    const REFUSED: &str = "librdkafka: FAIL [thrd:localhost:9092/bootstrap]: localhost:9092/bootstrap: Connect to \
        ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)";
    const REFUSED_AGAIN: &str = "librdkafka: FAIL [thrd:localhost:9092/bootstrap]: localhost:9092/bootstrap: Connect to \
        ipv6#[::1]:9092 failed: Connection refused (after 1ms in state CONNECT, 30 identical error(s) suppressed)";
    const REFUSED_GLOBALLY: &str = "librdkafka: Global error: BrokerTransportFailure (Local: Broker transport failure): \
        localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)";
    const ALL_DOWN: &str =
        "librdkafka: Global error: AllBrokersDown (Local: All broker connections are down): 2/2 brokers are down";
    const ALL_DOWN_AGAIN: &str = "librdkafka: ERROR [thrd:app]: 1/1 brokers are down";
    const HANDSHAKE: &str = "librdkafka: FAIL [thrd:ssl://b-1:9093/1]: ssl://b-1:9093/1: SSL handshake failed: \
        certificate verify failed (after 12ms in state SSL_HANDSHAKE)";

    fn pass_on(bridge: &Bridge, target: &str, level: Level, message: &str) {
        bridge.log(&Record::builder().target(target).level(level).args(format_args!("{message}")).build());
    }

    #[test]
    fn an_unreachable_broker_is_one_line_for_all_its_addresses_and_tries() {
        let lines = Captured::log_of(false, "info", || {
            let bridge = Bridge::default();
            for _ in 0..100 {
                pass_on(&bridge, LIBRDKAFKA, Level::Error, REFUSED);
                pass_on(&bridge, LIBRDKAFKA, Level::Error, REFUSED_AGAIN);
                pass_on(&bridge, "rdkafka::client", Level::Error, REFUSED_GLOBALLY);
            }
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(REFUSED), "{lines:?}");
    }

    #[test]
    fn one_fault_does_not_silence_another() {
        let lines = Captured::log_of(false, "info", || {
            let bridge = Bridge::default();
            for message in [REFUSED, ALL_DOWN, HANDSHAKE, ALL_DOWN_AGAIN] {
                pass_on(&bridge, LIBRDKAFKA, Level::Error, message);
            }
        });
        let said: Vec<_> =
            [REFUSED, ALL_DOWN, HANDSHAKE].iter().zip(&lines).map(|(m, line)| line.ends_with(m)).collect();
        assert_eq!((lines.len(), said), (3, vec![true; 3]), "{lines:?}");
    }

    #[test]
    fn an_error_that_is_retried_is_a_warning() {
        let act = || pass_on(&Bridge::default(), LIBRDKAFKA, Level::Error, REFUSED);
        assert!(Captured::log_of(false, "info", act)[0].contains(" WARN "));
        assert!(Captured::log_of(false, "librdkafka=error", act).is_empty());
    }

    #[test]
    fn a_message_that_comes_again_later_says_how_often_it_was_left_out() {
        let lines = Captured::log_of(true, "info", || {
            let bridge = Bridge::default();
            let start = Instant::now();
            for second in [0, 20, 40, 60] {
                bridge.pass_on(Level::Warn, REFUSED, start + Duration::from_secs(second));
            }
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains(r#""suppressed":2"#), "{lines:?}");
    }

    #[test]
    fn what_other_libraries_say_is_passed_on_as_it_is() {
        let lines = Captured::log_of(true, "info", || {
            let bridge = Bridge::default();
            for _ in 0..2 {
                pass_on(&bridge, "some_library", Level::Error, "broken pipe");
            }
            pass_on(&bridge, "some_library", Level::Debug, "details");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(r#""level":"ERROR""#) && lines[0].contains(r#""part":"some_library""#), "{lines:?}");
    }

    #[test]
    fn librdkafka_asks_which_levels_are_wanted() {
        let enabled = |level| Bridge::default().enabled(&Metadata::builder().target(LIBRDKAFKA).level(level).build());
        Captured::log_of(false, "warn,librdkafka=debug", || assert!(enabled(Level::Debug)));
        Captured::log_of(false, "info", || assert!(enabled(Level::Info) && !enabled(Level::Debug)));
    }
}
