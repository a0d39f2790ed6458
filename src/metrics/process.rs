//! What the operating system says about this process, read when somebody asks.
//!
//! CPU time is a fraction of a second, so that a rate over a short window is right. The recorder's counters are whole numbers;
//! so this one counter is written here, and everything else goes through the recorder.

use super::{
    catalogue::{
        Definition, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_START, PROCESS_THREADS,
        PROCESS_VIRTUAL,
    },
    gauge, text,
};

/// Brings the process's gauges up to date and gives the lines of its CPU time; what the platform does not tell is left out.
pub fn observe() -> String {
    let process = metrics_process::collector::collect();
    let figures: [(&'static Definition, Option<u64>); 6] = [
        (&PROCESS_RESIDENT, process.resident_memory_bytes),
        (&PROCESS_VIRTUAL, process.virtual_memory_bytes),
        (&PROCESS_OPEN_FDS, process.open_fds),
        (&PROCESS_MAX_FDS, process.max_fds),
        (&PROCESS_THREADS, process.threads),
        (&PROCESS_START, process.start_time_seconds),
    ];
    for (definition, value) in figures {
        if let Some(value) = value {
            gauge(definition, &[]).set(value as f64);
        }
    }
    process.cpu_seconds_total.map(cpu_time).unwrap_or_default()
}

fn cpu_time(seconds: f64) -> String {
    format!("{}{} {seconds}\n", text::header(&PROCESS_CPU), PROCESS_CPU.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_cpu_time_are_those_of_this_process() {
        let text = Metrics::default().render();
        let value = |wanted: &Definition| -> f64 {
            let found: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix(wanted.name)?.strip_prefix(' ')).collect();
            assert_eq!(found.len(), 1, "{} in {text}", wanted.name);
            found[0].parse().unwrap()
        };
        assert!((1e6..1e12).contains(&value(&PROCESS_RESIDENT)), "{}", value(&PROCESS_RESIDENT));
        assert!(value(&PROCESS_THREADS) >= 1.0);
        // A process this young has not used many.
        assert!((0.0..3600.0).contains(&value(&PROCESS_CPU)));
    }

    #[test]
    fn cpu_time_keeps_its_fraction() {
        assert!(cpu_time(0.25).ends_with("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0.25\n"));
    }
}
