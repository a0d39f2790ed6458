//! A thousand models registered of which twenty fit in memory, and requests for all of them, few models often and many rarely
//! (Zipf): each is answered once and rightly by the model that it names, however often that has left memory meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use modelmill::broker::kafka::client::{Record, read_all};
use serde_json::{Value, json};

use crate::{
    bucket::original,
    random::Random,
    support::{Ask, Rig, Worker, json, kafka},
};

const MODELS: usize = 1000;
/// So many fit in memory.
const FIT: usize = 20;
/// What each of them counts as: far more than a small model's load makes the process grow by, whatever else goes on.
const WEIGHTS: u64 = 16 << 20;

/// Requests under way together, and how often.
const ROUND: usize = 150;
const ROUNDS: usize = 7;
/// Of each round, for models that are not there.
const STRANGERS: [&str; 3] = ["m-1001", "m-0000", "nobody"];

const SEED: u64 = 5;

fn name(number: usize) -> String {
    format!("m-{number:04}")
}

/// Digits of a model's number, the first of which may be 10: what it calls the three classes of flowers.
fn digits(number: usize) -> [u8; 3] {
    [number / 100, number / 10 % 10, number % 10].map(|digit| u8::try_from(digit).expect("a digit, or ten"))
}

/// A repository of iris models, each of which calls the classes by its own number. They share a file that takes no room on the
/// disk and counts as memory.
fn register(rig: &Rig) {
    let weights = rig.folder().join("weights.bin");
    fs::File::create(&weights).unwrap().set_len(WEIGHTS).unwrap();
    let model = original("model.onnx");
    // `classlabels_ints` of the classifier: three values of field 8 in one byte each.
    let labels = b"classlabels_ints\x40\x00\x40\x01\x40\x02";
    let at = model.windows(labels.len()).position(|bytes| bytes == labels).expect("the classifier has its labels");
    let classes = at + b"classlabels_ints".len();
    for number in 1..=MODELS {
        let mut model = model.clone();
        for (class, digit) in digits(number).into_iter().enumerate() {
            model[classes + 2 * class + 1] = digit;
        }
        let folder = rig.folder().join("models").join(name(number)).join("1");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.onnx"), model).unwrap();
        fs::hard_link(&weights, folder.join("weights.bin")).unwrap();
    }
}

/// Models from 1 up, the k-th as often as 1 / k says.
struct Zipf {
    random: Random,
    /// The part of the draws that are a model or one before it.
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new() -> Self {
        let total: f64 = (1..=MODELS).map(|rank| 1.0 / rank as f64).sum();
        let mut sum = 0.0;
        let add = |rank| {
            sum += 1.0 / rank as f64 / total;
            sum
        };
        Self { random: Random::new(SEED), cumulative: (1..=MODELS).map(add).collect() }
    }

