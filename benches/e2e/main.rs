//! What a request costs from topic to topic: CPU time of the worker process, read from the kernel, beside a bare
//! consume-and-produce loop over the same topics.
//!
//! One request topic is filled once. Then the contestants take turns (A B A B …), each as a process of its own with a group
//! and a result topic of its own, so that drifts of the machine's speed meet them alike. CPU time is read when a fifth of the
//! answers is there, and again when all are: start-up does not count. Every answer is checked by id and class.
//!
//! Needs a Kafka at `MODELMILL_TEST_KAFKA` and `ORT_DYLIB_PATH`; `make bench` sees to both.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

mod echo;
mod floor;

/// Rows of the iris data set, one of each class, and the class that the model gives them.
const FLOWERS: [(&str, i64); 3] = [("5.1,3.5,1.4,0.2", 0), ("6.0,2.9,4.5,1.5", 1), ("6.7,3.0,5.8,2.2", 2)];

struct Options {
    requests: usize,
    partitions: i32,
    runs: usize,
    /// Whether requests have keys. A bare loop that echoes records without a key spares the client the work that keyed
    /// answers cost: a hash, and batches for each partition instead of one partition at a time.
    keyed: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [mode, brokers, group, requests, results] = arguments.as_slice()
        && mode == "echo"
    {
        echo::run(brokers, group, requests, results);
    }
    if let [mode, brokers, group, requests, results, folder, rest @ ..] = arguments.as_slice()
        && mode == "floor"
    {
        floor::run(brokers, group, requests, results, Path::new(folder), rest == ["--headers"]);
    }
    let Ok(brokers) = std::env::var("MODELMILL_TEST_KAFKA") else {
        println!("skipped: MODELMILL_TEST_KAFKA names no broker; `make bench` starts one");
        return;
    };
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(default, |at| arguments[at + 1].parse().expect("a number"))
    };
    let options = Options {
        requests: number("--requests", 1_000_000),
        partitions: number("--partitions", 8) as i32,
        runs: number("--runs", 5),
        keyed: !arguments.iter().any(|argument| argument == "--without-keys"),
    };
    Bench { brokers, options, tag: format!("bench-{}", std::process::id()) }.run();
}

struct Bench {
    brokers: String,
    options: Options,
    tag: String,
}

/// What one run of one contestant cost.
struct Cost {
    cpu_micros: f64,
    per_second: f64,
    resident_mib: f64,
}

