//! What concerns the process as a whole: how the C library gives memory out and back, and which threads come last.
//!
//! It stands by itself because Kafka's client, ONNX Runtime and our own code share one allocator and the same cores.
//! `main → cli::worker` calls [`tune`] once, before there are threads; the loader of models lowers the priority of the threads
//! that open them, and has memory given back when one has left. Of Linux with glibc alone; elsewhere nothing happens.
//!
//! What one thread allocates another gives back here: fetched data, records, answers and their delivery reports all cross
//! threads, and fetched data comes in megabytes. Measured with `make bench` on two cores, beside the allocator's defaults: an
//! answer with nine headers costs 0.93, a request of 784 floats 0.94, one row of iris the same; the most memory at once is
//! 98 MiB in place of 110.

/// Memory from here on is mapped for itself, and given back to the system when it is freed.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 32 << 20;

/// So much free memory stays at the end of the heap for the next fetch.
#[cfg(target_env = "gnu")]
const KEPT: i32 = 64 << 20;

/// Sets the allocator for a worker on so many `cores`. What the user set through `MALLOC_ARENA_MAX` or the like stays.
#[cfg(target_env = "gnu")]
pub fn tune(cores: usize) {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    if is_set("GLIBC_TUNABLES") {
        return;
    }
    let arenas = i32::try_from(cores + 1).unwrap_or(i32::MAX);
    let settings = [
        // Lists of small pieces that are gone through and merged again and again, since other threads free them.
        (libc::M_MXFAST, 0, None),
        // By default both limits grow by themselves, but only once the memory has been mapped and cleared anew many times.
        (libc::M_MMAP_THRESHOLD, LARGE, Some("MALLOC_MMAP_THRESHOLD_")),
        (libc::M_TRIM_THRESHOLD, KEPT, Some("MALLOC_TRIM_THRESHOLD_")),
        // By default eight a core, each of which keeps what its threads once needed.
        (libc::M_ARENA_MAX, arenas, Some("MALLOC_ARENA_MAX")),
    ];
    for (setting, value, _) in settings.into_iter().filter(|(_, _, name)| !name.is_some_and(is_set)) {
        // SAFETY: numbers, to a function that checks them; one that is refused changes nothing.
        unsafe { libc::mallopt(setting, value) };
    }
}

/// Nothing to set.
#[cfg(not(target_env = "gnu"))]
pub fn tune(_cores: usize) {}

/// Gives free memory back to the system: without it, fifty swaps of a model of 100 MB leave 414 MB behind, with it 127 MB.
/// Takes milliseconds, in which other threads may have to wait for memory.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Puts the calling thread, and the threads that it starts from now on, behind all others. There is no way back: raising a
/// priority again is a privilege.
pub fn come_last() {
    #[cfg(target_os = "linux")]
    // SAFETY: on Linux, process 0 is the calling thread. Where it is not allowed, the thread goes on as it was.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
    }
}

/// The memory of the process that is resident, in bytes; `None` where the system does not tell.
pub fn resident() -> Option<u64> {
    const PAGE: u64 = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_comes_last_takes_nobody_with_it() {
        // SAFETY: it only asks.
        let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = priority();
        let last = std::thread::spawn(move || {
            come_last();
            priority()
        });
        assert_eq!(last.join().unwrap(), 19);
        assert_eq!(priority(), before);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn resident_memory_grows_with_what_is_touched() {
        let before = resident().unwrap();
        let touched = vec![1_u8; 64 << 20];
        assert!(resident().unwrap() > before + (32 << 20), "{}", touched.len());
    }
}
