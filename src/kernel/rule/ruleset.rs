//! All rules at once: checked together, layered, indexed by metric name, with one version.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::program::{Fault, RulePlugin};
use super::selector::{NamePattern, Selector};
use super::{Judge, Rule};
use crate::kernel::model::lookup::Lookup;
use crate::kernel::model::{Duration, Series, Version};

/// A rule's place in its ruleset. Rules are sorted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u32);

impl RuleIndex {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One input of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    pub rule: RuleIndex,
    pub input: u8,
}

#[derive(Debug)]
pub struct Ruleset {
    version: Version,
    rules: Vec<Arc<Rule>>,
    plugins: Vec<Arc<dyn RulePlugin>>,
    /// For each rule: 0 when it reads no recorded series, else one more than the deepest producer.
    layers: Vec<u8>,
    /// For each rule: how far behind the watermark its time is (its own lateness and that of the
    /// rules that feed it).
    delays: Vec<Duration>,
    /// Both are asked for at every watermark step.
    depth: u8,
    records: bool,
    index: Index,
    /// [`Rule::remembers`] of the rule that remembers longest.
    remembers: Duration,
}

/// Inputs by the metric that they take.
#[derive(Debug)]
pub struct Index {
    exact: Lookup<Arc<str>, Named>,
    globs: Vec<Binding>,
}

/// The inputs that name one metric. Those that also want a label to have a value lie under it, so
/// that a thousand rules for a thousand services cost a series no more than one rule.
#[derive(Debug, Default)]
struct Named {
    all: Vec<Binding>,
    /// By label, then by value.
    labelled: Vec<(Arc<str>, ByValue)>,
}

type ByValue = Lookup<Arc<str>, Vec<Binding>>;

/// Why a set of rules cannot stand together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two files declare one name.
    SameName { rule: Arc<str>, first: super::Origin, second: super::Origin },
    /// Recording rules that feed each other.
    Cycle { rules: Vec<Arc<str>> },
    /// A rule names a plugin that is not in the set.
    NoPlugin { rule: Arc<str>, plugin: Arc<str> },
}

impl fmt::Display for Conflict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::SameName { rule, first, second } => {
                write!(out, "rule `{rule}` is declared twice, at {first} and at {second}")
            }
            Conflict::Cycle { rules } => {
                write!(out, "recording rules feed each other in a circle: {}", rules.join(" -> "))
            }
            Conflict::NoPlugin { rule, plugin } => {
                write!(out, "rule `{rule}` needs the plugin `{plugin}`, which is not loaded")
            }
        }
    }
}

impl Ruleset {
    pub fn empty() -> Ruleset {
        Ruleset::new(Vec::new(), Vec::new()).expect("no rules cannot conflict")
    }

    pub fn new(
        rules: Vec<Arc<Rule>>,
        plugins: Vec<Arc<dyn RulePlugin>>,
    ) -> Result<Ruleset, Conflict> {
        let (mut rules, mut plugins) = (rules, plugins);
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        plugins.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(pair) = rules.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(Conflict::SameName {
                rule: pair[0].name.clone(),
                first: pair[0].origin.clone(),
                second: pair[1].origin.clone(),
            });
        }
        for rule in &rules {
            if let Judge::Guest(guest) = &rule.judge
                && !plugins.iter().any(|plugin| plugin.name() == guest.plugin.as_ref())
            {
                let (rule, plugin) = (rule.name.clone(), guest.plugin.clone());
                return Err(Conflict::NoPlugin { rule, plugin });
            }
        }
        let producers = producers(&rules);
        let layers = layers(&rules, &producers)?;
        let delays = delays(&rules, &producers, &layers);
        let all: Vec<RuleIndex> = (0..rules.len() as u32).map(RuleIndex).collect();
        let index = Index::of(&rules, &all);
        let remembers = rules.iter().map(|rule| rule.remembers()).max().unwrap_or(Duration::ZERO);
        let version = version_of(&rules, &plugins);
        let depth = layers.iter().max().map_or(1, |deepest| deepest + 1);
        let records = rules.iter().any(|rule| rule.record.is_some());
        Ok(Ruleset { version, rules, plugins, layers, delays, depth, records, index, remembers })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    pub fn plugins(&self) -> &[Arc<dyn RulePlugin>] {
        &self.plugins
    }

    pub fn rule(&self, index: RuleIndex) -> &Arc<Rule> {
        &self.rules[index.index()]
    }

    pub fn find(&self, name: &str) -> Option<RuleIndex> {
        let found = self.rules.binary_search_by(|rule| rule.name.as_ref().cmp(name)).ok()?;
        Some(RuleIndex(found as u32))
    }

    pub fn layer(&self, index: RuleIndex) -> u8 {
        self.layers[index.index()]
    }

    /// The number of layers; 1 when no rule reads a recorded series.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// Whether any rule emits a series.
    pub fn records(&self) -> bool {
        self.records
    }

    pub fn delay(&self, index: RuleIndex) -> Duration {
        self.delays[index.index()]
    }

    /// How long any rule remembers a silent group.
    pub fn remembers(&self) -> Duration {
        self.remembers
    }

    /// The inputs that take a series, in rule order, and the closures that failed on its labels.
    pub fn bindings(&self, series: &Series) -> (Vec<Binding>, Vec<(RuleIndex, Fault)>) {
        self.index.bindings(&self.rules, series)
    }
}

