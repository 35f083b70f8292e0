//! The way of a new ruleset into the sequence.

use std::sync::Arc;

use crate::kernel::rule::succession::Succession;

use super::retention::Retention;
use super::samples::introduction;
use super::sequencer::Sequencer;
use super::{Input, Swap};

impl Sequencer {
    /// Series are looked over only for rules that take series anew.
    pub(super) fn swap(&mut self, succession: &Arc<Succession>) -> Vec<Input> {
        assert_eq!(self.ruleset().version(), succession.old().version());
        let (position, watermark) = (self.take_position(), self.watermark);
        let ruleset = succession.new_set();
        self.recorded.retain_mut(|derived| {
            let rule = succession.heir(derived.rule);
            derived.rule = rule.unwrap_or(derived.rule);
            rule.is_some() && ruleset.records()
        });
        self.retention = Retention::under(ruleset);
        self.router.succeed(succession);
        if succession.renumbers() {
            self.table.renumber(|was| succession.bound_heir(was));
        }
        let mut introduced = vec![Vec::new(); self.shards as usize];
        let known = succession.binds().then(|| self.table.numbers()).into_iter().flatten();
        for id in known {
            let Some(series) = self.table.get(id) else { continue };
            let Some(route) = self.router.enter_anew(series, succession) else { continue };
            let series = series.clone();
            if !route.overflow.is_empty() {
                let overflow = [self.table.overflowing(id), route.overflow.as_slice()].concat();
                self.table.set_overflowing(id, &overflow);
            }
            // A shard that held the series goes on holding it: its samples may be needed again.
            self.table.set_shards(id, self.table.shards(id) | route.shards);
            for (shard, list) in introduced.iter_mut().enumerate() {
                if route.shards >> shard & 1 == 1 {
                    let (place, series) = ((position, watermark), series.clone());
                    list.push(introduction(place, (id, series), &route, shard as u32));
                }
            }
        }
        let told = |introduced| {
            let succession = succession.clone();
            Input::Swap(Swap { position, succession, introduced })
        };
        introduced.into_iter().map(told).collect()
    }
}
