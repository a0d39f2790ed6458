//! Requests that flow through workers for as long as a test lasts, and what has become of every one of them.
//!
//! Guarantee: a test that ends its traffic knows that each request was answered, once, by a version of the model and by
//! nothing else: none is lost, none doubled, none failed.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use modelmill::broker::kafka::client::Record;
use serde_json::json;

use crate::support::{Ask, Lane, Worker, json, wait_for};

/// Requests that are under way together.
const ROUND: usize = 5;
/// Between two rounds, so that many tests leave the machine some time.
const PAUSE: Duration = Duration::from_millis(10);
/// So many rounds that began after something show that requests flow in spite of it.
const ENOUGH: usize = 5;

/// A request that the iris model answers.
pub fn ask(id: &str) -> Ask {
    Ask::json(&json!({"id": id, "instances": [{"input": [6.3, 3.4, 5.6, 2.4]}]}))
}

/// Which version answered, or the code of the error.
pub fn said(answer: &Record) -> String {
    let body = json(answer);
    let version = body["model_version"].as_str().map(str::to_owned);
    version.unwrap_or_else(|| body["error"]["code"].as_str().unwrap_or("neither").to_owned())
}

/// Requests in rounds, each of which begins when the one before is answered in full.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    /// Who answered, for each round.
    rounds: Arc<Mutex<Vec<BTreeSet<String>>>>,
    thread: Option<JoinHandle<Lane>>,
}

impl Traffic {
    /// Begins; the lane is read by nobody else until the end.
    pub fn start(lane: Lane) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let rounds = Arc::<Mutex<Vec<_>>>::default();
        let (stopped, answered) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = thread::spawn(move || {
            for round in 0.. {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let asks: Vec<_> = (0..ROUND).map(|number| ask(&format!("{round} {number}"))).collect();
                let answers = lane.exchange(&asks);
                answered.lock().unwrap().push(answers.values().map(said).collect());
                thread::sleep(PAUSE);
            }
            lane
        });
        Self { stop, rounds, thread: Some(thread) }
    }

    /// Waits until one version answers every request.
    pub fn comes_to(&self, version: &str) {
        wait_for(&format!("answers of version {version} alone"), || {
            self.assert_alive();
            let rounds = self.rounds.lock().unwrap();
            rounds.last().is_some_and(|last| last.iter().eq([version])).then_some(())
        });
    }

    /// Waits until enough has been asked and answered from now on: all of it by this version.
    pub fn goes_on_with(&self, version: &str) {
        // The round that is under way may have begun earlier.
        let begin = self.rounds.lock().unwrap().len() + 1;
        wait_for("requests that flow", || {
            self.assert_alive();
            (self.rounds.lock().unwrap().len() >= begin + ENOUGH).then_some(())
        });
        let later = self.rounds.lock().unwrap()[begin..].to_vec();
        for round in later {
            assert!(round.iter().eq([version]), "{round:?} answered, not {version} alone");
        }
    }

    /// Stops the traffic, then the workers. The versions that have answered.
    pub fn end(mut self, workers: &mut [Worker]) -> Vec<String> {
        self.stop.store(true, Ordering::Release);
        let lane = self.thread.take().expect("it ends once").join().expect("every request was answered once");
        for worker in workers {
            worker.stop();
        }
        lane.assert_nothing_more();
        let rounds = self.rounds.lock().unwrap();
        assert!(!rounds.is_empty(), "there was traffic");
        let who: BTreeSet<_> = rounds.iter().flatten().cloned().collect();
        let failed: Vec<_> = who.iter().filter(|who| who.parse::<u64>().is_err()).collect();
        assert!(failed.is_empty(), "requests failed: {failed:?}");
        who.into_iter().collect()
    }

    fn assert_alive(&self) {
        let broken = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        assert!(!broken, "the traffic broke off: a request is lost, doubled, or its answer no answer");
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // A test that fails leaves no traffic behind.
        self.stop.store(true, Ordering::Release);
    }
}
