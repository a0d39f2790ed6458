//! What the client library says when a cluster does not let it in, as a sentence that says what to do.
//!
//! librdkafka tries for ever and tells of each try, in words of its own: the handshake that failed, the state it was in. Which
//! property is wrong follows from those words alone. No sentence holds the value of a property that may be a secret.

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaConfRes,
};

/// Why a cluster cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers, as far as the client can tell: what it says.
    Unreachable(String),
    /// Somebody answers and does not let the client in: what the client says, and what to do.
    Rejected(String),
}

impl Trouble {
    /// From an error of the client and its reason; `None` if it says nothing by itself, as that all brokers are away.
    pub fn of(code: Option<RDKafkaErrorCode>, reason: &str) -> Option<Self> {
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            return None;
        }
        // What follows says in which state of the connection; a person need not know.
        let said = reason.split(" (after ").next().unwrap_or(reason);
        Some(match advice(code, reason) {
            Some(advice) => Self::Rejected(format!("{}; {advice}", without_guess(said))),
            None => Self::Unreachable(said.to_owned()),
        })
    }
}

/// Words of the client, and what they ask for. The first that fits counts.
const ADVICE: [(&[&str], &str); 9] = [
    (
        &["mechanism handshake failed", "Unsupported SASL mechanism"],
        "set sasl.mechanism to one that the broker supports",
    ),
    (
        &["PLAINTEXT broker listener?", "wrong version number"],
        "if that port speaks no TLS, set security.protocol to PLAINTEXT or SASL_PLAINTEXT",
    ),
    (&["certificate verify failed", "Failed to verify broker certificate"], CA),
    (
        &["alert unknown ca"],
        "the broker does not know the authority that signed the certificate in ssl.certificate.location",
    ),
    (
        &["certificate required", "alert bad certificate", "alert handshake failure", "SSL authentication might be"],
        "this port asks for a client's certificate: set ssl.certificate.location and ssl.key.location to one it accepts",
    ),
    (&["SASL authentication error"], "check sasl.mechanism, sasl.username and sasl.password"),
    (
        // Nothing was said yet, and the other side hangs up.
        &["SSL listener?", "in state APIVERSION_QUERY"],
        "if that port speaks TLS, set security.protocol to SSL or SASL_SSL",
    ),
    (
        // The first request was sent, and the other side hangs up.
        &["might require SASL", "Disconnected: connection closed by peer"],
        "if that port asks for a user, set security.protocol to SASL_SSL (or SASL_PLAINTEXT), sasl.mechanism, \
         sasl.username and sasl.password",
    ),
    (
        // Within the handshake or after it: a port without TLS may hang up before it is understood.
        &["Disconnected: SSL connection closed by peer"],
        "if that port asks for a user, set security.protocol to SASL_SSL, sasl.mechanism, sasl.username and \
         sasl.password; if it speaks no TLS, set security.protocol to PLAINTEXT or SASL_PLAINTEXT",
    ),
];
/// Where the client begins to guess what is wrong; [`ADVICE`] says it shorter.
const GUESSES: [&str; 5] = [
    ": requesting ApiVersion: might be caused",
    ": verify that security.protocol",
    ": broker certificate could not be verified",
    ": client SSL authentication might be",
    ": connecting to a PLAINTEXT",
];

fn without_guess(said: &str) -> &str {
    GUESSES.iter().find_map(|guess| Some(said.split_once(guess)?.0)).unwrap_or(said)
}

const CA: &str = "set ssl.ca.location to the authority that signed the broker's certificate, and write the broker's name \
    as that certificate has it";

fn advice(code: Option<RDKafkaErrorCode>, reason: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(words, _)| words.iter().any(|words| reason.contains(words)));
    match code {
        _ if found.is_some() => found.map(|(_, advice)| *advice),
        Some(RDKafkaErrorCode::SSL) => Some("check security.protocol and the ssl.* properties"),
        Some(RDKafkaErrorCode::Authentication) => Some("check the sasl.* properties"),
        _ => None,
    }
}

/// Keeps the most telling trouble of a client that looks at a cluster; its log is for those who debug it.
#[derive(Default)]
pub struct Listener {
    heard: Mutex<Option<Trouble>>,
}

impl Listener {
    /// What was heard: a rejection before a connection that failed (a host has several addresses, and not all of them need
    /// to be listened at), and of two alike the last.
    pub fn heard(&self) -> Option<Trouble> {
        self.heard.lock().clone()
    }

    /// The same, which is forgotten.
    pub fn take(&self) -> Option<Trouble> {
        self.heard.lock().take()
    }

    /// Takes note of an error.
    pub fn hear(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        let Some(trouble) = Trouble::of(code, reason) else { return };
        let mut heard = self.heard.lock();
        if matches!(trouble, Trouble::Rejected(_)) || !matches!(*heard, Some(Trouble::Rejected(_))) {
            *heard = Some(trouble);
        }
    }

    /// Takes note of a line of the client's log: that the other side hangs up is told nowhere else.
    pub fn hear_line(&self, facility: &str, text: &str) {
        if facility == "FAIL" {
            self.hear(None, text.split_once("]: ").map_or(text, |(_, said)| said));
        }
    }
}

