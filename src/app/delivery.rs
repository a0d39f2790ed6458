//! From the mode of delivery to the way out: which producer, and in whose company answers go.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use anyhow::Context;

use super::TopicNames;
use crate::{
    broker::kafka::{
        Reach,
        outbox::{
            Outbox,
            rounds::{RoundsOptions, TransactionOptions},
        },
        producer::KafkaProducer,
        settings::{KafkaSettings, Transactional},
    },
    config::{Delivery, Ordering, PipelineConfig, ServerConfig},
};

/// The way out for the answers of these pipelines. Blocks until the broker knows the producer, where that is needed.
///
/// # Errors
/// If the client refuses its configuration, or the broker the producer.
pub fn outbox(
    server: &ServerConfig,
    pipelines: &[PipelineConfig],
    kafka: &KafkaSettings,
    names: &TopicNames,
    reach: Arc<Reach>,
) -> anyhow::Result<Outbox> {
    let transactions = (server.delivery == Delivery::ExactlyOnce).then(|| TransactionOptions {
        interval: server.transaction.interval.into(),
        patience: server.transaction.timeout.into(),
    });
    let transactional =
        transactions.map(|options| Transactional { id: transactional_id(kafka), timeout: options.patience });
    let config = kafka.producer(server.in_flight_messages(), transactional.as_ref());
    let producer =
        KafkaProducer::new(&config, &names.outputs, reach).context("the Kafka producer cannot be created")?;
    if let Some(Transactional { id, .. }) = transactional {
        // A new cluster makes the topic of its coordinator first, and what a predecessor left open is ended.
        producer
            .init_transactions(server.startup_timeout.into())
            .with_context(|| format!("the broker does not take `{id}` for a transactional producer"))?;
        tracing::info!(transactional_id = id, "exactly once: answers are committed in transactions");
    }
    let in_order = pipelines.iter().any(|pipeline| pipeline.output.ordering != Ordering::None);
    if transactions.is_none() && !in_order {
        return Ok(Outbox::AsTheyCome(producer));
    }
    let options = RoundsOptions { topics: names.requests.clone(), transactions };
    Outbox::in_turn(producer, options).context("the thread that publishes cannot be started")
}

/// A static member keeps its id, so that it ends its own open transaction when it comes back; any other has one that nobody
/// else has: the group's membership keeps them apart.
fn transactional_id(kafka: &KafkaSettings) -> String {
    let group = &kafka.group;
    match kafka.properties.get("group.instance.id") {
        Some(instance) => format!("{group}-{instance}"),
        None => format!("{group}-{:016x}", RandomState::new().hash_one(std::process::id())),
    }
}
