//! The slow truth: keeps every sample and recounts each reduction from its definition.

use std::collections::BTreeMap;

use super::super::pane::{Folded, Placed};
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

#[derive(Clone, Copy)]
struct Kept {
    sample: Folded,
    late: bool,
}

pub struct Recount {
    shape: Shape,
    half_life: Duration,
    closed: EventTime,
    /// Accepted samples; for a session only those that were not yet judged.
    kept: Vec<Kept>,
    /// What the last judgement saw.
    window: Vec<Kept>,
    session_ended: bool,
    /// Everything that a judgement has seen, for the ewma.
    history: Vec<Folded>,
}

/// A value and the size of what it was computed from, which rounding errors are in proportion to.
pub struct Truth {
    pub value: f64,
    pub scale: f64,
}

impl Recount {
    pub fn new(shape: Shape, half_life: Duration, closed: EventTime) -> Recount {
        let (kept, window, history) = (Vec::new(), Vec::new(), Vec::new());
        Recount { shape, half_life, closed, kept, window, session_ended: false, history }
    }

    pub fn fold(&mut self, sample: Folded) -> Placed {
        let late = sample.at <= self.closed;
        match self.shape {
            Shape::Count { .. } => {
                self.kept.push(Kept { sample, late: false });
                self.history.push(sample);
                return Placed::Open;
            }
            Shape::Sliding { length, every } if late => {
                if sample.at <= self.closed + every - length {
                    return Placed::LateGone;
                }
                self.kept.push(Kept { sample, late });
            }
            Shape::Session { gap, .. } if late => {
                let first = self.window.iter().map(|kept| kept.sample.at).min();
                if self.session_ended || first.is_none_or(|first| sample.at + gap < first) {
                    return Placed::LateGone;
                }
                self.window.push(Kept { sample, late });
            }
            Shape::Sliding { .. } | Shape::Session { .. } | Shape::Each | Shape::Latest { .. } => {
                self.kept.push(Kept { sample, late });
                return Placed::Open;
            }
        }
        self.history.push(sample);
        Placed::LateInWindow
    }

    pub fn close(&mut self, end: EventTime) {
        let judged = |kept: &&Kept| self.closed < kept.sample.at && kept.sample.at <= end;
        if !matches!(self.shape, Shape::Count { .. }) {
            let entering = self.kept.iter().filter(judged).filter(|kept| !kept.late);
            self.history.extend(entering.map(|kept| kept.sample));
        }
        match self.shape {
            Shape::Sliding { length, .. } => {
                let held = |kept: &Kept| end - length < kept.sample.at && kept.sample.at <= end;
                self.window = self.kept.iter().copied().filter(held).collect();
            }
            Shape::Session { gap, .. } => self.close_session(gap, end),
            Shape::Count { count } => {
                let from = self.kept.len().saturating_sub(count);
                self.window = if self.kept.len() < count { &[] } else { &self.kept[from..] }.into();
                return;
            }
            Shape::Each | Shape::Latest { .. } => panic!("no window"),
        }
        self.closed = end;
    }

    fn close_session(&mut self, gap: Duration, end: EventTime) {
        if std::mem::take(&mut self.session_ended) {
            self.window.clear();
        }
        let newest = |window: &[Kept]| window.iter().map(|kept| kept.sample.at).max();
        self.kept.sort_by_key(|kept| kept.sample.at);
        let due = self.kept.partition_point(|kept| kept.sample.at <= end);
        for kept in self.kept.drain(..due) {
            if newest(&self.window).is_some_and(|newest| newest + gap < kept.sample.at) {
                self.window.clear();
            }
            self.window.push(kept);
        }
        if let Some(newest) = newest(&self.window) {
            if newest + gap < end {
                self.window.clear();
            }
            self.session_ended = newest + gap == end;
        }
    }

    /// Which samples the last judgement saw, by position.
    pub fn seen(&self) -> Vec<u64> {
        let mut seen: Vec<u64> = self.window.iter().map(|kept| kept.sample.position).collect();
        seen.sort();
        seen
    }

