//! What the operating system says about this process, read when somebody asks.
//!
//! CPU time is a fraction of a second, so that a rate over a short window is right; whole seconds would not be.

use super::{
    catalogue::{
        self, Definition, PROCESS_CPU, PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT, PROCESS_START,
        PROCESS_THREADS, PROCESS_VIRTUAL,
    },
    exposition::{Family, Reading},
};

/// The process's figures and the build's version; what the platform does not tell is left out.
pub fn read() -> Vec<Family> {
    let process = metrics_process::collector::collect();
    let whole = |value: Option<u64>| value.map(|value| value as f64);
    let figures: [(&'static Definition, Option<f64>); 7] = [
        (&PROCESS_CPU, process.cpu_seconds_total),
        (&PROCESS_RESIDENT, whole(process.resident_memory_bytes)),
        (&PROCESS_VIRTUAL, whole(process.virtual_memory_bytes)),
        (&PROCESS_OPEN_FDS, whole(process.open_fds)),
        (&PROCESS_MAX_FDS, whole(process.max_fds)),
        (&PROCESS_THREADS, whole(process.threads)),
        (&PROCESS_START, whole(process.start_time_seconds)),
    ];
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let build = Family { definition: &catalogue::BUILD_INFO, samples: vec![(vec![version], Reading::Number(1.0))] };
    let known = figures.into_iter().filter_map(|(definition, value)| {
        let samples = vec![(Vec::new(), Reading::Number(value?))];
        Some(Family { definition, samples })
    });
    std::iter::once(build).chain(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_cpu_time_are_those_of_this_process() {
        let families = read();
        let value = |wanted: &Definition| {
            let family = families.iter().find(|family| family.definition.name == wanted.name).unwrap();
            let Reading::Number(number) = family.samples[0].1 else { panic!("a number") };
            number
        };
        assert!((1e6..1e12).contains(&value(&PROCESS_RESIDENT)), "{}", value(&PROCESS_RESIDENT));
        assert!(value(&PROCESS_THREADS) >= 1.0);
        // Fractions of a second are there: a process this young has not used many.
        assert!((0.0..3600.0).contains(&value(&PROCESS_CPU)));
    }
}
