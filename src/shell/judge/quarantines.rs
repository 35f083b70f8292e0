//! Which rules are held back, until when, and for which plugin that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::guest::wasm::strikes::{BACKOFF_MAX, BACKOFF_MIN, Quarantine};
use crate::kernel::model::Now;

/// By rule; one that is back and does well again is forgotten.
#[derive(Default)]
pub struct Quarantines(BTreeMap<Arc<str>, Held>);

struct Held {
    /// The component that judges it.
    plugin: Option<Arc<str>>,
    quarantine: Quarantine,
    /// Whether it is tried again.
    tried: bool,
}

/// Rules, each with the component that judges it, if one does.
pub type JudgedRules = Vec<(Arc<str>, Option<Arc<str>>)>;

impl Quarantines {
    /// Takes a rule out of service, each time for longer; `None` when it is already.
    pub fn hold(
        &mut self,
        rule: &Arc<str>,
        plugin: Option<Arc<str>>,
        now: Now,
    ) -> Option<Quarantine> {
        let known = self.0.get(rule);
        if known.is_some_and(|held| !held.tried) {
            return None;
        }
        let backoff = known.map_or(BACKOFF_MIN, |held| held.quarantine.backoff * 2);
        let backoff = backoff.min(BACKOFF_MAX);
        let quarantine = Quarantine { until: now + backoff, backoff };
        self.0.insert(rule.clone(), Held { plugin, quarantine, tried: false });
        Some(quarantine)
    }

    /// Rules whose time has come, which are tried again from now on, with their plugins.
    pub fn take_due(&mut self, now: Now) -> JudgedRules {
        let due = |held: &&mut Held| !held.tried && held.quarantine.until <= now;
        let mut rules = Vec::new();
        for (rule, held) in &mut self.0 {
            if let Some(held) = Some(held).filter(due) {
                held.tried = true;
                rules.push((rule.clone(), held.plugin.clone()));
            }
        }
        rules
    }

    /// Rules that another version of theirs brought back, or that are gone: all but those in
    /// `still`.
    pub fn take_lifted(&mut self, still: &BTreeSet<Arc<str>>) -> JudgedRules {
        let is_lifted = |rule: &Arc<str>, held: &Held| !held.tried && !still.contains(rule);
        let lifted = self.0.iter().filter(|(rule, held)| is_lifted(rule, held));
        let lifted: Vec<_> =
            lifted.map(|(rule, held)| (rule.clone(), held.plugin.clone())).collect();
        self.0.retain(|rule, held| !is_lifted(rule, held));
        lifted
    }

    /// A rule that was tried does well.
    pub fn does_well(&mut self, rule: &str) {
        if self.0.get(rule).is_some_and(|held| held.tried) {
            self.0.remove(rule);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rules that are out of service now.
    pub fn out(&self) -> BTreeMap<Arc<str>, Quarantine> {
        let out = self.0.iter().filter(|(_, held)| !held.tried);
        out.map(|(rule, held)| (rule.clone(), held.quarantine)).collect()
    }
}

/// Rules by the plugin that judges them; those of scripts have none and are left out.
pub fn by_plugin<T>(rules: Vec<(T, Option<Arc<str>>)>) -> BTreeMap<Arc<str>, Vec<T>> {
    let mut plugins: BTreeMap<Arc<str>, Vec<T>> = BTreeMap::new();
    for (rule, plugin) in rules {
        if let Some(plugin) = plugin {
            plugins.entry(plugin).or_default().push(rule);
        }
    }
    plugins
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::Duration;

    fn at(seconds: i64) -> Now {
        Now::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn each_time_it_is_held_twice_as_long_until_it_does_well() {
        let (mut held, rule) = (Quarantines::default(), Arc::<str>::from("hot"));
        let mut now = 100;
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let quarantine = held.hold(&rule, None, at(now)).expect("it is in service");
            assert_eq!(quarantine.backoff, Duration::from_secs(seconds));
            assert_eq!(held.hold(&rule, None, at(now)), None, "it is out already");
            held.does_well(&rule);
            now += seconds;
            let almost = Now::from_nanos(at(now).nanos() - 1);
            assert_eq!(held.take_due(almost), []);
            assert_eq!(held.out().len(), 1);
            assert_eq!(held.take_due(at(now)), [(rule.clone(), None)]);
            assert_eq!((held.take_due(at(now)), held.out().len()), (vec![], 0), "once");
        }
        held.does_well(&rule);
        assert!(held.is_empty());
        let again = held.hold(&rule, None, at(now)).expect("it is in service");
        assert_eq!(again.backoff, BACKOFF_MIN);
    }

    #[test]
    fn another_version_lifts_it() {
        let mut held = Quarantines::default();
        let (a, b, plugin) = (Arc::<str>::from("a"), Arc::<str>::from("b"), Arc::<str>::from("p"));
        held.hold(&a, Some(plugin.clone()), at(0));
        held.hold(&b, None, at(0));
        let still = BTreeSet::from([b.clone()]);
        let lifted = held.take_lifted(&still);
        assert_eq!(by_plugin(lifted), BTreeMap::from([(plugin, vec![a])]));
        assert_eq!(held.out().into_keys().collect::<Vec<_>>(), [b]);
    }
}
