//! Runs what was asked for and prints a line for each comparison as soon as it is known.

use std::time::{Duration, SystemTime};

use super::{
    Options,
    cluster::Cluster,
    contestant::Contestant,
    cost::{Course, Pairs, spread},
    pace, quiet, scale,
    workload::{Work, Workload},
};

/// A name that no other run uses.
pub fn tag(what: &str) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    format!("bench-{what}-{:x}", since.as_nanos())
}

fn works(options: &Options) -> Vec<Work> {
    use clap::ValueEnum as _;
    if options.work.is_empty() { Work::value_variants().to_vec() } else { options.work.clone() }
}

/// The one kind of work that measures other than cost are about.
fn first_work(options: &Options) -> Workload {
    Workload::new(options.work.first().copied().unwrap_or(Work::Iris))
}

fn scaled(count: usize, options: &Options) -> usize {
    (count as f64 * options.times) as usize
}

/// CPU time a request, worker and rivals in turn.
pub fn cost(cluster: &Cluster, options: &Options) {
    println!(
        "CPU-µs a request with a backlog, {} partitions; medians of {} runs in turn",
        options.partitions, options.runs
    );
    println!(
        "{:<28} {:<14} {:>9} {:>10}  {:<22} {:>20} {:>13} {:>13}",
        "work (bytes a request)",
        "rival",
        "rival µs",
        "modelmill",
        "modelmill / rival",
        "rival, modelmill /s",
        "peak MiB",
        "start s"
    );
    for work in works(options) {
        let workload = Workload::new(work);
        let beside_jvm = options.against.iter().any(|rival| rival.is_jvm());
        let count = scaled(work.requests(), options) * if beside_jvm { 2 } else { 1 };
        let requests = tag("requests");
        cluster.create(&requests);
        cluster.fill(&requests, &workload, count);
        let course = Course { cluster, workload: &workload, requests: &requests, count, beside_jvm };
        for &rival in &options.against {
            let pair = |run| {
                let theirs = course.run(rival, &format!("{}-{run}", rival.name().replace([' ', ','], "")));
                (theirs, course.run(Contestant::Modelmill, &format!("against-{}-{run}", rival as usize)))
            };
            let pairs = Pairs((0..options.runs).map(pair).collect());
            line(&workload, rival, &pairs);
        }
        cluster.delete(&requests);
    }
}

fn line(workload: &Workload, rival: Contestant, pairs: &Pairs) {
    let (theirs, ours) = pairs.medians(|cost| cost.cpu_micros);
    let (their_rate, our_rate) = pairs.medians(|cost| cost.per_second);
    let (their_peak, our_peak) = pairs.medians(|cost| cost.peak_mib);
    let (their_start, our_start) = pairs.medians(|cost| cost.first_answer.as_secs_f64());
    let ratio = pairs.ratio();
    println!(
        "{:<28} {:<14} {theirs:>9.2} {ours:>10.2}  {:<22} {:>20} {:>13} {:>13}",
        format!("{} ({})", workload.work.title(), workload.bytes()),
        rival.name(),
        format!("{:.2} ({:.2} to {:.2})", ratio.median, ratio.least, ratio.most),
        format!("{their_rate:.0}, {our_rate:.0}"),
        format!("{their_peak:.0}, {our_peak:.0}"),
        format!("{their_start:.2}, {our_start:.2}"),
    );
}

/// CPU time a request at several numbers of workers.
pub fn scale(cluster: &Cluster, options: &Options) {
    let workload = first_work(options);
    let count = scaled(workload.work.requests(), options);
    println!(
        "{}: workers of one group over the same backlog, {} partitions",
        workload.work.title(),
        options.partitions
    );
    println!("{:>8} {:>12} {:>12}  cost / that at one worker", "workers", "CPU-µs", "requests/s");
    let run = |workers, name: &str| scale::run(cluster, &workload, Contestant::Modelmill, &tag(name), workers, count);
    for workers in [2, 4] {
        let pairs: Vec<_> = (0..options.runs).map(|_| (run(1, "one"), run(workers, "many"))).collect();
        let ratio = spread(pairs.iter().map(|(one, many)| many.cpu_micros / one.cpu_micros).collect());
        let cost = |of: &dyn Fn(&(scale::Shared, scale::Shared)) -> f64| spread(pairs.iter().map(of).collect()).median;
        println!("{:>8} {:>12.2} {:>12.0}", 1, cost(&|(one, _)| one.cpu_micros), cost(&|(one, _)| one.per_second));
        println!(
            "{workers:>8} {:>12.2} {:>12.0}  {:.2} ({:.2} to {:.2})",
            cost(&|(_, many)| many.cpu_micros),
            cost(&|(_, many)| many.per_second),
            ratio.median,
            ratio.least,
            ratio.most
        );
    }
}

