//! Versions that come, fail, take over and go; labels; operators.

use super::*;

#[test]
fn a_new_version_takes_over_when_it_has_passed_and_not_before() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "waits");
    stage.end(Ok(10));
    stage.look(&["iris/2"]);
    assert_eq!((stage.gets("iris", "latest"), stage.loading()), ("iris/1".to_owned(), vec!["iris/2".to_owned()]));
    stage.end(Ok(10));
    assert_eq!(
        (stage.gets("iris", "latest"), stage.gets("iris", "1")),
        ("iris/2".to_owned(), "UNKNOWN_MODEL".to_owned())
    );
    assert_eq!(stage.ended(), ["iris/1"]);
    let told = stage.script.told.lock().join(", ");
    assert_eq!(told, "iris/1 Loading, iris/1 Available, iris/2 Loading, iris/2 Available, iris/1 gone");
}

#[test]
fn a_version_in_use_ends_with_its_last_lease() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    let lease = stage.lease("iris", "latest").unwrap();
    stage.look(&["iris/2"]);
    stage.end(Ok(10));
    stage.later(Duration::from_secs(60));
    assert_eq!(stage.ended(), [""; 0]);
    drop(lease);
    stage.later(SOON);
    assert_eq!(stage.ended(), ["iris/1"]);
}

#[test]
fn a_version_that_fails_leaves_the_one_before_in_service_and_is_tried_again_less_and_less_often() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    stage.look(&["iris/2"]);
    stage.end(Err("its golden sample is wrong"));
    assert_eq!(stage.gets("iris", "latest"), "iris/1");
    let (code, why) = stage.lease("iris", "2").err().unwrap();
    assert!(code == ErrorCode::ModelUnavailable && why.contains("its golden sample is wrong"), "{why}");
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let mut pause = Duration::ZERO;
        while stage.loading().is_empty() {
            stage.later(Duration::from_secs(1));
            pause += Duration::from_secs(1);
        }
        pauses.push(pause.as_secs());
        stage.end(Err("its golden sample is wrong"));
    }
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600]);
    // Another upload is taken at once.
    stage.look(&["iris/2 fixed"]);
    assert_eq!(stage.loading(), ["iris/2 fixed"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "latest"), "iris/2");
}

#[test]
fn a_first_version_that_fails_answers_at_once() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "waits");
    stage.end(Err("no ONNX file"));
    assert_eq!(stage.gets("iris", "latest"), "MODEL_UNAVAILABLE");
    // Also while it is tried again.
    stage.later(Duration::from_secs(30));
    assert_eq!((stage.loading().len(), stage.gets("iris", "latest").as_str()), (1, "MODEL_UNAVAILABLE"));
}

#[test]
fn a_version_that_is_uploaded_again_replaces_itself_and_a_wrong_one_does_not() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    stage.look(&["iris/1 second"]);
    stage.end(Err("damaged"));
    assert_eq!(stage.gets("iris", "1"), "iris/1");
    stage.look(&["iris/1 third"]);
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "1"), stage.ended()), ("iris/1".to_owned(), vec!["iris/1".to_owned()]));
}

#[test]
fn a_deleted_version_gives_way_to_the_one_before_it_once_that_is_there() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/2"]);
    stage.end(Ok(10));
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "latest"), "iris/2");
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("iris/1".to_owned(), vec!["iris/2".to_owned()]));
    stage.look(&[]);
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("UNKNOWN_MODEL".to_owned(), vec!["iris/1".to_owned()]));
}

#[test]
fn a_label_moves_when_its_new_version_has_passed() {
    let labelled = |versions: &[&str], stable: u64| {
        let mut wanted = wanted(versions);
        wanted.get_mut("iris").unwrap().labels.insert("stable".into(), stable);
        Message::Looked(wanted)
    };
    let mut stage = stage(MemoryOptions::default());
    stage.tell(labelled(&["iris/1"], 1));
    stage.load_all();
    stage.tell(labelled(&["iris/1", "iris/2"], 2));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
    stage.end(Err("wrong"));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
    stage.tell(labelled(&["iris/1", "iris/2 fixed"], 2));
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "stable"), "iris/2");
    // Back again: it is still in memory.
    stage.tell(labelled(&["iris/1", "iris/2 fixed"], 1));
    assert_eq!(stage.gets("iris", "stable"), "iris/1");
}

