//! The `crash_journal:` part of `server.yaml`: what the worker's next life learns of a crash.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{KeyPath, Problem};

/// Where the worker writes down which requests it has in hand, so that after a crash it finds the one that caused it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct CrashJournalConfig {
    /// The folder, on a disk that outlives the process; several workers of one machine may share it. A file there has a few
    /// megabytes. `null`: nothing is written down, and a request that crashes the worker does so each time.
    pub directory: Option<PathBuf>,
}

impl Default for CrashJournalConfig {
    fn default() -> Self {
        Self { directory: Some("/var/cache/modelmill/journal".into()) }
    }
}

impl CrashJournalConfig {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let is_empty = self.directory.as_ref().is_some_and(|directory| directory.as_os_str().is_empty());
        let at = KeyPath::from("crash_journal").key("directory");
        is_empty.then(|| Problem::new(at, "is empty: write a folder, or `null` for none")).into_iter().collect()
    }
}
