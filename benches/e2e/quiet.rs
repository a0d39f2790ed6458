//! A worker that has nothing to do, and one with many pipelines of which few are busy.

use std::time::{Duration, Instant};

use super::{
    check,
    cluster::Cluster,
    contestant::{Contestant, Post},
    workload::Workload,
};

/// The part of one core, in percent, that a worker spends in `time` with all partitions assigned and no request.
pub fn idle(cluster: &Cluster, workload: &Workload, contestant: Contestant, tag: &str, time: Duration) -> f64 {
    let (requests, results) = (format!("{tag}-requests"), format!("{tag}-results"));
    cluster.create(&requests);
    cluster.create(&results);
    let running = contestant.start(&post(cluster, vec![requests.clone()], &results), workload);
    cluster.wait_for_group(&results, 1);
    // One request, so that every connection stands.
    cluster.fill(&requests, workload, 1);
    cluster.wait_for(&results, 1);
    let (before, started) = (running.cpu(), Instant::now());
    std::thread::sleep(time);
    let percent = (running.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64() * 100.0;
    drop(running);
    cluster.delete(&requests);
    cluster.delete(&results);
    percent
}

/// CPU-µs a request of a worker with `pipelines` pipelines, each with a topic of one partition, of which `busy` have a
/// backlog; `count` requests in all.
pub fn pipelines(
    cluster: &Cluster,
    workload: &Workload,
    tag: &str,
    pipelines: usize,
    busy: usize,
    count: usize,
) -> f64 {
    let topics: Vec<_> = (0..pipelines).map(|index| format!("{tag}-{index}")).collect();
    // One pipeline over as many partitions as the busy ones have together.
    let partitions = if pipelines == 1 { busy as i32 } else { 1 };
    cluster.create_all(&topics, partitions);
    let results = format!("{tag}-results");
    cluster.create(&results);
    cluster.fill_all(&topics[..busy.min(pipelines)], partitions, workload, count);
    let running = Contestant::Modelmill.start(&post(cluster, topics.clone(), &results), workload);
    let early = cluster.wait_for(&results, count / 5);
    let before = running.cpu();
    cluster.wait_for(&results, count);
    let spent = running.cpu() - before;
    drop(running);
    check::check(cluster, &results, workload, count);
    topics.iter().chain([&results]).for_each(|topic| cluster.delete(topic));
    spent.as_secs_f64() * 1e6 / (count - early) as f64
}

fn post(cluster: &Cluster, requests: Vec<String>, results: &str) -> Post {
    Post {
        brokers: cluster.brokers.clone(),
        group: results.to_owned(),
        requests,
        results: results.to_owned(),
        server: String::new(),
        kafka: String::new(),
    }
}
