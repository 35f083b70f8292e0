//! One order for everything: samples, watermark moves, swaps, what is said of sources.
//!
//! A cheap step per batch on one thread. Each accepted sample takes one position, and so does every
//! other element; a watermark step has the position of what caused it and comes before it.

use std::sync::Arc;

use crate::kernel::model::{
    Batch, Duration, EventTime, Labels, Limits, Memo, Now, RefusalCounts, Series, SourceId,
};
use crate::kernel::rule::ruleset::{RuleIndex, Ruleset};
use crate::kernel::rule::succession::Succession;

use super::listening::Listening;
use super::progress::{Progress, Standing};
use super::retention::{Retention, SWEEP};
use super::router::Router;
use super::samples::Suspect;
use super::source::Source;
use super::table::{Entry, SeriesTable};
use super::tap::Tap;
use super::{Cut, Derived, Input, Rows, STEP, place};

/// What the shell tells the sequencer. Recorded in this order, it is the whole truth of a run.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are batches: a box is an allocation each")]
pub enum Arrived {
    Opened {
        source: SourceId,
        lateness: Option<Duration>,
    },
    Batch {
        source: SourceId,
        batch: Batch,
    },
    /// A source was lost, or came back.
    Listening {
        source: SourceId,
        on: bool,
        now: Option<Now>,
    },
    Closed {
        source: SourceId,
    },
    /// The clock, for sources that fell silent. Live runs only.
    Tick(Now),
    Swap(Arc<Ruleset>),
    /// As `Swap`, where what it changes about the ruleset at hand was found out before.
    Succession(Arc<Succession>),
    Forget {
        rule: Arc<str>,
        key: Labels,
    },
    Quarantine {
        rule: Arc<str>,
        on: bool,
    },
    /// Nothing at or before this time comes any more: what is due by then is judged. Stories.
    Until(EventTime),
    /// The end of a replay: everything due at or before the newest event time is judged.
    End,
}

#[derive(Debug)]
pub struct Sequencer {
    pub(super) limits: Limits,
    pub(super) shards: u32,
    pub(super) router: Router,
    pub(super) table: SeriesTable,
    pub(super) sources: Vec<Option<Source>>,
    pub(super) watermark: EventTime,
    /// The next time that the watermark may move to.
    pub(super) next_step: EventTime,
    /// The position that the next element gets.
    pub(super) position: u64,
    pub(super) newest: EventTime,
    pub(super) retention: Retention,
    swept: EventTime,
    pub(super) listening: Listening,
    pub(super) suspects: Vec<Suspect>,
    /// What was recorded since the last watermark step: the next one hands it to the next layer.
    pub(super) recorded: Vec<Derived>,
    pub(super) accepted: u64,
    /// There only while somebody carries samples out.
    pub(super) tap: Option<Tap>,
}

/// What the sequencer knows of a source, for status pages.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceReport {
    pub source: SourceId,
    pub standing: Standing,
    pub mark: EventTime,
    pub lateness: Duration,
    pub accepted: u64,
    pub refused: RefusalCounts,
}

/// What a restart needs to go on counting and to know duplicates.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Snapshot {
    pub watermark: EventTime,
    pub position: u64,
    pub newest: EventTime,
    /// Series with newest event time, heard time, last value and whether increments made it.
    pub series: Vec<(Series, EventTime, EventTime, f64, bool)>,
    /// Recorded samples that wait for a watermark step, with the rule that made them.
    pub recorded: Vec<(Arc<str>, Series, EventTime, f64)>,
    /// How far each source had come; an idle one is found to be so by the first tick.
    pub sources: Vec<(SourceId, Progress)>,
}

