//! One order for everything: samples, watermark moves, swaps, what is said of sources.
//!
//! A cheap step per batch on one thread. Each accepted sample takes one position, and so does every
//! other element; a watermark step has the position of what caused it and comes before it.

use std::sync::Arc;

use crate::kernel::model::{
    Announcement, Batch, Duration, EventTime, Labels, Limits, Now, Op, Refusal, RefusalCounts,
    Series, SeriesId, Slot, SourceId,
};
use crate::kernel::rule::ruleset::{RuleIndex, Ruleset};

use super::progress::{Progress, Standing};
use super::router::{Route, Router};
use super::table::{Interned, SeriesTable};
use super::{Cut, Derived, Input, Introduction, Rows, STEP, Swap};

/// Series are kept at least this long after their last sample, whatever the rules say.
const RETENTION_MIN: Duration = Duration::from_secs(3_600);
/// How often silent series are looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// Later samples that must agree before a replay believes a jump in time.
const WITNESSES: usize = 3;

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
    limits: Limits,
    shards: u32,
    router: Router,
    table: SeriesTable,
    sources: Vec<Option<Source>>,
    watermark: EventTime,
    /// The position that the next element gets.
    position: u64,
    newest: EventTime,
    retention: Duration,
    swept: EventTime,
    suspects: Vec<Suspect>,
    /// What was recorded since the last watermark step: the next one hands it to the next layer.
    recorded: Vec<Derived>,
    accepted: u64,
}

#[derive(Debug)]
struct Source {
    progress: Progress,
    slots: Vec<Option<SlotEntry>>,
    accepted: u64,
    refused: RefusalCounts,
    /// Known from before a restart, and not opened since.
    restored: bool,
}

#[derive(Clone, Debug)]
struct SlotEntry {
    series: Series,
    id: SeriesId,
    generation: u32,
}

