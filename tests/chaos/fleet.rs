//! The workers of the group: killed, stopped, frozen, and started again as a supervisor would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use super::random::pick;
use crate::support::Worker;

/// `shutdown_timeout` of the workers.
pub const SHUTDOWN: Duration = Duration::from_secs(15);

/// What a worker may take longer than that on a machine that does much else.
const GRACE: Duration = Duration::from_secs(5);

/// Places for workers, some of them empty.
pub struct Fleet {
    program: PathBuf,
    /// Configuration files and logs.
    folder: PathBuf,
    slots: Vec<Slot>,
    /// What a worker did that none may do.
    pub problems: Vec<String>,
    /// How often one ended by itself with exit code 1, as it may when it cannot go on, and was started again.
    pub gave_up: Vec<String>,
}

#[derive(Default)]
struct Slot {
    worker: Option<Worker>,
    /// When it was asked to stop, and whether it is to be started again then.
    stopping: Option<(Instant, bool)>,
    /// In the hands of a fault that is not over.
    is_held: bool,
    starts: usize,
}

impl Fleet {
    /// `size` workers with the files `server-<n>.yaml` and `pipelines` of a folder, and room for one more.
    pub fn start(program: &Path, folder: &Path, size: usize) -> Self {
        let slots = (0..=size).map(|_| Slot::default()).collect();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let mut fleet = Self { program, folder, slots, problems: Vec::new(), gave_up: Vec::new() };
        (0..size).for_each(|slot| fleet.launch(slot));
        fleet
    }

    /// Its server file.
    pub fn server_file(folder: &Path, slot: usize) -> PathBuf {
        folder.join(format!("server-{slot}.yaml"))
    }

    /// The workers that run.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.slots.iter().filter_map(|slot| slot.worker.as_ref())
    }

    /// One of the workers that run and that nothing befalls at the moment.
    pub fn target(&self, number: u64) -> Option<usize> {
        let free: Vec<_> = (0..self.slots.len()).filter(|slot| self.slots[*slot].is_free()).collect();
        (!free.is_empty()).then(|| free[pick(number, free.len())])
    }

    /// The place for one more, if nobody has it.
    pub fn room(&self) -> Option<usize> {
        let last = self.slots.len() - 1;
        let slot = &self.slots[last];
        (slot.worker.is_none() && !slot.is_held).then_some(last)
    }

    /// Starts a worker in an empty place.
    pub fn launch(&mut self, slot: usize) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&self.program).args(["worker", "--server"]);
        command.arg(Self::server_file(&self.folder, slot)).arg("--pipeline").arg(self.folder.join("pipelines"));
        let slot = &mut self.slots[slot];
        slot.starts += 1;
        slot.is_held = false;
        slot.worker = Some(Worker::start(command));
    }

    /// Kills a worker; its place is held until [`Self::launch`].
    pub fn kill(&mut self, slot: usize) {
        self.signal(slot, libc::SIGKILL);
        self.slots[slot].is_held = true;
        self.bury(slot);
    }

    /// Stops a worker in its tracks, until [`Self::thaw`].
    pub fn freeze(&mut self, slot: usize) {
        self.signal(slot, libc::SIGSTOP);
        self.slots[slot].is_held = true;
    }

    pub fn thaw(&mut self, slot: usize) {
        self.signal(slot, libc::SIGCONT);
        self.slots[slot].is_held = false;
    }

    /// Asks a worker to stop; once it has, it is started again, or its place is held until [`Self::launch`].
    pub fn ask_to_stop(&mut self, slot: usize, again: bool) {
        self.signal(slot, libc::SIGTERM);
        self.slots[slot].stopping = Some((Instant::now(), again));
        self.slots[slot].is_held = !again;
    }

    /// Whether a place is empty.
    pub fn is_empty(&self, slot: usize) -> bool {
        self.slots[slot].worker.is_none()
    }

    /// Keeps a worker from other faults.
    pub fn hold(&mut self, slot: usize) {
        self.slots[slot].is_held = true;
    }

    /// Asks a worker to stop, and gives its place back.
    pub fn leave(&mut self, slot: usize) {
        self.ask_to_stop(slot, false);
        self.slots[slot].is_held = false;
    }

    /// Sees to workers that ended. To be called often.
    pub fn look(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(worker) = &self.slots[slot].worker else { continue };
            if !worker.is_running() {
                self.ended(slot);
            } else if let Some((since, _)) = self.slots[slot].stopping
                && since.elapsed() > SHUTDOWN + GRACE
            {
                self.problems.push(format!("{} did not stop within {:?}", self.name(slot), since.elapsed()));
                self.signal(slot, libc::SIGKILL);
            }
        }
    }

    /// Asks all to stop and waits until they have.
    pub fn stop(&mut self) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].worker.is_some() && self.slots[slot].stopping.is_none() {
                self.ask_to_stop(slot, false);
            }
            // None comes back now.
            if let Some((_, again)) = &mut self.slots[slot].stopping {
                *again = false;
            }
        }
        while self.workers().next().is_some() {
            self.look();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self, slot: usize) {
        let name = self.name(slot);
        let Buried { status, had_failed } = self.bury(slot);
        match self.slots[slot].stopping.take() {
            Some((_, again)) => {
                if status.code() == Some(1) && had_failed {
                    self.gave_up.push(name);
                } else if status.code() != Some(0) {
                    self.problems
                        .push(format!("{name} was asked to stop and ended with {status}, expected exit code 0"));
                }
                if again {
                    self.launch(slot);
                }
            }
            None => {
                match status.code() {
                    Some(1) => self.gave_up.push(name),
                    _ => self.problems.push(format!("{name} ended by itself with {status}")),
                }
                self.launch(slot);
            }
        }
    }

    /// Writes the log of a worker that has ended, or is about to.
    fn bury(&mut self, slot: usize) -> Buried {
        let file = self.folder.join(format!("{}.log", self.name(slot)));
        let mut worker = self.slots[slot].worker.take().expect("only workers that were there end");
        let status = worker.ended();
        let log = worker.log();
        fs::write(file, log.join("\n")).expect("the folder of the run is ours");
        let line = |text: &str| log.iter().position(|line| line.contains(text));
        let had_failed = match (line("the worker has failed"), line("asked to stop")) {
            (Some(failed), Some(asked)) => failed < asked,
            (failed, None) => failed.is_some(),
            (None, _) => false,
        };
        Buried { status, had_failed }
    }

    fn signal(&self, slot: usize, signal: i32) {
        if let Some(worker) = self.slots[slot].worker.as_ref().filter(|worker| worker.is_running()) {
            worker.signal(signal);
        }
    }

    fn name(&self, slot: usize) -> String {
        format!("worker-{slot}.{}", self.slots[slot].starts)
    }
}

/// How a worker ended.
struct Buried {
    status: ExitStatus,
    /// Whether it had failed by itself, before anybody asked it to stop.
    had_failed: bool,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.stopping.is_none() && !self.is_held && self.worker.as_ref().is_some_and(Worker::is_running)
    }
}
