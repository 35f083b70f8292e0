//! Joins of named inputs without a window: one judgement for each event time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime};

/// Event times that wait for the rest of their inputs; more are judged early rather than kept.
const WAITING_MAX: usize = 1_000;

/// What a group's inputs have said so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pendings {
    /// By event time, what each input said at it.
    waiting: BTreeMap<EventTime, Vec<Option<f64>>>,
    /// Each input's newest value at or before the last judged time.
    settled: Vec<Option<(EventTime, f64)>>,
    judged: Option<EventTime>,
}

impl Pendings {
    pub fn new(inputs: usize) -> Pendings {
        Pendings { waiting: BTreeMap::new(), settled: vec![None; inputs], judged: None }
    }

    /// False when the time was judged already: the sample is late.
    pub fn add(&mut self, input: u8, at: EventTime, value: f64) -> bool {
        if self.judged.is_some_and(|judged| at <= judged) {
            return false;
        }
        let inputs = self.settled.len();
        let row = self.waiting.entry(at).or_insert_with(|| vec![None; inputs]);
        row[input as usize] = Some(value);
        true
    }

    /// The oldest waiting time that can be judged now: all its inputs spoke, or the watermark is
    /// past it. Times are judged in order, so a complete one waits for an older one that is not.
    pub fn ready(&self, watermark: EventTime) -> Option<EventTime> {
        let (at, row) = self.waiting.first_key_value()?;
        let complete = row.iter().all(Option::is_some);
        (complete || *at < watermark || self.waiting.len() > WAITING_MAX).then_some(*at)
    }

    /// When the oldest waiting time becomes due by the watermark.
    pub fn due(&self) -> Option<EventTime> {
        self.waiting.first_key_value().map(|(at, _)| *at)
    }

    /// Each input's newest value at or before `at` that is not older than `tolerance`; `None` when
    /// an input has none. The time is done with.
    pub fn take(&mut self, at: EventTime, tolerance: Duration) -> Option<Vec<f64>> {
        let row = self.waiting.remove(&at)?;
        for (settled, said) in self.settled.iter_mut().zip(row) {
            if let Some(value) = said {
                *settled = Some((at, value));
            }
        }
        self.judged = Some(at);
        let fresh = |settled: &Option<(EventTime, f64)>| {
            settled.filter(|(time, _)| at.since(*time) <= tolerance).map(|(_, value)| value)
        };
        self.settled.iter().map(fresh).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> EventTime {
        EventTime::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn a_time_is_ready_when_complete_or_passed() {
        let mut pendings = Pendings::new(2);
        assert!(pendings.add(0, at(1), 10.0));
        assert_eq!(pendings.ready(at(1)), None);
        assert_eq!(pendings.ready(at(1).next()), Some(at(1)));
        assert!(pendings.add(1, at(1), 20.0));
        assert_eq!(pendings.ready(at(0)), Some(at(1)));
        assert_eq!(pendings.take(at(1), Duration::ZERO), Some(vec![10.0, 20.0]));
        assert!(!pendings.add(0, at(1), 11.0), "a judged time is late");
    }

    #[test]
    fn a_complete_time_waits_for_an_older_incomplete_one() {
        let mut pendings = Pendings::new(2);
        pendings.add(0, at(1), 1.0);
        pendings.add(0, at(2), 2.0);
        pendings.add(1, at(2), 2.0);
        assert_eq!(pendings.ready(at(1)), None);
        assert_eq!(pendings.ready(at(1).next()), Some(at(1)));
        assert_eq!(pendings.take(at(1), Duration::MAX), None, "input 1 has said nothing yet");
        assert_eq!(pendings.ready(at(1)), Some(at(2)));
    }

    #[test]
    fn a_value_counts_until_it_is_older_than_the_tolerance() {
        let mut pendings = Pendings::new(2);
        pendings.add(1, at(0), 5.0);
        pendings.add(0, at(0), 5.0);
        pendings.take(at(0), Duration::ZERO);
        for (secs, expected) in [(60, Some(vec![1.0, 5.0])), (61, None)] {
            pendings.add(0, at(secs), 1.0);
            assert_eq!(pendings.take(at(secs), Duration::from_secs(60)), expected, "{secs}");
        }
    }
}
