//! Brings the faults of a schedule about, one after another or side by side, and takes each back when its time is over.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    account::Applied,
    cluster::{Cluster, PATIENCE},
    disk::Disk,
    faults::{Kind, Needs},
    fleet::Fleet,
    random::pick,
    reader::Topics,
    schedule::Planned,
    sender::{Extra, Progress},
};

/// How long between two looks at what is going on.
const GLANCE: Duration = Duration::from_millis(20);

/// A look at all brokers' metadata is not for free.
const BROKER_GLANCE: Duration = Duration::from_millis(300);

/// How many requests are sent with times that are off, in each direction.
const ODD_TIMES: usize = 20;

/// Requests whose run takes long, and how many turns their model takes: about half a second.
const SLOW_REQUESTS: usize = 6;
const SLOW_SPINS: u32 = 150_000;

/// Everything that faults befall.
pub struct Director {
    pub cluster: Cluster,
    pub fleet: Fleet,
    pub disk: Option<Disk>,
    pub topics: Topics,
    pub group: String,
    pub progress: Arc<Progress>,
    pub began: Instant,
    /// The faults so far, in order.
    pub applied: Vec<Applied>,
    /// What kept a fault from being brought about, or being taken back.
    pub problems: Vec<String>,
    active: Vec<Active>,
    looked: Instant,
}

/// A fault that is not over.
struct Active {
    /// Its place among those applied.
    index: usize,
    due: Instant,
    undo: Undo,
}

/// How a fault is taken back: of a worker by its place, of a broker by its index.
#[derive(Clone, Copy)]
enum Undo {
    Nothing,
    Launch(usize),
    Thaw(usize),
    Leave(usize),
    StartBroker(usize),
    ThawBroker(usize),
    Mend(usize),
    Release(usize),
    FreeDisk,
}

impl Director {
    /// Nothing has happened yet.
    pub fn new(
        cluster: Cluster,
        fleet: Fleet,
        disk: Option<Disk>,
        topics: Topics,
        group: String,
        progress: Arc<Progress>,
    ) -> Self {
        let (applied, problems, active) = (Vec::new(), Vec::new(), Vec::new());
        let now = Instant::now();
        Self { cluster, fleet, disk, topics, group, progress, began: now, applied, problems, active, looked: now }
    }

    /// Brings all faults about; returns when the last one is over.
    pub fn run(&mut self, schedule: &[Planned]) {
        for planned in schedule {
            let next = Instant::now() + planned.pause;
            self.wait_while(PATIENCE, |_| Instant::now() < next);
            if !self.wait_while(PATIENCE, |director| !director.begin(planned)) {
                let kind = planned.kind.name();
                self.problems
                    .push(format!("what {kind} needs was not there within {PATIENCE:?}: the schedule ends here"));
                break;
            }
        }
        if !self.wait_while(PATIENCE, |director| !director.active.is_empty()) {
            self.problems.push(format!("a fault could not be taken back within {PATIENCE:?}"));
        }
    }

    /// Sees to workers and faults while a condition holds, for so long at the most; says whether it ended.
    pub fn wait_while(&mut self, patience: Duration, mut condition: impl FnMut(&mut Self) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while condition(self) {
            if Instant::now() > deadline {
                return false;
            }
            self.fleet.look();
            self.end_what_is_due();
            thread::sleep(GLANCE);
        }
        true
    }

    /// Brings a fault about if what it needs is there.
    fn begin(&mut self, planned: &Planned) -> bool {
        let Some(undo) = self.befall(planned) else { return false };
        let (kind, now) = (planned.kind, self.now());
        let index = self.applied.len();
        self.applied.push(Applied { kind, from: now, until: now });
        self.active.push(Active { index, due: Instant::now() + planned.lasts, undo });
        true
    }

    fn befall(&mut self, planned: &Planned) -> Option<Undo> {
        match planned.kind.needs() {
            Needs::Worker => self.fleet.target(planned.pick).map(|slot| self.befall_worker(planned.kind, slot)),
            Needs::Room => self.fleet.room().map(|slot| {
                self.fleet.launch(slot);
                self.fleet.hold(slot);
                Undo::Leave(slot)
            }),
            Needs::Brokers => self.brokers_are_undisturbed().then(|| self.befall_brokers(planned)),
            Needs::Disk => self.fill_the_disk(),
            Needs::Nothing => {
                self.send_odd_requests(planned);
                Some(Undo::Nothing)
            }
        }
    }

