//! Settings of the C library's allocator, which Kafka's client and ONNX Runtime use as our own code does.
//!
//! It stands by itself because it concerns the process as a whole: `main → cli::worker` sets it once, before there are
//! threads. Of glibc alone; other C libraries keep their own ways. What one thread allocates another gives back here: fetched
//! data, records, answers and their delivery reports all cross threads, and fetched data comes in megabytes. Measured with
//! `make bench` on two cores, beside the defaults: an answer with nine headers costs 0.93, a request of 784 floats 0.94, one
//! row of iris the same; the most memory at once is 98 MiB in place of 110.

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
