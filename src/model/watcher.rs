//! Looks at the repository again and again, and tells the keeper what should be in service.
//!
//! It has a thread of its own, which may wait for a store for as long as that takes. A look is one listing; what has not
//! changed costs no read and tells nobody anything. A look that fails changes nothing: an outage is no empty repository.
//!
//! A look comes every interval, and sooner in two cases: somebody pokes, or a version without a manifest waits for its second
//! look. Guarantee: every poke is followed by a look that begins after it, and however many come, looks are a rest apart.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread::Builder,
    time::{Duration, Instant},
};

use super::{
    keeper::{Message, Wanted},
    manager::Manager,
    source::{Repository, Source},
};
use crate::{
    store::{Store, StoreError},
    tensor::Name,
};

/// What of a repository should be in service.
pub type Choose = Box<dyn Fn(&Repository) -> BTreeMap<Name, Wanted> + Send>;

/// Told of each look: how long it took, or why it failed.
pub type LookObserver = Box<dyn FnMut(Result<Duration, &StoreError>) + Send>;

/// Between two looks at a repository whose versions have no manifests, before it is believed that they are there in full.
pub const REST: Duration = Duration::from_millis(250);

/// So many looks in a row may follow one that found something new after a [`REST`] and not after the interval: an upload that
/// changes for longer, or for ever (somebody's log lies in a version's folder), waits for its turn like everything else.
const FOLLOW_UPS: u32 = 4;

/// A look that failed is repeated after this at the latest: what it was to find is there already.
const AGAIN: Duration = Duration::from_secs(10);

/// An eye on a repository.
pub struct Watcher {
    store: Arc<dyn Store>,
    source: Source,
    choose: Choose,
    observer: LookObserver,
    manager: Manager,
    seen: Option<Repository>,
}

impl Watcher {
    /// A watcher that has not looked yet.
    pub fn new(store: Arc<dyn Store>, choose: Choose, observer: LookObserver, manager: Manager) -> Self {
        Self { store, source: Source::new(REST), choose, observer, manager, seen: None }
    }

    /// Looks once, and a second time soon if versions wait for that; tells the keeper what it sees.
    ///
    /// # Errors
    /// If the store fails.
    pub fn first_look(&mut self) -> Result<(), StoreError> {
        self.look()?;
        let waits = |repository: &Repository| {
            let versions = repository.models.values().flat_map(|model| model.versions.values());
            versions.filter(|version| version.content.is_none()).count() > 0
        };
        if self.seen.as_ref().is_some_and(waits) {
            std::thread::sleep(REST);
            self.look()?;
        }
        Ok(())
    }

    /// Looks every `interval` at least, and whenever it is poked, until nobody is left to poke it.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start(self, interval: Duration) -> std::io::Result<Poker> {
        // One poke says all that many say.
        let (poker, pokes) = mpsc::sync_channel(1);
        Builder::new().name("watcher".to_owned()).spawn(move || self.watch(interval, &pokes))?;
        Ok(Poker(poker))
    }

    fn watch(mut self, interval: Duration, pokes: &mpsc::Receiver<()>) {
        let mut last = self.said(Ok(()), Duration::ZERO);
        let mut follow_ups = 0;
        loop {
            let poked = match pokes.recv_timeout(last.pause(jittered(interval), follow_ups)) {
                Ok(()) => true,
                Err(mpsc::RecvTimeoutError::Timeout) => false,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            if poked {
                std::thread::sleep(last.rest().saturating_sub(last.ended.elapsed()));
            }
            // What came meanwhile is seen by the same look.
            while pokes.try_recv().is_ok() {}
            follow_ups = if last.is_followed(follow_ups) && !poked { follow_ups + 1 } else { 0 };
            let started = Instant::now();
            // An error has been told to the observer.
            let looked = self.look();
            last = self.said(looked, started.elapsed());
        }
    }

    fn said(&self, looked: Result<(), StoreError>, took: Duration) -> Look {
        let awaits_look = looked.is_ok() && self.seen.as_ref().is_some_and(Repository::awaits_look);
        Look { failed: looked.is_err(), awaits_look, took, ended: Instant::now() }
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        let store = Arc::clone(&self.store);
        let looked = store
            .list()
            .and_then(|listing| self.source.look(listing, &mut |object, most| store.read(&object.path, most)));
        match looked {
            Ok(repository) => {
                (self.observer)(Ok(started.elapsed()));
                if self.seen.as_ref().is_none_or(|seen| !is_same(seen, &repository)) {
                    self.manager.tell(Message::Looked((self.choose)(&repository)));
                    self.seen = Some(repository);
                }
                Ok(())
            }
            Err(error) => {
                (self.observer)(Err(&error));
                Err(error)
            }
        }
    }
}

/// What a look says about when the next one is due.
struct Look {
    failed: bool,
    /// Whether a version is complete if the next one finds the same.
    awaits_look: bool,
    took: Duration,
    ended: Instant,
}

impl Look {
    /// After which the next one is due, if so many have followed one another before it.
    fn pause(&self, interval: Duration, follow_ups: u32) -> Duration {
        if self.is_followed(follow_ups) {
            return interval.min(self.rest());
        }
        if self.failed { interval.min(AGAIN) } else { interval }
    }

    /// Whether the next one comes to see what this one found new.
    fn is_followed(&self, follow_ups: u32) -> bool {
        self.awaits_look && follow_ups < FOLLOW_UPS
    }

