//! The window that lasts as long as samples keep coming: open until `gap` passes without one.
//!
//! A session runs from its first sample to its last one plus `gap`, both included: a sample exactly
//! `gap` after the last one still belongs to it. It is judged at every multiple of `every` while
//! open, and once at its end; after that the group has no data until the next session.

use serde::{Deserialize, Serialize};

use super::ewma::{self, Ewma};
use super::pane::{Fold, Folded, Lateness, OpenPanes, Pane, Placed};
use super::sketch::Sketch;
use super::spec::WindowSpec;
use crate::kernel::model::{Duration, EventTime};

/// Panes are no wider than `gap`, so the samples of one pane belong to one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    gap: Duration,
    every: Duration,
    open: OpenPanes,
    held: Option<Held>,
    ewma: Option<Ewma>,
    /// A sample entered since the last judgement.
    changed: bool,
}

/// The session's panes that were judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    first_at: EventTime,
    last_at: EventTime,
    fold: Fold,
    sketch: Option<Box<Sketch>>,
    /// It was judged at its end, and stays only to be read.
    ended: bool,
}

impl Session {
    pub fn new(gap: Duration, every: Duration) -> Session {
        let (open, held) = (OpenPanes::default(), None);
        Session { gap, every, open, held, ewma: None, changed: false }
    }

    /// `closed` is the time that was judged last. A late sample belongs to the session that is
    /// open also when it lies before the first sample by up to `gap`; a late last one moves the
    /// session's end.
    pub fn fold(&mut self, spec: &WindowSpec, closed: EventTime, sample: &Folded) -> Placed {
        if closed < sample.at {
            self.open.fold(spec, self.every, sample);
            return Placed::Open;
        }
        let reach = sample.at + self.gap;
        let Some(held) = self.held.as_mut().filter(|held| !held.ended && held.first_at <= reach)
        else {
            return Placed::LateGone;
        };
        held.first_at = held.first_at.min(sample.at);
        held.last_at = held.last_at.max(sample.at);
        held.fold.fold(spec, sample, Lateness::Late);
        if spec.parts.sketch {
            held.sketch.get_or_insert_default().add(sample.value);
        }
        if let Some(half_life) = spec.half_life {
            ewma::take_in(&mut self.ewma, Ewma::of(sample.at, sample.value), half_life);
        }
        self.changed = true;
        Placed::LateInWindow
    }

    /// Moves on to `end`. Returns whether a sample entered or left since the last time.
    pub fn close(&mut self, spec: &WindowSpec, end: EventTime) -> bool {
        let gap = self.gap;
        let mut changed = std::mem::take(&mut self.changed);
        changed |= self.held.take_if(|held| held.ended).is_some();
        while let Some(pane) = self.open.take_due(end) {
            if let (Some(half_life), Some(more)) = (spec.half_life, pane.ewma) {
                ewma::take_in(&mut self.ewma, more, half_life);
            }
            self.held.take_if(|held| held.last_at + gap < pane.first_at);
            self.enter(pane);
            changed = true;
        }
        changed |= self.held.take_if(|held| held.last_at + gap < end).is_some();
        let ended = self.end() == Some(end);
        self.held.iter_mut().for_each(|held| held.ended = ended);
        changed
    }

    /// When the session will end if no more samples come; `None` without a session, and while an
    /// open pane holds a sample that goes on with it.
    pub fn end(&self) -> Option<EventTime> {
        let end = self.held.as_ref()?.last_at + self.gap;
        let goes_on = self.open.first().is_some_and(|pane| pane.first_at <= end);
        (!goes_on).then_some(end)
    }

    pub fn every(&self) -> Duration {
        self.every
    }

    /// How long the session has lasted when judged at `end`; zero at its first sample's own time.
    pub fn length(&self, end: EventTime) -> Option<Duration> {
        Some(end.since(self.first_at()?))
    }

    pub fn first_open(&self) -> Option<EventTime> {
        self.open.first().map(|pane| pane.end)
    }

    /// When the session's first sample was.
    pub fn first_at(&self) -> Option<EventTime> {
        self.held.as_ref().map(|held| held.first_at)
    }

    pub fn total(&self) -> Option<&Fold> {
        self.held.as_ref().map(|held| &held.fold)
    }

    pub fn sketch(&self) -> Option<&Sketch> {
        self.held.as_ref()?.sketch.as_deref()
    }

    pub fn ewma(&self) -> Option<f64> {
        self.ewma?.value()
    }

    /// The last session is over and told, and no judged sample has begun another.
    pub fn is_between_two(&self) -> bool {
        self.held.is_none() && !self.changed
    }

    /// A sample entered since the last judgement.
    pub fn changed(&self) -> bool {
        self.changed
    }

    pub fn panes(&self) -> usize {
        self.open.len() + usize::from(self.held.is_some())
    }

    fn enter(&mut self, pane: Pane) {
        let Pane { first_at, last_at, fold, sketch, .. } = pane;
        let Some(held) = &mut self.held else {
            self.held = Some(Held { first_at, last_at, fold, sketch, ended: false });
            return;
        };
        held.last_at = held.last_at.max(last_at);
        held.fold.merge(&fold);
        match (&mut held.sketch, sketch) {
            (Some(held), Some(sketch)) => held.merge(&sketch),
            (None, sketch) => held.sketch = sketch,
            (Some(_), None) => {}
        }
    }
}
