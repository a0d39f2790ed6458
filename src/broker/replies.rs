//! Answers that go elsewhere: where the requests of a chunk want theirs, and what is known of the topics that they name.
//!
//! Output topics are known by index, and these come at run time. [`Replies`] is what one chunk asks for, written while it is
//! decoded; each topic is sought once for all requests of the chunk that name it, and what was found is settled once. A chunk
//! without reply headers has an empty one, which costs nothing. Whoever seeks topics ([`super::kafka::replies`]) must keep the
//! index of a [`ReplyTopic`] for as long as somebody holds it.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI32, Ordering},
    },
};

use super::Placement;

/// A topic that exists and that answers may go to.
#[derive(Debug)]
pub struct ReplyTopic {
    /// Its index among the worker's output topics, for as long as this is held.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
    partitions: AtomicI32,
    closed: OnceLock<String>,
}

impl ReplyTopic {
    /// A topic with so many partitions.
    pub fn new(index: usize, name: Arc<str>, partitions: i32) -> Self {
        Self { index, name, partitions: AtomicI32::new(partitions), closed: OnceLock::new() }
    }

    /// How many partitions it had when it was last looked at.
    pub fn partitions(&self) -> i32 {
        self.partitions.load(Ordering::Relaxed)
    }

    /// It has so many partitions now.
    pub fn set_partitions(&self, partitions: i32) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// It takes no answers any more; the first reason stays.
    pub fn close(&self, why: &str) {
        // Whoever closed it first said why.
        drop(self.closed.set(why.to_owned()));
    }
}

/// What came of the search for a topic: itself, or why answers cannot go there.
pub type Found = Result<Arc<ReplyTopic>, String>;

/// Where one request wants its answer.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Index of its message in the chunk.
    pub message: usize,
    /// The topic: index in [`Replies::topics`]; `None` if it may not have the one that it asked for.
    pub topic: Option<usize>,
    /// The partition, if it asks for one.
    pub partition: Option<i32>,
    /// Whether it has a correlation id, without which a reply is of no use.
    pub has_correlation_id: bool,
}

/// A topic that requests of a chunk ask for.
#[derive(Debug)]
pub struct Sought {
    /// Its name.
    pub name: Arc<str>,
    /// The highest partition that any of them asks for.
    pub partition: i32,
    found: OnceLock<Found>,
}

impl Sought {
    /// Whether nothing is known of it yet.
    pub fn is_open(&self) -> bool {
        self.found.get().is_none()
    }

    /// The search is over; what was found first stays.
    pub fn settle(&self, found: Found) {
        // Nobody else seeks for this chunk.
        drop(self.found.set(found));
    }
}

/// What becomes of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The request has none, or may not have what it asked for: its answer goes where all go.
    None,
    /// The topic is being looked for.
    Sought,
    /// The answer goes to this topic; into this partition, if it asks for one.
    Granted { topic: usize, placement: Option<Placement> },
    /// The answer cannot go there, and why.
    Refused(String),
}

/// What the requests of a chunk ask for, by message in ascending order.
#[derive(Debug, Default)]
pub struct Replies {
    wishes: Vec<Wish>,
    topics: Vec<Sought>,
    by_name: HashMap<Arc<str>, usize>,
    /// The pipeline of the last request that may have its topic, and the topic's index: neighbours mostly ask for the same.
    last: Option<(usize, usize)>,
}

impl Replies {
    /// Whether no request asks for anything.
    pub fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Whether the last request that may have its topic came to this pipeline and asked for this one: what was checked for it
    /// need not be checked again.
    pub fn asked_last(&self, pipeline: usize, topic: &str) -> bool {
        self.last.is_some_and(|(of, position)| of == pipeline && *self.topics[position].name == *topic)
    }

    /// Notes what the request in `message` of `pipeline` asks for; messages come in ascending order. No `topic`: it may not have
    /// the one it asked for.
    pub fn push(
        &mut self,
        pipeline: usize,
        message: usize,
        topic: Option<&str>,
        partition: Option<i32>,
        has_correlation_id: bool,
    ) {
        let topic = topic.map(|name| self.position(name, partition.unwrap_or(0)));
        if let Some(position) = topic {
            self.last = Some((pipeline, position));
        }
        self.wishes.push(Wish { message, topic, partition, has_correlation_id });
    }