impl Bench {
    fn run(&self) {
        let requests = format!("{}-requests", self.tag);
        self.create(&requests);
        let started = Instant::now();
        self.fill(&requests);
        let Options { requests: count, partitions, runs, keyed } = self.options;
        let keys = if keyed { "with" } else { "without" };
        println!(
            "{count} iris requests (OIP JSON, one row, 126 bytes, {keys} keys) in {partitions} partitions, filled in {:.1?}",
            started.elapsed()
        );
        println!(
            "{:>4} {:>12} {:>12} {:>7} {:>14} {:>10}",
            "run", "bare µs", "modelmill µs", "ratio", "modelmill /s", "MiB"
        );
        let mut ratios = Vec::new();
        for run in 0..runs {
            let bare = self.contest(&requests, &format!("bare-{run}"), false);
            let mill = self.contest(&requests, &format!("mill-{run}"), true);
            let ratio = mill.cpu_micros / bare.cpu_micros;
            println!(
                "{run:>4} {:>12.2} {:>12.2} {ratio:>7.2} {:>14.0} {:>10.0}",
                bare.cpu_micros, mill.cpu_micros, mill.per_second, mill.resident_mib
            );
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!(
            "CPU-µs a request, modelmill / bare loop: median {:.2} ({least:.2} to {most:.2})",
            ratios[ratios.len() / 2]
        );
        self.delete(&requests);
    }

    fn contest(&self, requests: &str, name: &str, is_mill: bool) -> Cost {
        let results = format!("{}-{name}", self.tag);
        self.create(&results);
        let folder = std::env::temp_dir().join(&results);
        fs::create_dir_all(&folder).unwrap();
        let mut process = if is_mill { self.mill(&folder, requests, &results) } else { self.bare(requests, &results) };
        let (count, pid) = (self.options.requests, process.id());
        let (early, at_early, cpu_early) = self.wait_for(&results, count / 5, pid);
        let (late, at_late, cpu_late) = self.wait_for(&results, count, pid);
        let resident_mib = resident_mib(pid);
        stop(&mut process);
        self.check(&results, is_mill);
        self.delete(&results);
        fs::remove_dir_all(&folder).unwrap();
        let done = (late - early) as f64;
        let per_second = done / (at_late - at_early).as_secs_f64();
        Cost { cpu_micros: (cpu_late - cpu_early).as_secs_f64() * 1e6 / done, per_second, resident_mib }
    }

    fn bare(&self, requests: &str, results: &str) -> Child {
        let exe = std::env::current_exe().unwrap();
        Command::new(exe).args(["echo", &self.brokers, results, requests, results]).spawn().unwrap()
    }

    fn mill(&self, folder: &Path, requests: &str, results: &str) -> Child {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let server = format!(
            "kafka: {{brokers: \"{}\", group: {results}}}\nmodels: {{repository: {}}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n",
            self.brokers,
            models.display()
        );
        let pipeline = format!(
            "name: bench\ninput: {{topics: [{requests}]}}\noutput: {{topic: {results}}}\ntimeout: 24h\nsteps: [{{predict: {{model: iris}}}}]\n"
        );
        fs::write(folder.join("server.yaml"), server).unwrap();
        fs::write(folder.join("pipeline.yaml"), pipeline).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelmill"));
        command.arg("worker").arg("--server").arg(folder.join("server.yaml"));
        command.arg("--pipeline").arg(folder.join("pipeline.yaml"));
        command.env("MODELMILL_LOG", "warn").stdout(Stdio::null()).spawn().unwrap()
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    fn create(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let new = NewTopic::new(topic, self.options.partitions, TopicReplication::Fixed(1));
        let created = block_on(admin.create_topics([&new], &AdminOptions::new())).unwrap();
        created.into_iter().for_each(|topic| drop(topic.expect("the topic can be created")));
    }

    fn delete(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        drop(block_on(admin.delete_topics(&[topic], &AdminOptions::new())));
    }

    fn fill(&self, topic: &str) {
        let producer: BaseProducer =
            self.config().set("linger.ms", "20").set("queue.buffering.max.messages", "1000000").create().unwrap();
        for index in 0..self.options.requests {
            let (row, _) = FLOWERS[index % FLOWERS.len()];
            let body = format!(
                r#"{{"id":"{index:08}","inputs":[{{"name":"input","shape":[1,4],"datatype":"FP32","data":[{row}]}}]}}"#
            );
            let (key, partition) = (format!("{index:08}"), index as i32 % self.options.partitions);
            let mut record = BaseRecord::<str, str>::to(topic).payload(&body).partition(partition);
            if self.options.keyed {
                record = record.key(&key);
            }
            while let Err((_, again)) = producer.send(record) {
                producer.poll(Duration::from_millis(10));
                record = again;
            }
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    /// Waits until `results` holds `count` records; says how many, when, and the process's CPU time then.
    fn wait_for(&self, results: &str, count: usize, pid: u32) -> (usize, Instant, Duration) {
        let consumer: BaseConsumer = self.config().create().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let ends = (0..self.options.partitions)
                .map(|partition| consumer.fetch_watermarks(results, partition, Duration::from_secs(10)).unwrap().1);
            let found = ends.sum::<i64>() as usize;
            if found >= count {
                return (found, Instant::now(), cpu_time(pid));
            }
            assert!(Instant::now() < deadline, "{results}: {found} of {count} answers after two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Every request has one answer; the worker's have the right class.
    fn check(&self, results: &str, is_mill: bool) {
        let mut config = self.config();
        // An automatic commit would end a poll without a record.
        config.set("group.id", "check").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..self.options.partitions {
            all.add_partition_offset(results, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();
        let mut seen = HashSet::with_capacity(self.options.requests);
        while seen.len() < self.options.requests {
            let record = consumer.poll(Duration::from_secs(30)).expect("an answer for every request").unwrap();
            let body = std::str::from_utf8(record.payload().unwrap()).unwrap();
            let id: usize = after(body, "\"id\":\"").parse().expect("the id of a request");
            assert!(seen.insert(id), "request {id} is answered twice");
            if is_mill {
                let class: i64 = after(body, "\"datatype\":\"INT64\",\"data\":[").parse().expect("a class");
                assert_eq!(class, FLOWERS[id % FLOWERS.len()].1, "{body}");
            }
        }
    }
}

/// The word that follows `mark`.
fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    let start = text.find(mark).map_or(text.len(), |at| at + mark.len());
    text[start..].split(['"', ']', ',']).next().unwrap()
}

/// User and system time of a process.
fn cpu_time(pid: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the contestant is running");
    let fields: Vec<_> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_mib(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).expect("the contestant is running");
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0 / 1048576.0
}

fn stop(process: &mut Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
