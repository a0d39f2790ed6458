//! Which models were in memory when: what the worker wrote to its topic of events.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use rdkafka::Message;
use serde::Deserialize;

use crate::cluster::Cluster;

/// A silence of so long is the end of the topic.
const SILENCE: Duration = Duration::from_secs(3);

/// What the clock of the events leaves out: they tell milliseconds.
const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Deserialize)]
struct Event<'a> {
    model: &'a str,
    state: &'a str,
    time: &'a str,
}

/// The changes of each model, in their order.
pub struct States(HashMap<String, Vec<(SystemTime, State)>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Loading,
    Available,
    Other,
}

impl States {
    /// Reads a whole topic of events.
    pub fn read(cluster: &Cluster, topic: &str) -> Self {
        let (reader, mut changes) = (cluster.reader(topic), HashMap::<_, Vec<_>>::new());
        while let Some(record) = reader.poll(SILENCE) {
            let record = record.unwrap();
            let event: Event<'_> =
                serde_json::from_slice(record.payload().expect("a value")).expect("an event is JSON");
            let state = match event.state {
                "loading" => State::Loading,
                "available" => State::Available,
                _ => State::Other,
            };
            let time = humantime::parse_rfc3339(event.time).expect("the time of an event");
            changes.entry(event.model.to_owned()).or_default().push((time, state));
        }
        Self(changes)
    }

    fn of(&self, model: &str) -> &[(SystemTime, State)] {
        self.0.get(model).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a model was in memory all the time.
    pub fn was_in_memory(&self, model: &str, from: SystemTime, to: SystemTime) -> bool {
        let changes = self.of(model);
        let before = changes.iter().rfind(|(time, _)| *time + MILLISECOND <= from);
        let between = changes.iter().any(|(time, _)| *time + MILLISECOND > from && *time <= to);
        before.is_some_and(|(_, state)| *state == State::Available) && !between
    }

    /// How long a model was being loaded that was not in memory at `from`, and was by `to`.
    pub fn load_within(&self, model: &str, from: SystemTime, to: SystemTime) -> Option<Duration> {
        let changes = self.of(model);
        let before = changes.iter().rfind(|(time, _)| *time <= from);
        if before.is_some_and(|(_, state)| *state == State::Available) {
            return None;
        }
        let is_end = |(time, state): &(SystemTime, State)| *state == State::Available && (from..=to).contains(time);
        let end = changes.iter().position(is_end)?;
        let begin = changes[..end].iter().rfind(|(_, state)| *state == State::Loading)?;
        changes[end].0.duration_since(begin.0).ok()
    }
}