    fn draw(&mut self) -> usize {
        let part = (self.random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        self.cumulative.partition_point(|sum| *sum <= part).min(MODELS - 1) + 1
    }
}

/// One flower of each class.
fn ask(id: &str, model: &str) -> Ask {
    let flowers = json!([[5.1, 3.5, 1.4, 0.2], [6.0, 2.7, 4.2, 1.3], [6.7, 3.3, 6.0, 2.5]]);
    let input = json!({"name": "input", "shape": [3, 4], "datatype": "FP32", "data": flowers});
    Ask::json(&json!({"id": id, "model_name": model, "inputs": [input]}))
}

/// Which model answered by its own account, and by what it called the classes.
fn answered(answer: &Record) -> (String, Value) {
    let body = json(answer);
    let label = body["outputs"].as_array().and_then(|outputs| outputs.iter().find(|output| output["name"] == "label"));
    let who = body["model_name"].as_str().or(body["error"]["code"].as_str()).unwrap_or("neither");
    (who.to_owned(), label.map(|label| label["data"].clone()).unwrap_or_default())
}

/// Ends a look when the test ends, also when it fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Looks at the admin endpoint until it is told to stop: the most models that were in memory together.
fn most_resident(worker: &Worker, stop: &AtomicBool) -> usize {
    let mut most = 0;
    while !stop.load(Ordering::Acquire) {
        let index: Value = serde_json::from_str(&worker.post("/v2/repository/index").1).unwrap();
        let index = index.as_array().unwrap();
        assert_eq!(index.len(), MODELS, "every model is told of, in memory or not");
        most = most.max(index.iter().filter(|entry| entry["state"] == "READY").count());
        thread::sleep(Duration::from_millis(50));
    }
    most
}

/// What became of models in memory, by the events that tell of every change.
#[derive(Default)]
struct Residents {
    /// Bytes of those that are there now.
    now: BTreeMap<String, u64>,
    most: usize,
    most_bytes: u64,
    loads: BTreeMap<String, usize>,
    evictions: usize,
}

impl Residents {
    fn of(events: &[Record]) -> Self {
        let mut residents = Self::default();
        for event in events.iter().map(json) {
            let model = event["model"].as_str().unwrap().to_owned();
            match event["state"].as_str().unwrap() {
                "available" => {
                    *residents.loads.entry(model.clone()).or_default() += 1;
                    residents.now.insert(model, event["memory_bytes"].as_u64().unwrap());
                }
                "unloaded" => {
                    residents.evictions += 1;
                    residents.now.remove(&model);
                }
                "failed" => panic!("no load may fail: {event}"),
                // One that finishes what it began has left or is about to come back.
                _ => drop(residents.now.remove(&model)),
            }
            residents.most = residents.most.max(residents.now.len());
            residents.most_bytes = residents.most_bytes.max(residents.now.values().sum());
        }
        residents
    }
}

#[test]
fn of_a_thousand_models_twenty_fit_in_memory_and_every_request_is_answered_by_the_one_it_names() {
    let Some(rig) = Rig::new("registered") else { return };
    register(&rig);
    let events = format!("{}.events", rig.name);
    kafka::create_topic(&rig.brokers, &events, 1, &[]);
    rig.owns(&events);
    let budget = FIT as u64 * (WEIGHTS + 1024);
    rig.server(|server| {
        server["models"]["memory"] = json!({"budget": format!("{budget}B")});
        server["models"]["events_topic"] = json!(events);
    });
    let lane = rig.lane_with("zipf", json!([{"predict": {"model": "{request.model}"}}]), 4, |pipeline| {
        // However busy the machine is.
        pipeline["timeout"] = json!("10m");
    });
    let mut worker = rig.worker();
    let (mut zipf, mut asked, stop) = (Zipf::new(), BTreeSet::new(), AtomicBool::new(false));
    let most = thread::scope(|scope| {
        let eye = scope.spawn(|| most_resident(&worker, &stop));
        let end = EndOf(&stop);
        for round in 0..ROUNDS {
            let drawn = (0..ROUND).map(|number| (format!("{round} {number}"), zipf.draw()));
            let drawn: HashMap<_, _> = drawn.collect();
            let mut asks: Vec<_> = drawn.iter().map(|(id, number)| ask(id, &name(*number))).collect();
            asks.extend(STRANGERS.map(|stranger| ask(&format!("{round} {stranger}"), stranger)));
            // Every id once, or the exchange fails.
            for (id, answer) in lane.exchange(&asks) {
                let expected = drawn.get(&id).map_or(("UNKNOWN_MODEL".to_owned(), Value::Null), |number| {
                    (name(*number), json!(digits(*number)))
                });
                assert_eq!(answered(&answer), expected, "{id}: {}", answer.text());
            }
            asked.extend(drawn.into_values());
        }
        drop(end);
        eye.join().expect("the admin endpoint answers all the time")
    });
    worker.stop();
    lane.assert_nothing_more();
    let residents = Residents::of(&read_all(&rig.brokers, &events).unwrap());
    assert!((1..=FIT).contains(&most), "{most} models in memory by the admin endpoint");
    assert!(residents.most <= FIT && residents.most_bytes <= budget, "{}, {}", residents.most, residents.most_bytes);
    assert_eq!(residents.most, FIT, "they fit, and that many were in memory");
    assert!(asked.len() > 10 * FIT, "{} models were asked for", asked.len());
    assert!(asked.iter().all(|number| residents.loads.contains_key(&name(*number))));
    let reloads: usize = residents.loads.values().map(|loads| loads - 1).sum();
    assert!(residents.evictions > asked.len() - FIT && reloads > FIT, "{} and {reloads}", residents.evictions);
}
