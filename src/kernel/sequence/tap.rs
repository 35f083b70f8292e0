//! A tap on the sequence: the accepted samples of chosen series, for whoever carries samples out.
//!
//! Each series is compared with what is wanted once, at its first sample after the tap was set, so
//! setting it costs no walk through all series. Without a tap a sample costs one branch.

use crate::kernel::model::{EventTime, Series, SeriesId};
use crate::kernel::rule::selector::Selector;

/// Samples of one element of the sequence, in the order in which they were accepted: columns of
/// equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tapped {
    /// Series that are named for the first time since the tap was set; known before the columns.
    pub introduced: Vec<(SeriesId, Series)>,
    pub series: Vec<SeriesId>,
    pub at: Vec<EventTime>,
    pub value: Vec<f64>,
    /// Numbers that stand for nothing any more after the columns, whoever was told of them.
    pub retired: Vec<SeriesId>,
}

#[derive(Debug)]
pub struct Tap {
    /// A series is taken when any of these takes it.
    wants: Vec<Selector>,
    /// By series number.
    states: Vec<State>,
    tapped: Tapped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No sample came since the tap was set.
    Unknown,
    Taken,
    Passed,
}

impl Tapped {
    pub fn rows(&self) -> usize {
        self.series.len()
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.introduced.is_empty() && self.retired.is_empty()
    }
}

impl Tap {
    /// None when nothing is wanted.
    pub fn new(wants: Vec<Selector>) -> Option<Tap> {
        let tap = Tap { wants, states: Vec::new(), tapped: Tapped::default() };
        (!tap.wants.is_empty()).then_some(tap)
    }

    /// What was tapped since the last call.
    pub fn take(&mut self) -> Option<Tapped> {
        (!self.tapped.is_empty()).then(|| std::mem::take(&mut self.tapped))
    }

    /// `series` is asked at the first sample only.
    #[inline]
    pub fn sample<'a>(
        &mut self,
        id: SeriesId,
        at: EventTime,
        value: f64,
        series: impl FnOnce() -> &'a Series,
    ) {
        let state = match self.states.get(id.index()) {
            Some(State::Taken) => State::Taken,
            Some(State::Passed) => State::Passed,
            Some(State::Unknown) | None => self.look_at(id, series()),
        };
        if state == State::Taken {
            self.tapped.series.push(id);
            self.tapped.at.push(at);
            self.tapped.value.push(value);
        }
    }

    /// The number is free for another series.
    pub fn retire(&mut self, id: SeriesId) {
        if let Some(state) = self.states.get_mut(id.index()) {
            *state = State::Unknown;
        }
        self.tapped.retired.push(id);
    }

    #[cold]
    fn look_at(&mut self, id: SeriesId, series: &Series) -> State {
        // These selectors hold no closure, so none of them can fault.
        let takes = |selector: &Selector| selector.takes(series).unwrap_or(false);
        let state = if self.wants.iter().any(takes) { State::Taken } else { State::Passed };
        if self.states.len() <= id.index() {
            self.states.resize(id.index() + 1, State::Unknown);
        }
        self.states[id.index()] = state;
        if state == State::Taken {
            self.tapped.introduced.push((id, series.clone()));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kernel::model::{Announcement, Batch, Duration, Limits, Now, Op, Slot, SourceId};
    use crate::kernel::rule::ruleset::Ruleset;
    use crate::kernel::sequence::sequencer::{Arrived, Sequencer};

    const SOURCE: SourceId = SourceId(0);
    const NO_LABELS: [(&str, &str); 0] = [];

    /// A sequencer with two series, `cpu` in slot 0 and `mem` in slot 1.
    fn sequencer() -> Sequencer {
        let mut sequencer = Sequencer::new(Limits::default(), 2, Arc::new(Ruleset::empty()));
        sequencer.step(Arrived::Opened { source: SOURCE, lateness: Some(Duration::ZERO) });
        let mut batch = Batch::default();
        for (slot, name) in ["cpu", "mem"].into_iter().enumerate() {
            let series = Series::new(name, NO_LABELS);
            batch.announced.push(Announcement { row: 0, slot: Slot(slot as u32), series });
        }
        sequencer.step(Arrived::Batch { source: SOURCE, batch });
        sequencer
    }

    /// Sends samples as (slot, second, value); gives what was tapped as text.
    #[track_caller]
    fn check(sequencer: &mut Sequencer, samples: &[(u32, i64, f64)], expected: &str) {
        let mut batch = Batch::default();
        for (slot, second, value) in samples {
            let now = Now::from_nanos(second * 1_000_000_000);
            batch.push(Slot(*slot), now.as_arrival(), *value, Op::Set);
            batch.arrival = batch.arrival.max(Some(now));
        }
        sequencer.step(Arrived::Batch { source: SOURCE, batch });
        let text = sequencer.take_tapped().map_or(String::new(), |tapped| {
            let mut words: Vec<String> =
                tapped.introduced.iter().map(|(id, series)| format!("{}={series}", id.0)).collect();
            let rows = tapped.series.iter().zip(&tapped.at).zip(&tapped.value);
            words.extend(rows.map(|((id, at), value)| {
                format!("{}@{}:{value}", id.0, at.nanos() / 1_000_000_000)
            }));
            words.extend(tapped.retired.iter().map(|id| format!("-{}", id.0)));
            words.join(" ")
        });
        assert_eq!(text, expected);
    }

    #[test]
    fn a_series_is_introduced_once_and_what_is_refused_is_not_tapped() {
        let mut sequencer = sequencer();
        check(&mut sequencer, &[(0, 1, 1.0)], "");
        sequencer.set_tap(vec![Selector::metric("c*")]);
        check(&mut sequencer, &[(1, 2, 5.0), (0, 2, 2.0), (0, 2, 9.0)], "0=cpu 0@2:2");
        check(&mut sequencer, &[(0, 3, f64::NAN), (0, 1, 0.5), (1, 3, 6.0)], "0@1:0.5");
        // Set anew, all are introduced anew.
        sequencer.set_tap(vec![Selector::metric("cpu"), Selector::metric("mem")]);
        check(&mut sequencer, &[(0, 4, 4.0), (1, 4, 7.0)], "0=cpu 1=mem 0@4:4 1@4:7");
        sequencer.set_tap(Vec::new());
        check(&mut sequencer, &[(0, 5, 5.0)], "");
    }

    #[test]
    fn a_retired_number_is_told_and_its_next_series_introduced() {
        let mut sequencer = sequencer();
        sequencer.set_tap(vec![Selector::metric("*")]);
        check(&mut sequencer, &[(0, 1, 1.0)], "0=cpu 0@1:1");
        // Past the time for which silent series are kept.
        check(&mut sequencer, &[(1, 10_000, 2.0)], "1=mem 1@10000:2 -0");
        check(&mut sequencer, &[(0, 10_001, 3.0)], "0=cpu 0@10001:3");
    }
}
