//! What must hold of any bytes as a file of settings: for the fuzzer (`fuzz/`), which compiles this file, too, and for its seeds.
//!
//! Names nothing that is private to the crate.

use std::{fmt::Debug, fs, path::Path};

use serde::Serialize;

use crate::config::{ConfigErrors, load_pipelines, load_server};

/// The bytes as a server file, and as a pipeline: taken, or told what is wrong in which of their lines; and what is taken is
/// the same when it is written and read again.
pub fn configuration(data: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a small file");
    let file = folder.path().join("settings.yaml");
    let read_as = |text: &[u8]| fs::write(&file, text).expect("there is room for a small file");
    read_as(data);
    let server = load_server(&file);
    let pipelines = load_pipelines(std::slice::from_ref(&file));
    if let Some(server) = taken(server, data, &file) {
        again(data, &server, |text| {
            read_as(text);
            load_server(&file)
        });
    }
    if let Some(pipelines) = taken(pipelines, data, &file) {
        let [pipeline] = pipelines.as_slice() else { panic!("one file is one pipeline") };
        again(data, pipeline, |text| {
            read_as(text);
            load_pipelines(std::slice::from_ref(&file)).map(|mut pipelines| pipelines.remove(0))
        });
    }
}

fn taken<T>(read: Result<T, ConfigErrors>, data: &[u8], file: &Path) -> Option<T> {
    let ConfigErrors(problems) = match read {
        Ok(settings) => return Some(settings),
        Err(errors) => errors,
    };
    assert!(!problems.is_empty(), "what is refused has a reason");
    // YAML knows more breaks than one; and the parser counts the line behind the last of them.
    let lines = String::from_utf8_lossy(data).matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 2;
    for problem in &problems {
        assert_eq!(problem.file, file);
        assert!(!problem.problem.sentence.is_empty(), "{problem:?}");
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?} of {lines}");
    }
    None
}

fn again<T>(data: &[u8], settings: &T, read: impl FnOnce(&[u8]) -> Result<T, ConfigErrors>)
where
    T: Serialize + PartialEq + Debug,
{
    // What stands for something else in the file stands for itself in the settings.
    if data.contains(&b'$') {
        return;
    }
    // JSON is YAML; `serde_yaml` writes enums with tags, which a file has none of.
    let text = serde_json::to_string_pretty(settings).expect("settings can be written");
    match read(text.as_bytes()) {
        Ok(again) => assert_eq!(&again, settings, "{text}"),
        Err(errors) => panic!("{errors}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_of_the_fuzzer_holds() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/configuration");
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
        assert!(seeds.len() > 4, "only {} seeds", seeds.len());
        seeds.iter().for_each(|seed| configuration(seed));
    }
}
