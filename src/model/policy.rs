//! Which versions of a model should be in service: a pure function of what there is and what was asked for.

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

    proptest! {
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