impl Sequencer {
    pub fn new(limits: Limits, shards: u32, ruleset: Arc<Ruleset>) -> Sequencer {
        let router = Router::new(ruleset.clone(), shards, limits.groups_per_rule_max);
        Sequencer {
            limits,
            shards,
            router,
            table: SeriesTable::new(shards),
            sources: Vec::new(),
            watermark: EventTime::MIN,
            next_step: EventTime::MIN,
            position: 0,
            newest: EventTime::MIN,
            retention: Retention::under(&ruleset),
            swept: EventTime::MIN,
            listening: Listening::new(EventTime::MIN),
            suspects: Vec::new(),
            recorded: Vec::new(),
            accepted: 0,
            tap: None,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn live_series(&self) -> usize {
        self.table.live()
    }

    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    pub fn ruleset(&self) -> &Arc<Ruleset> {
        self.router.ruleset()
    }

    /// Rules that folded series into their overflow group, and how many.
    pub fn overflowed(&self) -> Vec<(Arc<str>, u64)> {
        let rules = self.ruleset().rules().iter().enumerate();
        rules
            .map(|(at, rule)| (rule.name.clone(), self.router.overflowed(RuleIndex(at as u32))))
            .filter(|(_, series)| *series > 0)
            .collect()
    }

    /// Puts one thing into the sequence: what each shard gets, in the order of shards. Empty when
    /// nothing came of it.
    pub fn step(&mut self, arrived: Arrived) -> Vec<Input> {
        match arrived {
            Arrived::Opened { source, lateness } => {
                // A source that comes back begins anew, but for its counters; one that was there
                // before a restart goes on where it was.
                let known = self.slot_of(source).take();
                let mut next = Source::new(Progress::new(lateness), false);
                if let Some(known) = known {
                    (next.accepted, next.refused) = (known.accepted, known.refused);
                    if known.restored {
                        next.progress = known.progress.reopened(lateness);
                    }
                }
                *self.slot_of(source) = Some(next);
                Vec::new()
            }
            Arrived::Batch { source, batch } => self.batch(source, batch),
            Arrived::Listening { source, on, now } => self.listening(source, on, now),
            Arrived::Closed { source } => {
                if let Some(source) = self.slot_of(source) {
                    source.progress.close();
                }
                Vec::new()
            }
            Arrived::Tick(now) => self.tick(now),
            Arrived::Swap(ruleset) => {
                self.swap(&Arc::new(Succession::new(self.ruleset().clone(), ruleset)))
            }
            Arrived::Succession(succession) => self.swap(&succession),
            Arrived::Forget { rule, key } => {
                let position = self.take_position();
                self.everyone(|| Input::Forget { position, rule: rule.clone(), key: key.clone() })
            }
            Arrived::Quarantine { rule, on } => {
                let position = self.take_position();
                self.everyone(|| Input::Quarantine { position, rule: rule.clone(), on })
            }
            Arrived::Until(to) => {
                self.newest = self.newest.max(to);
                self.move_to(to.next())
            }
            Arrived::End => self.end(),
        }
    }

    /// Samples that recording rules emitted at a watermark step, for the next layer of rules. They
    /// take the step's position; the caller passes them in their order.
    pub fn derive(&mut self, cut: Cut, derived: Vec<Derived>) -> Vec<Rows> {
        let mut out = self.rows(None, 0);
        // The batch was sequenced to its end before its steps run; new series begin at this one.
        let end = (self.position, self.watermark);
        (self.position, self.watermark) = (cut.position, cut.watermark);
        for sample in derived {
            let source = SourceId(u16::MAX);
            let Some(id) = self.intern(&sample.series, source, &mut out) else { continue };
            let entry = self.table.entry_mut(id);
            if !entry.is_overflow() && sample.at <= entry.newest {
                continue;
            }
            entry.newest = sample.at;
            entry.heard = entry.heard.max(self.watermark).max(sample.at);
            place(&mut out, self.table.shards(id), cut.position, id, sample.at, sample.value);
            if let Some(tap) = &mut self.tap {
                tap.sample(id, sample.at, sample.value, || self.table.series(id));
            }
        }
        (self.position, self.watermark) = end;
        out
    }

    /// Keeps what was recorded after a batch's last watermark step.
    pub fn keep_recorded(&mut self, derived: Vec<Derived>) {
        self.recorded.extend(derived);
    }

    /// What was kept for the step at hand.
    pub fn take_recorded(&mut self) -> Vec<Derived> {
        std::mem::take(&mut self.recorded)
    }

    pub fn snapshot(&self) -> Snapshot {
        let by_rule_name = |derived: &Derived| {
            let rule = self.ruleset().rule(derived.rule).name.clone();
            (rule, derived.series.clone(), derived.at, derived.value)
        };
        let series = self.table.iter().map(|(_, series, entry)| {
            (series.clone(), entry.newest, entry.heard, entry.last, entry.counts())
        });
        let sources = self.sources.iter().enumerate().filter_map(|(at, source)| {
            Some((SourceId(at as u16), source.as_ref()?.progress.clone()))
        });
        Snapshot {
            watermark: self.watermark,
            position: self.position,
            newest: self.newest,
            series: series.collect(),
            recorded: self.recorded.iter().map(by_rule_name).collect(),
            sources: sources.collect(),
        }
    }

    /// Goes on from a snapshot, listening since `from`, on a sequencer that has seen nothing yet.
    /// Gives what introduces the snapshot's series to the shards.
    pub fn restore(&mut self, snapshot: Snapshot, from: EventTime) -> Vec<Input> {
        assert!(self.position == 0 && self.table.live() == 0);
        self.set_watermark(snapshot.watermark);
        (self.position, self.newest) = (snapshot.position, snapshot.newest);
        (self.swept, self.listening.from) = (snapshot.watermark, from);
        let mut out = self.rows(None, 0);
        let mut memo = Memo::new();
        for (series, newest, heard, last, counts) in snapshot.series {
            let series = series.shared(&mut memo);
            let Some(id) = self.intern(&series, SourceId(u16::MAX), &mut out) else { continue };
            let entry = self.table.entry_mut(id);
            (entry.newest, entry.heard, entry.last) = (newest, heard, last);
            entry.set_counts(counts);
        }
        for (source, progress) in snapshot.sources {
            *self.slot_of(source) = Some(Source::new(progress, true));
        }
        for (rule, series, at, value) in snapshot.recorded {
            if let Some(rule) = self.ruleset().find(&rule) {
                self.recorded.push(Derived { series, at, value, rule });
            }
        }
        out.into_iter().map(Input::Rows).collect()
    }

    fn tick(&mut self, now: Now) -> Vec<Input> {
        let mut latest = Duration::ZERO;
        for source in self.sources.iter_mut().flatten() {
            source.progress.judge(Some(now), &self.limits);
            latest = latest.max(source.progress.lateness());
        }
        let all = self.holding_mark(SourceId(u16::MAX));
        let to = if all == EventTime::MAX { now.as_arrival() - latest } else { all };
        self.move_to(to.floor(STEP))
    }

    fn move_to(&mut self, to: EventTime) -> Vec<Input> {
        let mut out = self.rows(None, 0);
        if to <= self.watermark {
            return Vec::new();
        }
        self.advance(to, &mut out);
        self.take_position();
        self.finish(out)
    }

    fn end(&mut self) -> Vec<Input> {
        let mut out = self.rows(self.suspects.first().map(|suspect| suspect.source), 0);
        self.accept_suspects(&mut out);
        if self.newest != EventTime::MIN {
            self.advance(self.newest.next(), &mut out);
            self.take_position();
        }
        self.finish(out)
    }

    fn listening(&mut self, source: SourceId, on: bool, now: Option<Now>) -> Vec<Input> {
        if let Some(source) = self.slot_of(source)
            && !on
        {
            source.progress.close();
        }
        let position = self.take_position();
        let at = self.watermark.max(now.map_or(EventTime::MIN, Now::as_arrival));
        self.listening.tell(source, on.then_some(at));
        self.everyone(|| Input::Listening { position, source, on, at })
    }

    /// Retires series that were silent for the retention, once a sweep interval.
    fn sweep(&mut self, out: &mut [Rows]) {
        if self.watermark < self.swept + SWEEP {
            return;
        }
        self.swept = self.watermark.floor(SWEEP);
        let is_over =
            |entry: &Entry| self.retention.is_over(entry, self.watermark, &self.listening);
        let silent = self.table.iter().filter(|(_, _, entry)| is_over(entry));
        let silent: Vec<_> = silent.map(|(id, series, _)| (id, series.clone())).collect();
        for (id, series) in silent {
            let shards = self.table.shards(id);
            for (shard, rows) in out.iter_mut().enumerate() {
                if shards >> shard & 1 == 1 {
                    rows.retired.push(id);
                }
            }
            self.router.leave(&series, self.table.overflowing(id));
            self.table.retire(id);
            self.tap.iter_mut().for_each(|tap| tap.retire(id));
        }
    }

    /// One empty batch for each shard, with room for its part of so many samples.
    pub(super) fn rows(&self, source: Option<SourceId>, samples: usize) -> Vec<Rows> {
        let room = samples / self.shards as usize + samples.min(64);
        (0..self.shards).map(|_| Rows::with_room(source, room)).collect()
    }

    pub(super) fn finish(&mut self, mut out: Vec<Rows>) -> Vec<Input> {
        self.sweep(&mut out);
        for rows in &mut out {
            rows.end = self.position;
        }
        out.into_iter().map(Input::Rows).collect()
    }

    pub(super) fn set_watermark(&mut self, to: EventTime) {
        self.watermark = to;
        self.next_step = to.floor(STEP) + STEP;
    }

    fn everyone(&self, make: impl Fn() -> Input) -> Vec<Input> {
        (0..self.shards).map(|_| make()).collect()
    }

    pub(super) fn take_position(&mut self) -> u64 {
        self.position += 1;
        self.position - 1
    }

    pub(super) fn slot_of(&mut self, source: SourceId) -> &mut Option<Source> {
        let at = usize::from(source.0);
        if self.sources.len() <= at {
            self.sources.resize_with(at + 1, || None);
        }
        &mut self.sources[at]
    }
}
