//! 1,000 models registered of which 20 fit in memory, one pipeline for all: what those in memory cost beside a single model, and
//! what requests for the others wait for.
//!
//! First backlogs of requests for the models in memory are worked off, in turn with as large ones for one of them. Then traffic
//! goes to all 1,000 at a rate, the k-th as often as 1 / k says (Zipf). The worker writes each change of a state to a topic:
//! a request is warm if its model was in memory from when it was due until its answer, cold if it was not and came meanwhile.

use std::{
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use super::{
    IrisAsks, Lane, Latencies, Live, Setup,
    flow::{self, Ask, Asks, Pace, Seen, Tally},
    states::States,
    uploads::{self, Repository},
};
use crate::{
    Options,
    check::Answer,
    cluster::Cluster,
    cost::{Spread, spread},
    report::tag,
    workload::noise,
};

/// Models in the repository, and those that the budget has room for.
const MODELS: usize = 1000;
const FIT: usize = 20;

/// Models whose size is looked at before, to set the budget.
const SAMPLE: usize = 40;

/// Requests of a backlog.
const BACKLOG: usize = 150_000;

/// Requests at the start of the traffic at a rate that are not counted: what is in memory is not yet what is asked for.
const WARM_UP: Duration = Duration::from_secs(10);

fn name(number: usize) -> String {
    format!("m-{number:04}")
}

/// Requests for iris of the models from 1 to `models`, the k-th as often as 1 / k says.
struct ZipfAsks {
    iris: IrisAsks,
    /// The part of the requests that go to each model or to one before it.
    cumulative: Vec<f64>,
}

impl ZipfAsks {
    fn over(models: usize) -> Self {
        let total: f64 = (1..=models).map(|rank| 1.0 / rank as f64).sum();
        let mut sum = 0.0;
        let add = |rank| {
            sum += 1.0 / rank as f64 / total;
            sum
        };
        Self { iris: IrisAsks::new(), cumulative: (1..=models).map(add).collect() }
    }

    fn model(&self, index: usize) -> usize {
        let part = noise(index) as f64 / f64::from(1_u32 << 31);
        self.cumulative.partition_point(|sum| *sum < part).min(self.cumulative.len() - 1) + 1
    }
}

impl Asks for ZipfAsks {
    fn ask(&self, index: usize) -> Ask {
        let Ask { body, .. } = self.iris.ask(index);
        Ask { body, header: Some(("tenant", format!("{:04}", self.model(index)))) }
    }

    fn is_right(&self, index: usize, answer: &Answer<'_>) -> bool {
        answer.model_name == name(self.model(index)) && self.iris.is_right(index, answer)
    }
}

/// Measures and prints.
///
/// # Panics
/// If a request was lost, failed or was answered wrongly.
pub fn report(cluster: &Cluster, options: &Options) {
    let repository = Repository::new();
    for number in 1..=MODELS {
        repository.put(&name(number), 1, uploads::iris);
    }
    let Sizes { model, worker } = sizes(cluster, &repository);
    let lane = Lane::new(cluster, tag("registered"));
    let events = format!("{}-events", lane.tag);
    cluster.create(&events);
    let room = FIT as f64 * model;
    let more = format!("serve: [\"*\"], memory: {{budget: {}B}}, events_topic: {events}", (room * 1048576.0) as u64);
    let live = Live::start(&lane, &setup(&repository, more), |_| {});
    println!("{MODELS} models registered, a budget of {room:.1} MiB for {FIT} of {model:.2} MiB");
    backlogs(&lane, &live, options);
    let rate = options.rates.first().copied().unwrap_or(50.0);
    let time = WARM_UP + Duration::from_secs_f64(options.seconds.unwrap_or(60.0));
    let full = live.settled_mib();
    let one = at_rate(&lane, &live, &ZipfAsks::over(1), rate, time);
    let all = at_rate(&lane, &live, &ZipfAsks::over(MODELS), rate, time);
    let states = States::read(cluster, &events);
    cluster.delete(&events);
    print(&one, &all, &states, rate);
    println!(
        "MiB resident: {worker:.1} with one model served, {full:.1} with all registered and {FIT} in memory, {:.1} at the most \
         with Zipf: {:.2} × that with {FIT}",
        all.peak_mib,
        all.peak_mib / full
    );
    one.tally.must_be_clean();
    all.tally.must_be_clean();
}

fn setup(repository: &Repository, models: String) -> Setup {
    let repository = repository.root().display().to_string();
    Setup { repository, models, predict: "{model: \"m-{header.tenant}\"}".to_owned() }
}

/// What is known before the budget is set, in MiB.
struct Sizes {
    /// The most that the worker says one of the models takes.
    model: f64,
    /// A worker's resident memory after a backlog, if it serves one model and no other.
    worker: f64,
}

fn sizes(cluster: &Cluster, repository: &Repository) -> Sizes {
    let lane = Lane::new(cluster, tag("sizes"));
    let names = |count: usize| format!("serve: [{}]", (1..=count).map(name).collect::<Vec<_>>().join(", "));
    let live = Live::start(&lane, &setup(repository, names(SAMPLE)), |_| {});
    let bytes = |number| {
        let page = live.page(&format!("/v2/models/{}", name(number))).expect("the model is there");
        let page: serde_json::Value = serde_json::from_str(&page).expect("a page is JSON");
        page["parameters"]["memory_bytes"].as_f64().expect("its memory was measured")
    };
    let model = (1..=SAMPLE).map(bytes).fold(0.0, f64::max) / 1048576.0;
    drop(live);
    let lane = Lane::new(cluster, tag("alone"));
    let live = Live::start(&lane, &setup(repository, names(1)), |_| {});
    flow::backlog(&lane, &ZipfAsks::over(1), BACKLOG, &live.running);
    Sizes { model, worker: live.settled_mib() }
}

/// What a worker with a backlog answers and spends.
struct Busy {
    per_second: f64,
    cpu_micros: f64,
}

/// Prints what requests for the models in memory cost beside as many for one of them.
fn backlogs(lane: &Lane<'_>, live: &Live, options: &Options) {
    let (one, resident) = (ZipfAsks::over(1), ZipfAsks::over(FIT));
    let count = (BACKLOG as f64 * options.times) as usize;
    let busy = |asks| busy(lane, live, asks, count);
    let pairs: Vec<_> = (0..options.runs).map(|_| (busy(&one), busy(&resident))).collect();
    println!("{count} requests at once; medians of {} runs in turn", options.runs);
    println!("{:<22} {:>10} {:>9}", "models", "answers/s", "CPU-µs");
    let over = |figure: &dyn Fn(&(Busy, Busy)) -> f64| spread(pairs.iter().map(figure).collect());
    let line = |name: &str, of: &dyn Fn(&(Busy, Busy)) -> &Busy| {
        let (rate, cpu) = (over(&|pair| of(pair).per_second).median, over(&|pair| of(pair).cpu_micros).median);
        println!("{name:<22} {rate:>10.0} {cpu:>9.2}");
    };
    line("one", &|pair| &pair.0);
    line(&format!("{FIT} in memory, Zipf"), &|pair| &pair.1);
    let Spread { least, median, most } = over(&|(one, many)| many.per_second / one.per_second);
    let cpu = over(&|(one, many)| many.cpu_micros / one.cpu_micros);
    println!(
        "in memory beside one model: answers/s {median:.2} ({least:.2} to {most:.2}), CPU-µs {:.2} ({:.2} to {:.2})",
        cpu.median, cpu.least, cpu.most
    );
}

fn busy(lane: &Lane<'_>, live: &Live, asks: &ZipfAsks, count: usize) -> Busy {
    let before = live.running.cpu();
    let took = flow::backlog(lane, asks, count, &live.running);
    let spent = (live.running.cpu() - before).as_secs_f64();
    Busy { per_second: count as f64 / took, cpu_micros: spent * 1e6 / count as f64 }
}

/// Requests at a rate, one by one.
struct AtRate {
    tally: Tally,
    /// The model of each, when it was due, and how long it took.
    answers: Vec<(usize, SystemTime, Duration)>,
    peak_mib: f64,
}

fn at_rate(lane: &Lane<'_>, live: &Live, asks: &ZipfAsks, rate: f64, time: Duration) -> AtRate {
    let (clock, now) = (SystemTime::now(), Instant::now());
    let mut seen = Vec::new();
    let note = |answer: Seen| {
        if answer.since >= WARM_UP {
            seen.push((asks.model(answer.index), answer.since, answer.latency));
        }
    };
    let (tally, (start, peak_mib)) = flow::run(lane, asks, Pace::Rate(rate), note, |start| {
        let mut peak: f64 = 0.0;
        while start + time > Instant::now() {
            sleep(Duration::from_millis(20));
            peak = peak.max(live.running.resident_mib());
        }
        (start, peak)
    });
    let start = clock + start.saturating_duration_since(now);
    let answers = seen.into_iter().map(|(model, since, latency)| (model, start + since, latency)).collect();
    AtRate { tally, answers, peak_mib }
}

fn print(one: &AtRate, all: &AtRate, states: &States, rate: f64) {
    let (mut alone, mut warm, mut cold) = (Latencies::new(), Latencies::new(), Latencies::new());
    let (mut loads, mut waited) = (Latencies::new(), Latencies::new());
    one.answers.iter().for_each(|(_, _, latency)| alone.add(*latency));
    for (model, due, latency) in &all.answers {
        let (model, answered) = (name(*model), *due + *latency);
        if states.was_in_memory(&model, *due, answered) {
            warm.add(*latency);
        } else if let Some(load) = states.load_within(&model, *due, answered) {
            cold.add(*latency);
            loads.add(load);
            waited.add(latency.saturating_sub(load));
        }
    }
    println!("at {rate:.0} requests/s");
    println!("{:<34} {:>8} {:>9} {:>9} {:>9}", "requests for", "answers", "p50 ms", "p99 ms", "p99.9 ms");
    println!("{:<34} {:>8} {alone}", "one model", alone.count());
    println!("{:<34} {:>8} {warm}", format!("{MODELS}, Zipf: those in memory"), warm.count());
    println!("{:<34} {:>8} {cold}", "  those that had to be loaded", cold.count());
    println!("{:<34} {:>8} {loads}", "  the loads that these waited for", loads.count());
    println!("{:<34} {:>8} {waited}", "  beyond their own load", waited.count());
    println!("{:<34} {:>8}", "  on the border of the two", all.answers.len() as u64 - warm.count() - cold.count());
    println!(
        "in memory beside one model: p50 {:.2}, p99 {:.2}; lost {}, failed {}, wrong {}",
        warm.millis(0.5) / alone.millis(0.5),
        warm.millis(0.99) / alone.millis(0.99),
        all.tally.lost(),
        all.tally.failed,
        all.tally.wrong
    );
}
