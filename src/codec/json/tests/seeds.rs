//! What fuzzing has found, and where it begins: every file under `fuzz/seeds/`, through the claims that the fuzzer holds.

use std::{fs, path::Path};

use super::claims::TARGETS;

#[test]
fn every_seed_of_the_fuzzer_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in TARGETS {
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
    let mut known = TARGETS.map(|(name, _)| name);
    known.sort_unstable();
    assert_eq!(found, known);
}
