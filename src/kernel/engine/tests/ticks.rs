//! Components that judge samples hear of the time, and may say something of a series that says
//! nothing any more. The component here is plain Rust.

use std::sync::Arc;

use super::kit::*;
use crate::kernel::model::SeriesId;
use crate::kernel::rule::GuestRule;
use crate::kernel::rule::program::{
    Fault, GuestRows, GuestVerdict, GuestVerdicts, RuleInstance, RulePlugin, WindowRows,
};
use crate::kernel::rule::ruleset::Ruleset;

/// Breaches for a series that was silent for ten seconds.
#[derive(Debug)]
struct Deadman;

/// When each series spoke last, by its number.
#[derive(Default)]
struct Watch(Vec<(u32, i64)>);

impl RulePlugin for Deadman {
    fn name(&self) -> &str {
        "deadman"
    }
    fn digest(&self) -> u64 {
        1
    }
    fn instance(&self) -> Result<Box<dyn RuleInstance>, Fault> {
        Ok(Box::new(Watch::default()))
    }
}

impl RuleInstance for Watch {
    fn intern(&mut self, added: &[(SeriesId, Series)]) -> Result<(), Fault> {
        self.0.extend(added.iter().map(|(id, _)| (id.0, 0)));
        Ok(())
    }
    fn forget(&mut self, removed: &[SeriesId]) {
        self.0.retain(|(id, _)| !removed.contains(&SeriesId(*id)));
    }
    fn spare_rows(&mut self) -> GuestRows {
        GuestRows::default()
    }
    fn evaluate(&mut self, _: u32, rows: GuestRows, _: &mut GuestVerdicts) -> Result<(), Fault> {
        for (series, at) in rows.series.iter().zip(rows.at) {
            self.0.iter_mut().filter(|(id, _)| id == series).for_each(|known| known.1 = at);
        }
        Ok(())
    }
    fn tick(&mut self, _: u32, now: EventTime, out: &mut GuestVerdicts) -> Result<(), Fault> {
        let silent = self.0.iter().filter(|(_, at)| now.nanos() - at >= 10_000_000_000);
        let breach = |(row, _): &(u32, i64)| {
            let (level, value, message) = (Level::Warning, None, None);
            GuestVerdict { row: *row, level, value, message }
        };
        out.breaches.extend(silent.map(breach));
        Ok(())
    }
    fn intern_groups(&mut self, _: u32, _: &[(u32, Labels)]) -> Result<(), Fault> {
        unreachable!("it judges samples")
    }
    fn forget_groups(&mut self, _: u32, _: &[u32]) {
        unreachable!("it judges samples")
    }
    fn evaluate_windows(
        &mut self,
        _: u32,
        _: &WindowRows<'_>,
        _: &mut GuestVerdicts,
    ) -> Result<(), Fault> {
        unreachable!("it judges samples")
    }
    fn save(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), Fault> {
        unreachable!("nothing was saved")
    }
}

/// Whether its series expired before or after the component speaks.
#[test]
fn what_a_component_says_of_a_silent_series_fires_its_alert() {
    for expire in ["5s", "9s", "10s", "11s", "1m"] {
        let rule = rule("dead", "beat").by(&["host"]).expire(expire).make();
        let mut rule = Arc::unwrap_or_clone(rule);
        let (plugin, reads) = ("deadman".into(), [].into());
        rule.judge = Judge::Guest(GuestRule { plugin, index: 0, reads, highest: Level::Warning });
        let ruleset = Ruleset::new(vec![Arc::new(rule)], vec![Arc::new(Deadman)]);
        let mut machine = Machine::new(Limits::default(), 1, EventTime::MIN);
        machine.step(Arrived::Swap(Arc::new(ruleset.expect("one rule"))));
        open(&mut machine, 0);
        let feed = "0s beat{host=a} 1 | 9s up{} 1 | 30s up{} 1";
        let lines = run_lines(&mut machine, feed, 1, false);
        let fired: Vec<_> = lines.iter().filter(|line| line.contains("fired")).collect();
        assert_eq!(fired.len(), 1, "{expire}: {lines:?}");
        assert!(fired[0].starts_with("10s fired warning {host=a}"), "{expire}: {lines:?}");
    }
}