    fn befall_worker(&mut self, kind: Kind, slot: usize) -> Undo {
        match kind {
            Kind::Kill => {
                self.fleet.kill(slot);
                Undo::Launch(slot)
            }
            Kind::Remove => {
                self.fleet.ask_to_stop(slot, false);
                Undo::Launch(slot)
            }
            Kind::Stop => {
                self.fleet.ask_to_stop(slot, true);
                Undo::Nothing
            }
            _ => {
                self.fleet.freeze(slot);
                Undo::Thaw(slot)
            }
        }
    }

    fn befall_brokers(&mut self, planned: &Planned) -> Undo {
        let node = match planned.kind {
            Kind::CoordinatorLoss => self.cluster.coordinator(&self.group),
            _ => None,
        };
        let node = node.unwrap_or_else(|| pick(planned.pick, self.cluster.nodes.len()));
        let broker = &mut self.cluster.nodes[node];
        match planned.kind {
            Kind::BrokerKill | Kind::CoordinatorLoss => broker.kill(),
            Kind::BrokerFreeze => broker.freeze(),
            Kind::Cut => broker.way.cut(),
            Kind::Silence => broker.way.hold_everything(),
            Kind::SlowOutput => broker.way.hold_acknowledgements(),
            _ => {
                let changed = self.cluster.change_leaders(&[&self.topics.requests, &self.topics.results]);
                self.problems.extend(changed.err());
            }
        }
        match planned.kind {
            Kind::BrokerKill | Kind::CoordinatorLoss => Undo::StartBroker(node),
            Kind::BrokerFreeze => Undo::ThawBroker(node),
            Kind::Cut => Undo::Mend(node),
            Kind::Silence | Kind::SlowOutput => Undo::Release(node),
            _ => Undo::Nothing,
        }
    }

    fn fill_the_disk(&mut self) -> Option<Undo> {
        let busy = self.active.iter().any(|active| matches!(active.undo, Undo::FreeDisk));
        let disk = self.disk.as_mut().filter(|_| !busy)?;
        disk.fill();
        disk.push();
        Some(Undo::FreeDisk)
    }

    fn send_odd_requests(&self, planned: &Planned) {
        if planned.kind == Kind::SlowModel {
            return self.progress.send([Extra { spins: SLOW_SPINS, hours: 0 }; SLOW_REQUESTS]);
        }
        // Beyond the pipeline's timeout, which is an hour.
        let hours = 2 + i64::try_from(planned.pick % 10).expect("a small number");
        let odd = |hours| [Extra { spins: 0, hours }; ODD_TIMES];
        self.progress.send(odd(hours).into_iter().chain(odd(-hours)));
    }

    fn brokers_are_undisturbed(&mut self) -> bool {
        let disturbed = |active: &Active| self.applied[active.index].kind.needs() == Needs::Brokers;
        if self.active.iter().any(disturbed) || self.looked.elapsed() < BROKER_GLANCE {
            return false;
        }
        self.looked = Instant::now();
        self.cluster.is_whole()
    }

    fn end_what_is_due(&mut self) {
        let now = Instant::now();
        let active = std::mem::take(&mut self.active);
        for fault in active {
            if now >= fault.due && self.undo(fault.undo) {
                self.applied[fault.index].until = self.now();
            } else {
                self.active.push(fault);
            }
        }
    }

    /// Takes a fault back; says whether that was possible already.
    fn undo(&mut self, undo: Undo) -> bool {
        match undo {
            Undo::Nothing => {}
            Undo::Launch(slot) if !self.fleet.is_empty(slot) => return false,
            Undo::Launch(slot) => self.fleet.launch(slot),
            Undo::Thaw(slot) => self.fleet.thaw(slot),
            Undo::Leave(slot) => self.fleet.leave(slot),
            Undo::StartBroker(node) => self.cluster.nodes[node].start(),
            Undo::ThawBroker(node) => self.cluster.nodes[node].thaw(),
            Undo::Mend(node) => self.cluster.nodes[node].way.mend(),
            Undo::Release(node) => self.cluster.nodes[node].way.release(),
            Undo::FreeDisk => self.disk.iter().for_each(Disk::free),
        }
        true
    }

    fn now(&self) -> u32 {
        u32::try_from(self.began.elapsed().as_millis()).expect("a run is shorter than a month")
    }
}
