//! An older version that stands in while those fail that should be there: when it comes, whom it serves, and when it goes.

use super::*;

impl Stage {
    /// The repository should serve the `aspired` versions; the `older` ones are there besides.
    fn look_with(&mut self, aspired: &[&str], older: &[&str]) {
        let mut all = wanted(aspired);
        for (name, older) in wanted(older) {
            all.get_mut(&name).expect("a model has versions that should be there").older = older.contents;
        }
        self.tell(Message::Looked(all));
    }

    /// What was told of states since this was asked last.
    fn told(&self) -> String {
        self.script.told.lock().drain(..).collect::<Vec<_>>().join(", ")
    }
}

#[test]
fn the_nearest_older_version_that_works_stands_in_until_the_newest_is_mended() {
    let mut stage = stage(MemoryOptions::default());
    let (reply, settled) = mpsc::channel();
    stage.look_with(&["iris/3"], &["iris/1", "iris/2"]);
    stage.tell(Message::Settled(reply));
    assert_eq!((stage.loading(), stage.gets("iris", "2").as_str()), (vec!["iris/3".to_owned()], "UNKNOWN_MODEL"));
    stage.end(Err("damaged"));
    assert_eq!((stage.loading(), stage.gets("iris", "latest").as_str()), (vec!["iris/2".to_owned()], "waits"));
    stage.end(Err("damaged, too"));
    assert!(settled.try_recv().is_err(), "a worker that starts waits for what stands in");
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "latest"), settled.try_recv()), ("iris/1".to_owned(), Ok(())));
    assert_eq!(stage.known("iris"), "1 Available, 2 Failed (damaged, too), 3 Failed (damaged)");
    // Who names a version means that one.
    assert_eq!([stage.gets("iris", "3"), stage.gets("iris", "2")], ["MODEL_UNAVAILABLE"; 2]);
    stage.told();
    stage.look_with(&["iris/3 fixed"], &["iris/1", "iris/2"]);
    assert_eq!((stage.loading(), stage.gets("iris", "latest").as_str()), (vec!["iris/3 fixed".to_owned()], "iris/1"));
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("iris/3".to_owned(), vec!["iris/1".to_owned()]));
    assert_eq!(stage.gets("iris", "1"), "UNKNOWN_MODEL");
    assert_eq!(stage.told(), "iris/3 Loading, iris/3 Available, iris/1 gone, iris/2 gone");
}

#[test]
fn what_stands_in_goes_on_while_the_newest_is_tried_again_and_nothing_else_is() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/3"], &["iris/1", "iris/2"]);
    stage.end(Err("wrong"));
    stage.end(Err("wrong"));
    stage.end(Ok(10));
    stage.told();
    let mut tries = Vec::new();
    for _ in 0..3600 {
        stage.later(Duration::from_secs(1));
        assert_eq!(stage.gets("iris", "latest"), "iris/1");
        if let [job] = &stage.loading()[..] {
            tries.push(job.clone());
            stage.end(Err("still wrong"));
        }
    }
    assert!(tries.len() >= 8 && tries.iter().all(|job| job == "iris/3"), "{tries:?}");
    assert_eq!((stage.told().as_str(), stage.ended()), ("", vec![]));
}

#[test]
fn a_version_whose_versions_all_fail_says_why_of_the_newest_and_each_is_tried_again() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/3"], &["iris/1", "iris/2"]);
    for reason in ["third", "second", "first"] {
        stage.end(Err(reason));
    }
    let (code, why) = stage.lease("iris", "latest").err().unwrap();
    assert!(code == ErrorCode::ModelUnavailable && why.contains("third"), "{why}");
    let mut tries = Vec::new();
    while tries.len() < 6 {
        stage.later(Duration::from_secs(1));
        assert_eq!(stage.gets("iris", "latest"), "MODEL_UNAVAILABLE");
        while let [job] = &stage.loading()[..] {
            tries.push(job.clone());
            stage.end(Err("again"));
        }
        assert_eq!(stage.loading(), [""; 0], "one after the other");
    }
    tries.sort();
    tries.dedup();
    assert_eq!(tries, ["iris/1", "iris/2", "iris/3"]);
    // An older one that was uploaded again is tried at once, and serves.
    stage.look_with(&["iris/3"], &["iris/1", "iris/2 fixed"]);
    assert_eq!(stage.loading(), ["iris/2 fixed"]);
    stage.end(Ok(10));
    assert_eq!(stage.gets("iris", "latest"), "iris/2");
}

