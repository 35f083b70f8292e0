//! What one group's window holds: samples go in, each end of a pane gives a view.

use serde::{Deserialize, Serialize};

use super::every::EVERY_MIN;
use super::last::Last;
use super::pane::{Fold, Folded, Placed};
use super::record::{Halves, Kept};
use super::ring::{Ring, Work};
use super::session::Session;
use super::sketch::Sketch;
use super::sliding::{self, Rich};
use super::spec::WindowSpec;
use crate::kernel::event::Bounds;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

/// The window of one group of one input. It is always used with the spec it was made for, or one
/// that [`WindowSpec::continues`] it.
///
/// Shape: 48 bytes, and on the heap what its panes keep (a ring of records).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupWindow {
    /// The last end that was judged: a sample at or before it is late.
    closed: EventTime,
    held: Held,
}

/// What most windows are made of lies here, what few need behind a pointer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    Sliding(Ring),
    /// Sliding, with parts that records can't hold.
    Rich(Box<(Ring, Rich)>),
    Session(Box<Session>),
    Last(Box<Last>),
}

/// What there is to say about a window before any reduction is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// A sample entered or left since the last judgement; else every reduction is the same.
    pub changed: bool,
    /// Nothing is in the window (or fewer than the `n` of `last(n)`): no data.
    pub empty: bool,
}

impl GroupWindow {
    /// A window without samples. `watermark` is the one that the group's rule sees, less its own
    /// lateness; panes that it has passed are judged already, so their samples are late.
    pub fn new(spec: &WindowSpec, watermark: EventTime) -> GroupWindow {
        let (held, every) = match spec.shape {
            Shape::Sliding { every, .. } => {
                assert!(every >= EVERY_MIN, "panes are numbered in no finer steps");
                let ring = Ring::new(Kept::new(&spec.parts));
                let rich = spec.parts.are_rich() || spec.half_life.is_some();
                let held = if rich {
                    Held::Rich(Box::new((ring, Rich::default())))
                } else {
                    Held::Sliding(ring)
                };
                (held, Some(every))
            }
            Shape::Session { gap, every } => {
                (Held::Session(Box::new(Session::new(gap, every))), Some(every))
            }
            Shape::Count { count } => (Held::Last(Box::new(Last::new(count, &spec.parts))), None),
            Shape::Each | Shape::Latest { .. } => {
                panic!("a spec is made only for shapes that have a window")
            }
        };
        let closed = every.map_or(EventTime::MIN, |every| newest_closed(watermark, every));
        GroupWindow { closed, held }
    }