/// Lets a client tell what [`Listener::hear_line`] is for.
pub fn talkative(config: &mut ClientConfig) {
    if (config.log_level as i32) < RDKafkaLogLevel::Info as i32 {
        config.set_log_level(RDKafkaLogLevel::Info);
    }
    if config.get(CLOSED) == Some("false") {
        config.set(CLOSED, "true");
    }
}

/// Whether the client tells of connections that the other side ends.
const CLOSED: &str = "log.connection.close";

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", role = "look", facility, "{text}");
        self.hear_line(facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Listener {}

/// Why the client refuses its configuration. The library's own sentence holds the value, which may be a secret, also under a
/// name that is written wrongly.
pub fn of_configuration(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("it knows no property `{name}`; check its name in kafka.properties")
        }
        KafkaError::ClientConfig(_, said, name, value) => {
            let said = said.replace(&format!("\"{value}\""), "…");
            let said = if value.len() >= SECRET { said.replace(value, "…") } else { said };
            format!("it does not take the value of `{name}`: {said}")
        }
        KafkaError::ClientCreation(said) if said.contains("mechanism GSSAPI") => {
            "no SASL mechanism is chosen; set sasl.mechanism to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER \
             (Kerberos is not built in)"
                .to_owned()
        }
        KafkaError::ClientCreation(said) if said.starts_with("ssl.") => {
            format!("{said}; see that the file is there, may be read and is PEM (ssl.key.password opens a key)")
        }
        KafkaError::ClientCreation(said) => said.clone(),
        other => other.to_string(),
    }
}

/// What is shorter is no secret, and may stand in any word.
const SECRET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: RDKafkaErrorCode, reason: &str) -> String {
        match Trouble::of(Some(code), reason) {
            Some(Trouble::Rejected(sentence)) => sentence,
            other => panic!("{reason}: {other:?}"),
        }
    }

    #[test]
    fn what_a_cluster_refuses_names_the_property_to_look_at() {
        let transport = RDKafkaErrorCode::BrokerTransportFailure;
        for (code, reason, property) in [
            (
                RDKafkaErrorCode::Authentication,
                "sasl_ssl://localhost:9093/bootstrap: SASL authentication error: Authentication failed: Invalid username \
                 or password (after 303ms in state AUTH_REQ)",
                "sasl.password",
            ),
            (
                RDKafkaErrorCode::SSL,
                "ssl://localhost:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
                 failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured",
                "ssl.ca.location",
            ),
            (
                transport,
                "localhost:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 1ms in \
                 state APIVERSION_QUERY)",
                "to SSL or SASL_SSL",
            ),
            (
                transport,
                "ssl://localhost:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after \
                 2ms in state UP)",
                "sasl.username",
            ),
            (
                transport,
                "localhost:9093/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect \
                 security.protocol configuration (connecting to a SSL listener?) or broker version is < 0.10",
                "security.protocol",
            ),
            (RDKafkaErrorCode::SSL, "ssl://localhost:9093/1: something new", "ssl.*"),
        ] {
            let sentence = rejected(code, reason);
            assert!(sentence.contains(property) && !sentence.contains("(after "), "{sentence}");
        }
    }

    #[test]
    fn nobody_there_is_no_rejection() {
        let refused = "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in \
            state CONNECT)";
        let trouble = Trouble::of(Some(RDKafkaErrorCode::BrokerTransportFailure), refused);
        let said = "localhost:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused";
        assert_eq!(trouble, Some(Trouble::Unreachable(said.to_owned())));
        assert_eq!(Trouble::of(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down"), None);
    }

    #[test]
    fn a_rejection_is_not_forgotten_over_an_address_at_which_nobody_listens_until_it_is_taken() {
        let listener = Listener::default();
        listener.hear(Some(RDKafkaErrorCode::SSL), "ssl://a/1: SSL handshake failed");
        listener.hear(Some(RDKafkaErrorCode::BrokerTransportFailure), "a/1: Connection refused");
        assert!(matches!(listener.heard(), Some(Trouble::Rejected(said)) if said.contains("handshake")));
        assert!(matches!(listener.take(), Some(Trouble::Rejected(said)) if said.contains("handshake")));
        listener.hear(Some(RDKafkaErrorCode::BrokerTransportFailure), "a/1: Connection refused");
        assert_eq!(listener.heard(), Some(Trouble::Unreachable("a/1: Connection refused".to_owned())));
    }

    #[test]
    fn a_refused_configuration_names_the_property_and_hides_its_value() {
        let refusal = |name: &str, value: &str| {
            let error = ClientConfig::new().set(name, value).create::<rdkafka::consumer::BaseConsumer>().err().unwrap();
            of_configuration(&error)
        };
        for name in ["sasl.pasword", "security.protocol", "sasl.password.timeout"] {
            let sentence = refusal(name, "hush-hush");
            assert!(!sentence.contains("hush") && sentence.contains(name), "{sentence}");
        }
        assert!(refusal("linger.ms", "-7").contains("linger.ms"));
        assert!(
            refusal("security.protocol", "SASL_SSL").contains("sasl.mechanism"),
            "Kerberos is the library's default"
        );
    }
}
