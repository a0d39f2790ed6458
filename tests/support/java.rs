//! Apache Kafka's programs, run from the jars that scripts/fetch-kafka.sh has fetched.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A Java process with its log in `folder`, that dies with the thread that started it, even when that is killed too hard to
/// clean up.
pub fn java(folder: &Path, heap: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let jars = root.join(".deps/kafka/libs");
    assert!(jars.is_dir(), "the jars of Apache Kafka are not in {}: run scripts/setup.sh", jars.display());
    let mut java = Command::new("setpriv");
    java.args(["--pdeathsig", "KILL", "java", "-Xms128m", heap, "-XX:+UseSerialGC", "-XX:-UsePerfData"]);
    java.arg("-XX:TieredStopAtLevel=1").arg(format!("-Dmodelmill.kafka.folder={}", folder.display()));
    java.arg(format!("-Dlog4j2.configurationFile={}", root.join("scripts/kafka-log4j2.xml").display()));
    java.arg("-cp").arg(jars.join("*")).stdin(Stdio::null());
    java
}
