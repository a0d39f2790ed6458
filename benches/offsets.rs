//! What it costs to know which offsets may be committed: chunks taken, acknowledged in order and out of it, and what is due.
//!
//! `cargo bench --bench offsets`. Each bench handles 1,000 chunks, so that a time in µs is also that time in ns per chunk.

use divan::{Bencher, black_box, counter::ItemsCount};
use modelmill::broker::{
    Source, Span,
    offsets::{Offsets, Taken},
};

const CHUNKS: usize = 1000;
/// Messages of one partition in a chunk.
const MESSAGES: i64 = 100;
const PARTITIONS: [usize; 3] = [1, 8, 64];

fn main() {
    divan::main();
}

fn source(partition: usize) -> Source {
    Source { topic: 0, partition: partition as i32 }
}

fn owned(partitions: usize) -> Offsets {
    let mut offsets = Offsets::default();
    (0..partitions).for_each(|partition| offsets.assign(source(partition)));
    offsets
}

/// The spans of each chunk: all partitions in every one.
fn chunks(partitions: usize) -> Vec<Vec<Span>> {
    let span = |chunk: usize, partition| {
        let first = chunk as i64 * MESSAGES;
        Span { source: source(partition), first, next: first + MESSAGES }
    };
    (0..CHUNKS).map(|chunk| (0..partitions).map(|partition| span(chunk, partition)).collect()).collect()
}

fn take_all(offsets: &mut Offsets, chunks: &[Vec<Span>]) -> Vec<Taken> {
    chunks.iter().map(|spans| offsets.take(spans)).collect()
}

/// A worker that keeps four chunks in flight: take one, acknowledge the oldest.
#[divan::bench(args = PARTITIONS)]
fn take_and_ack_in_order(bencher: Bencher<'_, '_>, partitions: usize) {
    let chunks = chunks(partitions);
    bencher.counter(ItemsCount::new(CHUNKS)).with_inputs(|| owned(partitions)).bench_local_values(|mut offsets| {
        let mut in_flight = std::collections::VecDeque::new();
        for spans in black_box(&chunks) {
            in_flight.push_back(offsets.take(spans));
            if in_flight.len() > 4 {
                offsets.ack(&in_flight.pop_front().expect("there are five"));
            }
        }
        in_flight.iter().for_each(|taken| offsets.ack(taken));
        offsets
    });
}

#[divan::bench(args = PARTITIONS)]
fn take(bencher: Bencher<'_, '_>, partitions: usize) {
    let chunks = chunks(partitions);
    bencher
        .counter(ItemsCount::new(CHUNKS))
        .with_inputs(|| owned(partitions))
        .bench_local_values(|mut offsets| (take_all(&mut offsets, &chunks), offsets));
}

/// The newest first, a thousand chunks in flight: the worst that a slow oldest request can do.
#[divan::bench(args = PARTITIONS)]
fn ack_out_of_order(bencher: Bencher<'_, '_>, partitions: usize) {
    let chunks = chunks(partitions);
    let taken = || {
        let mut offsets = owned(partitions);
        let taken = take_all(&mut offsets, &chunks);
        (offsets, taken)
    };
    bencher.counter(ItemsCount::new(CHUNKS)).with_inputs(taken).bench_local_values(|(mut offsets, taken)| {
        taken.iter().rev().for_each(|taken| offsets.ack(taken));
        (offsets, taken)
    });
}

/// What a commit asks, after every chunk; the counter is of questions.
#[divan::bench(args = PARTITIONS)]
fn take_due(bencher: Bencher<'_, '_>, partitions: usize) {
    let chunks = chunks(partitions);
    bencher.counter(ItemsCount::new(CHUNKS)).with_inputs(|| owned(partitions)).bench_local_values(|mut offsets| {
        for spans in &chunks {
            let taken = offsets.take(spans);
            offsets.ack(&taken);
            black_box(offsets.take_due());
        }
        offsets
    });
}