#[test]
fn nothing_stands_in_while_one_version_that_should_be_there_serves_or_may_yet() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/2", "iris/3"], &["iris/1"]);
    stage.end(Err("wrong"));
    assert_eq!(stage.loading(), ["iris/3"]);
    stage.end(Ok(10));
    assert_eq!((stage.loading(), stage.gets("iris", "latest")), (vec![], "iris/3".to_owned()));
    // Nor while another upload of what serves fails.
    stage.look_with(&["iris/2", "iris/3 second"], &["iris/1"]);
    stage.end(Err("wrong"));
    assert_eq!((stage.loading(), stage.gets("iris", "latest")), (vec![], "iris/3".to_owned()));
}

#[test]
fn a_version_in_service_goes_on_and_no_older_one_comes_when_a_new_one_fails() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/2"], &["iris/1"]);
    stage.end(Ok(10));
    stage.look_with(&["iris/3"], &["iris/1", "iris/2"]);
    stage.end(Err("wrong"));
    assert_eq!((stage.loading(), stage.gets("iris", "latest")), (vec![], "iris/2".to_owned()));
    // Also when what serves was deleted since.
    stage.look_with(&["iris/3"], &["iris/1"]);
    assert_eq!((stage.loading(), stage.gets("iris", "latest")), (vec![], "iris/2".to_owned()));
}

#[test]
fn a_label_that_names_a_version_which_fails_means_no_other_one() {
    let mut stage = stage(MemoryOptions::default());
    let mut all = wanted(&["iris/2"]);
    let iris = all.get_mut("iris").unwrap();
    iris.older.push(content("iris", 1, 10, "first"));
    iris.labels.insert("stable".into(), 2);
    stage.tell(Message::Looked(all));
    stage.end(Err("wrong"));
    stage.end(Ok(10));
    assert_eq!([stage.gets("iris", "latest"), stage.gets("iris", "stable")], ["iris/1", "MODEL_UNAVAILABLE"]);
}

#[test]
fn what_stands_in_becomes_the_latest_without_another_load_when_the_newest_is_deleted() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/2"], &["iris/1"]);
    stage.end(Err("wrong"));
    stage.end(Ok(10));
    stage.look(&["iris/1"]);
    assert_eq!((stage.loading(), stage.ended(), stage.known("iris").as_str()), (vec![], vec![], "1 Available"));
}

#[test]
fn the_newest_is_judged_beside_what_clients_know_and_not_beside_what_stands_in() {
    let mut stage = stage(MemoryOptions::default());
    let known = |stage: &Stage| {
        let jobs = stage.script.jobs.lock();
        let [job] = &jobs[..] else { panic!("one load is under way") };
        job.known.as_ref().map(|known| known.id.to_string())
    };
    stage.look_with(&["iris/2"], &["iris/1"]);
    stage.end(Err("no store"));
    stage.end(Ok(10));
    stage.later(Duration::from_secs(60));
    assert_eq!((stage.loading(), known(&stage)), (vec!["iris/2".to_owned()], None));
    stage.end(Err("no store"));
    // From here on version 1 is what should be there.
    stage.look(&["iris/1"]);
    stage.look_with(&["iris/2"], &["iris/1"]);
    assert_eq!((stage.loading(), known(&stage)), (vec!["iris/2".to_owned()], Some("iris/1".to_owned())));
}

