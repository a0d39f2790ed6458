//! No allocation per request: what decoding and encoding allocate grows with the logarithm of the requests, as their
//! vectors double, and with nothing else; so does what the whole way from decoding to the broker's word allocates.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

#[path = "allocations/path.rs"]
mod path;

use modelmill::{
    broker::Message,
    codec::{
        Draft, Envelope, Format, Groups, Intake, Routing,
        json::{self, Writer},
    },
    request::{Form, Ids, Route},
    tensor::{Column, Elements, Tensor},
};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// What all threads allocate.
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// Held by each test, since what one of them allocates must not count for another.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count() {
    OF_ALL.fetch_add(1, Ordering::Relaxed);
    let _ended = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

/// Counts what is allocated, by the current thread and by all.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates on this thread.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// How often decoding a chunk of `count` bodies allocates.
fn decoding(count: usize, body: impl Fn(usize) -> String) -> usize {
    let bodies: Vec<String> = (0..count).map(body).collect();
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(Route { pipeline: 0, models: vec![] })));
    allocations(|| {
        let (mut ids, mut groups) = (Ids::default(), Groups::default());
        for (index, body) in bodies.iter().enumerate() {
            let message = Message { topic: 0, partition: 0, offset: 0, timestamp: 0, key: None, payload: None };
            let (envelope, topic) = (Envelope::default(), "t");
            let (ids, groups) = (&mut ids, &mut groups);
            let (event, registry, awaits, late) = (None, None, None, None);
            let mut draft =
                Draft { intake: &intake, envelope, message, index, topic, ids, groups, event, registry, awaits, late };
            json::decode(body.as_bytes(), &mut draft).expect("a good body");
        }
        let groups = groups.finish();
        assert_eq!((groups.len(), groups[0].requests.len()), (1, count));
    })
}

#[test]
fn decoding_allocates_for_growth_alone() {
    let _alone = alone();
    let iris = |id: usize| {
        let value = id as f32 / 10.0;
        format!(
            r#"{{"id":"r-{id}","inputs":[{{"name":"x","shape":[1,4],"datatype":"FP32","data":[{value},3.5,1.4,0.2]}}]}}"#
        )
    };
    let text = |id: usize| {
        format!(
            r#"{{"id":{id},"inputs":[{{"name":"t","shape":[1,1],"datatype":"BYTES","data":["caf\u00e9 {id}\n"]}}]}}"#
        )
    };
    let rows = |id: usize| {
        format!(
            r#"{{"id": "r-{id}", "instances": [{{"age": {}, "name": "n{id}"}}, {{"age": null, "name": ""}}]}}"#,
            id % 90
        )
    };
    for (name, body) in [("iris", &iris as &dyn Fn(usize) -> String), ("text", &text), ("rows", &rows)] {
        let (thousand, eight_thousand) = (decoding(1_000, body), decoding(8_000, body));
        assert!(thousand <= 80, "{name}: {thousand} allocations for 1,000 requests");
        // Five vectors at most double three times, or four where ids get longer: two features, offsets, requests, ids.
        assert!(eight_thousand <= thousand + 20, "{name}: {eight_thousand} for 8,000, {thousand} for 1,000");
    }
}

#[test]
fn writing_into_a_buffer_with_room_allocates_nothing() {
    let _alone = alone();
    let label = Column::new("label", Tensor::vector(Elements::Int64((0..1_000).collect())));
    let scores = Column::new("scores", Tensor::matrix(3, Elements::Fp32((0..3_000).map(|n| n as f32 / 7.0).collect())));
    for form in [Form::Tensors, Form::Rows] {
        let columns = [label.clone(), scores.clone()];
        let writer = Writer::new("iris", "3", &columns, form);
        let mut out = Vec::with_capacity(1 << 20);
        let count = allocations(|| {
            for row in 0..1_000 {
                writer.write(&mut out, "a \"quoted\" id", None, Some(row..row + 1));
            }
        });
        assert_eq!((count, out.len() > 100_000), (0, true));
    }
}
