//! Which group a series belongs to, and which shard holds the group; the same on every machine.

use crate::kernel::model::{Labels, Memo, Series};
use crate::kernel::rule::selector::NamePattern;
use crate::kernel::rule::{Grouping, Rule};

/// The label that marks the one series, or group, that keys past a limit fold into.
pub const OVERFLOW: &str = "__overflow__";

/// The most shards a run can have: a series' shards are the bits of one word.
pub const SHARDS_MAX: u32 = 64;

/// The key of the group that a series falls in. A rule over several metrics (a glob) without `by`
/// has the metric's name in its keys, for the labels alone would not tell its groups apart.
/// The key's text is one of the memo if it has it.
pub fn group_key(rule: &Rule, input: u8, series: &Series, memo: &mut Memo) -> Labels {
    if series.label(OVERFLOW).is_some() {
        return overflow_key();
    }
    match &rule.by {
        Grouping::By(names) => series.pairs().only(names, memo),
        Grouping::EachSeries => match &rule.inputs[input as usize].selector.metric {
            NamePattern::Exact(_) => series.labels().clone(),
            NamePattern::Glob(_) => {
                Labels::new(series.pairs().chain([("__name__", series.name())]))
            }
        },
    }
}

pub fn overflow_key() -> Labels {
    Labels::new([(OVERFLOW, "true")])
}

/// Groups of all rules with equal keys meet on one shard.
pub fn shard_of(key: &Labels, shards: u32) -> u32 {
    assert!((1..=SHARDS_MAX).contains(&shards));
    (key.digest() % u64::from(shards)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_shard_for_ever() {
        let key = Labels::new([("host", "a")]);
        assert_eq!([1, 2, 4, 64].map(|shards| shard_of(&key, shards)), SHARDS_OF_HOST_A);
    }

    /// Written down once: another answer would scatter the state of a running cluster.
    const SHARDS_OF_HOST_A: [u32; 4] = [0, 1, 3, 47];
}