#[test]
fn an_operator_unloads_a_model_and_loads_it_again() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    stage.load_all();
    let (reply, replies) = mpsc::channel();
    stage.tell(Message::Unload("a".into(), reply.clone()));
    assert_eq!((stage.gets("a", "1"), stage.ended()), ("MODEL_UNAVAILABLE".to_owned(), vec!["a/1".to_owned()]));
    stage.tell(Message::Load("a".into(), reply.clone()));
    assert_eq!((stage.gets("a", "1"), stage.loading()), ("waits".to_owned(), vec!["a/1".to_owned()]));
    stage.tell(Message::Load("nobody".into(), reply));
    let replies: Vec<_> = replies.try_iter().collect();
    assert!(replies[..2] == [Ok(()), Ok(())] && replies[2].as_ref().unwrap_err().contains("no model `nobody`"));
}

#[test]
fn a_model_that_goes_while_it_is_loaded_never_serves() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    stage.look(&[]);
    stage.end(Ok(10));
    assert_eq!((stage.gets("a", "1"), stage.ended()), ("UNKNOWN_MODEL".to_owned(), vec!["a/1".to_owned()]));
}

#[test]
fn whoever_waits_for_the_first_models_is_told_when_nothing_is_left_to_load() {
    let mut stage = stage(MemoryOptions { budget: Some(25), idle_timeout: None });
    let (reply, settled) = mpsc::channel();
    stage.look(&["a/1", "b/1", "c/1"]);
    stage.tell(Message::Settled(reply));
    assert!(settled.try_recv().is_err());
    stage.load_all();
    assert!(settled.try_recv().is_ok());
}

#[tokio::test]
async fn who_waits_gets_the_version_as_soon_as_it_is_there_or_hears_that_its_time_is_up() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    let choice = ModelChoice { name: "a".into(), version: VersionChoice::Latest, fallback: None };
    let Ok(Lease::Waiting(first)) = stage.manager.lease(&choice) else { panic!("it is not there") };
    let late = stage.manager.wait(&choice, first, Duration::from_millis(10)).await.err().unwrap();
    assert_eq!(late.code(), ErrorCode::DeadlineExceeded);
    let Ok(Lease::Waiting(first)) = stage.manager.lease(&choice) else { panic!("it is not there") };
    let manager = stage.manager.clone();
    let waits = tokio::spawn(async move { manager.wait(&choice, first, Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    stage.end(Ok(10));
    assert_eq!(waits.await.unwrap().unwrap().id.to_string(), "a/1");
}

#[test]
fn the_failure_of_an_upload_is_not_held_against_the_one_that_came_meanwhile() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    assert_eq!(stage.gets("iris", "1"), "waits");
    stage.look(&["iris/1 fixed"]);
    stage.end(Err("damaged"));
    assert_eq!((stage.gets("iris", "1").as_str(), stage.loading()), ("waits", vec!["iris/1 fixed".to_owned()]));
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "1"), "iris/1");
}

#[test]
fn who_asks_an_operator_to_load_what_failed_finds_it_on_its_way_and_not_failed() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["a/1"]);
    stage.end(Err("wrong"));
    assert_eq!(stage.known("a"), "1 Failed (wrong)");
    let (known, (reply, replies)) = (Arc::clone(&stage.script.known), mpsc::channel());
    let asks = std::thread::spawn(move || {
        let answer: Result<(), String> = replies.recv().unwrap();
        (answer, known.lock()["a"].clone())
    });
    stage.tell(Message::Load("a".into(), reply));
    assert_eq!(asks.join().unwrap(), (Ok(()), "1 Loading".to_owned()));
    assert_eq!(stage.gets("a", "1"), "waits");
}

#[test]
fn steps_forget_a_version_when_its_last_lease_is_gone_and_not_before() {
    let mut stage = stage(MemoryOptions::default());
    stage.look(&["iris/1"]);
    stage.end(Ok(10));
    let lease = stage.lease("iris", "latest").unwrap();
    stage.look(&[]);
    assert_eq!(stage.known("iris"), "1 Retiring");
    assert!(stage.script.retired.lock().is_empty(), "a group that has leased it may bind steps to it yet");
    drop(lease);
    stage.later(SOON);
    assert_eq!((stage.ended(), stage.known("iris").as_str()), (vec!["iris/1".to_owned()], ""));
}

#[test]
fn what_is_wrong_with_labels_is_said_beside_the_highest_version() {
    let mut stage = stage(MemoryOptions::default());
    let mut wanted = wanted(&["iris/1", "iris/2"]);
    wanted.get_mut("iris").unwrap().problem = Some("labels.yaml: line 1 is no label".to_owned());
    stage.tell(Message::Looked(wanted));
    stage.load_all();
    assert_eq!(stage.known("iris"), "1 Available, 2 Available (labels.yaml: line 1 is no label)");
}
