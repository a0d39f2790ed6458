//! What another process has spent: CPU time to the nanosecond and memory, from Linux.

use std::{fs, time::Duration};

use anyhow::{Context, bail};

/// What processes have used, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all threads, those that have ended included.
    pub cpu: Duration,
    /// Bytes in memory now.
    pub resident: u64,
    /// The most bytes that were ever in memory.
    pub peak: u64,
}

impl Usage {
    /// What these processes have used since they were started.
    ///
    /// # Errors
    /// If one of them does not run.
    pub fn of(pids: &[u32]) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for &pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))
                .with_context(|| format!("cannot measure process {pid}: it is not running, or this is not Linux"))?;
            sum.cpu += cpu_time(pid)?;
            sum.resident += kibibytes(&status, "VmRSS:") * 1024;
            sum.peak += kibibytes(&status, "VmHWM:") * 1024;
        }
        Ok(sum)
    }
}

/// The clock of the process, which unlike `/proc/PID/stat` counts finer than 10 ms: clock_getcpuclockid(3).
fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls write to the place they are given, which is a live local, and keep no pointer to it.
    let failed = unsafe {
        libc::clock_getcpuclockid(libc::pid_t::try_from(pid)?, &raw mut clock) != 0
            || libc::clock_gettime(clock, &raw mut time) != 0
    };
    if failed {
        bail!("cannot read the CPU clock of process {pid}");
    }
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

fn kibibytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_shows_in_the_cpu_time_and_memory_in_the_resident_bytes() {
        let own = [std::process::id()];
        let before = Usage::of(&own).unwrap();
        let (started, mut work) = (Instant::now(), 0_u64);
        while started.elapsed() < Duration::from_millis(20) {
            work = std::hint::black_box(work + 1);
        }
        let after = Usage::of(&own).unwrap();
        assert!(after.cpu > before.cpu && after.cpu - before.cpu < Duration::from_secs(60));
        assert!(before.resident > 1 << 20 && after.peak >= before.resident);
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let error = Usage::of(&[child.id()]).unwrap_err().to_string();
        assert!(error.contains(&child.id().to_string()), "{error}");
    }
}
