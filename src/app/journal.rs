//! The crash journal, as far as it can be had: a worker without one goes on, and says so once.

use std::sync::Arc;

use crate::{
    broker::{
        journal::{Journal, JournalOptions},
        kafka::{
            hunt::{Memory, tell_of_suspects},
            settings::KafkaSettings,
        },
    },
    config::ServerConfig,
    error::WorkerError,
};

/// What the worker's former life left, if it died; and a journal for this one.
pub fn open(server: &ServerConfig, kafka: &KafkaSettings, topics: &[String]) -> Memory {
    let Some(directory) = &server.crash_journal.directory else { return Memory::default() };
    let limits = &server.limits;
    let options = JournalOptions {
        directory: directory.clone(),
        brokers: kafka.brokers.clone(),
        group: kafka.group.clone(),
        instance: kafka.properties.get("group.instance.id").cloned(),
        topics: topics.to_vec(),
        // A chunk may overshoot.
        messages: server.in_flight_messages().saturating_add(limits.chunk_messages.get()),
    };
    match Journal::open(&options) {
        Ok((journal, suspects)) => {
            tell_of_suspects(&suspects);
            journal.watch_for_crashes();
            Memory { journal: Some(Arc::new(journal)), suspects }
        }
        Err(error) => {
            tracing::warn!(
                %error,
                directory = %directory.display(),
                "no crash journal: a request that crashes this worker would do so after every restart; \
                 name a folder that can be written in crash_journal.directory, or null"
            );
            Memory::default()
        }
    }
}

/// The worker ends, by a wish or for this reason.
pub fn end(journal: Option<&Journal>, failure: Option<&WorkerError>) {
    match (journal, failure) {
        // Work that ended in a way that nobody foresaw may do so again.
        (Some(journal), Some(WorkerError::PartEnded(_))) => journal.give_up(),
        (Some(journal), _) => journal.close(),
        (None, _) => {}
    }
}
