//! New versions of a model in the middle of the traffic: one that is good, and one that was damaged on its way.
//!
//! They are uploaded as anybody would, the manifest last; the worker finds them by itself. What became of them is told after
//! the traffic: how many answers each version gave, and why the damaged one gave none.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use super::{bundle::Folder, screen::Screen, stage::Stage};
use crate::cli::load::grouped;

/// The model whose versions come.
pub const MODEL: &str = "iris";

/// How long the worker may take to say what it thinks of a version.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Uploads, as their time comes.
pub struct Uploads<'a> {
    folder: &'a Folder,
    begun: Instant,
    /// When each is due, soonest first, the version, and whether it is to be damaged.
    due: Vec<(Duration, u32, bool)>,
}

impl<'a> Uploads<'a> {
    /// Version 2 after a third of `length`, and after two thirds version 3, which is damaged.
    pub fn over(folder: &'a Folder, length: Duration) -> Self {
        Self { folder, begun: Instant::now(), due: vec![(length / 3, 2, false), (length * 2 / 3, 3, true)] }
    }

    /// Uploads what is due.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn go_on(&mut self) -> std::io::Result<()> {
        while let Some((due, version, damaged)) = self.due.first().copied()
            && self.begun.elapsed() >= due
        {
            self.folder.publish(MODEL, version, damaged)?;
            self.due.remove(0);
        }
        Ok(())
    }
}

/// Why the damaged version is not served, in the worker's words; `None` if it has not said in time.
pub fn refusal(stage: &Stage) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let found = stage.index().into_iter().find(|entry| entry["name"] == MODEL && entry["version"] == "3");
        let reason = found.and_then(|entry| Some(entry["reason"].as_str()?.to_owned())).unwrap_or_default();
        if !reason.is_empty() && reason != "loading" && reason != "aspired" {
            return Some(reason);
        }
        thread::sleep(ASK_EVERY);
    }
    None
}

/// How many answers each version gave, and what was refused.
pub fn report(screen: Screen, versions: &BTreeMap<String, u64>, refusal: Option<&str>) -> String {
    let counts: Vec<_> =
        versions.iter().map(|(version, answers)| format!("version {version}: {} answers", grouped(*answers))).collect();
    let name = screen.strong(MODEL);
    // The first part of a reason says what is wrong, the rest what to do.
    let why = refusal.and_then(|reason| reason.split(':').next());
    let refused = why.map_or("not judged yet".to_owned(), |why| format!("refused: {}", screen.faint(why)));
    format!("\n  {name}  {}\n  version 3 {refused}\n", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_land_in_turn_and_the_last_one_is_not_what_its_manifest_says() {
        let folder = Folder::unpack().unwrap();
        let mut uploads = Uploads::over(&folder, Duration::ZERO);
        uploads.go_on().unwrap();
        let model = |version: u32| std::fs::read(folder.path().join(format!("{MODEL}/{version}/model.onnx"))).unwrap();
        assert_eq!(model(1), model(2));
        assert!(model(3) != model(1) && model(3).len() == model(1).len());
        assert!(folder.path().join("iris/3/manifest.json").is_file());
    }

    #[test]
    fn the_report_has_every_version() {
        let versions = [("1".to_owned(), 1_200), ("2".to_owned(), 900)].into();
        let text = report(Screen::plain(), &versions, Some("`model.onnx` has another sha256: copy it"));
        assert!(text.contains("iris  version 1: 1,200 answers, version 2: 900 answers\n"), "{text}");
        assert!(text.contains("version 3 refused: `model.onnx` has another sha256\n"), "{text}");
    }
}
