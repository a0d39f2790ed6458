//! What it costs to write down what is in flight: an entry for each partition of a chunk, written and cleared.
//!
//! `cargo bench --bench journal`. Each bench handles 1,000 chunks, so that a time in µs is also that time in ns per chunk.

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::broker::{
    Chunk,
    journal::{Journal, JournalOptions},
    memory::MemoryRecords,
};

const CHUNKS: usize = 1000;
const PARTITIONS: [usize; 3] = [1, 8, 64];

fn main() {
    divan::main();
}

/// A worker that keeps four chunks in flight: begin one, end the oldest.
#[divan::bench(args = PARTITIONS)]
fn begin_and_end(bencher: Bencher<'_, '_>, partitions: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = JournalOptions {
        directory: folder.path().to_owned(),
        brokers: "kafka:9092".to_owned(),
        group: "mill".to_owned(),
        instance: None,
        topics: vec!["requests".to_owned()],
        messages: 20_000,
    };
    let (journal, _) = Journal::open(&options).expect("a temporary folder can be written");
    let chunk = |chunk: usize| {
        let mut records = MemoryRecords::default();
        (0..partitions).for_each(|partition| records.push(partition as i32, chunk as i64, b"{}"));
        Chunk::new(Box::new(records))
    };
    let chunks: Vec<Chunk> = (0..CHUNKS).map(chunk).collect();
    bencher.counter(ItemsCount::new(CHUNKS)).bench_local(|| {
        let mut in_flight = std::collections::VecDeque::new();
        for chunk in black_box(&chunks) {
            in_flight.push_back(journal.begin(chunk));
            if in_flight.len() > 4 {
                journal.end(&in_flight.pop_front().expect("there are five"));
            }
        }
        in_flight.iter().for_each(|noted| journal.end(noted));
    });
}
