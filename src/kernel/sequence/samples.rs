//! The way of a batch's samples into the sequence: what each refers to, whether it is taken, how
//! far it moves the watermark, and to which shards it goes.

use std::ops::Range;

use crate::kernel::model::{Batch, EventTime, Now, Op, Refusal, Series, SeriesId, Slot, SourceId};
use crate::kernel::rule::selector::Selector;

use super::progress::Standing;
use super::router::Route;
use super::sequencer::{Sequencer, SourceReport};
use super::source::{SlotEntry, Source};
use super::table::Interned;
use super::tap::{Tap, Tapped};
use super::{Cut, Input, Introduction, Rows, STEP, place};

/// Later samples that must agree before a replay believes a jump in time.
const WITNESSES: usize = 3;

/// A sample of a replay that jumped ahead, kept until others agree or disagree.
#[derive(Clone, Copy, Debug)]
pub struct Suspect {
    pub source: SourceId,
    id: SeriesId,
    at: EventTime,
    value: f64,
}

/// What is the same for all samples of a batch.
#[derive(Clone, Copy)]
struct Arrival {
    source: SourceId,
    now: Option<Now>,
    /// The lowest mark of the other sources that hold time back.
    others: EventTime,
}

/// So many samples' series are looked up at a time, where there are more of them than the
/// processor's caches hold. Tests have few, and go both ways.
const AHEAD: usize = if cfg!(test) { 3 } else { 32 };
const CACHED: usize = if cfg!(test) { 4 } else { 100_000 };

impl Sequencer {
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

    /// From now on the samples of series that any of these selectors takes are kept for
    /// [`Sequencer::take_tapped`]; all of them are introduced anew. No selector closes the tap.
    pub fn set_tap(&mut self, wants: Vec<Selector>) {
        self.tap = Tap::new(wants);
    }

    /// What was tapped since the last call.
    pub fn take_tapped(&mut self) -> Option<Tapped> {
        self.tap.as_mut()?.take()
    }

    pub(super) fn batch(&mut self, source: SourceId, batch: Batch) -> Vec<Input> {
        let Some(mut from) = self.slot_of(source).take() else { return Vec::new() };
        from.refused.merge(&batch.refused);
        from.progress.batch(batch.arrival);
        let mut out = self.rows(Some(source), batch.rows());
        let others = self.holding_mark(source);
        let arrival = Arrival { source, now: batch.arrival, others };
        let mut row = 0;
        for announced in &batch.announced {
            let until = (announced.row as usize).min(batch.rows());
            self.samples(&mut from, &batch, row..until, arrival, &mut out);
            from.announce(announced);
            row = row.max(until);
        }
        self.samples(&mut from, &batch, row..batch.rows(), arrival, &mut out);
        *self.slot_of(source) = Some(from);
        self.finish(out)
    }

    /// A stretch of a batch's rows.
    fn samples(
        &mut self,
        from: &mut Source,
        batch: &Batch,
        rows: Range<usize>,
        arrival: Arrival,
        out: &mut [Rows],
    ) {
        let looks_ahead = self.table.live() > CACHED;
        let step = if looks_ahead { AHEAD } else { rows.len().max(1) };
        for start in rows.clone().step_by(step) {
            let some = start..rows.end.min(start + step);
            if looks_ahead {
                self.look_ahead(from, &batch.slots[some.clone()]);
            }
            let columns = batch.slots[some.clone()].iter().zip(&batch.at[some.clone()]);
            let columns = columns.zip(&batch.value[some.clone()]).zip(some);
            for (((slot, at), value), row) in columns {
                let sample = (*slot, *at, *value, batch.op(row));
                if let Err(refusal) = self.sample(from, sample, arrival, out) {
                    from.refused.add(refusal, 1);
                }
            }
        }
    }

    /// Reads a little of what the samples of these slots need, and makes nothing of it: all at
    /// once, where one by one each would be waited for.
    fn look_ahead(&self, from: &Source, slots: &[Slot]) {
        let seen = slots.iter().fold(0, |seen, slot| {
            let known = from.slots[slot.0 as usize];
            seen ^ self.table.touch(known.id)
        });
        std::hint::black_box(seen);
    }

    #[inline(always)]
    fn sample(
        &mut self,
        from: &mut Source,
        (slot, time, value, op): (Slot, EventTime, f64, Op),
        arrival: Arrival,
        out: &mut [Rows],
    ) -> Result<(), Refusal> {
        let known = from.slots[slot.0 as usize];
        let id = if known.generation == self.table.generation(known.id) {
            known.id
        } else {
            self.resolve(arrival.source, from, slot, out)?
        };
        let entry = self.table.entry_mut(id);
        let value = match op {
            Op::Set => value,
            Op::Add => {
                entry.set_counts(true);
                entry.last + value
            }
        };
        if !value.is_finite() {
            return Err(Refusal::NotFinite);
        }
        let stamped = time == EventTime::MIN;
        let at = match (stamped, arrival.now) {
            (false, _) => time,
            (true, Some(now)) => now.as_arrival().max(entry.newest.next()),
            (true, None) => return Err(Refusal::NoTime),
        };
        if at == entry.newest && !entry.is_overflow() {
            return Err(Refusal::Duplicate);
        }
        let sample = Suspect { source: arrival.source, id, at, value };
        match arrival.now {
            Some(now) if at > now.as_arrival() + self.limits.future_max => {
                return Err(Refusal::Future);
            }
            None if self.is_suspect(at) => return self.suspect(from, sample, arrival, out),
            Some(_) | None => {}
        }
        if !self.suspects.is_empty() {
            for suspect in std::mem::take(&mut self.suspects) {
                self.count_refused((arrival.source, from), suspect.source, Refusal::Future);
            }
        }
        self.accept(from, sample, arrival, stamped, out);
        Ok(())
    }