/// Latency and CPU time at a rate; the worker with each of the settings, and the rivals.
pub fn pace(cluster: &Cluster, options: &Options) {
    let workload = first_work(options);
    let time = Duration::from_secs_f64(options.seconds.unwrap_or(10.0));
    let mut rates = options.rates.clone();
    if rates.is_empty() {
        let count = scaled(workload.work.requests(), options);
        let most = scale::run(cluster, &workload, Contestant::Modelmill, &tag("most"), 1, count).per_second;
        println!("a worker beside broker and client on this machine answers {most:.0} requests/s");
        rates = vec![3000.0, most * 0.3, most * 0.6];
    }
    println!(
        "{}: requests at a rate, {} partitions; medians of {} runs in turn",
        workload.work.title(),
        options.partitions,
        options.runs
    );
    println!(
        "{:>10} {:<34} {:>10} {:>9} {:>9} {:>9} {:>10}",
        "rate", "contestant", "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU-µs"
    );
    for rate in rates {
        let mut contestants: Vec<_> = options.against.iter().map(|rival| (*rival, "")).collect();
        contestants.extend(options.kafka.iter().map(|line| (Contestant::Modelmill, line.as_str())));
        let mut runs: Vec<Vec<pace::Paced>> = contestants.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.runs {
            for (at, (contestant, kafka)) in contestants.iter().enumerate() {
                runs[at].push(pace::run(
                    cluster,
                    &workload,
                    *contestant,
                    &pace::Order { tag: &tag("pace"), kafka, rate, time },
                ));
            }
        }
        for ((contestant, kafka), runs) in contestants.iter().zip(&runs) {
            let median = |figure: &dyn Fn(&pace::Paced) -> f64| spread(runs.iter().map(figure).collect()).median;
            println!(
                "{rate:>10.0} {:<34} {:>10.0} {:>9.2} {:>9.2} {:>9.2} {:>10.2}",
                format!("{} {kafka}", contestant.name()),
                median(&|run| run.per_second),
                median(&|run| run.p50),
                median(&|run| run.p99),
                median(&|run| run.p999),
                median(&|run| run.cpu_micros)
            );
        }
    }
}

/// A worker that has nothing to do.
pub fn idle(cluster: &Cluster, options: &Options) {
    let workload = first_work(options);
    let time = Duration::from_secs_f64(options.seconds.unwrap_or(10.0));
    println!("CPU time without a request, {} partitions assigned, in percent of one core", options.partitions);
    for contestant in [Contestant::Modelmill].into_iter().chain(options.against.iter().copied()) {
        let percent = quiet::idle(cluster, &workload, contestant, &tag("idle"), time);
        println!("{:<14} {percent:>6.2} %", contestant.name());
    }
}

/// Many pipelines, few of them busy.
pub fn pipelines(cluster: &Cluster, options: &Options) {
    let workload = first_work(options);
    let count = scaled(workload.work.requests(), options);
    let pairs: Vec<_> = (0..options.runs)
        .map(|_| {
            let one = quiet::pipelines(cluster, &workload, &tag("one"), 1, 10, count);
            (one, quiet::pipelines(cluster, &workload, &tag("many"), 200, 10, count))
        })
        .collect();
    let ratio = spread(pairs.iter().map(|(one, many)| many / one).collect());
    println!(
        "{}, 200 pipelines of which 10 are busy: {:.2} CPU-µs a request, {:.2} ({:.2} to {:.2}) × that of one pipeline with the same load",
        workload.work.title(),
        spread(pairs.iter().map(|(_, many)| *many).collect()).median,
        ratio.median,
        ratio.least,
        ratio.most
    );
}