    /// Takes in a sample: O(1), but O(panes) for a late one.
    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded) -> Placed {
        match &mut self.held {
            Held::Sliding(ring) => sliding::fold((ring, None), spec, self.closed, sample),
            Held::Rich(both) => {
                let (ring, rich) = both.as_mut();
                sliding::fold((ring, Some(rich)), spec, self.closed, sample)
            }
            Held::Session(session) => session.fold(spec, self.closed, sample),
            Held::Last(last) => {
                last.fold(spec, sample);
                Placed::Open
            }
        }
    }

    /// For a window that was left alone while idle: counts the ends that `watermark` has passed
    /// since as judged. To be called before the first sample after that is folded, which may be
    /// late. Does nothing to a window that is not idle.
    pub fn catch_up(&mut self, spec: &WindowSpec, watermark: EventTime) {
        let every = match &self.held {
            Held::Sliding(_) | Held::Rich(_) => spec.grid().every,
            Held::Session(session) => session.every(),
            Held::Last(_) => return,
        };
        if self.is_idle() {
            self.closed = self.closed.max(newest_closed(watermark, every));
        }
    }

    /// The next time at which to call [`GroupWindow::close`] once the watermark is strictly past
    /// it: the next multiple of `every`, or the session's end when that comes first. A sample may
    /// move a session's end, so ask again when the time has come. `None` for `last(n)`, which is
    /// judged on each sample, and before the first sample when there was no watermark.
    pub fn next_judgement(&self, spec: &WindowSpec) -> Option<EventTime> {
        let (every, first_open, end) = match &self.held {
            Held::Sliding(ring) => (spec.grid().every, first_open(spec, ring), None),
            Held::Rich(both) => (spec.grid().every, first_open(spec, &both.0), None),
            Held::Session(session) => (session.every(), session.first_open(), session.end()),
            Held::Last(_) => return None,
        };
        let between = matches!(&self.held, Held::Session(session) if session.is_between_two());
        if self.closed == EventTime::MIN || between {
            // Between two sessions there is nothing to judge.
            return first_open;
        }
        let next = self.closed.next().pane_end(every);
        Some(end.filter(|end| self.closed < *end).map_or(next, |end| end.min(next)))
    }

    /// Moves the window on to `end`: a multiple of `every`, or a session's end. Ends may be
    /// skipped while the window is idle (see [`GroupWindow::catch_up`]). For `last(n)` `end` is
    /// the sample's own time.
    pub fn close(&mut self, spec: &WindowSpec, end: EventTime) -> Judged {
        let judged = match &mut self.held {
            Held::Last(last) => {
                return Judged { changed: last.take_changed(), empty: !last.is_full() };
            }
            Held::Sliding(ring) => {
                let changed = sliding::close((ring, None), spec, end);
                Judged { changed, empty: ring.judged() == 0 }
            }
            Held::Rich(both) => {
                let (ring, rich) = both.as_mut();
                let changed = sliding::close((ring, Some(rich)), spec, end);
                Judged { changed, empty: ring.judged() == 0 }
            }
            Held::Session(session) => {
                let changed = session.close(spec, end);
                Judged { changed, empty: session.total().is_none() }
            }
        };
        assert!(self.closed < end, "ends are judged in order");
        self.closed = end;
        judged
    }

    /// A reduction of the window that was just closed. `None` when the window is empty, when the
    /// reduction is undefined (a rate without two samples of one series, a slope at one time) or
    /// not among what the spec was made for, and when it went past the range of `f64`. The length
    /// of a session, for its rate, is the time since its first sample.
    pub fn view(&self, spec: &WindowSpec, reduction: Reduction) -> Option<f64> {
        let halves = self.halves().filter(|_| spec.keeps(reduction))?;
        match reduction {
            Reduction::Quantile(tenths) => quantile(self.sketch()?, &halves, tenths),
            Reduction::Slope => self.slope(),
            Reduction::Ewma => self.ewma(),
            Reduction::Distinct => self.distinct(),
            Reduction::Count
            | Reduction::Sum
            | Reduction::Mean
            | Reduction::Min
            | Reduction::Max
            | Reduction::First
            | Reduction::Last
            | Reduction::Delta
            | Reduction::Rate
            | Reduction::Increase
            | Reduction::Stddev
            | Reduction::Share => halves.read(reduction, self.length(spec)),
        }
    }

    /// The bounds of the window that was just closed. A session's start is its first sample's own
    /// time, which it includes. `None` for an empty session and for `last(n)`.
    pub fn bounds(&self, spec: &WindowSpec) -> Option<Bounds> {
        let end = self.closed;
        match &self.held {
            Held::Sliding(_) | Held::Rich(_) => {
                Some(Bounds { start: end - spec.grid().length, end })
            }
            Held::Session(session) => session.first_at().map(|start| Bounds { start, end }),
            Held::Last(_) => None,
        }
    }

    /// Nothing is held and nothing is left to tell: closing it changes nothing until the next
    /// sample.
    pub fn is_idle(&self) -> bool {
        let changed = match &self.held {
            Held::Sliding(ring) => ring.changed,
            Held::Rich(both) => both.0.changed,
            Held::Session(session) => session.changed(),
            Held::Last(last) => last.changed(),
        };
        self.panes() == 0 && !changed
    }

    /// Panes kept, for the limit on them; for `last(n)` its samples.
    pub fn panes(&self) -> usize {
        match &self.held {
            Held::Sliding(ring) => ring.len(),
            Held::Rich(both) => both.0.len(),
            Held::Session(session) => session.panes(),
            Held::Last(last) => last.len(),
        }
    }

    /// Reads what the next fold or close will, and makes a number of it. To be called for several
    /// windows before they are worked on, so that memory is waited for once and not for each.
    pub fn touch(&self, work: Work) -> u64 {
        match &self.held {
            Held::Sliding(ring) => ring.touch(work),
            Held::Rich(both) => both.0.touch(work),
            Held::Session(_) | Held::Last(_) => 0,
        }
    }

    /// Bytes of a plain sliding window's panes.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        match &self.held {
            Held::Sliding(ring) => ring.heap_bytes(),
            Held::Rich(_) | Held::Session(_) | Held::Last(_) => panic!("it has more than panes"),
        }
    }

    /// `None` when there is no data.
    fn halves(&self) -> Option<Halves<'_>> {
        match &self.held {
            Held::Sliding(ring) => ring.halves(),
            Held::Rich(both) => both.0.halves(),
            Held::Session(session) => session.total().map(Fold::halves),
            Held::Last(last) => last.halves(),
        }
    }

    fn sketch(&self) -> Option<&Sketch> {
        match &self.held {
            Held::Sliding(_) => None,
            Held::Rich(both) => Some(both.1.sketch()),
            Held::Session(session) => session.sketch(),
            Held::Last(last) => Some(last.sketch()),
        }
    }

    fn slope(&self) -> Option<f64> {
        match &self.held {
            Held::Sliding(_) => None,
            Held::Rich(both) => both.1.trends()?.slope(),
            Held::Session(session) => session.total()?.heavy.trends.as_ref()?.slope(),
            Held::Last(last) => last.slope(),
        }
    }

    fn distinct(&self) -> Option<f64> {
        match &self.held {
            Held::Sliding(_) => None,
            Held::Rich(both) => Some(both.1.distinct()?.estimate()),
            Held::Session(session) => Some(session.total()?.heavy.distinct.as_ref()?.estimate()),
            Held::Last(last) => Some(last.distinct()),
        }
    }

    fn ewma(&self) -> Option<f64> {
        match &self.held {
            Held::Sliding(_) => None,
            Held::Rich(both) => both.1.ewma(),
            Held::Session(session) => session.ewma(),
            Held::Last(last) => last.ewma(),
        }
    }

    fn length(&self, spec: &WindowSpec) -> Option<Duration> {
        match &self.held {
            Held::Sliding(_) | Held::Rich(_) => Some(spec.grid().length),
            Held::Session(session) => session.length(self.closed),
            Held::Last(_) => None,
        }
    }
}

fn first_open(spec: &WindowSpec, ring: &Ring) -> Option<EventTime> {
    ring.first_open().map(|number| spec.grid().end(number))
}

/// p0 and p100 are the exact min and max, and no guess lies outside them.
fn quantile(sketch: &Sketch, halves: &Halves<'_>, tenths: u16) -> Option<f64> {
    let (low, high) = halves.range()?;
    match tenths {
        0 => Some(low),
        1000.. => Some(high),
        1..1000 => sketch.quantile(tenths).map(|value| value.clamp(low, high)),
    }
}

/// The newest end of a pane that the watermark is strictly past.
fn newest_closed(watermark: EventTime, every: Duration) -> EventTime {
    if watermark.nanos() <= EventTime::MIN.nanos() + every.nanos() {
        return EventTime::MIN;
    }
    EventTime::from_nanos(watermark.nanos() - 1).floor(every)
}