/// A sample of a replay that jumped ahead, kept until others agree or disagree.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    source: SourceId,
    id: SeriesId,
    at: EventTime,
    value: f64,
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
    /// Series with newest event time, heard time and last value.
    pub series: Vec<(Series, EventTime, EventTime, f64)>,
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
            table: SeriesTable::default(),
            sources: Vec::new(),
            watermark: EventTime::MIN,
            position: 0,
            newest: EventTime::MIN,
            retention: retention(&ruleset),
            swept: EventTime::MIN,
            suspects: Vec::new(),
            recorded: Vec::new(),
            accepted: 0,
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

    pub fn sources(&self) -> Vec<SourceReport> {
        let known = |(at, source): (usize, &Option<Source>)| {
            source.as_ref().map(|source| SourceReport {
                source: SourceId(at as u16),
                standing: source.progress.standing(),
                mark: source.progress.mark(),
                lateness: source.progress.lateness(),
                accepted: source.accepted,
                refused: source.refused.clone(),
            })
        };
        self.sources.iter().enumerate().filter_map(known).collect()
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
            Arrived::Swap(ruleset) => self.swap(ruleset),
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
        let mut out = self.rows(None);
        // The batch was sequenced to its end before its steps run; new series begin at this one.
        let end = (self.position, self.watermark);
        (self.position, self.watermark) = (cut.position, cut.watermark);
        for sample in derived {
            let source = SourceId(u16::MAX);
            let Some(id) = self.intern(&sample.series, source, &mut out) else { continue };
            let entry = self.table.entry_mut(id);
            if !entry.overflow && sample.at <= entry.newest {
                continue;
            }
            entry.newest = sample.at;
            entry.heard = entry.heard.max(self.watermark).max(sample.at);
            place(&mut out, entry.shards, cut.position, id, sample.at, sample.value);
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
        let series = self.table.iter().filter_map(|(_, entry)| {
            let series = entry.series.clone()?;
            Some((series, entry.newest, entry.heard, entry.last))
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

    /// Goes on from a snapshot, on a sequencer that has seen nothing yet. Gives what introduces the
    /// snapshot's series to the shards.
    pub fn restore(&mut self, snapshot: Snapshot) -> Vec<Input> {
        assert!(self.position == 0 && self.table.live() == 0);
        self.watermark = snapshot.watermark;
        self.position = snapshot.position;
        self.newest = snapshot.newest;
        self.swept = snapshot.watermark;
        let mut out = self.rows(None);
        for (series, newest, heard, last) in snapshot.series {
            let Some(id) = self.intern(&series, SourceId(u16::MAX), &mut out) else { continue };
            let entry = self.table.entry_mut(id);
            (entry.newest, entry.heard, entry.last) = (newest, heard, last);
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

    fn batch(&mut self, source: SourceId, batch: Batch) -> Vec<Input> {
        let Some(mut from) = self.slot_of(source).take() else { return Vec::new() };
        from.refused.merge(&batch.refused);
        from.progress.batch(batch.arrival);
        let mut out = self.rows(Some(source));
        let others = self.holding_mark(source);
        let mut announced = batch.announced.iter().peekable();
        for row in 0..batch.rows() {
            while let Some(next) = announced.next_if(|next| next.row as usize <= row) {
                from.announce(next);
            }
            let sample = (batch.slots[row], batch.at[row], batch.value[row], batch.op(row));
            match self.sample(source, &mut from, sample, batch.arrival, others, &mut out) {
                Ok(()) => {}
                Err(refusal) => from.refused.add(refusal, 1),
            }
        }
        announced.for_each(|next| from.announce(next));
        *self.slot_of(source) = Some(from);
        self.finish(out)
    }

    fn sample(
        &mut self,
        source: SourceId,
        from: &mut Source,
        (slot, time, value, op): (Slot, EventTime, f64, Op),
        arrival: Option<Now>,
        others: EventTime,
        out: &mut [Rows],
    ) -> Result<(), Refusal> {
        let id = self.resolve(source, from, slot, out)?;
        let entry = self.table.entry_mut(id);
        let value = match op {
            Op::Set => value,
            Op::Add => entry.last + value,
        };
        if !value.is_finite() {
            return Err(Refusal::NotFinite);
        }
        let stamped = time == EventTime::MIN;
        let at = match (stamped, arrival) {
            (false, _) => time,
            (true, Some(arrival)) => arrival.as_arrival().max(entry.newest.next()),
            (true, None) => return Err(Refusal::NoTime),
        };
        if at == entry.newest && !entry.overflow {
            return Err(Refusal::Duplicate);
        }
        match arrival {
            Some(arrival) if at > arrival.as_arrival() + self.limits.future_max => {
                return Err(Refusal::Future);
            }
            None if self.is_suspect(at) => {
                if self.suspects.iter().any(|known| known.id == id && known.at == at) {
                    return Err(Refusal::Duplicate);
                }
                self.suspects.push(Suspect { source, id, at, value });
                if self.suspects.len() > WITNESSES {
                    self.believe(source, from, others, out);
                }
                return Ok(());
            }
            _ => {}
        }
        for suspect in std::mem::take(&mut self.suspects) {
            self.count_refused((source, from), suspect.source, Refusal::Future);
        }
        let sample = Suspect { source, id, at, value };
        self.accept(from, sample, arrival, stamped, others, out);
        Ok(())
    }

    /// Enough samples agree that time jumped: those that waited are taken in, each for its source.
    fn believe(
        &mut self,
        source: SourceId,
        from: &mut Source,
        others: EventTime,
        out: &mut [Rows],
    ) {
        for suspect in std::mem::take(&mut self.suspects) {
            if suspect.source == source {
                self.accept(from, suspect, None, false, others, out);
            } else if let Some(mut other) = self.slot_of(suspect.source).take() {
                let mark = self.holding_mark(suspect.source).min(from.progress.mark());
                self.accept(&mut other, suspect, None, false, mark, out);
                *self.slot_of(suspect.source) = Some(other);
            }
        }
    }

    /// Counts a refusal for `of`, which may be the source at hand.
    fn count_refused(
        &mut self,
        (source, from): (SourceId, &mut Source),
        of: SourceId,
        refusal: Refusal,
    ) {
        if of == source {
            from.refused.add(refusal, 1);
        } else if let Some(other) = self.slot_of(of) {
            other.refused.add(refusal, 1);
        }
    }

    fn is_suspect(&self, at: EventTime) -> bool {
        self.newest != EventTime::MIN && at > self.newest + self.limits.future_max
    }

    fn accept(
        &mut self,
        from: &mut Source,
        sample: Suspect,
        arrival: Option<Now>,
        stamped: bool,
        others: EventTime,
        out: &mut [Rows],
    ) {
        from.progress.sample(sample.at, arrival, stamped);
        from.progress.wake(arrival, &self.limits);
        self.newest = self.newest.max(sample.at);
        if from.progress.standing() == Standing::Holding {
            self.advance(others.min(from.progress.mark()).floor(STEP), out);
        }
        let (position, watermark) = (self.take_position(), self.watermark);
        let entry = self.table.entry_mut(sample.id);
        entry.newest = entry.newest.max(sample.at);
        entry.heard = entry.heard.max(watermark).max(sample.at);
        (entry.source, entry.last) = (sample.source, sample.value);
        from.accepted += 1;
        self.accepted += 1;
        place(out, entry.shards, position, sample.id, sample.at, sample.value);
    }

    /// The number of the series that a slot stands for; introduces it when it is new or retired.
    fn resolve(
        &mut self,
        source: SourceId,
        from: &mut Source,
        slot: Slot,
        out: &mut [Rows],
    ) -> Result<SeriesId, Refusal> {
        let entry = from.slots.get_mut(slot.0 as usize).and_then(Option::as_mut);
        let entry = entry.expect("a batch announces a slot before it uses it");
        if entry.generation != NEW && self.table.entry(entry.id).generation == entry.generation {
            return Ok(entry.id);
        }
        let id = self.intern(&entry.series, source, out).ok_or(Refusal::TooManySeries)?;
        let overflow = self.table.entry(id).overflow;
        (entry.id, entry.generation) = (id, self.table.entry(id).generation);
        if overflow {
            from.refused.add(Refusal::TooManySeries, 1);
        }
        Ok(id)
    }

    fn intern(&mut self, series: &Series, source: SourceId, out: &mut [Rows]) -> Option<SeriesId> {
        match self.table.intern(series, source, self.limits.series_max) {
            Interned::Known(id) | Interned::Overflow { id, new: false } => Some(id),
            Interned::New(id) | Interned::Overflow { id, new: true } => {
                self.introduce(id, out);
                Some(id)
            }
            Interned::Refused => None,
        }
    }

    fn introduce(&mut self, id: SeriesId, out: &mut [Rows]) {
        let (position, watermark) = (self.position, self.watermark);
        let entry = self.table.entry_mut(id);
        let series = entry.series.clone().expect("an interned series is live");
        let route = self.router.enter(&series);
        entry.shards = route.shards;
        entry.overflowing.clone_from(&route.overflow);
        for (shard, rows) in out.iter_mut().enumerate() {
            if route.shards >> shard & 1 == 1 {
                let (place, series) = ((position, watermark), series.clone());
                rows.introduced.push(introduction(place, (id, series), &route, shard as u32));
            }
        }
    }

    /// The lowest mark of the other sources that hold time back.
    fn holding_mark(&self, except: SourceId) -> EventTime {
        self.sources
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != usize::from(except.0))
            .filter_map(|(_, source)| source.as_ref())
            .filter(|source| source.progress.standing() == Standing::Holding)
            .map(|source| source.progress.mark())
            .min()
            .unwrap_or(EventTime::MAX)
    }

    fn advance(&mut self, to: EventTime, out: &mut [Rows]) {
        if to <= self.watermark {
            return;
        }
        self.watermark = to;
        for rows in out {
            let row = rows.series.len();
            rows.cuts.push(Cut { row, position: self.position, watermark: to });
        }
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
        let mut out = self.rows(None);
        if to <= self.watermark {
            return Vec::new();
        }
        self.advance(to, &mut out);
        self.take_position();
        self.finish(out)
    }

    fn end(&mut self) -> Vec<Input> {
        let mut out = self.rows(self.suspects.first().map(|suspect| suspect.source));
        for suspect in std::mem::take(&mut self.suspects) {
            if let Some(mut from) = self.slot_of(suspect.source).take() {
                let others = self.holding_mark(suspect.source);
                self.accept(&mut from, suspect, None, false, others, &mut out);
                *self.slot_of(suspect.source) = Some(from);
            }
        }
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
        let clock = now.map_or(EventTime::MIN, Now::as_arrival);
        let at = self.watermark.max(clock);
        self.everyone(|| Input::Listening { position, source, on, at })
    }

    fn swap(&mut self, ruleset: Arc<Ruleset>) -> Vec<Input> {
        let (position, watermark) = (self.take_position(), self.watermark);
        let old = self.ruleset().clone();
        self.recorded.retain_mut(|derived| {
            let rule = ruleset.find(&old.rule(derived.rule).name);
            derived.rule = rule.unwrap_or(derived.rule);
            rule.is_some() && ruleset.records()
        });
        self.retention = retention(&ruleset);
        self.router = Router::new(ruleset.clone(), self.shards, self.limits.groups_per_rule_max);
        let mut introduced = vec![Vec::new(); self.shards as usize];
        let ids: Vec<SeriesId> = self.table.iter().map(|(id, _)| id).collect();
        for id in ids {
            let entry = self.table.entry_mut(id);
            let series = entry.series.clone().expect("iter gives live series");
            let route = self.router.enter(&series);
            let fresh = route.shards & !entry.shards;
            // A shard that held the series goes on holding it: its samples may be needed again.
            entry.shards |= route.shards;
            let overflowed = !entry.overflowing.is_empty() || !route.overflow.is_empty();
            entry.overflowing.clone_from(&route.overflow);
            let told = if overflowed { entry.shards } else { fresh };
            for (shard, list) in introduced.iter_mut().enumerate() {
                if told >> shard & 1 == 1 {
                    let (place, series) = ((position, watermark), series.clone());
                    list.push(introduction(place, (id, series), &route, shard as u32));
                }
            }
        }
        introduced
            .into_iter()
            .map(|introduced| Input::Swap(Swap { position, ruleset: ruleset.clone(), introduced }))
            .collect()
    }

    /// Retires series that were silent for the retention, once a sweep interval.
    fn sweep(&mut self, out: &mut [Rows]) {
        if self.watermark < self.swept + SWEEP {
            return;
        }
        self.swept = self.watermark.floor(SWEEP);
        let silent: Vec<SeriesId> = self
            .table
            .iter()
            .filter(|(_, entry)| entry.heard != EventTime::MIN)
            .filter(|(_, entry)| self.watermark.since(entry.heard) > self.retention)
            .map(|(id, _)| id)
            .collect();
        for id in silent {
            let entry = self.table.entry(id);
            let series = entry.series.clone().expect("iter gives live series");
            for (shard, rows) in out.iter_mut().enumerate() {
                if entry.shards >> shard & 1 == 1 {
                    rows.retired.push(id);
                }
            }
            let overflowing = std::mem::take(&mut self.table.entry_mut(id).overflowing);
            self.router.leave(&series, &overflowing);
            self.table.retire(id);
        }
    }

    fn rows(&self, source: Option<SourceId>) -> Vec<Rows> {
        (0..self.shards).map(|_| Rows { source, ..Rows::default() }).collect()
    }

    fn finish(&mut self, mut out: Vec<Rows>) -> Vec<Input> {
        self.sweep(&mut out);
        for rows in &mut out {
            rows.end = self.position;
        }
        out.into_iter().map(Input::Rows).collect()
    }

    fn everyone(&self, make: impl Fn() -> Input) -> Vec<Input> {
        (0..self.shards).map(|_| make()).collect()
    }

    fn take_position(&mut self) -> u64 {
        self.position += 1;
        self.position - 1
    }

    fn slot_of(&mut self, source: SourceId) -> &mut Option<Source> {
        let at = usize::from(source.0);
        if self.sources.len() <= at {
            self.sources.resize_with(at + 1, || None);
        }
        &mut self.sources[at]
    }
}

/// A slot's generation before its series was looked up.
const NEW: u32 = u32::MAX;

impl Source {
    fn new(progress: Progress, restored: bool) -> Source {
        let (slots, refused) = (Vec::new(), RefusalCounts::default());
        Source { progress, slots, accepted: 0, refused, restored }
    }

    fn announce(&mut self, announced: &Announcement) {
        let at = announced.slot.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        let series = announced.series.clone();
        self.slots[at] = Some(SlotEntry { series, id: SeriesId(0), generation: NEW });
    }
}

/// What one shard is told of a series.
fn introduction(
    (position, watermark): (u64, EventTime),
    (id, series): (SeriesId, Series),
    route: &Route,
    shard: u32,
) -> Introduction {
    let (entries, faults) = (route.entries_of(shard), route.faults_of(shard));
    Introduction { position, watermark, id, series, entries, faults }
}

fn place(out: &mut [Rows], shards: u64, position: u64, id: SeriesId, at: EventTime, value: f64) {
    let mut rest = shards;
    while rest != 0 {
        let rows = &mut out[rest.trailing_zeros() as usize];
        rows.series.push(id);
        rows.at.push(at);
        rows.value.push(value);
        rows.position.push(position);
        rest &= rest - 1;
    }
}

/// Long enough that no rule still counts on a series when it goes.
fn retention(ruleset: &Ruleset) -> Duration {
    let longest = ruleset.rules().iter().map(|rule| rule.remembers()).max();
    longest.unwrap_or(Duration::ZERO).max(RETENTION_MIN) + SWEEP
}
