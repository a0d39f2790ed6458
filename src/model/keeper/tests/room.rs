//! Memory: who leaves it, who comes, who waits.

use super::*;

#[test]
fn models_beyond_the_budget_wait_for_somebody_to_ask_and_the_ones_used_longest_ago_make_room() {
    let mut stage = stage(MemoryOptions { budget: Some(25), idle_timeout: None });
    stage.look(&["a/1", "b/1", "c/1"]);
    stage.load_all();
    assert_eq!([stage.gets("a", "1"), stage.gets("b", "1")], ["a/1", "b/1"]);
    std::thread::sleep(Duration::from_millis(5));
    stage.lease("a", "1").unwrap().unwrap().usage.note(1);
    assert_eq!((stage.gets("c", "latest").as_str(), stage.gets("c", "latest").as_str()), ("waits", "waits"));
    stage.go_on();
    assert_eq!((stage.ended(), stage.loading()), (vec!["b/1".to_owned()], vec!["c/1".to_owned()]));
    stage.end(Ok(10));
    assert_eq!([stage.gets("a", "1"), stage.gets("c", "1"), stage.gets("b", "1")], ["a/1", "c/1", "waits"]);
}

#[test]
fn a_model_in_use_stays_and_who_waits_gets_its_turn_when_it_is_done() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    let lease = stage.lease("a", "1").unwrap();
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.loading()), (vec![], vec![]));
    drop(lease);
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.loading()), (vec!["a/1".to_owned()], vec!["b/1".to_owned()]));
}

#[test]
fn a_model_larger_than_the_budget_is_refused_with_a_sentence() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look(&["a/1"]);
    stage.end(Ok(64 << 20));
    let (code, why) = stage.lease("a", "1").err().unwrap();
    assert_eq!(code, ErrorCode::ModelUnavailable);
    assert!(why.contains("it takes 64.0 MiB of memory") && why.contains("raise models.memory.budget"), "{why}");
}

#[test]
fn a_model_that_nobody_uses_leaves_memory_and_comes_back_when_it_is_asked_for() {
    let mut stage = stage(MemoryOptions { budget: None, idle_timeout: Some(Duration::from_millis(20)) });
    stage.look(&["a/1"]);
    stage.load_all();
    while stage.ended().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
        stage.go_on();
    }
    assert_eq!(stage.loading(), [""; 0]);
    assert_eq!(stage.gets("a", "latest"), "waits");
    stage.go_on();
    assert_eq!(stage.loading(), ["a/1"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("a", "latest"), "a/1");
}

fn budget(bytes: u64) -> Stage {
    stage(MemoryOptions { budget: Some(bytes), idle_timeout: None })
}

/// Has a version been used, so that it may leave again?
fn used(stage: &Stage, name: &str) {
    stage.lease(name, "latest").unwrap().unwrap().usage.note(1);
}

#[test]
fn who_comes_after_a_failure_asks_anew() {
    let mut stage = budget(15);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.go_on();
    stage.end(Err("damaged"));
    assert_eq!(stage.gets("b", "1"), "MODEL_UNAVAILABLE");
    stage.look(&["a/1", "b/1 fixed"]);
    // It was evicted for the first try, and has taken its room again.
    assert_eq!((stage.gets("a", "1").as_str(), stage.loading()), ("waits", vec!["b/1 fixed".to_owned()]));
    stage.end(Err("damaged again"));
    stage.go_on();
    stage.load_all();
    assert_eq!((stage.gets("a", "1"), stage.loading()), ("a/1".to_owned(), vec![]));
    stage.look(&["a/1", "b/1 fixed twice"]);
    assert_eq!((stage.loading(), stage.gets("b", "1").as_str()), (vec![], "waits"));
    used(&stage, "a");
    stage.go_on();
    assert_eq!(stage.loading(), ["b/1 fixed twice"]);
}

#[test]
fn a_new_version_takes_over_although_the_budget_is_full_and_all_others_are_in_use() {
    let mut stage = budget(25);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    let other = stage.lease("a", "1").unwrap();
    stage.look(&["a/1", "b/2"]);
    assert_eq!(stage.loading(), ["b/2"]);
    stage.end(Ok(10));
    assert_eq!((stage.gets("b", "latest"), stage.ended()), ("b/2".to_owned(), vec!["b/1".to_owned()]));
    // Also one that takes its own place.
    stage.look(&["a/1", "b/2 again"]);
    assert_eq!(stage.loading(), ["b/2 again"]);
    drop(other);
}

