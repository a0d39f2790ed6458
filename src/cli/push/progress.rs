//! How far a push is: a bar on a terminal, and a line for each file anywhere.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{cli::print, codec::manifest::FileEntry};

/// What a person sees meanwhile, and whether they still want it.
pub struct Progress {
    bar: ProgressBar,
    cancelled: Arc<AtomicBool>,
}

impl Progress {
    /// Towards so many bytes.
    pub fn new(bytes: u64, cancelled: Arc<AtomicBool>) -> Self {
        let bar = ProgressBar::new(bytes);
        let style = "{wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is well-formed"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, cancelled }
    }

    /// So many bytes of a file have come across, after `before` of those before it. Whether to go on.
    pub fn at(&self, before: u64, bytes: u64) -> bool {
        self.bar.set_position(before + bytes);
        !self.cancelled.load(Ordering::Acquire)
    }

    /// A file is there: `sent`, or for another reason.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn done(&self, file: &FileEntry, how: &str) -> anyhow::Result<()> {
        let line = format!("  {:>10}  {}  {how}\n", ByteSize(file.size).to_string(), file.path);
        self.bar.suspend(|| print(line))
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The same for a copy on the local disk.
    pub fn check(&self, before: u64, bytes: u64) -> io::Result<()> {
        if self.at(before, bytes) { Ok(()) } else { Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled")) }
    }
}
