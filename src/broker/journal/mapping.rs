//! A file as memory: what is written there outlives the process without a call to the system.
//!
//! The file's blocks are there before it is mapped: writing to a hole for which the disk has no room would end the process.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::AsRawFd,
    ptr::{self, NonNull},
    sync::atomic::AtomicU64,
};

/// A mapped file, as words.
pub struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
    /// Whoever holds the file holds its lock.
    _file: File,
}

// SAFETY: the memory is there until the value is dropped, and all access is atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes the file so many words long, all 0, and maps it.
    ///
    /// # Errors
    /// If the disk has no room, or the file system does not map.
    pub fn of_zeroes(mut file: File, words: usize) -> io::Result<Self> {
        let bytes = words * size_of::<AtomicU64>();
        file.set_len(0)?;
        file.rewind()?;
        // Written, not only made longer: that is when the disk says that it is full.
        file.write_all(&vec![0; bytes])?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the system's choice, of a file that is open and as long as that.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("the system maps nothing at 0 unless it is told to");
        Ok(Self { start, words, _file: file })
    }

    /// The words.
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: so many are mapped, page-aligned, until the value is dropped; any bits are an integer, and whoever else maps
        // the file does not hold its lock.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<AtomicU64>()) };
    }
}
