//! Chunks that go out in the order of their partitions, many at a time.
//!
//! One thread gathers what is finished. A chunk goes when all that was taken before it from its partitions has gone; whatever
//! is ready together goes together, as one round, while the next one gathers. So order costs a wait for slower neighbours
//! and no batching. In transactions ([`RoundsOptions::transactions`]) a round lasts an interval and ends with a commit of the
//! answers and of the offsets: a `read_committed` consumer sees both or neither.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};

use super::{Publication, round::Round};
use crate::{
    broker::kafka::{consumer::Membership, context::FatalError, producer::KafkaProducer, ticket::Turn},
    error::WorkerError,
    metrics::TransactionMetrics,
};

/// How long the thread may take to say what a failure of the client means.
const SECOND_OPINION: Duration = Duration::from_millis(500);

/// How rounds go.
#[derive(Clone, Debug, Default)]
pub struct RoundsOptions {
    /// The request topics; a chunk names its topic by index.
    pub topics: Vec<String>,
    /// `None`: answers are acknowledged, and the consumer commits offsets.
    pub transactions: Option<TransactionOptions>,
}

/// How transactions go.
#[derive(Clone, Copy, Debug)]
pub struct TransactionOptions {
    /// How long one gathers before it is committed.
    pub interval: Duration,
    /// How long the coordinator may take for anything.
    pub patience: Duration,
}

/// The thread that publishes in rounds.
pub struct Rounds {
    inbox: mpsc::UnboundedSender<Word>,
    shared: Arc<Shared>,
}

/// What the thread and its surroundings share.
pub(super) struct Shared {
    pub producer: Arc<KafkaProducer>,
    pub options: RoundsOptions,
    pub membership: OnceLock<Membership>,
    pub metrics: TransactionMetrics,
    fatal: FatalError,
}

enum Word {
    Finished(Box<Finished>),
    Hurry,
}

/// A chunk that waits for its turn, and for the broker.
pub(super) struct Finished {
    pub publication: Publication,
    pub turn: Arc<Turn>,
    pub done: oneshot::Sender<()>,
}

impl Rounds {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(producer: KafkaProducer, options: RoundsOptions) -> io::Result<Self> {
        let (inbox, words) = mpsc::unbounded_channel();
        let fatal = FatalError::default();
        let metrics = TransactionMetrics::new();
        let shared =
            Arc::new(Shared { producer: Arc::new(producer), options, membership: OnceLock::new(), metrics, fatal });
        let clock = runtime::Builder::new_current_thread().enable_time().build()?;
        let gathering = Gathering { words, waiting: BTreeMap::new(), shared: Arc::clone(&shared) };
        let ended = Ended(Arc::clone(&shared));
        let run = move || {
            let _ended = ended;
            clock.block_on(gathering.run());
            // A call of the client that never comes back is not waited for.
            clock.shutdown_background();
        };
        thread::Builder::new().name("publisher".to_owned()).spawn(run)?;
        Ok(Self { inbox, shared })
    }

    /// Tells whom transactions speak for; must be said before the first chunk is published.
    pub fn speak_for(&self, membership: Membership) {
        drop(self.shared.membership.set(membership));
    }

    /// Publishes when it is the chunk's turn, and waits for the broker.
    ///
    /// # Errors
    /// If it was not published: the thread has failed, and [`Self::failed`] says why.
    pub async fn publish(&self, publication: Publication, turn: &Arc<Turn>) -> Result<(), WorkerError> {
        let (done, is_done) = oneshot::channel();
        let finished = Finished { publication, turn: Arc::clone(turn), done };
        if self.inbox.send(Word::Finished(Box::new(finished))).is_ok() && is_done.await.is_ok() {
            return Ok(());
        }
        Err(self.shared.fatal.wait().await)
    }

    /// Where everything goes through.
    pub fn producer(&self) -> &KafkaProducer {
        &self.shared.producer
    }

    /// Somebody waits for what is finished, or something that others waited behind has gone.
    pub fn hurry(&self) {
        // The thread is gone only when it has failed, which is told elsewhere.
        drop(self.inbox.send(Word::Hurry));
    }

    /// Resolves when the client or the thread has failed for good.
    pub async fn failed(&self) -> WorkerError {
        let client = tokio::select! {
            biased;
            error = self.shared.fatal.wait() => return error,
            error = self.shared.producer.failed() => error,
        };
        // The thread is told of it, too, and knows what it was about.
        tokio::time::timeout(SECOND_OPINION, self.shared.fatal.wait()).await.unwrap_or(client)
    }
}

/// Tells that the thread is gone, whatever ended it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        // The first error stays.
        self.0.fatal.tell(WorkerError::PartEnded("the publisher"));
    }
}

/// What the thread has before it.
pub(super) struct Gathering {
    words: mpsc::UnboundedReceiver<Word>,
    /// Finished chunks by the order in which they were taken.
    waiting: BTreeMap<u64, Box<Finished>>,
    shared: Arc<Shared>,
}

impl Gathering {
    async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(first) = self.first().await {
            if let Err(error) = Round::new(&shared, first).go(&mut self).await {
                shared.fatal.tell(error);
                return;
            }
        }
    }

    /// The chunks that begin a round; `None` if there will never be any.
    async fn first(&mut self) -> Option<Vec<Finished>> {
        loop {
            let next = self.next_in_turn();
            if !next.is_empty() {
                return Some(next);
            }
            let word = self.words.recv().await?;
            self.take(word);
        }
    }

    /// Gathers for so long that something is said, or until `deadline`. Says whether the round is to end.
    pub async fn wait(&mut self, deadline: tokio::time::Instant) -> bool {
        tokio::select! {
            word = self.words.recv() => word.is_none_or(|word| self.take(word)),
            () = tokio::time::sleep_until(deadline) => true,
        }
    }

    /// Takes note of what is said, and of what has been said meanwhile. Says whether somebody is in a hurry.
    fn take(&mut self, first: Word) -> bool {
        let mut hurry = false;
        let mut word = Some(first);
        while let Some(said) = word {
            match said {
                Word::Finished(finished) => drop(self.waiting.insert(finished.turn.serial(), finished)),
                Word::Hurry => hurry = true,
            }
            word = self.words.try_recv().ok();
        }
        hurry
    }

    /// The chunks whose turn it is, in their order.
    pub fn next_in_turn(&mut self) -> Vec<Finished> {
        // In ascending order, so that a chunk whose predecessor goes now goes, too.
        let serials = Turn::take(self.waiting.values().map(|finished| &*finished.turn));
        serials.iter().filter_map(|serial| self.waiting.remove(serial)).map(|finished| *finished).collect()
    }
}
