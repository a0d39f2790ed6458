//! The kinds of faults: what each is called, how long it lasts, what it needs, and which answers it may double.

use std::ops::Range;

use clap::ValueEnum;

/// What may happen to workers, to Kafka, to the way between them, and to what clients send.
///
/// A model that ends the process has its place here, too: a kind whose requests the sender writes ([`super::sender::Extra`]) and
/// whose answers the ledger expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Kind {
    /// A worker is killed with SIGKILL and started again.
    Kill,
    /// A worker is asked to stop with SIGTERM and started again.
    Stop,
    /// A worker is stopped in its tracks for longer than the group's session, and goes on after it.
    Zombie,
    /// The same for a moment.
    Pause,
    /// A worker joins the group and leaves it again.
    Add,
    /// A worker leaves and comes back later.
    Remove,
    /// A broker is killed with SIGKILL and started again.
    BrokerKill,
    /// A broker is stopped in its tracks for some seconds.
    BrokerFreeze,
    /// Every partition of requests and results gets another leader.
    LeaderChange,
    /// The broker that coordinates the group is killed and started again.
    CoordinatorLoss,
    /// Connections between workers and a broker are cut, and refused for some seconds.
    Cut,
    /// Nothing comes through between workers and a broker, and nobody is told.
    Silence,
    /// A broker's acknowledgements of answers are held back.
    SlowOutput,
    /// Requests whose run of the model takes half a second each.
    SlowModel,
    /// The file system of the model cache is full while a new version comes.
    FullDisk,
    /// Requests with times that are hours off.
    ClockJump,
}

/// What a fault needs for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A worker that runs.
    Worker,
    /// Room for one more worker.
    Room,
    /// Brokers that are all there, and an undisturbed way to them.
    Brokers,
    /// The file system of the cache.
    Disk,
    Nothing,
}

/// Whose answers may be doubled by a fault: those in flight, and those since the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    Nobody,
    OneWorker,
    EveryWorker,
}

impl Kind {
    /// Its name on the command line and in the table.
    pub fn name(self) -> String {
        self.to_possible_value().expect("every kind can be named").get_name().to_owned()
    }

    pub fn needs(self) -> Needs {
        match self {
            Self::Kill | Self::Stop | Self::Zombie | Self::Pause | Self::Remove => Needs::Worker,
            Self::Add => Needs::Room,
            Self::BrokerKill | Self::BrokerFreeze | Self::LeaderChange | Self::CoordinatorLoss => Needs::Brokers,
            Self::Cut | Self::Silence | Self::SlowOutput => Needs::Brokers,
            Self::FullDisk => Needs::Disk,
            Self::SlowModel | Self::ClockJump => Needs::Nothing,
        }
    }

    /// A worker that leaves of its own accord, joins or is slow repeats nothing. One that is killed or loses its session does,
    /// and so do all when they lose the way to the broker for longer than their session, or cannot commit on it.
    pub fn repeats(self) -> Repeats {
        match self {
            Self::Kill | Self::Zombie => Repeats::OneWorker,
            Self::BrokerKill | Self::BrokerFreeze | Self::CoordinatorLoss => Repeats::EveryWorker,
            Self::Cut | Self::Silence | Self::SlowOutput => Repeats::EveryWorker,
            Self::Stop | Self::Pause | Self::Add | Self::Remove | Self::LeaderChange => Repeats::Nobody,
            Self::SlowModel | Self::FullDisk | Self::ClockJump => Repeats::Nobody,
        }
    }

    /// Whether it makes answers late, without any harm of its own.
    pub fn delays(self) -> bool {
        matches!(self, Self::SlowModel | Self::Pause | Self::LeaderChange)
    }

    /// How long it lasts, in milliseconds; `session` is how long the group waits for a silent member.
    pub fn lasts(self, session: u64) -> Range<u64> {
        match self {
            Self::Kill => 100..1_500,
            Self::Zombie => session + 1_000..session + 4_000,
            Self::Pause => 300..session / 3,
            Self::Add | Self::Remove => 3_000..7_000,
            Self::BrokerKill | Self::CoordinatorLoss => 200..2_500,
            Self::BrokerFreeze | Self::SlowOutput => 1_500..session + 3_000,
            Self::Cut => 500..session + 2_000,
            Self::Silence => 1_500..session + 4_000,
            Self::FullDisk => 3_000..6_000,
            Self::Stop | Self::LeaderChange | Self::SlowModel | Self::ClockJump => 0..1,
        }
    }

    /// Whether there can be such a fault with so few brokers.
    pub fn is_possible_with(self, nodes: usize) -> bool {
        nodes > 1 || !matches!(self, Self::LeaderChange | Self::CoordinatorLoss)
    }
}
