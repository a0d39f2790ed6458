//! Rights that are missing, come, and go.

use std::time::{Duration, Instant};

use modelmill::broker::kafka::client::read_all;
use serde_json::json;

use super::{admitted, allow, flower, properties, refusal, rig, start, write_server};
use crate::support::{
    acls::{self, Right},
    kafka, wait_for,
};

#[test]
fn a_right_that_is_missing_is_named_at_the_start_and_a_right_that_comes_in_time_is_enough() {
    let Some((rig, lane, secured)) = rig("rights") else { return };
    let right = properties(secured, &[]);
    let sentence = refusal("no right at all", start(&rig, &secured.sasl, &right));
    let all = [
        format!("read topic `{}`", lane.requests),
        format!("write topic `{}`", lane.results),
        format!("write topic `{}`", lane.dead_letters),
        format!("read group `{}`", rig.group()),
    ];
    assert!(all.iter().all(|what| sentence.contains(what)), "{sentence}");

    // To see a topic is not to write it: without a look at the rights, the worker would find out with the first answer.
    allow(
        &rig,
        &[
            Right::new("Read", "--topic", &lane.requests),
            Right::new("Read", "--topic", &lane.results),
            Right::new("Write", "--topic", &lane.dead_letters),
            Right::new("Describe", "--group", &rig.group()),
        ],
    );
    let named = |sentence: &str| all.clone().map(|what| sentence.contains(&what));
    let sentence = wait_for("the rights of a reader", || {
        let sentence = refusal("a reader", start(&rig, &secured.sasl, &right));
        (named(&sentence) == [false, true, false, true]).then_some(sentence)
    });
    assert!(sentence.contains("docs/security.md"), "{sentence}");

    write_server(&rig, &secured.sasl, &right, |server| server["startup_timeout"] = json!("60s"));
    let mut worker = rig.start();
    worker.wait_for_line("trying again");
    allow(&rig, &[Right::new("Write", "--topic", &lane.results), Right::new("Read", "--group", &rig.group())]);
    worker.wait_until_ready();
    assert_eq!(lane.exchange(&[flower("a")])["a"].status(), "OK");
    worker.stop();
}

#[test]
fn a_right_to_write_that_is_taken_away_stops_the_commit_and_is_said_once() {
    let Some((rig, lane, secured, mut worker)) = admitted("revoked") else { return };
    let asks: Vec<_> = (0..20).map(|number| flower(&format!("before-{number}")).partition(0)).collect();
    lane.exchange(&asks);
    acls::deny(&rig.brokers, "User:worker", &Right::new("Write", "--topic", &lane.results));
    // The broker takes a moment to hear of it, and answers until then.
    let mut sent = asks.len();
    while worker.is_running() {
        lane.send(&[flower(&format!("after-{sent}")).partition(0)]);
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(worker.ended().code(), Some(1));
    let said = worker.lines_with(&lane.results);
    assert_eq!(said.len(), 1, "{:#?}", worker.log());
    assert!(said[0].contains("uthorization"), "{said:?}");
    let answered = read_all(&rig.brokers, &lane.results).unwrap().len();
    let (committed, end) = kafka::committed_and_end(&rig.brokers, &rig.group(), &lane.requests)[&0];
    assert_eq!(end, sent as i64);
    assert!(answered < sent, "the broker refused some answer");
    let committed = usize::try_from(committed.unwrap_or(0)).unwrap();
    assert!(committed <= answered, "{committed} are committed, and {answered} of {sent} answered");

    // And the next one does not even begin.
    let sentence = refusal("a worker that may not write", start(&rig, &secured.sasl, &properties(secured, &[])));
    assert!(sentence.contains(&format!("write topic `{}`", lane.results)), "{sentence}");
}

#[test]
fn rights_of_a_consumer_that_are_taken_away_are_no_flood_of_lines_and_end_nothing() {
    let Some((rig, lane, _, mut worker)) = admitted("deaf") else { return };
    lane.exchange(&[flower("before")]);
    let deny = |right: Right| acls::deny(&rig.brokers, "User:worker", &right);
    deny(Right::new("Read", "--topic", &lane.requests));
    deny(Right::new("Read", "--group", &rig.group()));
    let told = |what: &str| worker.lines_with("\"WARN\"").iter().any(|line| line.contains(what));
    wait_for("word of the topic and of the group", || {
        lane.send(&[flower("unheard")]);
        (told("Topic authorization failed") && told("Group authorization failed")).then_some(())
    });
    // That it does not go on and on can only be seen by waiting for longer than the client waits between its tries.
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert!(worker.is_running(), "the right may come back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
    assert!(troubles.len() <= 5, "{troubles:#?}");
    worker.stop();
}
