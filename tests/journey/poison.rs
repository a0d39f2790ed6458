//! A request that kills the process: it is found, answered and kept, and everybody else gets a result. Kills from outside make
//! nobody guilty.
//!
//! The model is one that really crashes ONNX Runtime on one number (SIGFPE, by a division that the runtime does not check), so
//! the first two tests are of processors that answer such a division with a signal.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use modelmill::broker::kafka::client::Record;
use serde_json::{Value, json};

use crate::support::{Ask, Lane, PATIENCE, Rig, Worker, backlog::Backlog, json, kafka};

/// The number that `tests/data/fixtures/fatal` dies of.
const FATAL: i64 = 6_666_666;

const INNOCENTS: i64 = 5_000;

const PARTITIONS: i32 = 4;

fn ask(id: &str, number: i64) -> Ask {
    let input = json!({"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [number]});
    Ask::json(&json!({"id": id, "inputs": [input]}))
}

fn poison() -> Ask {
    ask("poison", FATAL).partition(2).key("tenant-7").header("tenant", "seven").header("trace", vec![0, 255])
}

/// A rig with the fatal model, a lane to it, and many requests of which one is poison.
fn poisoned(label: &str, delivery: &str) -> Option<(Rig, Lane)> {
    let rig = Rig::new(label)?;
    rig.model("fatal", 1, "tests/data/fixtures/fatal/1");
    rig.server(|server| {
        server["delivery"] = json!(delivery);
        // A static member gets its partitions back at once.
        server["kafka"]["properties"] = json!({"group.instance.id": "mill-0"});
    });
    let lane = rig.lane_with("fatal", json!([{"predict": {"model": "fatal"}}]), PARTITIONS, |pipeline| {
        pipeline["timeout"] = json!("1h");
    });
    let innocent =
        |number: i64| ask(&number.to_string(), number).partition(i32::try_from(number).unwrap() % PARTITIONS);
    let mut asks: Vec<_> = (0..INNOCENTS).map(innocent).collect();
    asks.insert(asks.len() / 2, poison());
    lane.send(&asks);
    Some((rig, lane))
}

/// Starts a worker again whenever it dies, until every request has an answer. Says how often it died, and gives the one that
/// lives and the answers by id, which may be doubled.
fn supervise(rig: &Rig, lane: &Lane) -> (usize, Worker, HashMap<String, Vec<Record>>) {
    let mut answers: HashMap<String, Vec<Record>> = HashMap::new();
    let (mut deaths, mut worker, mut last) = (0, rig.start(), Instant::now());
    let all = usize::try_from(INNOCENTS).unwrap() + 1;
    while answers.len() < all {
        for answer in lane.client.answers(1_000, Duration::from_millis(50)).unwrap() {
            answers.entry(answer.id().unwrap().into_owned()).or_default().push(answer);
            last = Instant::now();
        }
        if !worker.is_running() {
            assert_eq!(worker.ended().signal(), Some(libc::SIGFPE), "{:#?}", worker.log());
            deaths += 1;
            assert!(deaths < 6, "it dies for ever: {:#?}", worker.log());
            worker = rig.start();
        }
        assert!(last.elapsed() < PATIENCE, "{} of {all} answered, {deaths} deaths", answers.len());
    }
    (deaths, worker, answers)
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_request_that_crashes_the_runtime_is_found_and_kept_and_the_others_have_results() {
    found_and_kept("fatal", "at_least_once");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn in_transactions_it_is_found_as_well_and_nobody_is_answered_twice() {
    let Some(answers) = found_and_kept("fatal-exactly", "exactly_once") else { return };
    assert!(answers.values().all(|answers| answers.len() == 1));
}

fn found_and_kept(label: &str, delivery: &str) -> Option<HashMap<String, Vec<Record>>> {
    let (rig, lane) = poisoned(label, delivery)?;
    let (deaths, mut worker, mut answers) = supervise(&rig, &lane);
    assert!((2..=3).contains(&deaths), "{deaths} deaths for {INNOCENTS} in flight at the most");
    let told = worker.lines_with("with which the worker died each time");
    let [told] = &told[..] else { panic!("one line tells of the poison: {told:?}") };
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!((&told["level"], &told["partition"], &told["deaths"]), (&json!("ERROR"), &json!(2), &json!(deaths)));
    assert_eq!(worker.lines_with("died while these requests were in flight").len(), 1);
    let ended = worker.wait_for_line("nothing is left of what was in flight");
    println!("{label}: {deaths} deaths; the last hunt: {ended}");
    let count = |name: &str| worker.metric(name, &[]);
    assert_eq!([count("modelmill_condemned_messages_total"), count("modelmill_suspected_messages")], [1.0, 0.0]);
    worker.stop();
    for answer in lane.client.answers(1_000_000, Duration::from_millis(500)).unwrap() {
        answers.entry(answer.id().unwrap().into_owned()).or_default().push(answer);
    }
    assert_is_told(&answers["poison"], deaths);
    for number in 0..INNOCENTS {
        for answer in &answers[&number.to_string()] {
            assert_eq!(json(answer)["outputs"][0]["data"], json!([number]), "{}", answer.text());
        }
    }
    assert_is_kept(&lane, deaths);
    assert_journal_is_empty(&rig);
    Some(answers)
}

/// The poison's caller has one answer, which says what happened.
fn assert_is_told(answers: &[Record], deaths: usize) {
    let [answer] = answers else { panic!("the poison has {} answers", answers.len()) };
    let body = json(answer);
    assert_eq!((answer.header("status"), &body["error"]["code"]), (Some(&b"INTERNAL"[..]), &json!("INTERNAL")));
    let sentence = body["error"]["message"].as_str().unwrap();
    assert!(sentence.contains(&format!("the worker died {deaths} times")), "{sentence}");
    assert_eq!(answer.header("tenant"), Some(&b"seven"[..]));
}

/// The poison is the one dead letter, byte for byte, with its origin.
fn assert_is_kept(lane: &Lane, deaths: usize) {
    let letters = lane.dead_letters();
    let [letter] = &letters[..] else { panic!("{} dead letters", letters.len()) };
    let poison = poison();
    assert_eq!((letter.value.as_deref(), letter.key.as_deref()), (poison.value(), poison.key_bytes()));
    for (name, value) in poison.headers() {
        assert_eq!(letter.header(name), Some(value.as_slice()));
    }
    let text = |name: &str| String::from_utf8_lossy(letter.header(name).unwrap_or_default()).into_owned();
    let offset = INNOCENTS / 2 / i64::from(PARTITIONS);
    let [topic, partition, at, code] =
        ["topic", "partition", "offset", "code"].map(|name| text(&format!("dead-letter-{name}")));
    assert_eq!((topic, partition, at), (lane.requests.clone(), "2".to_owned(), offset.to_string()));
    assert_eq!(code, "INTERNAL");
    assert!(text("dead-letter-reason").contains(&format!("died {deaths} times")));
}

/// Nothing stands in any journal: every entry behind the header begins with a 0.
fn assert_journal_is_empty(rig: &Rig) {
    let files: Vec<_> =
        fs::read_dir(rig.folder().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("one worker has one journal: {files:?}") };
    let content = fs::read(file).unwrap();
    assert!(content.starts_with(b"mmjrnl") && content.len() > 1 << 16);
    assert!(content.chunks(64).skip(1).all(|entry| entry[..8] == [0; 8]), "entries are left");
}

const REQUESTS: usize = 60_000;

#[test]
fn kills_from_outside_make_nobody_guilty() {
    let Some(backlog) = Backlog::send(REQUESTS, 4) else { return };
    let rig = Rig::new("innocent").unwrap();
    let letters = format!("{}.dead-letters", rig.name);
    kafka::create_topic(&rig.brokers, &letters, 4, &[]);
    rig.owns(&letters);
    rig.server(|server| server["kafka"]["properties"] = json!({"group.instance.id": "mill-0"}));
    let results = backlog.pipeline(&rig, |pipeline| pipeline["output"]["dead_letter_topic"] = json!(letters));
    let mut tally = backlog.tally(&results);
    let mut worker = rig.start();
    tally.wait_for(5_000);
    // Killed at its work, and twice more while it looks for the cause.
    let mut suspected = 0;
    for signal in [libc::SIGSEGV, libc::SIGKILL, libc::SIGKILL] {
        worker.signal(signal);
        assert_eq!(worker.ended().signal(), Some(signal));
        worker = rig.worker();
        suspected += worker.lines_with("died while these requests were in flight").len();
        tally.wait_for(tally.answered() + 500);
    }
    assert_eq!(suspected, 3, "it was killed at its work");
    let hunted = worker.wait_for_line("nothing is left of what was in flight");
    let answered = || worker.metric("modelmill_requests_total", &[]);
    let (before, began) = (answered(), Instant::now());
    tally.wait_for(REQUESTS);
    println!("after the hunt {} requests within {:?}", answered() - before, began.elapsed());
    println!("{}", worker.lines_with("died while these requests")[0]);
    println!("{hunted}");
    worker.stop();
    tally.finish();
    println!("{}", tally.account());
    assert_eq!(tally.answered(), REQUESTS, "{}", tally.account());
    let letters = modelmill::broker::kafka::client::read_all(&rig.brokers, &letters).unwrap();
    assert!(letters.is_empty(), "{} dead letters of innocents", letters.len());
    assert_journal_is_empty(&rig);
}

#[test]
fn a_folder_that_cannot_be_written_is_worth_a_warning_and_a_damaged_file_too() {
    let Some(rig) = Rig::new("no-journal") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let iris = |id: &str| Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}));
    let blocked = rig.folder().join("blocked");
    fs::write(&blocked, "a file where a folder should be").unwrap();
    rig.server(|server| server["crash_journal"]["directory"] = json!(blocked));
    let mut worker = rig.worker();
    assert_eq!(lane.exchange(&[iris("without")])["without"].status(), "OK");
    assert_eq!(worker.lines_with("no crash journal").len(), 1);
    worker.stop();
    rig.server(|_| {});
    let mut worker = rig.worker();
    assert_eq!(lane.exchange(&[iris("with")])["with"].status(), "OK");
    assert_eq!(worker.lines_with("crash journal"), [""; 0], "it is in order");
    worker.stop();
    let files: Vec<_> =
        fs::read_dir(rig.folder().join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    fs::write(&files[0], "something else").unwrap();
    let mut worker = rig.worker();
    assert_eq!(lane.exchange(&[iris("again")])["again"].status(), "OK");
    assert_eq!(worker.lines_with("begun anew").len(), 1);
    worker.stop();
    lane.assert_nothing_more();
}
