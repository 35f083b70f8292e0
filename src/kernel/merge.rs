//! Puts the outputs of all shards for one element of the sequence into the one order of events.
//!
//! Also folds the shards' signals into Watchfire's own alerts, which stand while any group of any
//! shard is in that trouble.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kernel::engine::output::{
    Adoption, Discarded, DisputeNote, Emitted, FaultNote, Output, Phase, Signal, Trouble,
};
use crate::kernel::event::{Event, Kind};
use crate::kernel::model::{EventTime, Labels, Level, SourceId};
use crate::kernel::sequence::Derived;

#[derive(Debug, Default)]
pub struct Merge {
    standing: BTreeMap<Trouble, Standing>,
    /// Names for what the kernel knows as numbers.
    sources: BTreeMap<SourceId, Arc<str>>,
}

#[derive(Debug)]
struct Standing {
    groups: i64,
    since: EventTime,
    seq: u64,
}

/// One element's results, in order.
#[derive(Debug, Default)]
pub struct Merged {
    pub events: Vec<Arc<Event>>,
    pub faults: Vec<FaultNote>,
    pub disputes: Vec<DisputeNote>,
    pub adopted: Option<Adoption>,
    /// What a swap put out of use: dropping it takes a while.
    pub discarded: Vec<Discarded>,
}

impl Merge {
    pub fn name_source(&mut self, source: SourceId, name: Arc<str>) {
        self.sources.insert(source, name);
    }

    /// Takes every shard's output of one element.
    pub fn merge(&mut self, outputs: Vec<Output>) -> Merged {
        let mut merged = Merged::default();
        let (mut events, mut signals, mut adopted) = (Vec::new(), Vec::new(), Vec::new());
        for output in outputs {
            events.extend(output.events);
            signals.extend(output.signals);
            merged.faults.extend(output.faults);
            merged.disputes.extend(output.disputes);
            adopted.extend(output.adopted);
            merged
                .discarded
                .extend(Some(output.discarded).filter(|discarded| !discarded.is_empty()));
        }
        merged.adopted = Adoption::of(adopted);
        merged.faults.sort_by(|a, b| (&a.rule, &a.key, a.at).cmp(&(&b.rule, &b.key, b.at)));
        signals
            .sort_by(|a, b| (a.position, &a.what, -a.delta).cmp(&(b.position, &b.what, -b.delta)));
        for signal in signals {
            let (position, due) = (signal.position, signal.at);
            let event = self.take(signal).map(Arc::new);
            let own = |event| Emitted { position, phase: Phase::Sample, due, event };
            events.extend(event.map(own));
        }
        events.sort_by(|a, b| a.order(b));
        merged.events = events.into_iter().map(|emitted| emitted.event).collect();
        merged
    }

    fn take(&mut self, signal: Signal) -> Option<Event> {
        let standing = self.standing.entry(signal.what.clone()).or_insert(Standing {
            groups: 0,
            since: signal.at,
            seq: 0,
        });
        let before = standing.groups;
        standing.groups += i64::from(signal.delta);
        let kind = match (before > 0, standing.groups > 0) {
            (false, true) => Kind::Fired,
            (true, false) => Kind::Resolved,
            (false, false) | (true, true) => return None,
        };
        if kind == Kind::Fired {
            standing.since = signal.at;
        }
        standing.seq += 1;
        let (since, seq) = (standing.since, standing.seq);
        let (rule, labels, text) = self.words(&signal.what, kind);
        let own = Event::own(rule, labels, kind, Level::Warning, signal.at, text);
        let mut event = own.numbered(seq);
        (event.since, event.fired_at) = (since, Some(since));
        Some(event)
    }

    fn words(&self, what: &Trouble, kind: Kind) -> (&'static str, Labels, String) {
        let over = if kind == Kind::Resolved { "no longer: " } else { "" };
        match what {
            Trouble::DataLate { rule, source } => {
                let number = source.0.to_string();
                let source = self.sources.get(source).map_or(number.as_str(), |name| name.as_ref());
                let labels = Labels::new([("rule", rule.as_ref()), ("source", source)]);
                let text = format!(
                    "{over}all samples of a group of {rule} from {source} come too late to be \
                     judged; raise the source's lateness"
                );
                ("watchfire_data_late", labels, text)
            }
            Trouble::SeriesLimit { rule } => {
                let labels = Labels::new([("rule", rule.as_ref())]);
                let text = format!(
                    "{over}{rule} has more groups or series than its limit; new ones are folded \
                     into the overflow group"
                );
                ("watchfire_series_limit", labels, text)
            }
            Trouble::RuleUnhealthy { rule } => {
                let labels = Labels::new([("rule", rule.as_ref())]);
                let text = format!(
                    "{over}{rule} is quarantined because most of its evaluations fail; its alerts \
                     keep their state"
                );
                ("watchfire_rule_unhealthy", labels, text)
            }
        }
    }
}

/// Derived samples, those of all shards and some that waited, in the one order: by time, rule,
/// series.
pub fn derived(waited: Vec<Derived>, outputs: &mut [Output]) -> Vec<Derived> {
    let mut all = waited;
    all.extend(outputs.iter_mut().flat_map(|output| std::mem::take(&mut output.derived)));
    all.sort_by(|a, b| (a.at, a.rule, &a.series).cmp(&(b.at, b.rule, &b.series)));
    all
}
