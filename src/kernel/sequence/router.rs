//! Which shards a series' samples go to under a ruleset, and which of its groups overflow.

use std::sync::Arc;

use crate::kernel::model::lookup::Lookup;
use crate::kernel::model::{Labels, Series};
use crate::kernel::rule::Grouping;
use crate::kernel::rule::program::Fault;
use crate::kernel::rule::ruleset::{Binding, RuleIndex, Ruleset};
use crate::kernel::rule::succession::Succession;
use crate::kernel::shard::{group_key, overflow_key, shard_of};

use super::Entry;

#[derive(Debug)]
pub struct Router {
    ruleset: Arc<Ruleset>,
    shards: u32,
    groups_max: usize,
    /// For each rule, its groups and how many series each has.
    groups: Vec<Groups>,
}

#[derive(Debug, Default)]
struct Groups {
    /// By hash of the key: if two keys ever had one, the rule would get one group more than it may.
    members: Lookup<u64, u32>,
    count: usize,
    /// Series that were put into the overflow group.
    overflowed: u64,
}

/// Where a series goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// One bit for each shard.
    pub shards: u64,
    /// Rules for which it belongs to the overflow group.
    pub overflow: Vec<RuleIndex>,
    /// The inputs that take it: each with its group's key and shard, in rule order.
    pub entries: Vec<(u32, Entry)>,
    /// Closures that failed on its labels.
    pub faults: Vec<(RuleIndex, Fault)>,
}

impl Route {
    /// What one shard is told.
    pub fn entries_of(&self, shard: u32) -> Vec<Entry> {
        let own = self.entries.iter().filter(|(of, _)| *of == shard);
        own.map(|(_, entry)| entry.clone()).collect()
    }

    /// Faults are told once, by the first shard that hears of the series.
    pub fn faults_of(&self, shard: u32) -> Vec<(RuleIndex, Fault)> {
        let first = self.shards.trailing_zeros() == shard;
        if first { self.faults.clone() } else { Vec::new() }
    }
}

impl Router {
    pub fn new(ruleset: Arc<Ruleset>, shards: u32, groups_max: usize) -> Router {
        let groups = ruleset.rules().iter().map(|_| Groups::default()).collect();
        Router { ruleset, shards, groups_max, groups }
    }

    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// Series of a rule that were folded into its overflow group.
    pub fn overflowed(&self, rule: RuleIndex) -> u64 {
        self.groups[rule.index()].overflowed
    }

    /// Goes over to the next ruleset. Rules that take the same series into the same groups go on;
    /// series have yet to be [entered](Router::enter_anew) into the groups of the others.
    pub fn succeed(&mut self, succession: &Succession) {
        self.ruleset = succession.new_set().clone();
        let mut old = std::mem::take(&mut self.groups);
        let numbers = 0..succession.changes().len() as u32;
        let kept = |index: u32| {
            let was = succession.bound_before(RuleIndex(index));
            was.map(|was| std::mem::take(&mut old[was.index()])).unwrap_or_default()
        };
        self.groups = numbers.map(kept).collect();
    }

    /// Enters a series into the groups of the rules that take it.
    pub fn enter(&mut self, series: &Series) -> Route {
        self.enter_into(series, self.ruleset.bindings(series))
    }

    /// Enters a series into the groups of those rules that take series anew. `None` when none of
    /// them has anything to say of it.
    pub fn enter_anew(&mut self, series: &Series, succession: &Succession) -> Option<Route> {
        let (bindings, faults) = succession.bindings(series);
        let concerns = !bindings.is_empty() || !faults.is_empty();
        concerns.then(|| self.enter_into(series, (bindings, faults)))
    }

    fn enter_into(
        &mut self,
        series: &Series,
        (bindings, faults): (Vec<Binding>, Vec<(RuleIndex, Fault)>),
    ) -> Route {
        let entries = Vec::with_capacity(bindings.len());
        let mut route = Route { entries, faults, ..Route::default() };
        for binding in bindings {
            let rule = self.ruleset.rule(binding.rule);
            let mut key = group_key(rule, binding.input, series);
            // Rules that group alike share the key's text.
            if let Some((_, known)) = route.entries.iter().rev().find(|(_, known)| known.key == key)
            {
                key = known.key.clone();
            }
            let groups = &mut self.groups[binding.rule.index()];
            if !groups.enter(&key, &rule.by, self.groups_max) {
                route.overflow.push(binding.rule);
                key = overflow_key();
            }
            let shard = shard_of(&key, self.shards);
            route.shards |= 1 << shard;
            route.entries.push((shard, Entry { binding, key }));
        }
        route.overflow.dedup();
        route
    }

    /// Takes a retired series out of its groups; those of `overflow` it never entered.
    pub fn leave(&mut self, series: &Series, overflow: &[RuleIndex]) {
        for binding in self.ruleset.bindings(series).0 {
            if overflow.contains(&binding.rule) {
                continue;
            }
            let rule = self.ruleset.rule(binding.rule);
            let key = group_key(rule, binding.input, series);
            self.groups[binding.rule.index()].leave(&key, &rule.by);
        }
    }
}

impl Groups {
    /// False when the key would be one group too many.
    fn enter(&mut self, key: &Labels, by: &Grouping, groups_max: usize) -> bool {
        if *by == Grouping::EachSeries {
            // Every series is a group of its own: counting is enough.
            let fits = self.count < groups_max;
            self.count += usize::from(fits);
            self.overflowed += u64::from(!fits);
            return fits;
        }
        if let Some(series) = self.members.get_mut(&hash(key)) {
            *series += 1;
            return true;
        }
        if self.count >= groups_max {
            self.overflowed += 1;
            return false;
        }
        self.count += 1;
        self.members.insert(hash(key), 1);
        true
    }

    fn leave(&mut self, key: &Labels, by: &Grouping) {
        if *by == Grouping::EachSeries {
            self.count = self.count.saturating_sub(1);
            return;
        }
        let Some(series) = self.members.get_mut(&hash(key)) else { return };
        *series -= 1;
        if *series == 0 {
            self.members.remove(&hash(key));
            self.count -= 1;
        }
    }
}

fn hash(key: &Labels) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key.bytes())
}
