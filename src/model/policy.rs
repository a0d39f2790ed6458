//! Which versions of a model should be in service: a pure function of what there is and what was asked for.

/// What the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The highest `n` numbers.
    Latest(usize),
    /// Every version.
    All,
    /// These, as far as they are there.
    Specific(Vec<u64>),
}

impl Default for VersionPolicy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

/// The aspired versions among those `available`, ascending; `pinned` ones (a pipeline names them by number) are aspired
/// whatever the policy says.
pub fn aspired(policy: &VersionPolicy, available: &[u64], pinned: &[u64]) -> Vec<u64> {
    let mut sorted = available.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let newest = match policy {
        VersionPolicy::Latest(count) => sorted.len().saturating_sub(*count),
        VersionPolicy::All | VersionPolicy::Specific(_) => 0,
    };
    let by_policy = |index: usize, version: &u64| match policy {
        VersionPolicy::Latest(_) | VersionPolicy::All => index >= newest,
        VersionPolicy::Specific(versions) => versions.contains(version),
    };
    let wanted =
        |(index, version): (usize, &u64)| (by_policy(index, version) || pinned.contains(version)).then_some(*version);
    sorted.iter().enumerate().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_policy_takes_what_it_says() {
        let available = [3, 1, 10, 2];
        assert_eq!(aspired(&VersionPolicy::Latest(2), &available, &[]), [3, 10]);
        assert_eq!(aspired(&VersionPolicy::All, &available, &[]), [1, 2, 3, 10]);
        assert_eq!(aspired(&VersionPolicy::Specific(vec![2, 7]), &available, &[]), [2]);
        assert_eq!(aspired(&VersionPolicy::Latest(1), &available, &[2, 9]), [2, 10]);
    }

    proptest! {
        #[test]
        fn only_what_is_there_is_aspired_and_once(
            available in prop::collection::vec(1_u64..20, 0..10),
            count in 0_usize..5,
            pinned in prop::collection::vec(1_u64..20, 0..3),
        ) {
            let versions = aspired(&VersionPolicy::Latest(count), &available, &pinned);
            prop_assert!(versions.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(versions.iter().all(|version| available.contains(version)));
        }
    }
}