    /// For how long nobody looks, whoever asks for it. Of a repository so large that a look takes long, half of the time at the
    /// most goes into looks.
    fn rest(&self) -> Duration {
        REST.max(self.took)
    }
}

/// Hastens the next look; the watcher ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Poker(mpsc::SyncSender<()>);

impl Poker {
    /// Has the repository looked at now, or a [`REST`] after the look before; comes back at once.
    pub fn poke(&self) {
        // It is full when a look is due already; and nobody looks any more when the worker stops.
        let _due_or_stopping = self.0.try_send(());
    }
}

/// Whether two looks found the very same.
fn is_same(left: &Repository, right: &Repository) -> bool {
    left.models.len() == right.models.len()
        && left.models.iter().zip(&right.models).all(|(a, b)| a.0 == b.0 && Arc::ptr_eq(a.1, b.1))
}

/// Up to a fifth less, so that many workers do not look all at once, and none later than it was told.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 - 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::store::LocalStore;

    /// Longer than any test.
    const HOUR: Duration = Duration::from_secs(3600);

    /// How long anything is waited for.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A watcher of a folder that has looked once; a message for each look, and the keeper's inbox.
    fn watcher(folder: &Path) -> (Watcher, mpsc::Receiver<Instant>, mpsc::Receiver<Message>) {
        let (looks, looked) = mpsc::channel();
        let (inbox, messages) = mpsc::channel();
        let store = Arc::new(LocalStore::at(folder.to_str().unwrap()).unwrap());
        let choose = |repository: &Repository| {
            let wanted = |model: &crate::model::source::Model| Wanted {
                contents: model.versions.values().filter_map(|version| version.content.clone()).collect(),
                ..Wanted::default()
            };
            repository.models.iter().map(|(name, model)| (name.clone(), wanted(model))).collect()
        };
        let observer = move |_: Result<Duration, &StoreError>| {
            let _ended = looks.send(Instant::now());
        };
        let mut watcher = Watcher::new(store, Box::new(choose), Box::new(observer), Manager::new(inbox));
        watcher.first_look().unwrap();
        while looked.try_recv().is_ok() {}
        (watcher, looked, messages)
    }

    fn put(folder: &Path, file: &str) {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), b"x").unwrap();
    }

    /// Waits until the keeper is told of a version that can be loaded.
    fn wait_for_version(messages: &mpsc::Receiver<Message>) {
        loop {
            let Message::Looked(wanted) = messages.recv_timeout(PATIENCE).expect("a version in time") else { continue };
            if wanted.values().any(|wanted| !wanted.contents.is_empty()) {
                return;
            }
        }
    }

    #[test]
    fn looks_are_up_to_a_fifth_sooner_than_the_interval_and_never_later() {
        let pauses: Vec<_> = (0..200).map(|_| jittered(Duration::from_secs(10))).collect();
        assert!(pauses.iter().all(|pause| (8.0..=10.0).contains(&pause.as_secs_f64())));
        assert!(pauses.iter().any(|pause| *pause < Duration::from_millis(8_600)));
        assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(9_400)));
    }

    #[test]
    fn a_poke_finds_a_version_without_a_manifest_which_takes_two_looks_though_the_interval_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let (watcher, _looked, messages) = watcher(folder.path());
        let poker = watcher.start(HOUR).unwrap();
        put(folder.path(), "iris/1/model.onnx");
        poker.poke();
        wait_for_version(&messages);
    }

    #[test]
    fn a_storm_of_pokes_costs_a_few_looks_and_the_last_poke_is_followed_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (watcher, looked, messages) = watcher(folder.path());
        let poker = watcher.start(HOUR).unwrap();
        let began = Instant::now();
        for _ in 0..10_000 {
            poker.poke();
            std::thread::sleep(Duration::from_micros(50));
        }
        // With a manifest, one look is enough: nothing but the last poke brings it about.
        let digest = "ab".repeat(32);
        put(folder.path(), "iris/1/model.onnx");
        let manifest = format!(r#"{{"files": [{{"path": "model.onnx", "size": 1, "sha256": "{digest}"}}]}}"#);
        fs::write(folder.path().join("iris/1/manifest.json"), manifest).unwrap();
        poker.poke();
        wait_for_version(&messages);
        let most = began.elapsed().as_millis() / REST.as_millis() + 1;
        let looks: Vec<_> = looked.try_iter().collect();
        assert!((2..=most as usize).contains(&looks.len()), "{} looks, at most {most}", looks.len());
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] >= REST), "{looks:?}");
    }

    #[test]
    fn the_next_look_comes_soon_where_that_finds_something_and_else_after_the_interval() {
        let look = Look { failed: false, awaits_look: false, took: Duration::ZERO, ended: Instant::now() };
        assert_eq!(look.pause(HOUR, 0), HOUR);
        let outage = Look { failed: true, ..look };
        assert_eq!((outage.pause(HOUR, 0), outage.pause(REST, 0)), (AGAIN, REST));
        let found = Look { awaits_look: true, failed: false, ..outage };
        assert_eq!(found.pause(HOUR, 0), REST);
        assert_eq!(found.pause(REST / 5, 0), REST / 5, "an interval that is shorter stays");
        assert_eq!(found.pause(HOUR, FOLLOW_UPS), HOUR, "what changes for ever is not looked at for ever");
        let slow = Look { took: 4 * REST, ..found };
        assert_eq!(slow.pause(HOUR, 0), 4 * REST, "half of the time at the most goes into looks");
    }
}
