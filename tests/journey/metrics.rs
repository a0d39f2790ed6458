//! What the admin endpoint shows of a worker that has had traffic.

use serde_json::{Value, json};

use crate::support::{Ask, Rig, wait_for};

#[test]
fn outcomes_lag_and_versions_can_be_read_after_traffic() {
    let Some(rig) = Rig::new("metrics") else { return };
    rig.model("iris", 4, "models/iris/1");
    rig.model("broken", 1, "tests/data/fixtures/refused_truncated/1");
    rig.server(|server| server["kafka"]["commit_interval"] = json!("100ms"));
    let lane = rig.lane("iris", json!([{"predict": {"model": "iris"}}]));
    let row = [6.3, 3.4, 5.6, 2.4];
    let mut asks: Vec<_> = (0..20).map(|id| Ask::json(&json!({"id": id, "instances": [row, row, row]}))).collect();
    asks.push(Ask::bytes("{").key("broken"));
    asks.push(Ask::json(&json!({"id": "narrow", "instances": [[1, 2, 3]]})));
    let mut worker = rig.worker();
    lane.exchange(&asks);
    let outcome =
        |code: &str| worker.metric("modelmill_requests_total", &[r#"pipeline="iris""#, &format!("outcome=\"{code}\"")]);
    wait_for("all outcomes", || (outcome("OK") > 19.5).then_some(()));
    let requests = [outcome("OK"), outcome("INVALID_REQUEST"), outcome("INVALID_INPUT"), outcome("INTERNAL")];
    assert_eq!(requests.map(|count| count as u64), [20, 1, 1, 0]);
    let count = |name: &str, labels: &[&str]| worker.metric(name, labels) as u64;
    assert_eq!(count("modelmill_rows_total", &[r#"pipeline="iris""#]), 60);
    assert_eq!(count("modelmill_dead_letters_total", &[]), 1);
    assert_eq!(count("modelmill_batch_rows_sum", &[r#"model="iris""#, r#"version="4""#]), 60);
    assert_eq!(count("modelmill_assigned_partitions", &[]), 4);
    assert!(count("modelmill_request_latency_seconds_count", &[]) > 0);
    assert_eq!(
        count("modelmill_model_version_state", &[r#"model="iris""#, r#"version="4""#, r#"state="available""#]),
        1
    );
    assert_eq!(
        count("modelmill_model_version_state", &[r#"model="broken""#, r#"version="1""#, r#"state="failed""#]),
        1
    );
    assert_eq!(count("modelmill_model_load_failures_total", &[r#"model="broken""#]), 1);
    assert!(worker.metric("process_cpu_seconds_total", &[]) > 0.0);
    assert!(worker.metric("process_resident_memory_bytes", &[]) > 1e6);
    wait_for("a commit", || (count("modelmill_commits_total", &[r#"result="ok""#]) > 0).then_some(()));
    // The lag is there for each partition that had records, and all of them are worked off.
    let lag = || {
        let (_, text) = worker.page("/metrics");
        let is_lag =
            |line: &&str| line.starts_with("modelmill_consumer_lag_messages{") && line.contains(&lane.requests);
        text.lines().filter(is_lag).map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_for("a lag of zero", || {
        let lag = lag();
        (!lag.is_empty() && lag.iter().all(|records| records == "0")).then_some(())
    });
    let (code, ready) = worker.page("/readyz");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((code, &ready["ready"], &ready["assigned_partitions"]), (200, &json!(true), &json!(4)));
    assert_eq!(worker.page("/healthz"), (200, "ok".to_owned()));
    let (code, model) = worker.page("/v2/models/iris");
    let model: Value = serde_json::from_str(&model).unwrap();
    assert_eq!((code, &model["versions"]), (200, &json!(["4"])));
    worker.stop();
}
