//! What is in flight, in a file that outlives the process: so that its next life knows which requests it died with.
//!
//! An entry is written when a chunk is taken and cleared when it is acknowledged, a few words in mapped memory each, without a
//! call to the system. The kernel keeps what was written when the process dies, in whatever way. A machine that dies may
//! lose it, which costs the protection once and nothing else: delivery does not depend on it.
//!
//! Each worker has a file of its own in the folder, by its group and, for a static member, its name in the group; a lock tells the
//! files of the living from those of the dead, of which a new life takes one over. A file is as large as what may be in flight
//! needs, and never grows.
//!
//! Guarantee: a file that is damaged, torn or of another release is worth a warning and an empty journal, never a wrong suspect.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

use super::{
    Chunk, Source,
    suspects::{End, InFlight, Place, Stretch, Suspect, Suspects, after},
};
use format::{END, ENTRIES, Entry, LINE, MAGIC, VERSION, WORDS};
use mapping::Mapping;

mod crash;
mod format;
mod mapping;

/// The most entries of a file, of 64 bytes each: 4 MiB, allocated at the start. More than that in flight (it takes as many chunks)
/// is not written down.
const MOST_ENTRIES: usize = 1 << 16;

/// Workers of one group that can share a folder.
const MOST_FILES: usize = 64;

/// How a life ended, in the header, where a crash writes the number of its signal.
const RUNNING: u64 = 0;
const ORDERLY: u64 = 1 << 32;
const GAVE_UP: u64 = 2 << 32;

/// Whose journal it is, and how large.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The folder.
    pub directory: PathBuf,
    /// The brokers, as they are configured: other clusters have other positions.
    pub brokers: String,
    /// The consumer group.
    pub group: String,
    /// The name of a static member.
    pub instance: Option<String>,
    /// The request topics; a chunk names its topic by index.
    pub topics: Vec<String>,
    /// The most messages in flight.
    pub messages: usize,
}

/// The journal of a living worker.
pub struct Journal {
    memory: Mapping,
    topics: Vec<u64>,
    /// Numbers of entries, the one to be written next at the end.
    free: Mutex<Vec<u32>>,
    /// Numbers of the entries that hold suspects.
    suspects: Mutex<Vec<u32>>,
    is_full: AtomicBool,
}

/// The entries of one chunk.
#[derive(Debug)]
pub struct Noted(Vec<u32>);

impl Journal {
    /// Takes over the file of a worker that has died, or makes one. Says whom that one died with.
    ///
    /// # Errors
    /// If there is no file to be had: the folder cannot be written, the disk is full.
    pub fn open(options: &JournalOptions) -> io::Result<(Self, Vec<Suspect>)> {
        fs::create_dir_all(&options.directory)?;
        let (mut file, path) = claim(options)?;
        let suspects = read(&mut file).map_err(|why| {
            tracing::warn!(path = %path.display(), why, "the crash journal cannot be read and is begun anew");
        });
        // Half of them are for suspects.
        let entries = options.messages.saturating_mul(2).clamp(1 << 10, MOST_ENTRIES);
        let memory = Mapping::of_zeroes(file, (entries + 1) * WORDS)?;
        let journal = Self {
            memory,
            topics: options.topics.iter().map(|topic| format::hash(topic)).collect(),
            free: Mutex::new((1..=u32::try_from(entries).expect("they are few")).rev().collect()),
            suspects: Mutex::default(),
            is_full: AtomicBool::new(false),
        };
        let mut suspects = suspects.unwrap_or_default();
        suspects.sort_by_key(|suspect| std::cmp::Reverse((suspect.condemned, suspect.deaths)));
        suspects.truncate(entries / 2);
        journal.keep(&suspects);
        for (place, word) in [(ENTRIES, entries as u64), (END, RUNNING), (1, VERSION), (0, MAGIC)] {
            journal.memory.words()[place].store(word, Ordering::Release);
        }
        Ok((journal, suspects))
    }

    /// From now on a crash of the process is told from a kill.
    pub fn watch_for_crashes(&self) {
        // SAFETY: it is forgotten when the journal, and with it the mapping, is dropped.
        unsafe { crash::tell(&self.memory.words()[END]) };
    }

    /// A partition as the journal knows it.
    pub fn place(&self, source: Source) -> Place {
        Place { topic: self.topics[source.topic], partition: source.partition }
    }

    /// Consecutive messages as the journal knows them.
    pub fn stretch(&self, span: &super::Span) -> Stretch {
        Stretch { place: self.place(span.source), first: span.first, next: span.next }
    }

    /// Work on a chunk begins.
    pub fn begin(&self, chunk: &Chunk) -> Noted {
        let spans = chunk.spans();
        let numbers = self.take_free(spans.len());
        let mut messages = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        // It is told apart by its time only if it dies alone.
        let timestamp = if messages == 1 { chunk.message(0).timestamp } else { 0 };
        for (span, number) in spans.iter().zip(&numbers) {
            let messages = std::mem::take(&mut messages);
            self.write(*number, Entry::InFlight(InFlight { stretch: self.stretch(span), messages, timestamp }));
        }
        Noted(numbers)
    }

    /// The chunk is acknowledged.
    pub fn end(&self, noted: &Noted) {
        self.give_back(&noted.0);
    }

