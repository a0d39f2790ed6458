//! The `transaction:` part of `server.yaml`: how the transactions of `delivery: exactly_once` go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    problem::{KeyPath, Problem},
    units::HumanDuration,
};

/// How the transactions of `delivery: exactly_once` go.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TransactionConfig {
    /// How long answers gather before they are committed together: what a `read_committed` reader waits for them at the most.
    /// A transaction that holds a good part of what may be in flight is committed earlier.
    pub interval: HumanDuration,
    /// How long a transaction may last, and the broker may take for a step of it, before the worker gives up and ends. When a
    /// worker is killed, readers of the result topic wait so long for what comes after its open transaction, unless it
    /// comes back earlier under the same `group.instance.id`.
    pub timeout: HumanDuration,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self { interval: HumanDuration::from_millis(100), timeout: HumanDuration::from_secs(15) }
    }
}

/// What a transaction of Kafka may last at the most, unless the broker is told otherwise (`transaction.max.timeout.ms`).
const LONGEST: HumanDuration = HumanDuration::from_secs(15 * 60);

impl TransactionConfig {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = KeyPath::from("transaction");
        let mut problems = Vec::new();
        if self.interval.is_zero() {
            problems
                .push(Problem::new(at.key("interval"), "must be longer than 0: every transaction costs round trips"));
        }
        if self.timeout > LONGEST {
            let sentence = format!("is {}; brokers allow {LONGEST} at the most", self.timeout);
            problems.push(Problem::new(at.key("timeout"), sentence));
        } else if self.interval.saturating_mul(2) > *self.timeout {
            let sentence = format!(
                "`timeout` is {}, less than twice `interval` ({}): transactions would end before they are committed",
                self.timeout, self.interval
            );
            problems.push(Problem::new(at, sentence));
        }
        problems
    }
}
