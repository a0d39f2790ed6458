//! What a worker costs and does at little load: next to nothing when idle, and what may wait travels together.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{Ask, Rig, wait_for};

fn flower(id: usize) -> Ask {
    Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}))
}

/// On a machine of its own it is 0.1 %. A thread that spins, or a timer of a millisecond, would be far beyond.
#[test]
fn an_idle_worker_with_eight_partitions_uses_next_to_no_cpu_time() {
    const WINDOW: Duration = Duration::from_secs(4);
    let Some(rig) = Rig::new("idle") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 8, |_| {});
    let mut worker = rig.worker();
    // Idle after work, not before it: connections are open, threads have been used.
    lane.exchange(&(0..20).map(flower).collect::<Vec<_>>());
    let cpu_seconds = || worker.metric("process_cpu_seconds_total", &[]);
    wait_for("some seconds in which an idle worker uses less than 2 % of a core", || {
        let (before, began) = (cpu_seconds(), Instant::now());
        thread::sleep(WINDOW);
        let share = (cpu_seconds() - before) / began.elapsed().as_secs_f64();
        (share < 0.02).then_some(())
    });
    worker.stop();
}

#[test]
fn requests_that_may_wait_travel_together() {
    const WAIT: Duration = Duration::from_secs(1);
    let Some(rig) = Rig::new("company") else { return };
    rig.model("iris", 1, "models/iris/1");
    rig.server(|server| server["kafka"]["max_wait"] = json!("1s"));
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let mut worker = rig.worker();
    lane.exchange(&[flower(0)]);
    let began = Instant::now();
    (1..=50).for_each(|id| lane.send(&[flower(id)]));
    lane.receive(50);
    let chunks = |suffix: &str| worker.metric(&format!("modelmill_chunk_messages_{suffix}"), &[]) as u64;
    assert_eq!(chunks("sum"), 51);
    // A fetch for each second, the one under way, and the one of the first request; what one brings may be handed over in as
    // many chunks as there are partitions.
    let most = 4 * (2 + began.elapsed().as_secs() / WAIT.as_secs());
    assert!(chunks("count") <= most, "{} chunks, but {most} at the most", chunks("count"));
    worker.stop();
}
