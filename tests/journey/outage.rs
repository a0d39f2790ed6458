//! A broker that goes away for a while: one line when it goes, one when it is back, and every request has one answer.

use serde_json::json;

use crate::support::{Ask, Rig, by_id, proxy::Proxy};

#[test]
fn a_broker_that_goes_away_and_comes_back_costs_no_answer_and_doubles_none() {
    let Some(rig) = Rig::new("outage") else { return };
    rig.model("iris", 1, "models/iris/1");
    let lane = rig.lane_with("iris", json!([{"predict": {"model": "iris"}}]), 4, |pipeline| {
        pipeline["timeout"] = json!("1h");
    });
    let mut proxy = Proxy::open(&rig.brokers);
    rig.server(|server| {
        server["kafka"]["brokers"] = json!(proxy.address());
        server["limits"] = json!({"in_flight_messages": 500, "chunk_messages": 100});
    });
    let asks = |from: usize, to: usize| -> Vec<Ask> {
        (from..to).map(|id| Ask::json(&json!({"id": id, "instances": [[6.3, 3.4, 5.6, 2.4]]}))).collect()
    };
    let mut worker = rig.worker();
    lane.send(&asks(0, 20_000));
    let mut answers = lane.receive(2_000);
    // In the middle of its work.
    proxy.cut();
    let gone = worker.wait_for_line("cannot reach");
    assert!(worker.is_running());
    lane.send(&asks(20_000, 21_000));
    proxy.mend();
    answers.extend(lane.receive(19_000));
    worker.wait_for_line("answer again");
    let (gone_lines, back) = (worker.lines_with("cannot reach"), worker.lines_with("answer again"));
    let troubles = [worker.lines_with(r#""level":"WARN""#), worker.lines_with(r#""level":"ERROR""#)].concat();
    worker.stop();
    lane.assert_nothing_more();
    assert_eq!(by_id(answers).len(), 21_000);
    assert_eq!((gone_lines.len(), back.len()), (1, 1), "{gone}\n{troubles:#?}");
    assert_eq!(troubles.len(), 1, "{troubles:#?}");
}
