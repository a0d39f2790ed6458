//! Which versions of a model should be in service, and which one is when none of those can be: pure functions of what there
//! is, what was asked for, and what became of it.

use std::cmp::Reverse;

use crate::{codec::labels::Labels, request::VersionChoice, tensor::Name};

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The highest `n` numbers.
    Latest(usize),
    /// Every version.
    All,
    /// These, as far as they are there.
    Specific(Vec<u64>),
    /// Those that these labels name, as far as they are there.
    Labels(Vec<Name>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

/// What pipelines name of a model, whatever the policy says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// By number.
    pub versions: Vec<u64>,
    /// By label.
    pub labels: Vec<Name>,
}

impl Pins {
    /// Adds what a pipeline names; the latest is what the policy makes it.
    pub fn add(&mut self, version: &VersionChoice) {
        match version {
            VersionChoice::Latest => {}
            VersionChoice::Number(number) => self.versions.push(*number),
            VersionChoice::Label(label) => self.labels.push(label.clone()),
        }
    }
}

/// The aspired versions among those `available`, ascending and each once: what the policy takes, and what `pins` names.
///
/// `available` are the versions that are complete, hence "latest" is the highest number that could serve, and when it is
/// deleted, the one before it. A label or a number of something that is not there adds nothing.
pub fn aspired(policy: &VersionPolicy, available: &[u64], labels: &Labels, pins: &Pins) -> Vec<u64> {
    let mut sorted = available.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let named = |names: &[Name], version: u64| names.iter().any(|name| labels.get(name) == Some(&version));
    let newest = match policy {
        VersionPolicy::Latest(count) => sorted.len().saturating_sub(*count),
        _ => 0,
    };
    let by_policy = |index: usize, version: u64| match policy {
        VersionPolicy::Latest(_) | VersionPolicy::All => index >= newest,
        VersionPolicy::Specific(versions) => versions.contains(&version),
        VersionPolicy::Labels(names) => named(names, version),
    };
    let wanted =
        |index, version| by_policy(index, version) || pins.versions.contains(&version) || named(&pins.labels, version);
    sorted.iter().enumerate().filter_map(|(index, version)| wanted(index, *version).then_some(*version)).collect()
}

/// So many versions before the latest may stand in for it. With that many in a row that fail, it is not the versions that are
/// broken; and who has hundreds of them must not have all fetched, to the harm of others in the disk cache.
const STAND_INS: usize = 8;

/// The versions that may stand in while none of the `aspired` ones can serve: those before the latest, the nearest ones,
/// ascending. There are none for whoever asks for certain versions: those are meant and no others.
pub fn older(policy: &VersionPolicy, available: &[u64], aspired: &[u64]) -> Vec<u64> {
    let VersionPolicy::Latest(_) = policy else { return Vec::new() };
    let mut older: Vec<_> = available.iter().copied().filter(|version| !aspired.contains(version)).collect();
    older.sort_unstable();
    older.split_off(older.len().saturating_sub(STAND_INS))
}

/// What has become of a version, from bad to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate<T> {
    /// It cannot be served; when it is tried again.
    Failed(Reverse<T>),
    /// It has not been tried yet.
    Open,
    /// It serves, or has served and comes back when somebody asks.
    Good,
}

