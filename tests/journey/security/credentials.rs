//! Wrong credentials: one line that says what to do, and exit code 1.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{allow, documented, properties, refusal, rig, start_for};
use crate::support::secured::password;

/// How long these workers try to be let in: ten of them at once, by a broker that has only just begun.
const STARTUP: Duration = Duration::from_secs(10);

/// What a start takes besides: the process, the model, the farewell of the client, on a busy machine.
const BESIDES: Duration = Duration::from_secs(20);

#[test]
fn wrong_credentials_are_one_line_that_says_what_to_do_and_exit_code_1() {
    let Some((rig, _lane, secured)) = rig("wrong") else { return };
    allow(&rig, &documented(&rig));
    let other_ca = secured.file("other/ca.pem");
    let no_sasl = [("sasl.mechanism", ""), ("sasl.username", ""), ("sasl.password", "")];
    let with = |first: &[(&'static str, &'static str)]| [first, &no_sasl].concat();
    let by_address = secured.sasl.replace("localhost", "127.0.0.1");
    let cases: Vec<(&str, &str, BTreeMap<String, String>, &str)> = vec![
        ("a wrong password", &secured.sasl, properties(secured, &[("sasl.password", "wrong-4711")]), "sasl.password"),
        ("an unknown user", &secured.sasl, properties(secured, &[("sasl.username", "nobody")]), "sasl.username"),
        (
            "a wrong password by PLAIN",
            &secured.sasl,
            properties(secured, &[("sasl.mechanism", "PLAIN"), ("sasl.password", "wrong-4711")]),
            "sasl.password",
        ),
        (
            "an unknown authority",
            &secured.sasl,
            properties(secured, &[("ssl.ca.location", &other_ca)]),
            "ssl.ca.location",
        ),
        ("a name that is not the certificate's", &by_address, properties(secured, &[]), "as that certificate has it"),
        (
            "no client's certificate",
            &secured.mtls,
            properties(secured, &with(&[("security.protocol", "SSL")])),
            "ssl.certificate.location",
        ),
        (
            "no TLS to a port of TLS",
            &secured.mtls,
            properties(secured, &with(&[("security.protocol", ""), ("ssl.ca.location", "")])),
            "security.protocol to SSL or SASL_SSL",
        ),
        (
            "SASL without TLS to a port of both",
            &secured.sasl,
            properties(secured, &[("security.protocol", "SASL_PLAINTEXT")]),
            "security.protocol to SSL or SASL_SSL",
        ),
        (
            "TLS without SASL to a port of both",
            &secured.sasl,
            properties(secured, &with(&[("security.protocol", "SSL")])),
            "security.protocol to SASL_SSL",
        ),
        ("TLS to a port without", &secured.open, properties(secured, &[]), "security.protocol to PLAINTEXT"),
    ];
    let began = Instant::now();
    let workers: Vec<_> = cases
        .iter()
        .map(|(what, brokers, properties, word)| (*what, *word, start_for(&rig, brokers, properties, STARTUP)))
        .collect();
    for (what, word, worker) in workers {
        let sentence = refusal(what, worker);
        assert!(sentence.contains(word), "{what}: {sentence}");
        for secret in ["wrong-4711", password("SCRAM-SHA-512")] {
            assert!(!sentence.contains(secret), "{what}: {sentence}");
        }
    }
    let took = began.elapsed();
    assert!(took < STARTUP + BESIDES, "they give up within startup_timeout, but took {took:?}");
}