impl Index {
    /// The inputs of some of the rules.
    pub fn of(rules: &[Arc<Rule>], some: &[RuleIndex]) -> Index {
        let mut exact: BTreeMap<Arc<str>, Named> = BTreeMap::new();
        let mut globs = Vec::new();
        for rule in some {
            for (input, declared) in rules[rule.index()].inputs.iter().enumerate() {
                let binding = Binding { rule: *rule, input: input as u8 };
                match &declared.selector.metric {
                    NamePattern::Exact(name) => {
                        exact.entry(name.clone()).or_default().add(binding, &declared.selector);
                    }
                    NamePattern::Glob(_) => globs.push(binding),
                }
            }
        }
        let mut lookup = Lookup::default();
        for (name, named) in exact {
            lookup.insert(name, named);
        }
        Index { exact: lookup, globs }
    }

    /// Those of the inputs that take a series, in rule order, and the closures that failed on its
    /// labels. `rules` are those that it was made of.
    pub fn bindings(
        &self,
        rules: &[Arc<Rule>],
        series: &Series,
    ) -> (Vec<Binding>, Vec<(RuleIndex, Fault)>) {
        let (mut taken, mut faults) = (Vec::new(), Vec::new());
        let named = self.exact.get(series.name()).into_iter();
        for binding in named.flat_map(|named| named.candidates(series)).chain(&self.globs) {
            let input = &rules[binding.rule.index()].inputs[binding.input as usize];
            match input.selector.takes(series) {
                Ok(true) => taken.push(*binding),
                Ok(false) => {}
                Err(fault) => faults.push((binding.rule, fault)),
            }
        }
        taken.sort();
        (taken, faults)
    }
}

impl Named {
    fn add(&mut self, binding: Binding, selector: &Selector) {
        let Some((label, value)) = selector.wanted_label() else { return self.all.push(binding) };
        let known = self.labelled.iter().position(|(known, _)| known == label);
        let at = known.unwrap_or_else(|| {
            self.labelled.push((label.clone(), Lookup::default()));
            self.labelled.len() - 1
        });
        let values = &mut self.labelled[at].1;
        match values.get_mut(value) {
            Some(bindings) => bindings.push(binding),
            None => {
                values.insert(value.clone(), vec![binding]);
            }
        }
    }

    /// Every input that may take the series, and few others.
    fn candidates<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = &'a Binding> {
        let wanted = self
            .labelled
            .iter()
            .filter_map(|(label, values)| series.label(label).and_then(|value| values.get(value)));
        self.all.iter().chain(wanted.flatten())
    }
}

/// For each rule, the recording rules whose series it may read.
fn producers(rules: &[Arc<Rule>]) -> Vec<Vec<usize>> {
    let records: Vec<(usize, &Arc<str>)> = rules
        .iter()
        .enumerate()
        .filter_map(|(at, rule)| rule.record.as_ref().map(|record| (at, &record.name)))
        .collect();
    let reads =
        |rule: &Rule, name: &str| rule.inputs.iter().any(|input| input.selector.metric.takes(name));
    rules
        .iter()
        .map(|rule| {
            records.iter().filter(|(_, name)| reads(rule, name)).map(|(at, _)| *at).collect()
        })
        .collect()
}

/// Longest path from a rule without producers. Rules are taken in turn once all of their producers
/// have a layer; when none can be taken, those left hold a circle.
fn layers(rules: &[Arc<Rule>], producers: &[Vec<usize>]) -> Result<Vec<u8>, Conflict> {
    let mut layers: Vec<Option<u8>> = vec![None; rules.len()];
    let mut open: BTreeSet<usize> = (0..rules.len()).collect();
    while !open.is_empty() {
        let ready: Vec<usize> = open
            .iter()
            .copied()
            .filter(|rule| producers[*rule].iter().all(|producer| layers[*producer].is_some()))
            .collect();
        if ready.is_empty() {
            return Err(Conflict::Cycle { rules: circle(rules, producers, &open) });
        }
        for rule in ready {
            let deepest = producers[rule].iter().filter_map(|producer| layers[*producer]).max();
            layers[rule] = Some(deepest.map_or(0, |layer| layer.saturating_add(1)));
            open.remove(&rule);
        }
    }
    Ok(layers.into_iter().map(|layer| layer.expect("every rule was taken")).collect())
}

/// Follows producers among the rules left over until one comes up again.
fn circle(rules: &[Arc<Rule>], producers: &[Vec<usize>], open: &BTreeSet<usize>) -> Vec<Arc<str>> {
    let mut path = vec![*open.first().expect("a circle has rules")];
    loop {
        let last = *path.last().expect("the path is never empty");
        let next = producers[last]
            .iter()
            .copied()
            .find(|producer| open.contains(producer))
            .expect("a rule left over waits for another one");
        if let Some(start) = path.iter().position(|seen| *seen == next) {
            path.push(next);
            return path[start..].iter().map(|at| rules[*at].name.clone()).collect();
        }
        path.push(next);
    }
}

fn delays(rules: &[Arc<Rule>], producers: &[Vec<usize>], layers: &[u8]) -> Vec<Duration> {
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|rule| layers[*rule]);
    let mut delays = vec![Duration::ZERO; rules.len()];
    for rule in order {
        let fed = producers[rule].iter().map(|producer| delays[*producer]).max();
        delays[rule] = rules[rule].lateness + fed.unwrap_or(Duration::ZERO);
    }
    delays
}

fn version_of(rules: &[Arc<Rule>], plugins: &[Arc<dyn RulePlugin>]) -> Version {
    let mut text = Vec::new();
    for rule in rules {
        text.extend_from_slice(rule.name.as_bytes());
        text.push(0xFF);
        text.extend_from_slice(&rule.version.0.to_le_bytes());
    }
    for plugin in plugins {
        text.extend_from_slice(plugin.name().as_bytes());
        text.push(0xFF);
        text.extend_from_slice(&plugin.digest().to_le_bytes());
    }
    Version(xxhash_rust::xxh3::xxh3_64(&text))
}