    pub fn view(&self, reduction: Reduction) -> Option<Truth> {
        if self.window.is_empty() {
            return None;
        }
        let values: Vec<f64> = self.window.iter().map(|kept| kept.sample.value).collect();
        let count = values.len() as f64;
        let size = values.iter().fold(0.0f64, |size, value| size.max(value.abs()));
        let exact = |value: f64| Some(Truth { value, scale: 0.0 });
        let mean = values.iter().sum::<f64>() / count;
        match reduction {
            Reduction::Count => exact(count),
            Reduction::Sum => Some(Truth { value: values.iter().sum(), scale: size * count }),
            Reduction::Mean => Some(Truth { value: mean, scale: size }),
            Reduction::Min => exact(values.iter().copied().fold(f64::INFINITY, f64::min)),
            Reduction::Max => exact(values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            Reduction::First => exact(self.by_place()[0].value),
            Reduction::Last => exact(self.by_place()[values.len() - 1].value),
            Reduction::Stddev => {
                let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
                Some(Truth { value: (squares / count).sqrt(), scale: 100.0 * size })
            }
            Reduction::Quantile(tenths) => {
                let mut sorted = values.clone();
                sorted.sort_by(f64::total_cmp);
                let value = sorted[usize::from(tenths) * (values.len() - 1) / 1000];
                Some(Truth { value, scale: 0.01 * 1e9 * value.abs() })
            }
            Reduction::Share => exact(
                self.window.iter().filter(|kept| kept.sample.share_hit).count() as f64 / count,
            ),
            Reduction::Distinct => {
                let mut hashes: Vec<u64> =
                    self.window.iter().map(|kept| kept.sample.distinct_hash).collect();
                hashes.sort();
                hashes.dedup();
                exact(hashes.len() as f64)
            }
            Reduction::Increase | Reduction::Delta => self.moved(reduction, 1.0),
            Reduction::Rate => self.moved(Reduction::Increase, self.seconds()?),
            Reduction::Slope => self.slope(),
            Reduction::Ewma => self.ewma(),
        }
    }

    fn by_place(&self) -> Vec<Folded> {
        let mut samples: Vec<Folded> = self.window.iter().map(|kept| kept.sample).collect();
        samples.sort_by_key(|sample| (sample.at, sample.position));
        samples
    }

    fn seconds(&self) -> Option<f64> {
        let seconds = match self.shape {
            Shape::Sliding { length, .. } => length.as_secs_f64(),
            Shape::Session { .. } => self.closed.since(self.by_place()[0].at).as_secs_f64(),
            Shape::Count { .. } | Shape::Each | Shape::Latest { .. } => return None,
        };
        (seconds > 0.0).then_some(seconds)
    }

    fn on_time(&self) -> impl Iterator<Item = Folded> + '_ {
        self.window.iter().filter(|kept| !kept.late).map(|kept| kept.sample)
    }

    fn moved(&self, reduction: Reduction, per: f64) -> Option<Truth> {
        let (mut value, mut scale, mut any) = (0.0, 0.0, false);
        for sample in self.on_time() {
            let Some((_, previous)) = sample.previous else { continue };
            let reset = reduction == Reduction::Increase && sample.value < previous;
            value += if reset { sample.value } else { sample.value - previous };
            scale += sample.value.abs() + previous.abs();
            any = true;
        }
        any.then_some(Truth { value: value / per, scale: scale / per })
    }

    fn slope(&self) -> Option<Truth> {
        let mut series: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        let origin = self.by_place()[0].at.nanos();
        for sample in self.on_time() {
            let seconds = (sample.at.nanos() - origin) as f64 / 1e9;
            series.entry(sample.member).or_default().push((seconds, sample.value));
        }
        let (mut value, mut scale, mut any) = (0.0, 0.0, false);
        for points in series.values() {
            let count = points.len() as f64;
            let mean_time = points.iter().map(|(time, _)| time).sum::<f64>() / count;
            let mean_value = points.iter().map(|(_, value)| value).sum::<f64>() / count;
            if points.iter().all(|(time, _)| *time == points[0].0) {
                continue;
            }
            let squares = points.iter().map(|(time, _)| (time - mean_time).powi(2)).sum::<f64>();
            let product = |(time, value): &(f64, f64)| (time - mean_time) * (value - mean_value);
            value += points.iter().map(product).sum::<f64>() / squares;
            // How far a rounding error in a time or a value is carried.
            let size = points.iter().fold(1.0f64, |size, (_, value)| size.max(value.abs()));
            let spread = (squares / count).sqrt();
            scale += size / spread * (1.0 + 1.0 / spread);
            any = true;
        }
        any.then_some(Truth { value, scale: 100.0 * scale })
    }

    fn ewma(&self) -> Option<Truth> {
        let newest = self.history.iter().map(|sample| sample.at).max()?;
        let (mut sum, mut weights, mut size) = (0.0, 0.0, 0.0f64);
        for sample in &self.history {
            let age = newest.since(sample.at).as_secs_f64() / self.half_life.as_secs_f64();
            sum += sample.value * (-age).exp2();
            weights += (-age).exp2();
            size = size.max(sample.value.abs());
        }
        Some(Truth { value: sum / weights, scale: size })
    }
}