    /// These are the suspects now.
    pub fn keep(&self, suspects: &[Suspect]) {
        let mut held = self.suspects.lock();
        // Those before go last, so that a process that dies here forgets none; unless there is no room for both.
        let has_room = self.free.lock().len() >= suspects.len();
        let before = std::mem::take(&mut *held);
        if !has_room {
            self.give_back(&before);
        }
        *held = self.take_free(suspects.len());
        held.iter().zip(suspects).for_each(|(number, suspect)| self.write(*number, Entry::Suspect(*suspect)));
        if has_room {
            self.give_back(&before);
        }
    }

    /// The worker has decided to end: whatever is in flight is not suspected.
    pub fn close(&self) {
        self.set_end(ORDERLY);
    }

    /// The worker ends since work on a chunk has failed in a way that nobody foresaw: as bad as a crash.
    pub fn give_up(&self) {
        self.set_end(GAVE_UP);
    }

    fn set_end(&self, end: u64) {
        self.memory.words()[END].store(end, Ordering::Release);
    }

    fn give_back(&self, numbers: &[u32]) {
        numbers.iter().for_each(|number| self.clear(*number));
        self.free.lock().extend(numbers);
    }

    fn take_free(&self, count: usize) -> Vec<u32> {
        let mut free = self.free.lock();
        if let Some(rest) = free.len().checked_sub(count) {
            return free.split_off(rest);
        }
        if !self.is_full.swap(true, Ordering::Relaxed) {
            tracing::warn!("the crash journal is full: some of what is in flight is not written down");
        }
        Vec::new()
    }

    fn line(&self, number: u32) -> &[AtomicU64] {
        &self.memory.words()[number as usize * WORDS..][..WORDS]
    }

    fn write(&self, number: u32, entry: Entry) {
        let line = self.line(number);
        let words = entry.words();
        line.iter().zip(words).skip(1).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
        line[0].store(words[0], Ordering::Release);
    }

    fn clear(&self, number: u32) {
        self.line(number)[0].store(0, Ordering::Release);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        crash::forget(&self.memory.words()[END]);
    }
}

/// A file whose lock is ours: of the dead rather one with something in it.
fn claim(options: &JournalOptions) -> io::Result<(File, PathBuf)> {
    let name = stem(options);
    let mut empty = None;
    for number in 0..MOST_FILES {
        let path = options.directory.join(format!("{name}-{number}.journal"));
        let is_new = !path.exists();
        if is_new && empty.is_some() {
            break;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) if is_new => return Ok(empty.unwrap_or((file, path))),
            Ok(()) if has_entries(&path) => return Ok((file, path)),
            Ok(()) => empty = empty.or(Some((file, path))),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    empty.ok_or_else(|| io::Error::other(format!("{MOST_FILES} workers of this group use the folder already")))
}

/// What the names of a worker's files begin with: readable, and not the same for what reads the same.
fn stem(options: &JournalOptions) -> String {
    let JournalOptions { brokers, group, instance, .. } = options;
    let instance = instance.as_deref().unwrap_or_default();
    let readable = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let mut name: String = group.chars().take(60).map(readable).collect();
    if !instance.is_empty() {
        name.push('-');
        name.extend(instance.chars().take(60).map(readable));
    }
    // Writing into a string cannot fail.
    let _written = write!(name, "-{:016x}", format::hash(&format!("{brokers}\0{group}\0{instance}")));
    name
}

fn has_entries(path: &Path) -> bool {
    let read = || read(&mut File::open(path).map_err(|error| error.to_string())?);
    // What is damaged is taken over, too, so that somebody begins it anew.
    !read().is_ok_and(|suspects| suspects.is_empty())
}

/// The suspects after the life whose journal this is.
fn read(file: &mut File) -> Result<Vec<Suspect>, String> {
    let mut bytes = Vec::new();
    file.take((LINE * (MOST_ENTRIES + 2)) as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    if !bytes.len().is_multiple_of(LINE) {
        return Err(format!("it has {} bytes, which is no multiple of {LINE}", bytes.len()));
    }
    let words = |line: &[u8]| -> [u64; WORDS] {
        let word = |index: usize| line[index * 8..][..8].try_into().expect("eight bytes");
        std::array::from_fn(|index| u64::from_ne_bytes(word(index)))
    };
    let mut lines = bytes.chunks_exact(LINE).map(words);
    let header = lines.next().expect("it is not empty");
    if header[0] == 0 {
        // Killed while it began: nothing had been taken.
        return Ok(Vec::new());
    }
    if header[0] != MAGIC || header[ENTRIES] != lines.len() as u64 {
        return Err("it is no crash journal, or not all of it".to_owned());
    }
    if header[1] != VERSION {
        return Err(format!("it has version {}, this release writes version {VERSION}", header[1]));
    }
    let (mut in_flight, mut suspects) = (Vec::new(), Vec::new());
    for line in lines {
        match Entry::read(&line) {
            Ok(None) => {}
            Ok(Some(Entry::InFlight(chunk))) => in_flight.push(chunk),
            Ok(Some(Entry::Suspect(suspect))) => suspects.push(suspect),
            Err(format::Torn) => return Err("an entry is torn".to_owned()),
        }
    }
    let end = match header[END] {
        ORDERLY => End::Orderly,
        RUNNING => End::Vanished,
        _ => End::Crashed,
    };
    Ok(after(Suspects::new(suspects).list().to_vec(), &in_flight, end, now()))
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
