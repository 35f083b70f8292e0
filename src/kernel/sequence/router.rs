//! Which shards a series' samples go to under a ruleset, and which of its groups overflow.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::kernel::model::census::Census;
use crate::kernel::model::{Labels, Memo, Series};
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
    /// For each rule, the place of its groups. Rules share them that began together, take the same
    /// series and group them alike.
    place_of: Vec<u32>,
    groups: Vec<Groups>,
    /// Groups' keys, which rules share.
    keys: Memo,
}

#[derive(Debug, Default)]
struct Groups {
    /// Series by hash of their group's key. Where two keys count as one there is one group more
    /// than there may be.
    series: Census,
    /// Where every series is a group of its own: how many there are.
    each: usize,
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
        let (place_of, groups, keys) = (Vec::new(), Vec::new(), Memo::new());
        let mut router = Router { ruleset, shards, groups_max, place_of, groups, keys };
        router.find_places(|_| None);
        router
    }

    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }

    /// Series of a rule that were folded into its overflow group.
    pub fn overflowed(&self, rule: RuleIndex) -> u64 {
        self.groups[self.place_of[rule.index()] as usize].overflowed
    }

    /// Goes over to the next ruleset. Rules that take the same series into the same groups go on;
    /// series have yet to be [entered](Router::enter_anew) into the groups of the others.
    pub fn succeed(&mut self, succession: &Succession) {
        self.ruleset = succession.new_set().clone();
        let before = std::mem::take(&mut self.place_of);
        self.find_places(|index| succession.bound_before(index).map(|was| before[was.index()]));
    }

    /// Gives each rule its place: that which it had before, or a new one.
    fn find_places(&mut self, before: impl Fn(RuleIndex) -> Option<u32>) {
        let mut old = std::mem::take(&mut self.groups);
        let mut moved: BTreeMap<u32, u32> = BTreeMap::new();
        let mut alike: BTreeMap<String, u32> = BTreeMap::new();
        let groups = &mut self.groups;
        let mut begin = |begun: Groups| {
            groups.push(begun);
            groups.len() as u32 - 1
        };
        let rules = self.ruleset.rules().iter().enumerate();
        self.place_of = rules
            .map(|(index, rule)| match (before(RuleIndex(index as u32)), rule.binds_by()) {
                (Some(was), _) => *moved
                    .entry(was)
                    .or_insert_with(|| begin(std::mem::take(&mut old[was as usize]))),
                (None, Some(text)) => {
                    *alike.entry(text).or_insert_with(|| begin(Groups::default()))
                }
                (None, None) => begin(Groups::default()),
            })
            .collect();
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
        // Where this series was entered: (place, input, the first of its entries).
        let mut entered: SmallVec<[(u32, u8, usize); 8]> = SmallVec::new();
        for binding in bindings {
            let place = self.place_of[binding.rule.index()];
            let known = entered.iter().find(|known| (known.0, known.1) == (place, binding.input));
            if let Some((_, _, first)) = known {
                let (shard, Entry { binding: theirs, key }) = route.entries[*first].clone();
                if route.overflow.contains(&theirs.rule) {
                    route.overflow.push(binding.rule);
                }
                route.entries.push((shard, Entry { binding, key }));
                continue;
            }
            entered.push((place, binding.input, route.entries.len()));
            let rule = self.ruleset.rule(binding.rule);
            let mut key = group_key(rule, binding.input, series, &mut self.keys);
            let groups = &mut self.groups[place as usize];
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
        let mut left: SmallVec<[(u32, u8); 8]> = SmallVec::new();
        for binding in self.ruleset.bindings(series).0 {
            let place = self.place_of[binding.rule.index()];
            if overflow.contains(&binding.rule) || left.contains(&(place, binding.input)) {
                continue;
            }
            left.push((place, binding.input));
            let rule = self.ruleset.rule(binding.rule);
            let key = group_key(rule, binding.input, series, &mut Memo::of_nothing());
            self.groups[place as usize].leave(&key, &rule.by);
        }
    }
}

impl Groups {
    /// False when the key would be one group too many.
    fn enter(&mut self, key: &Labels, by: &Grouping, groups_max: usize) -> bool {
        let fits = match by {
            // Counting is enough.
            Grouping::EachSeries => self.each < groups_max,
            Grouping::By(_) => self.series.enter(key.digest(), groups_max),
        };
        self.each += usize::from(fits && *by == Grouping::EachSeries);
        self.overflowed += u64::from(!fits);
        fits
    }

    fn leave(&mut self, key: &Labels, by: &Grouping) {
        match by {
            Grouping::EachSeries => self.each = self.each.saturating_sub(1),
            Grouping::By(_) => self.series.leave(key.digest()),
        }
    }
}
