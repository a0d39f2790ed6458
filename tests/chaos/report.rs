//! The table at the end of a run, and whether the promise was kept.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::{
    account::{Applied, Doubles},
    faults::Kind,
    ledger::Ledger,
    options::{Delivery, Options},
};

/// What a run came to.
pub struct Outcome {
    pub seed: u64,
    pub took: Duration,
    /// What Kafka acknowledged to the client.
    pub sent: usize,
    pub lost: usize,
    /// Those of them whose offsets are committed all the same: nobody would ever answer them.
    pub passed_over: usize,
    pub doubles: Doubles,
    pub faults: Vec<Applied>,
    /// Workers that ended by themselves with exit code 1.
    pub gave_up: Vec<String>,
    /// Everything else that must not be.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether what was promised was kept.
    pub fn is_kept(&self, delivery: Delivery, ledger: &Ledger) -> bool {
        let doubled = match delivery {
            Delivery::AtLeastOnce => self.doubles.unexplained.len(),
            Delivery::ExactlyOnce => ledger.doubles.len(),
        };
        self.lost == 0 && ledger.wrong == 0 && doubled == 0 && self.problems.is_empty()
    }

    /// The table.
    pub fn table(&self, options: &Options, ledger: &Ledger) -> String {
        let mut table = String::new();
        for (name, value) in self.rows(options, ledger) {
            writeln!(table, "{name:<32}{value}").expect("a string takes everything");
        }
        for problem in self.problems.iter().chain(&ledger.wrong_samples) {
            writeln!(table, "  ! {problem}").expect("a string takes everything");
        }
        table
    }

    /// What befell when, in seconds since the beginning, with the doubles that no fault explains: for whoever looks into the logs.
    pub fn timeline(&self) -> String {
        let seconds = |millis: u32| format!("{:8.2}", f64::from(millis) / 1e3);
        let faults = self.faults.iter().map(|fault| (fault.from, fault.until, fault.kind.name()));
        let doubles = self.doubles.unexplained.iter();
        let doubles = doubles.map(|double| (double.before, double.again, "answered, and again".to_owned()));
        let mut lines: Vec<_> = faults.chain(doubles).collect();
        lines.sort();
        lines.into_iter().map(|(from, until, what)| format!("{} {} {what}\n", seconds(from), seconds(until))).collect()
    }

    fn rows(&self, options: &Options, ledger: &Ledger) -> Vec<(&'static str, String)> {
        let Options { nodes, workers, rebalance, delivery, .. } = options;
        let rebalance = format!("{rebalance:?}").to_lowercase();
        let lost = match self.passed_over {
            0 => self.lost.to_string(),
            passed_over => format!("{}, {passed_over} of them with a committed offset", self.lost),
        };
        vec![
            ("mode", format!("{}, {rebalance}, {workers} workers, {nodes} brokers", delivery.name())),
            ("seed", self.seed.to_string()),
            ("sent", format!("{} in {:.0} s", self.sent, self.took.as_secs_f64())),
            ("answered once", ledger.answered_once().to_string()),
            ("lost", lost),
            ("doubled", self.doubled(ledger)),
            ("answered wrong", ledger.wrong.to_string()),
            ("longest time without an answer", self.longest(ledger)),
            ("workers that gave up", self.gave_up.len().to_string()),
            ("faults", format!("{}: {}", self.faults.len(), by_kind(self.faults.iter().map(|fault| (fault.kind, 1))))),
        ]
    }

    fn doubled(&self, ledger: &Ledger) -> String {
        let Doubles { by_kind: kinds, most, most_allowed, uncommitted, unexplained } = &self.doubles;
        if ledger.doubles.is_empty() {
            return "0".to_owned();
        }
        let kinds = by_kind(kinds.iter().map(|(kind, times)| (*kind, *times)));
        let count = ledger.doubles.len();
        format!(
            "{count}: {kinds}; by one fault {most}, allowed {most_allowed}; others not committed yet {uncommitted}; nothing \
             explains {}",
            unexplained.len()
        )
    }

    /// With the faults that were not over then, or not long ago.
    fn longest(&self, ledger: &Ledger) -> String {
        const LATELY: u32 = 5_000;
        let gap = ledger.longest;
        let during = |fault: &&Applied| fault.from <= gap.until && fault.until + LATELY >= gap.from;
        let faults: Vec<_> = self.faults.iter().filter(during).map(|fault| fault.kind.name()).collect();
        format!("{:.1} s ({})", f64::from(gap.until - gap.from) / 1e3, faults.join(", "))
    }
}

fn by_kind(kinds: impl Iterator<Item = (Kind, usize)>) -> String {
    let mut sums = BTreeMap::<Kind, usize>::new();
    for (kind, times) in kinds {
        *sums.entry(kind).or_default() += times;
    }
    sums.into_iter().map(|(kind, times)| format!("{} {times}", kind.name())).collect::<Vec<_>>().join(", ")
}
