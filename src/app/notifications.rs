//! The object store's notifications hasten looks at the repository, where a topic of them is named.

use anyhow::Context;

use crate::{
    broker::kafka::notifications::Notifications, codec::notification, config::ServerConfig, model::watcher::Poker,
    store::s3::Place,
};

/// Listens as long as what comes back is held; `None` if no topic is named.
///
/// # Errors
/// If the client's settings are wrong.
pub fn listen(server: &ServerConfig, poker: Poker) -> anyhow::Result<Option<Notifications>> {
    let Some(topic) = &server.models.notifications_topic else { return Ok(None) };
    let place = Place::parse(&server.models.repository).ok();
    let concerns = move |value: &[u8]| match &place {
        Some(place) => notification::concerns(value, &place.bucket, |key| place.may_hold(key)),
        // What a folder's changes are told with is its owner's affair.
        None => true,
    };
    let settings = super::kafka_settings(server);
    let listening = Notifications::listen(&settings, topic, Box::new(concerns), Box::new(move || poker.poke()));
    listening.context("the Kafka consumer of notifications cannot be created").map(Some)
}