/// The one of the `older` versions that stands in for those that should be there: none unless all of them have failed.
///
/// Then the highest that is good, and what stands in goes on however others fare; else the highest that was not tried yet, so
/// that each gets its turn, the nearest first; else, when all have failed, the one that is tried again first.
pub fn stand_in<T: Ord>(
    aspired: impl IntoIterator<Item = Fate<T>>,
    older: impl IntoIterator<Item = (u64, Fate<T>)>,
) -> Option<u64> {
    let mut aspired = aspired.into_iter().peekable();
    aspired.peek()?;
    if !aspired.all(|fate| matches!(fate, Fate::Failed(_))) {
        return None;
    }
    older.into_iter().map(|(version, fate)| (fate, version)).max().map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Labels {
        [("stable".into(), 2), ("canary".into(), 3), ("lost".into(), 99)].into()
    }

    fn pins(versions: &[u64], labels: &[&str]) -> Pins {
        Pins { versions: versions.to_vec(), labels: labels.iter().map(|label| (*label).into()).collect() }
    }

    #[test]
    fn each_policy_takes_what_it_says() {
        let none = Pins::default();
        let of = |policy| aspired(&policy, &[3, 1, 10, 2], &labels(), &none);
        assert_eq!(of(VersionPolicy::Latest(2)), [3, 10]);
        assert_eq!(of(VersionPolicy::All), [1, 2, 3, 10]);
        assert_eq!(of(VersionPolicy::Specific(vec![2, 7])), [2]);
        assert_eq!(of(VersionPolicy::Labels(vec!["canary".into(), "stable".into(), "lost".into()])), [2, 3]);
        assert_eq!(of(VersionPolicy::Labels(vec!["nobody's".into()])), [0_u64; 0]);
    }

    #[test]
    fn what_pipelines_name_is_in_service_besides() {
        let of = |pins| aspired(&VersionPolicy::Latest(1), &[1, 2, 3, 10], &labels(), &pins);
        assert_eq!(of(pins(&[1, 9], &[])), [1, 10]);
        assert_eq!(of(pins(&[], &["stable", "lost"])), [2, 10]);
        let mut named = Pins::default();
        for text in ["latest", "1", "canary"] {
            named.add(&VersionChoice::of(text).unwrap());
        }
        assert_eq!(named, pins(&[1], &["canary"]));
    }

    #[test]
    fn without_the_newest_the_one_before_it_is_the_latest() {
        let latest = |available: &[u64]| aspired(&VersionPolicy::default(), available, &labels(), &Pins::default());
        assert_eq!(latest(&[1, 2, 3]), [3]);
        assert_eq!(latest(&[1, 2]), [2]);
    }

    #[test]
    fn the_nearest_versions_before_the_latest_may_stand_in_and_none_for_those_that_were_named() {
        let all: Vec<_> = (1..=20).rev().collect();
        let older = |policy: &VersionPolicy, pins: &Pins| older(policy, &all, &aspired(policy, &all, &labels(), pins));
        assert_eq!(older(&VersionPolicy::Latest(1), &Pins::default()), (12..20).collect::<Vec<_>>());
        assert_eq!(older(&VersionPolicy::Latest(18), &Pins::default()), [1, 2]);
        assert_eq!(older(&VersionPolicy::Latest(17), &pins(&[2], &[])), [1, 3]);
        for policy in [
            VersionPolicy::All,
            VersionPolicy::Specific(vec![7, 9]),
            VersionPolicy::Labels(vec!["stable".into(), "canary".into()]),
        ] {
            assert_eq!(older(&policy, &Pins::default()), [0_u64; 0], "{policy:?}");
        }
    }

    fn failed(again: u32) -> Fate<u32> {
        Fate::Failed(Reverse(again))
    }

    #[test]
    fn nothing_stands_in_while_one_that_should_be_there_serves_or_may_yet() {
        let older = [(1, Fate::Good), (2, Fate::Open)];
        for aspired in
            [vec![], vec![Fate::Open], vec![Fate::Good], vec![failed(1), Fate::Open], vec![Fate::Good, failed(1)]]
        {
            assert_eq!(stand_in(aspired.clone(), older), None, "{aspired:?}");
        }
        assert_eq!(stand_in([failed(1)], []), None);
    }

    #[test]
    fn the_nearest_one_stands_in_and_what_stands_in_goes_on() {
        let of = |older: &[(u64, Fate<u32>)]| stand_in([failed(1), failed(2)], older.iter().copied());
        assert_eq!(of(&[(1, Fate::Open), (2, Fate::Open)]), Some(2));
        assert_eq!(of(&[(1, Fate::Open), (2, failed(1))]), Some(1));
        assert_eq!(of(&[(1, Fate::Good), (2, Fate::Open), (3, failed(1))]), Some(1));
        assert_eq!(of(&[(1, failed(5)), (2, failed(7)), (3, failed(7))]), Some(1));
        assert_eq!(of(&[(1, failed(7)), (2, failed(5)), (3, failed(5))]), Some(3));
    }

    fn fates() -> impl Strategy<Value = Vec<Fate<u32>>> {
        let fate = prop_oneof![Just(Fate::Good), Just(Fate::Open), (0_u32..4).prop_map(failed)];
        prop::collection::vec(fate, 0..8)
    }

    /// Version 1 first.
    fn numbered(fates: &[Fate<u32>]) -> impl Iterator<Item = (u64, Fate<u32>)> {
        (1..).zip(fates.iter().copied())
    }

    proptest! {
        #[test]
        fn what_stands_in_changes_only_when_it_fails_or_is_needed_no_more(aspired in fates(), older in fates()) {
            let Some(first) = stand_in(aspired.clone(), numbered(&older)) else {
                let may_serve = aspired.iter().any(|fate| !matches!(fate, Fate::Failed(_)));
                prop_assert!(aspired.is_empty() || may_serve || older.is_empty());
                return Ok(());
            };
            let mut later = older.clone();
            later[first as usize - 1] = Fate::Good;
            for other in later.iter_mut().filter(|fate| **fate != Fate::Good) {
                *other = if *other == Fate::Open { failed(9) } else { Fate::Open };
            }
            prop_assert_eq!(stand_in(aspired, numbered(&later)), Some(first));
        }

        #[test]
        fn every_version_is_tried_from_the_highest_down_before_one_is_tried_again(count in 1_usize..9) {
            let mut fates = vec![Fate::Open; count];
            let mut turns = Vec::new();
            for now in 0..2 * count as u32 {
                let turn = stand_in([failed(0)], numbered(&fates)).unwrap();
                fates[turn as usize - 1] = failed(now + 10);
                turns.push(turn);
            }
            let down: Vec<_> = (1..=count as u64).rev().collect();
            prop_assert_eq!(turns, [down.clone(), down].concat());
        }

        #[test]
        fn only_what_is_there_is_aspired_and_once(
            available in prop::collection::vec(1_u64..20, 0..10),
            policy in prop_oneof![
                (0_usize..5).prop_map(VersionPolicy::Latest),
                Just(VersionPolicy::All),
                prop::collection::vec(1_u64..20, 0..4).prop_map(VersionPolicy::Specific),
                Just(VersionPolicy::Labels(vec!["stable".into(), "lost".into()])),
            ],
            pinned in prop::collection::vec(1_u64..20, 0..3),
        ) {
            let versions = aspired(&policy, &available, &labels(), &pins(&pinned, &["canary"]));
            prop_assert!(versions.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(versions.iter().all(|version| available.contains(version)));
            prop_assert!(pinned.iter().all(|version| versions.contains(version) || !available.contains(version)));
        }
    }
}