    /// Forgets what was noted of `message` and those after it.
    pub fn forget_from(&mut self, message: usize) {
        self.wishes.truncate(self.wishes.partition_point(|wish| wish.message < message));
    }

    fn position(&mut self, name: &str, partition: i32) -> usize {
        let last = self.last.map(|(_, position)| position).filter(|position| *self.topics[*position].name == *name);
        if let Some(position) = last.or_else(|| self.by_name.get(name).copied()) {
            let sought = &mut self.topics[position];
            sought.partition = sought.partition.max(partition);
            return position;
        }
        let name: Arc<str> = name.into();
        self.by_name.insert(Arc::clone(&name), self.topics.len());
        self.topics.push(Sought { name, partition, found: OnceLock::new() });
        self.topics.len() - 1
    }

    /// The topics, each once.
    pub fn topics(&self) -> &[Sought] {
        &self.topics
    }

    /// What the request in `message` asks for.
    pub fn wish(&self, message: usize) -> Option<&Wish> {
        let found = self.wishes.binary_search_by_key(&message, |wish| wish.message).ok()?;
        Some(&self.wishes[found])
    }

    /// How the wish of the request in `message` stands.
    pub fn standing(&self, message: usize) -> Standing {
        let Some(Wish { topic: Some(topic), partition, .. }) = self.wish(message).copied() else {
            return Standing::None;
        };
        let Sought { name, found, .. } = &self.topics[topic];
        let found = match found.get() {
            None => return Standing::Sought,
            Some(Err(why)) => return Standing::Refused(format!("the reply topic `{name}` {why}")),
            Some(Ok(found)) => found,
        };
        if let Some(why) = found.closed.get() {
            return Standing::Refused(format!("the reply topic `{name}` {why}"));
        }
        match (partition, found.partitions()) {
            (Some(partition), count) if partition >= count => Standing::Refused(format!(
                "the reply topic `{name}` has no partition {partition}: it has {count}, counted from 0"
            )),
            _ => Standing::Granted { topic: found.index, placement: partition.map(Placement::Exactly) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_stands_as_its_topic_is_found() {
        let mut replies = Replies::default();
        replies.push(0, 1, Some("a"), None, true);
        replies.push(0, 3, Some("b"), Some(2), true);
        replies.push(0, 4, None, None, true);
        replies.push(0, 7, Some("a"), Some(5), false);
        assert_eq!(replies.topics().iter().map(|sought| sought.partition).collect::<Vec<_>>(), [5, 2]);
        assert_eq!((replies.standing(0), replies.standing(4)), (Standing::None, Standing::None));
        assert_eq!((replies.standing(1), replies.standing(3)), (Standing::Sought, Standing::Sought));
        let a = Arc::new(ReplyTopic::new(9, "a".into(), 5));
        replies.topics()[0].settle(Ok(Arc::clone(&a)));
        replies.topics()[1].settle(Err("does not exist".to_owned()));
        assert_eq!(replies.standing(1), Standing::Granted { topic: 9, placement: None });
        assert_eq!(replies.standing(3), Standing::Refused("the reply topic `b` does not exist".to_owned()));
        let none = "the reply topic `a` has no partition 5: it has 5, counted from 0";
        assert_eq!(replies.standing(7), Standing::Refused(none.to_owned()));
        a.set_partitions(6);
        let exactly = Some(Placement::Exactly(5));
        assert_eq!(replies.standing(7), Standing::Granted { topic: 9, placement: exactly });
        a.close("has gone");
        a.close("is not told again");
        assert_eq!(replies.standing(1), Standing::Refused("the reply topic `a` has gone".to_owned()));
    }

    #[test]
    fn a_neighbour_with_the_same_topic_is_sought_with_the_highest_partition() {
        let mut replies = Replies::default();
        for (message, (name, partition)) in [("a", 1), ("a", 4), ("a", 2), ("b", 3), ("a", 0)].into_iter().enumerate() {
            replies.push(message % 2, message, Some(name), Some(partition), true);
        }
        let sought: Vec<_> = replies.topics().iter().map(|sought| (&*sought.name, sought.partition)).collect();
        assert_eq!(sought, [("a", 4), ("b", 3)]);
        assert!((0..5).all(|message| replies.wish(message).unwrap().topic == Some(usize::from(message == 3))));
    }
}