#[test]
fn a_new_version_beside_the_one_before_has_those_leave_that_were_used_longest_ago() {
    let mut stage = budget(25);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    stage.look(&["a/1", "b/2"]);
    assert_eq!((stage.ended(), stage.loading()), (vec!["a/1".to_owned()], vec!["b/2".to_owned()]));
}

#[test]
fn a_load_that_waits_for_memory_keeps_no_other_from_beginning() {
    let mut stage = budget(25);
    let mut all = wanted(&["a/1", "c/1"]);
    all.entry("b".into()).or_default().contents.push(content("b", 1, 20, "first"));
    stage.tell(Message::Looked(all));
    stage.load_all();
    let lease = stage.lease("a", "1").unwrap();
    assert_eq!((stage.gets("b", "1").as_str(), stage.gets("c", "1").as_str()), ("waits", "c/1"));
    let (reply, _replies) = mpsc::channel();
    stage.tell(Message::Unload("c".into(), reply.clone()));
    stage.ended();
    stage.tell(Message::Load("c".into(), reply));
    // 10 bytes are in use and 20 wanted: nobody leaves for that in vain, and the small one has room.
    assert_eq!((stage.ended(), stage.loading()), (vec![], vec!["c/1".to_owned()]));
    drop(lease);
}

#[test]
fn a_model_that_somebody_waited_for_is_not_taken_away_before_it_was_used() {
    let mut stage = budget(15);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    assert_eq!((stage.gets("b", "1").as_str(), stage.gets("b", "1").as_str()), ("waits", "waits"));
    stage.go_on();
    assert_eq!(stage.gets("a", "1"), "waits");
    stage.end(Ok(10));
    stage.ended();
    stage.go_on();
    assert_eq!((stage.ended(), stage.loading()), (vec![], vec![]), "b serves, and nobody has used it yet");
    used(&stage, "b");
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.loading()), (vec!["b/1".to_owned()], vec!["a/1".to_owned()]));
}

#[test]
fn a_model_that_was_waited_for_in_vain_leaves_after_a_while() {
    let mut stage = budget(15);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.go_on();
    stage.end(Ok(10));
    stage.ended();
    assert_eq!(stage.gets("a", "1"), "waits");
    stage.later(Duration::from_millis(900));
    assert_eq!(stage.ended(), [""; 0]);
    stage.later(Duration::from_millis(200));
    assert_eq!(stage.ended(), ["b/1"]);
}

#[test]
fn a_model_out_of_memory_falls_back_to_its_version_before_when_the_new_one_is_broken() {
    let mut stage = budget(15);
    stage.look(&["a/1", "b/1"]);
    stage.load_all();
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.go_on();
    stage.end(Ok(10));
    used(&stage, "b");
    assert_eq!((stage.known("a").as_str(), stage.ended()), ("1 Unloaded", vec!["a/1".to_owned()]));
    stage.look(&["a/2", "b/1"]);
    // Nobody waits for it, and it replaces nothing in memory.
    assert_eq!((stage.loading(), stage.known("a").as_str()), (vec![], "1 Unloaded, 2 Aspired"));
    assert_eq!(stage.gets("a", "latest"), "waits");
    stage.go_on();
    assert_eq!(stage.loading(), ["a/2"]);
    stage.end(Err("wrong answers"));
    assert_eq!(stage.gets("a", "latest"), "waits");
    stage.go_on();
    assert_eq!(stage.loading(), ["a/1"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("a", "latest"), "a/1");
    // And once the new one is there in order, the old one goes.
    stage.look(&["a/2 fixed", "b/1"]);
    stage.load_all();
    assert_eq!((stage.gets("a", "latest"), stage.gets("a", "1")), ("a/2".to_owned(), "UNKNOWN_MODEL".to_owned()));
}

#[test]
fn the_last_slot_is_for_those_who_wait() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1", "b/1", "c/1", "d/1"]);
    assert_eq!(stage.loading(), ["a/1", "b/1"]);
    assert_eq!(stage.gets("d", "1"), "waits");
    stage.go_on();
    assert_eq!(stage.loading(), ["a/1", "b/1", "d/1"]);
}
