//! What the sequence says to a shard besides rows and rules: sources that come and go, groups to be
//! forgotten, rules to be let alone.

use crate::kernel::event::Cause;
use crate::kernel::model::{EventTime, Labels, SourceId};

use super::Engine;
use super::output::Output;

impl Engine {
    /// A source was lost (`None`), or is listened to again since a time.
    pub(super) fn listen(
        &mut self,
        position: u64,
        source: SourceId,
        since: Option<EventTime>,
        out: &mut Output,
    ) {
        self.position = position;
        self.listening.tell(source, since);
        for rule in 0..self.runs.len() as u32 {
            self.with_rule(rule, Some(source), out, |run, context| {
                for group in run.groups.numbers() {
                    run.sync(context.latest, group);
                    if run.groups[group].now.recent.source == Some(source) {
                        run.rouse(context.latest, group);
                        run.schedule(context, group);
                    }
                }
            });
        }
    }

    pub(super) fn forget(&mut self, position: u64, rule: &str, key: &Labels, out: &mut Output) {
        self.position = position;
        let Some(rule) = self.ruleset.find(rule) else { return };
        let at = self.watermark;
        self.with_rule(rule.0, None, out, |run, context| {
            if let Some(group) = run.group_of(key) {
                run.rouse(context.latest, group);
                run.end_group(context, group, at, Cause::Forgotten);
                run.drop_group(context, group);
            }
        });
    }

    pub(super) fn quarantine(&mut self, position: u64, rule: &str, on: bool, out: &mut Output) {
        self.position = position;
        let Some(rule) = self.ruleset.find(rule) else { return };
        let first = self.shard == 0;
        self.with_rule(rule.0, None, out, |run, context| {
            if run.quarantined == on {
                return;
            }
            run.quarantined = on;
            run.rouse_all(context.latest);
            if first {
                run.signal(context, run.unhealthy(), if on { 1 } else { -1 });
            }
            if !on {
                for group in run.groups.numbers() {
                    run.groups[group].end_faults();
                    run.groups[group].stale = true;
                }
            }
        });
    }
}