    /// Keeps a sample that jumped ahead until enough others agree.
    #[cold]
    fn suspect(
        &mut self,
        from: &mut Source,
        sample: Suspect,
        arrival: Arrival,
        out: &mut [Rows],
    ) -> Result<(), Refusal> {
        if self.suspects.iter().any(|known| known.id == sample.id && known.at == sample.at) {
            return Err(Refusal::Duplicate);
        }
        self.suspects.push(sample);
        if self.suspects.len() > WITNESSES {
            self.believe(from, arrival, out);
        }
        Ok(())
    }

    /// Enough samples agree that time jumped: those that waited are taken in, each for its source.
    fn believe(&mut self, from: &mut Source, arrival: Arrival, out: &mut [Rows]) {
        for suspect in std::mem::take(&mut self.suspects) {
            if suspect.source == arrival.source {
                self.accept_suspect(from, suspect, arrival, out);
            } else if let Some(mut other) = self.slot_of(suspect.source).take() {
                let mark = self.holding_mark(suspect.source).min(from.progress.mark());
                let theirs = Arrival { source: suspect.source, now: None, others: mark };
                self.accept_suspect(&mut other, suspect, theirs, out);
                *self.slot_of(suspect.source) = Some(other);
            }
        }
    }

    /// Takes in what waits for witnesses that will not come any more.
    pub(super) fn accept_suspects(&mut self, out: &mut [Rows]) {
        for suspect in std::mem::take(&mut self.suspects) {
            if let Some(mut from) = self.slot_of(suspect.source).take() {
                let others = self.holding_mark(suspect.source);
                let arrival = Arrival { source: suspect.source, now: None, others };
                self.accept_suspect(&mut from, suspect, arrival, out);
                *self.slot_of(suspect.source) = Some(from);
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

    #[inline]
    fn is_suspect(&self, at: EventTime) -> bool {
        self.newest != EventTime::MIN && at > self.newest + self.limits.future_max
    }

    fn accept_suspect(
        &mut self,
        from: &mut Source,
        suspect: Suspect,
        arrival: Arrival,
        out: &mut [Rows],
    ) {
        self.accept(from, suspect, arrival, false, out);
    }

    #[inline(always)]
    fn accept(
        &mut self,
        from: &mut Source,
        sample: Suspect,
        arrival: Arrival,
        stamped: bool,
        out: &mut [Rows],
    ) {
        from.progress.sample(sample.at, arrival.now, stamped);
        from.progress.wake(arrival.now, &self.limits);
        self.newest = self.newest.max(sample.at);
        if from.progress.standing() == Standing::Holding {
            let mark = arrival.others.min(from.progress.mark());
            // Asked before the division, which is dear and seldom needed.
            if mark >= self.next_step {
                self.advance(mark.floor(STEP), out);
            }
        }
        let (position, watermark) = (self.take_position(), self.watermark);
        let entry = self.table.entry_mut(sample.id);
        entry.newest = entry.newest.max(sample.at);
        entry.heard = entry.heard.max(watermark).max(sample.at);
        (entry.source, entry.last) = (sample.source, sample.value);
        from.accepted += 1;
        self.accepted += 1;
        let mask = entry.mask();
        place(out, self.table.mask(mask), position, sample.id, sample.at, sample.value);
        if let Some(tap) = &mut self.tap {
            tap.sample(sample.id, sample.at, sample.value, || self.table.series(sample.id));
        }
    }

    /// The number of the series that a slot stands for; introduces it when it is new or retired.
    #[cold]
    fn resolve(
        &mut self,
        source: SourceId,
        from: &mut Source,
        slot: Slot,
        out: &mut [Rows],
    ) -> Result<SeriesId, Refusal> {
        let slot = slot.0 as usize;
        let series =
            from.series[slot].as_ref().expect("a batch announces a slot before it uses it");
        let id = self.intern(series, source, out).ok_or(Refusal::TooManySeries)?;
        from.slots[slot] = SlotEntry { id, generation: self.table.generation(id) };
        let known = self.table.series(id);
        if known == series {
            // One text is enough where another source, or a run before, brought its own.
            from.series[slot] = Some(known.clone());
        }
        if self.table.entry(id).is_overflow() {
            from.refused.add(Refusal::TooManySeries, 1);
        }
        Ok(id)
    }

    pub(super) fn intern(
        &mut self,
        series: &Series,
        source: SourceId,
        out: &mut [Rows],
    ) -> Option<SeriesId> {
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
        let place = (self.position, self.watermark);
        let series = self.table.series(id).clone();
        let route = self.router.enter(&series);
        self.table.set_shards(id, route.shards);
        self.table.set_overflowing(id, &route.overflow);
        for (shard, rows) in out.iter_mut().enumerate() {
            if route.shards >> shard & 1 == 1 {
                let told = introduction(place, (id, series.clone()), &route, shard as u32);
                rows.introduced.push(told);
            }
        }
    }

    /// The lowest mark of the other sources that hold time back.
    pub(super) fn holding_mark(&self, except: SourceId) -> EventTime {
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

    pub(super) fn advance(&mut self, to: EventTime, out: &mut [Rows]) {
        if to <= self.watermark {
            return;
        }
        self.set_watermark(to);
        for rows in out {
            let row = rows.series.len();
            rows.cuts.push(Cut { row, position: self.position, watermark: to });
        }
    }
}

/// What one shard is told of a series.
pub fn introduction(
    (position, watermark): (u64, EventTime),
    (id, series): (SeriesId, Series),
    route: &Route,
    shard: u32,
) -> Introduction {
    let (entries, faults) = (route.entries_of(shard), route.faults_of(shard));
    Introduction { position, watermark, id, series, entries, faults }
}
