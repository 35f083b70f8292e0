//! What one group's window holds: samples go in, each end of a pane gives a view.

use serde::{Deserialize, Serialize};

use super::cells::Cells;
use super::ewma::{self, Ewma};
use super::last::Last;
use super::pane::{Folded, Placed};
use super::session::Session;
use super::sketch::Sketch;
use super::sliding::Sliding;
use super::spec::WindowSpec;
use crate::kernel::event::Bounds;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

/// The window of one group of one input. It is always used with the spec it was made for, or one
/// that [`WindowSpec::continues`] it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupWindow {
    /// The last end that was judged: a sample at or before it is late.
    closed: EventTime,
    /// Whether a sample entered or left since the last judgement.
    changed: bool,
    ewma: Option<Ewma>,
    held: Held,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Held {
    Sliding(Sliding),
    Session(Session),
    Last(Last),
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
            Shape::Sliding { length, every } => {
                (Held::Sliding(Sliding::new(length, every)), Some(every))
            }
            Shape::Session { gap, every } => (Held::Session(Session::new(gap, every)), Some(every)),
            Shape::Count { count } => (Held::Last(Last::new(count)), None),
            Shape::Each | Shape::Latest { .. } => {
                panic!("a spec is made only for shapes that have a window")
            }
        };
        let closed = every.map_or(EventTime::MIN, |every| newest_closed(watermark, every));
        GroupWindow { closed, changed: false, ewma: None, held }
    }

    /// Takes in a sample: O(1), but O(panes) for a late one.
    pub fn fold(&mut self, spec: &WindowSpec, sample: &Folded) -> Placed {
        let (placed, seen_at_once) = match &mut self.held {
            Held::Sliding(sliding) => {
                let placed = sliding.fold(spec, self.closed, sample);
                (placed, placed == Placed::LateInWindow)
            }
            Held::Session(session) => {
                let placed = session.fold(spec, self.closed, sample);
                (placed, placed == Placed::LateInWindow)
            }
            Held::Last(last) => {
                last.fold(spec, sample);
                (Placed::Open, true)
            }
        };
        if seen_at_once {
            self.changed = true;
            if let Some(half_life) = spec.half_life {
                ewma::take_in(&mut self.ewma, Ewma::of(sample.at, sample.value), half_life);
            }
        }
        placed
    }

    /// For a window that was left alone while idle: counts the ends that `watermark` has passed
    /// since as judged. To be called before the first sample after that is folded, which may be
    /// late. Does nothing to a window that is not idle.
    pub fn catch_up(&mut self, watermark: EventTime) {
        let every = match &self.held {
            Held::Sliding(sliding) => sliding.every(),
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
    pub fn next_judgement(&self) -> Option<EventTime> {
        let (every, first_open, end) = match &self.held {
            Held::Sliding(sliding) => (sliding.every(), sliding.first_open(), None),
            Held::Session(session) => (session.every(), session.first_open(), session.end()),
            Held::Last(_) => return None,
        };
        let between = matches!(self.held, Held::Session(_)) && self.cells().is_none();
        if self.closed == EventTime::MIN || between && !self.changed {
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
        let moved = match &mut self.held {
            Held::Last(last) => {
                let empty = !last.is_full();
                return Judged { changed: std::mem::take(&mut self.changed), empty };
            }
            Held::Sliding(sliding) => {
                assert!(self.closed < end, "ends are judged in order");
                sliding.close(spec, end, &mut self.ewma)
            }
            Held::Session(session) => {
                assert!(self.closed < end, "ends are judged in order");
                session.close(spec, end, &mut self.ewma)
            }
        };
        self.closed = end;
        let changed = std::mem::take(&mut self.changed) || moved;
        Judged { changed, empty: self.cells().is_none() }
    }

    /// A reduction of the window that was just closed. `None` when the window is empty, when the
    /// reduction is undefined (a rate without two samples of one series, a slope at one time) or
    /// not among what the spec was made for, and when it went past the range of `f64`. The length
    /// of a session, for its rate, is the time since its first sample.
    pub fn view(&self, spec: &WindowSpec, reduction: Reduction) -> Option<f64> {
        let cells = self.cells().filter(|_| spec.keeps(reduction))?;
        match reduction {
            Reduction::Quantile(tenths) => quantile(self.sketch()?, &cells, tenths),
            Reduction::Slope => self.slope(),
            Reduction::Ewma => self.ewma.and_then(|ewma| ewma.value()),
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
            | Reduction::Share => cells.read(reduction, self.length()),
        }
    }

    /// The bounds of the window that was just closed. A session's start is its first sample's own
    /// time, which it includes. `None` for an empty session and for `last(n)`.
    pub fn bounds(&self) -> Option<Bounds> {
        let end = self.closed;
        match &self.held {
            Held::Sliding(sliding) => Some(Bounds { start: end - sliding.length(), end }),
            Held::Session(session) => session.first_at().map(|start| Bounds { start, end }),
            Held::Last(_) => None,
        }
    }

    /// Nothing is held and nothing is left to tell: closing it changes nothing until the next
    /// sample.
    pub fn is_idle(&self) -> bool {
        self.panes() == 0 && !self.changed
    }

    /// Panes kept, for the limit on them; for `last(n)` its samples.
    pub fn panes(&self) -> usize {
        match &self.held {
            Held::Sliding(sliding) => sliding.panes(),
            Held::Session(session) => session.panes(),
            Held::Last(last) => last.len(),
        }
    }

    /// `None` when there is no data.
    fn cells(&self) -> Option<Cells> {
        match &self.held {
            Held::Sliding(sliding) => sliding.cells(),
            Held::Session(session) => session.total().map(|fold| fold.cells),
            Held::Last(last) => last.cells(),
        }
    }

    fn sketch(&self) -> Option<&Sketch> {
        match &self.held {
            Held::Sliding(sliding) => Some(sliding.sketch()),
            Held::Session(session) => session.sketch(),
            Held::Last(last) => Some(last.sketch()),
        }
    }

    fn slope(&self) -> Option<f64> {
        match &self.held {
            Held::Sliding(sliding) => sliding.trends()?.slope(),
            Held::Session(session) => session.total()?.trends.as_ref()?.slope(),
            Held::Last(last) => last.slope(),
        }
    }

    fn distinct(&self) -> Option<f64> {
        match &self.held {
            Held::Sliding(sliding) => Some(sliding.distinct()?.estimate()),
            Held::Session(session) => Some(session.total()?.distinct.as_ref()?.estimate()),
            Held::Last(last) => Some(last.distinct()),
        }
    }

    fn length(&self) -> Option<Duration> {
        match &self.held {
            Held::Sliding(sliding) => Some(sliding.length()),
            Held::Session(session) => session.length(self.closed),
            Held::Last(_) => None,
        }
    }
}

/// p0 and p100 are the exact min and max, and no guess lies outside them.
fn quantile(sketch: &Sketch, cells: &Cells, tenths: u16) -> Option<f64> {
    let (low, high) = cells.range();
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
