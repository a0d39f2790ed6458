//! Reply topics: found at run time, beside the output topics that the configuration names.
//!
//! A topic that is not known is looked up by a thread of its own, which is there as long as something is wanted, and asks the
//! brokers for one topic after another through the producer. Nobody who decodes or polls waits for it: the requests that asked
//! for it do, apart from their chunk's others, until their time is up. So a chunk without reply headers never comes here, and one
//! whose topics are known pays for a look into a table.
//!
//! Guarantee: an index stays its topic's for as long as somebody holds the [`ReplyTopic`], and the client holds a bounded number
//! of topics, however many are asked for ([`book`]).

use std::{
    pin::pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use rdkafka::{
    error::RDKafkaErrorCode,
    producer::{BaseProducer, Producer, ProducerContext},
};
use tokio::sync::Notify;

use super::{native::OutputTopic, topics::listed};
use crate::broker::replies::{Replies, Sought};
use book::{Book, Look, Noted};

mod book;

/// How long the brokers may take to tell of one topic before the next one is asked for.
const LOOK: Duration = Duration::from_secs(5);

/// How long to wait before brokers that could not tell are asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// A place for a topic, with its handle.
struct Place {
    name: Arc<str>,
    handle: Arc<OutputTopic>,
}

/// The reply topics of a producer.
pub struct ReplyTopics<C: ProducerContext + 'static> {
    client: Arc<BaseProducer<C>>,
    /// How many output topics the configuration names; these come after them.
    first: usize,
    places: RwLock<Vec<Place>>,
    book: Mutex<Book>,
    /// Whether the thread that looks is there; changed with the book locked.
    looks: Mutex<bool>,
    looked: Notify,
}

impl<C: ProducerContext + 'static> ReplyTopics<C> {
    /// None yet; their indices begin at `first`.
    pub fn new(client: Arc<BaseProducer<C>>, first: usize) -> Arc<Self> {
        let (places, book, looks, looked) = Default::default();
        Arc::new(Self { client, first, places, book, looks, looked })
    }

    /// Settles what is known of the topics that a chunk asks for, and has the others looked up, for those who wait until
    /// `until`. Says whether there are others.
    pub fn settle(self: &Arc<Self>, replies: &Replies, until: Instant) -> bool {
        let now = Instant::now();
        let mut book = self.book.lock();
        let mut waits = false;
        for sought in replies.topics().iter().filter(|sought| sought.is_open()) {
            match book.find(&sought.name, sought.partition, now, until) {
                Some(found) => sought.settle(found),
                None => waits = true,
            }
        }
        self.have_looked(&mut book);
        waits
    }

    /// Has a topic looked at although it was there; `index` is held.
    pub fn look_again(self: &Arc<Self>, index: usize) {
        let mut book = self.book.lock();
        if let Some(topic) = book.at(index - self.first) {
            book.want(&topic.name, Instant::now() + LOOK);
            self.have_looked(&mut book);
        }
    }

    /// Sees to it that somebody looks, if something is wanted.
    fn have_looked(self: &Arc<Self>, book: &mut Book) {
        if book.wanted(Instant::now()).is_empty() || std::mem::replace(&mut *self.looks.lock(), true) {
            return;
        }
        let this = Arc::clone(self);
        if let Err(error) = thread::Builder::new().name("reply topics".to_owned()).spawn(move || this.look()) {
            tracing::warn!(%error, "no thread to look for reply topics");
            *self.looks.lock() = false;
        }
    }

    /// Waits until all topics that a chunk asks for are settled, or until `until`.
    pub async fn settled(self: &Arc<Self>, replies: &Replies, until: Instant) {
        loop {
            let mut looked = pin!(self.looked.notified());
            looked.as_mut().enable();
            if !replies.topics().iter().any(Sought::is_open) || !self.settle(replies, until) {
                return;
            }
            if tokio::time::timeout_at(until.into(), looked).await.is_err() {
                return;
            }
        }
    }

    /// The handle of the topic at `index`.
    ///
    /// # Panics
    /// If nobody holds the topic.
    pub fn handle(&self, index: usize) -> Arc<OutputTopic> {
        Arc::clone(&self.places.read()[index - self.first].handle)
    }

    /// The name of the topic at `index`.
    pub fn name(&self, index: usize) -> Arc<str> {
        Arc::clone(&self.places.read()[index - self.first].name)
    }

    /// The brokers, or the client, have refused an answer for a reason that is its topic's; `index` is held.
    pub fn close(&self, index: usize, error: RDKafkaErrorCode) {
        let mut book = self.book.lock();
        if let Some(topic) = book.at(index - self.first) {
            let why = format!("does not take the answer: {error}");
            topic.close(&why);
            book.close(&topic.name, &why, Instant::now());
        }
    }

    /// Looks up what is wanted, until nothing is.
    fn look(&self) {
        loop {
            let wanted = {
                let mut book = self.book.lock();
                let wanted = book.wanted(Instant::now());
                if wanted.is_empty() {
                    *self.looks.lock() = false;
                    return;
                }
                wanted
            };
            let mut told = false;
            for name in wanted {
                if let Some(look) = self.look_at(&name) {
                    self.note(&name, look);
                    self.looked.notify_waiters();
                    told = true;
                }
            }
            if !told {
                thread::sleep(AGAIN);
            }
        }
    }

    fn note(&self, name: &Arc<str>, look: Look) {
        let mut book = self.book.lock();
        match book.note(name, look, self.first, Instant::now()) {
            Noted::Done => {}
            Noted::Counted { place, partitions } => self.places.read()[place].handle.set_partitions(partitions),
            Noted::Placed { topic, place } => match OutputTopic::new(&self.client, name) {
                Ok(handle) => {
                    handle.set_partitions(topic.partitions());
                    let new = Place { name: Arc::clone(name), handle: Arc::new(handle) };
                    let mut places = self.places.write();
                    match places.get_mut(place) {
                        Some(old) => *old = new,
                        None => places.push(new),
                    }
                }
                Err(error) => book.close(name, &format!("cannot be used: {error}"), Instant::now()),
            },
        }
    }

    /// Asks the brokers; `None` if they cannot tell now.
    fn look_at(&self, name: &str) -> Option<Look> {
        use RDKafkaErrorCode::{
            BrokerNotAvailable, InvalidTopic, LeaderNotAvailable, NetworkException, NotLeaderForPartition,
            RequestTimedOut,
        };
        let told = match self.client.client().fetch_metadata(Some(name), LOOK) {
            Ok(metadata) => listed(&metadata).map(|partitions| partitions.len()),
            Err(error) => match error.rdkafka_error_code() {
                Some(InvalidTopic) => Err(Some(InvalidTopic)),
                _ => return None,
            },
        };
        match told {
            Ok(partitions) => Some(Look::There(i32::try_from(partitions).unwrap_or(i32::MAX))),
            Err(None) => Some(Look::Absent("does not exist".to_owned())),
            Err(Some(
                BrokerNotAvailable | LeaderNotAvailable | NetworkException | NotLeaderForPartition | RequestTimedOut,
            )) => None,
            Err(Some(refused)) => Some(Look::Absent(format!("cannot be used: {refused}"))),
        }
    }
}
