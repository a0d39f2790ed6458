//! Requests at a rate: how long an answer takes, and what the worker spends.
//!
//! Request `i` is due `i / rate` seconds after the start, and its latency counts from then, whether or not the client was on
//! time: a contestant that stands still is not spared the requests that would have come meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rdkafka::{
    Message,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{
    cluster::{Cluster, PATIENCE, headers_of},
    contestant::{Contestant, Post},
    workload::Workload,
};

/// Requests at the start that are not counted: connections and caches.
const WARM_UP: Duration = Duration::from_secs(2);

/// What requests at a rate met with.
pub struct Paced {
    /// Answers in each second.
    pub per_second: f64,
    /// Milliseconds that half, 99 % and 99.9 % of the answers took at the most.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// CPU-µs of the worker a request.
    pub cpu_micros: f64,
}

/// What to send, and how the worker is set up.
pub struct Order<'a> {
    /// A name that no other run uses.
    pub tag: &'a str,
    /// Lines of the map `kafka:` in `server.yaml`.
    pub kafka: &'a str,
    /// Requests a second.
    pub rate: f64,
    pub time: Duration,
}

/// Sends requests at a rate to a contestant.
pub fn run(cluster: &Cluster, workload: &Workload, contestant: Contestant, order: &Order<'_>) -> Paced {
    let &Order { tag, kafka, rate, time } = order;
    let (requests, results) = (format!("{tag}-requests"), format!("{tag}-results"));
    cluster.create(&requests);
    cluster.create(&results);
    let post = Post {
        brokers: cluster.brokers.clone(),
        group: results.clone(),
        requests: vec![requests.clone()],
        results: results.clone(),
        server: String::new(),
        kafka: kafka.to_owned(),
    };
    let running = contestant.start(&post, workload);
    cluster.wait_for_group(&results, 1);
    let count = ((WARM_UP + time).as_secs_f64() * rate) as usize;
    let warm = (WARM_UP.as_secs_f64() * rate) as usize;
    let start = Instant::now() + Duration::from_millis(500);
    let due = move |index: usize| start + Duration::from_secs_f64(index as f64 / rate);
    let mut latencies = Histogram::<u64>::new(3).unwrap();
    let (mut cpu_before, mut answered, mut measured_from) = (running.cpu(), 0, start);
    std::thread::scope(|scope| {
        scope.spawn(|| send(cluster, workload, &requests, count, due));
        let reader = cluster.reader(&results);
        let deadline = due(count) + PATIENCE;
        for received in 0..count {
            let record = loop {
                assert!(Instant::now() < deadline, "{received} of {count} answers");
                if let Some(record) = reader.poll(Duration::from_millis(500)) {
                    break record.unwrap();
                }
            };
            if received == warm {
                (cpu_before, measured_from) = (running.cpu(), Instant::now());
            }
            let index: usize = std::str::from_utf8(record.key().expect("a key")).unwrap().parse().expect("an id");
            if received >= warm {
                answered += 1;
                let latency = Instant::now().saturating_duration_since(due(index));
                latencies.record(latency.as_micros() as u64).expect("the histogram grows");
            }
        }
    });
    let spent = (running.cpu() - cpu_before).as_secs_f64();
    let per_second = f64::from(answered) / measured_from.elapsed().as_secs_f64();
    drop(running);
    cluster.delete(&requests);
    cluster.delete(&results);
    let millis = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    let cpu_micros = spent * 1e6 / f64::from(answered);
    Paced { per_second, p50: millis(0.5), p99: millis(0.99), p999: millis(0.999), cpu_micros }
}

/// Sends each request when it is due, or at once if that has passed.
fn send(cluster: &Cluster, workload: &Workload, topic: &str, count: usize, due: impl Fn(usize) -> Instant) {
    let headers = headers_of(workload);
    with_producer(cluster, Duration::ZERO, |producer| {
        for index in 0..count {
            let (key, body) = workload.request(index);
            let partition = index as i32 % cluster.partitions;
            let mut record = BaseRecord::<str, str>::to(topic).payload(&body).key(&key).partition(partition);
            if let Some(headers) = &headers {
                record = record.headers(headers.clone());
            }
            std::thread::sleep(due(index).saturating_duration_since(Instant::now()));
            while let Err((_, again)) = producer.send(record) {
                std::thread::sleep(Duration::from_millis(1));
                record = again;
            }
        }
    });
}

/// Lends a producer that waits for more records for so long, until all that it was given has been delivered.
pub fn with_producer(cluster: &Cluster, linger: Duration, send: impl FnOnce(&BaseProducer)) {
    let mut config = cluster.config();
    let config = config.set("linger.ms", linger.as_millis().to_string()).set("queue.buffering.max.messages", "1000000");
    let producer: Arc<BaseProducer> = Arc::new(config.create().unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let reports = std::thread::spawn({
        let (producer, done) = (Arc::clone(&producer), Arc::clone(&done));
        move || {
            while !done.load(Ordering::Relaxed) {
                producer.poll(Duration::from_millis(100));
            }
        }
    });
    send(&producer);
    producer.flush(PATIENCE).unwrap();
    done.store(true, Ordering::Relaxed);
    reports.join().unwrap();
}
