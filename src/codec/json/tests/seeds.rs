//! What fuzzing has found, and where it begins: every file under `fuzz/seeds/`, through the claims that the fuzzer holds.

use std::{fs, path::Path};

use super::claims::{TARGETS, Target};
use crate::codec::{cloudevents, csv, framed, inflate, protobuf};

/// All there are; each has a file in `fuzz/fuzz_targets/` and a folder in `fuzz/seeds/`.
fn targets() -> Vec<Target> {
    let others: [Target; 6] = [
        ("avro", framed::tests::claims::avro),
        ("protobuf_schema", framed::tests::claims::protobuf_schema),
        ("protobuf", protobuf::tests::claims::protobuf),
        ("cloudevents", cloudevents::tests::claims::cloudevents),
        ("compressed", inflate::tests::claims::compressed),
        ("csv", csv::tests::claims::csv),
    ];
    TARGETS.into_iter().chain(others).collect()
}

#[test]
fn every_seed_of_the_fuzzer_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in targets() {
        let mut seeds = 0;
        for seed in fs::read_dir(folder.join(name)).unwrap() {
            target(&fs::read(seed.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 4, "only {seeds} seeds of `{name}`");
    }
}

#[test]
fn every_target_of_the_fuzzer_is_known_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    found.sort_unstable();
    let mut known: Vec<_> = targets().into_iter().map(|(name, _)| name).collect();
    // Its claims and its seeds are those of `config`.
    known.push("configuration");
    known.sort_unstable();
    assert_eq!(found, known);
}
