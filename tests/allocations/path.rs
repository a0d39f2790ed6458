//! The whole way of a chunk: decode, predict on a real model, encode, offer to the client, the broker's word on each answer.
//! The broker is embedded: what it does is of no matter here. What is counted is all that Rust code allocates on any thread;
//! what librdkafka and ONNX Runtime allocate for themselves is theirs.

use std::{path::Path, sync::Arc, sync::atomic::Ordering, time::Duration};

use modelmill::{
    backend::{BatchingChoice, onnx::SessionOptions},
    broker::{
        Chunk, CopyRule, Placement,
        kafka::{
            embedded::EmbeddedBroker, outbox::Outbox, producer::KafkaProducer, settings::KafkaSettings, ticket::Turn,
        },
        memory::{MemoryRecord, MemoryRecords},
    },
    codec::{
        Format, Intake, Intakes, Routing,
        encode::{HeaderPolicy, Outlet},
        inflate::Room,
    },
    model::{
        batcher::BatchOptions,
        checks::CheckOptions,
        loader::{self, LoadOptions},
        manager::Manager,
        servable::ServableId,
    },
    request::{ModelChoice, Route, VersionChoice},
    steps::program::segments,
    worker::{Pipeline, Worker},
};
use serde_json::json;

use super::{OF_ALL, alone};

const FEW: usize = 1_000;
const MANY: usize = 9_000;

#[test]
fn a_request_on_its_whole_way_allocates_nothing() {
    let _alone = alone();
    let broker = EmbeddedBroker::start(&[("results", 4)]).unwrap();
    let worker = Arc::new(worker(&broker));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mill = |chunk: Chunk| {
        let turn = Turn::alone(&chunk);
        let before = OF_ALL.load(Ordering::Relaxed);
        runtime.block_on(worker.mill(chunk, &turn)).unwrap();
        OF_ALL.load(Ordering::Relaxed) - before
    };
    let (tenant, content) = (("tenant", "blue"), ("content-type", "application/json"));
    for (name, headers) in [("bare", &[][..]), ("all copied", &[tenant]), ("some left behind", &[content, tenant])] {
        // The first chunk pays for what is made once.
        mill(chunk(FEW, headers));
        let (few, many) = (mill(chunk(FEW, headers)), mill(chunk(MANY, headers)));
        let more = many.saturating_sub(few);
        // Vectors that double, a larger batch's reports and runs: dozens. One for each request would be eight thousand.
        assert!(more < (MANY - FEW) / 20, "{name}: {few} allocations for {FEW} requests, {many} for {MANY}");
    }
}

fn chunk(count: usize, headers: &[(&str, &str)]) -> Chunk {
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
    let record = |id: usize| {
        let value = (id % 70) as f32 / 10.0;
        let body = format!(
            r#"{{"id":"{id:08}","inputs":[{{"name":"input","shape":[1,4],"datatype":"FP32","data":[{value},3.5,1.4,0.2]}}]}}"#
        );
        MemoryRecord {
            payload: Some(body.into_bytes()),
            headers: headers.iter().map(header).collect(),
            ..MemoryRecord::default()
        }
    };
    Chunk::new(Box::new(MemoryRecords((0..count).map(record).collect())))
}

/// A worker as the program builds it, with one pipeline: iris, from topic 0 to the broker's only topic.
fn worker(broker: &EmbeddedBroker) -> Worker {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/iris/1");
    let id = ServableId { name: "iris".into(), version: 1 };
    let batch =
        BatchOptions { max_batch_size: MANY, target_run_time: Duration::from_secs(10), ..BatchOptions::default() };
    let options = LoadOptions {
        sessions: 1,
        session: SessionOptions::default(),
        batching: BatchingChoice::default(),
        batch,
        checks: CheckOptions::default(),
    };
    let servable = loader::load(id.clone(), &folder, &options, Arc::new(|_| ())).unwrap();
    let models = Manager::of([Arc::new(servable)]);
    let route = Route {
        pipeline: 0,
        models: vec![ModelChoice { name: id.name, version: VersionChoice::Latest, fallback: None }],
    };
    let intake = Intake::new(0, Format::Json, Routing::Fixed(Arc::new(route)));
    let outlet = Outlet {
        pipeline: "iris".to_owned(),
        results: 0,
        dead_letters: None,
        placement: Placement::Key,
        headers: HeaderPolicy::Auto,
        copied: Arc::new(CopyRule::default()),
    };
    let step = serde_json::from_value(json!({"predict": {"model": "iris"}})).unwrap();
    let settings = KafkaSettings {
        brokers: broker.bootstrap_servers(),
        group: "allocations".to_owned(),
        properties: EmbeddedBroker::client_properties(),
    };
    let producer =
        KafkaProducer::new(&settings.producer(2 * MANY, None), &["results".to_owned()], Arc::default()).unwrap();
    Worker {
        intakes: Intakes { intakes: vec![intake], topics: vec![("requests".into(), 0)] },
        pipelines: vec![Pipeline::new("iris".to_owned(), segments(&[step]), outlet)],
        models,
        outbox: Outbox::AsTheyCome(producer),
        room: Room::default(),
        registry: None,
    }
}