#[test]
fn the_newest_is_not_tried_again_before_what_stands_in_is_there() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look_with(&["iris/2"], &["iris/1"]);
    stage.end(Err("no room on the disk"));
    stage.later(Duration::from_secs(3600));
    assert_eq!(stage.loading(), ["iris/1"]);
    stage.end(Ok(10));
    assert_eq!(stage.loading(), ["iris/2"]);
    // As any new version beside the one that it replaces, and then that one goes.
    stage.end(Ok(10));
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("iris/2".to_owned(), vec!["iris/1".to_owned()]));
}

#[test]
fn the_newest_may_come_before_what_was_to_stand_in() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["iris/2"], &["iris/1"]);
    stage.end(Err("wrong"));
    stage.look_with(&["iris/2 fixed"], &["iris/1"]);
    assert_eq!(stage.loading(), ["iris/1", "iris/2 fixed"]);
    let older = stage.script.jobs.lock().remove(0);
    stage.end(Ok(10));
    let outcome = Ok(servable(&older.content.id, 10));
    stage.tell(Message::Loaded(Loaded { content: older.content, outcome }));
    assert_eq!((stage.gets("iris", "latest"), stage.ended()), ("iris/2".to_owned(), vec!["iris/1".to_owned()]));
    assert_eq!((stage.loading(), stage.known("iris").as_str()), (vec![], "2 Available"));
}

#[test]
fn what_stands_in_leaves_memory_and_comes_back_as_any_other() {
    let mut stage = stage(MemoryOptions { budget: Some(15), idle_timeout: None });
    stage.look_with(&["a/2"], &["a/1"]);
    stage.end(Err("wrong"));
    stage.end(Ok(10));
    stage.look_with(&["a/2", "b/1"], &["a/1"]);
    assert_eq!(stage.gets("b", "1"), "waits");
    stage.go_on();
    assert_eq!((stage.ended(), stage.loading()), (vec!["a/1".to_owned()], vec!["b/1".to_owned()]));
    stage.end(Ok(10));
    stage.lease("b", "1").unwrap().unwrap().usage.note(1);
    assert_eq!(stage.known("a"), "1 Unloaded, 2 Failed (wrong)");
    assert_eq!(stage.gets("a", "latest"), "waits");
    stage.go_on();
    assert_eq!((stage.ended(), stage.loading()), (vec!["b/1".to_owned()], vec!["a/1".to_owned()]));
    stage.end(Ok(10));
    assert_eq!(stage.gets("a", "latest"), "a/1");
}

#[test]
fn an_operator_who_loads_a_model_has_the_newest_tried_at_once_and_the_others_after_it() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["a/2"], &["a/1"]);
    stage.end(Err("no store"));
    stage.end(Err("no store"));
    let (reply, _replies) = mpsc::channel();
    stage.tell(Message::Load("a".into(), reply));
    assert_eq!((stage.loading(), stage.gets("a", "latest").as_str()), (vec!["a/2".to_owned()], "waits"));
    stage.end(Err("wrong"));
    assert_eq!((stage.loading(), stage.gets("a", "latest").as_str()), (vec!["a/1".to_owned()], "waits"));
    stage.end(Ok(10));
    assert_eq!(stage.gets("a", "latest"), "a/1");
}

#[tokio::test]
async fn who_waits_for_the_newest_gets_what_stands_in() {
    let mut stage = stage(MemoryOptions::default());
    stage.look_with(&["a/2"], &["a/1"]);
    let choice = ModelChoice { name: "a".into(), version: VersionChoice::Latest, fallback: None };
    let Ok(Lease::Waiting(first)) = stage.manager.lease(&choice) else { panic!("it is not there") };
    let manager = stage.manager.clone();
    let waits = tokio::spawn(async move { manager.wait(&choice, first, Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    stage.end(Err("wrong"));
    tokio::task::yield_now().await;
    stage.end(Ok(10));
    assert_eq!(waits.await.unwrap().unwrap().id.to_string(), "a/1");
}
