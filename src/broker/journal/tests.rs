//! A journal as its worker's next life finds it.

use std::{io::Write, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::broker::memory::MemoryRecords;

fn options(folder: &TempDir) -> JournalOptions {
    JournalOptions {
        directory: folder.path().join("journal"),
        brokers: "kafka:9092".to_owned(),
        group: "mill/a b".to_owned(),
        instance: None,
        topics: vec!["requests".to_owned(), "others".to_owned()],
        messages: 2_000,
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn chunk(positions: &[(i32, i64)]) -> Chunk {
    let mut records = MemoryRecords::default();
    positions.iter().for_each(|(partition, offset)| records.push(*partition, *offset, b"{}"));
    Chunk::new(Box::new(records))
}

/// What a life finds, by partition and offsets, and how many deaths it was.
fn found(suspects: &[Suspect]) -> Vec<(i32, i64, i64, u16)> {
    let mut found: Vec<_> = suspects
        .iter()
        .map(|Suspect { stretch: Stretch { place, first, next }, deaths, .. }| {
            (place.partition, *first, *next, *deaths)
        })
        .collect();
    found.sort_unstable();
    found
}

fn files(options: &JournalOptions) -> Vec<PathBuf> {
    fs::read_dir(&options.directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_next_life_finds_what_was_not_acknowledged() {
    let folder = folder();
    let options = options(&folder);
    let (journal, suspects) = Journal::open(&options).unwrap();
    assert_eq!(suspects, []);
    let answered = journal.begin(&chunk(&[(0, 5), (0, 6), (1, 40)]));
    journal.begin(&chunk(&[(0, 7), (2, 9)]));
    journal.end(&answered);
    drop(journal);
    let (journal, suspects) = Journal::open(&options).unwrap();
    assert_eq!(found(&suspects), [(0, 7, 8, 1), (2, 9, 10, 1)]);
    assert!(suspects.iter().all(|suspect| suspect.company == 2));
    // They are remembered until they are answered, however many lives that takes.
    drop(journal);
    let (journal, again) = Journal::open(&options).unwrap();
    assert_eq!(found(&again), found(&suspects));
    journal.begin(&chunk(&[(2, 9)]));
    drop(journal);
    let (journal, after) = Journal::open(&options).unwrap();
    assert_eq!(found(&after), [(0, 7, 8, 1), (2, 9, 10, 2)]);
    journal.keep(&[]);
    drop(journal);
    assert_eq!(Journal::open(&options).unwrap().1, []);
    assert_eq!(files(&options).len(), 1);
}

#[test]
fn a_stop_leaves_nobody_suspected_and_a_part_that_failed_does() {
    let folder = folder();
    let options = options(&folder);
    let (journal, _) = Journal::open(&options).unwrap();
    journal.begin(&chunk(&[(0, 7)]));
    journal.close();
    drop(journal);
    let (journal, suspects) = Journal::open(&options).unwrap();
    assert_eq!(suspects, []);
    journal.begin(&chunk(&[(0, 7)]));
    journal.give_up();
    drop(journal);
    assert_eq!(found(&Journal::open(&options).unwrap().1), [(0, 7, 8, 1)]);
}

#[test]
fn a_file_of_a_living_worker_is_its_own_and_that_of_a_dead_one_is_taken_over() {
    let folder = folder();
    let options = options(&folder);
    let (first, _) = Journal::open(&options).unwrap();
    let (second, _) = Journal::open(&options).unwrap();
    first.begin(&chunk(&[(0, 1)]));
    second.begin(&chunk(&[(1, 1)]));
    drop(second);
    let (second, suspects) = Journal::open(&options).unwrap();
    assert_eq!(found(&suspects), [(1, 1, 2, 1)], "the first one's are its own, while it lives");
    assert_eq!(files(&options).len(), 2);
    // A static member knows its file by its name, and so do other groups and clusters.
    for change in [
        |options: &mut JournalOptions| options.instance = Some("worker-1".to_owned()),
        |options: &mut JournalOptions| options.group = "mill/a.b".to_owned(),
        |options: &mut JournalOptions| options.brokers = "other:9092".to_owned(),
    ] {
        let mut other = options.clone();
        change(&mut other);
        assert_eq!(Journal::open(&other).unwrap().1, []);
    }
    assert_eq!(files(&options).len(), 5);
    drop((first, second));
    let both: Vec<_> = [(); 2].iter().map(|()| Journal::open(&options).unwrap()).collect();
    assert!(both.iter().any(|(_, suspects)| found(suspects) == [(0, 1, 2, 1)]));
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let folder = folder();
    let options = options(&folder);
    let write = |at: usize, bytes: &[u8]| {
        let (journal, _) = Journal::open(&options).unwrap();
        journal.begin(&chunk(&[(0, 7)]));
        drop(journal);
        let [path] = &files(&options)[..] else { panic!("one file") };
        let mut content = fs::read(path).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        File::options().write(true).truncate(true).open(path).unwrap().write_all(&content).unwrap();
        let (journal, suspects) = Journal::open(&options).unwrap();
        journal.close();
        suspects
    };
    assert_eq!(found(&write(3 * LINE, &[0])), [(0, 7, 8, 1)], "nothing was changed");
    assert_eq!(write(0, b"something else"), []);
    assert_eq!(write(8, &99_u64.to_ne_bytes()), [], "another release");
    assert_eq!(write(LINE + 8, b"?"), [], "an entry that does not fit its seal");
    let [path] = &files(&options)[..] else { panic!("one file") };
    for length in [1, LINE - 1, LINE, 5 * LINE] {
        File::options().write(true).open(path).unwrap().set_len(length as u64).unwrap();
        assert_eq!(Journal::open(&options).unwrap().1, [], "{length} bytes are left");
    }
}

#[test]
fn a_folder_that_is_none_is_an_error_and_no_panic() {
    let folder = folder();
    let mut options = options(&folder);
    options.directory = folder.path().join("file");
    fs::write(&options.directory, "").unwrap();
    assert!(Journal::open(&options).is_err());
    options.directory = folder.path().join("locked");
    fs::create_dir(&options.directory).unwrap();
    fs::set_permissions(&options.directory, fs::Permissions::from_mode(0o500)).unwrap();
    let is_root = fs::write(options.directory.join("try"), "").is_ok();
    assert!(is_root || Journal::open(&options).is_err());
}

#[test]
fn more_than_the_file_holds_is_not_written_down_and_takes_nothing_from_what_is() {
    let folder = folder();
    let mut options = options(&folder);
    options.messages = 1;
    let (journal, _) = Journal::open(&options).unwrap();
    let noted: Vec<_> = (0..2_000).map(|offset| journal.begin(&chunk(&[(0, offset)]))).collect();
    assert_eq!(noted.iter().filter(|noted| !noted.0.is_empty()).count(), 1 << 10);
    let size = fs::metadata(&files(&options)[0]).unwrap().len();
    assert_eq!(size, (((1 << 10) + 1) * LINE) as u64, "it does not grow");
    noted.iter().for_each(|noted| journal.end(noted));
    journal.begin(&chunk(&[(3, 9)]));
    drop(journal);
    assert_eq!(found(&Journal::open(&options).unwrap().1), [(3, 9, 10, 1)]);
}
