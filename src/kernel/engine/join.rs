//! What the inputs of a join said, by event time, until a time is judged.
//!
//! An input of one series has spoken for a time when that series did. One that is folded across
//! series is known when the watermark has passed: until then any of its series may still speak.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime};

/// Event times that wait for the rest of their inputs; more are judged early rather than kept.
const WAITING_MAX: usize = 1_000;

/// What a group's inputs have said so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pendings {
    inputs: u8,
    /// Inputs are folded across series.
    folds: bool,
    /// By event time, what was said at it.
    waiting: BTreeMap<EventTime, BTreeMap<Speaker, Said>>,
    /// The newest value of each at or before the last judged time.
    settled: BTreeMap<Speaker, (EventTime, Said)>,
    judged: Option<EventTime>,
}

/// An input's number; of inputs that are folded a series' [hash](super::group::Member::hash).
type Speaker = u64;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Said {
    input: u8,
    value: f64,
}

impl Pendings {
    pub fn new(inputs: usize, folds: bool) -> Pendings {
        let inputs = u8::try_from(inputs).expect("the loader bounds the inputs of a join");
        let (waiting, settled) = (BTreeMap::new(), BTreeMap::new());
        Pendings { inputs, folds, waiting, settled, judged: None }
    }

    /// Whether what was said before can be gone on with: by as many inputs, told apart alike.
    pub fn continues(&self, before: &Pendings) -> bool {
        (self.inputs, self.folds) == (before.inputs, before.folds)
    }

    /// False when the time was judged already: the sample is late.
    pub fn add(&mut self, (input, speaker): (u8, Speaker), at: EventTime, value: f64) -> bool {
        if self.judged.is_some_and(|judged| at <= judged) {
            return false;
        }
        self.waiting.entry(at).or_default().insert(speaker, Said { input, value });
        true
    }

    /// The oldest waiting time that can be judged now: all its inputs spoke, which can be known of
    /// inputs of one series only, or the watermark is past it. Times are judged in order, so a
    /// complete one waits for an older one that is not.
    pub fn ready(&self, watermark: EventTime) -> Option<EventTime> {
        let (at, said) = self.waiting.first_key_value()?;
        let complete = !self.folds && said.len() == usize::from(self.inputs);
        (complete || *at < watermark || self.waiting.len() > WAITING_MAX).then_some(*at)
    }

    /// When the oldest waiting time becomes due by the watermark.
    pub fn due(&self) -> Option<EventTime> {
        self.waiting.first_key_value().map(|(at, _)| *at)
    }

    /// For each input the newest values, at or before `at` and not older than `tolerance`, of those
    /// who speak for it, in an order that is the same on every machine. The time is done with.
    pub fn take(&mut self, at: EventTime, tolerance: Duration) -> Vec<Vec<f64>> {
        for (speaker, said) in self.waiting.remove(&at).unwrap_or_default() {
            self.settled.insert(speaker, (at, said));
        }
        self.judged = Some(at);
        self.settled.retain(|_, (settled, _)| at.since(*settled) <= tolerance);
        let mut values = vec![Vec::new(); usize::from(self.inputs)];
        for (_, Said { input, value }) in self.settled.values() {
            values[usize::from(*input)].push(*value);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> EventTime {
        EventTime::from_nanos(secs * 1_000_000_000)
    }

    /// Two inputs of one series each.
    fn add(pendings: &mut Pendings, input: u8, secs: i64, value: f64) -> bool {
        pendings.add((input, input.into()), at(secs), value)
    }

    #[test]
    fn a_time_is_ready_when_complete_or_passed() {
        let mut pendings = Pendings::new(2, false);
        assert!(add(&mut pendings, 0, 1, 10.0));
        assert_eq!(pendings.ready(at(1)), None);
        assert_eq!(pendings.ready(at(1).next()), Some(at(1)));
        assert!(add(&mut pendings, 1, 1, 20.0));
        assert_eq!(pendings.ready(at(0)), Some(at(1)));
        assert_eq!(pendings.take(at(1), Duration::ZERO), [[10.0], [20.0]]);
        assert!(!add(&mut pendings, 0, 1, 11.0), "a judged time is late");
    }

    #[test]
    fn a_complete_time_waits_for_an_older_incomplete_one() {
        let mut pendings = Pendings::new(2, false);
        add(&mut pendings, 0, 1, 1.0);
        add(&mut pendings, 0, 2, 2.0);
        add(&mut pendings, 1, 2, 2.0);
        assert_eq!(pendings.ready(at(1)), None);
        assert_eq!(pendings.ready(at(1).next()), Some(at(1)));
        let said = pendings.take(at(1), Duration::MAX);
        assert_eq!(said, [vec![1.0], vec![]], "input 1 has said nothing yet");
        assert_eq!(pendings.ready(at(1)), Some(at(2)));
    }

    #[test]
    fn a_value_counts_until_it_is_older_than_the_tolerance() {
        let mut pendings = Pendings::new(2, false);
        add(&mut pendings, 1, 0, 5.0);
        add(&mut pendings, 0, 0, 5.0);
        pendings.take(at(0), Duration::ZERO);
        for (secs, expected) in [(60, vec![5.0]), (61, vec![])] {
            add(&mut pendings, 0, secs, 1.0);
            let said = pendings.take(at(secs), Duration::from_secs(60));
            assert_eq!(said, [vec![1.0], expected], "{secs}");
        }
    }

    #[test]
    fn a_folded_input_waits_for_the_watermark_and_reads_nothing_newer() {
        let mut pendings = Pendings::new(2, true);
        for (speaker, input, secs, value) in
            [(7, 0, 1, 1.0), (9, 1, 1, 10.0), (7, 0, 2, 100.0), (8, 0, 1, 2.0)]
        {
            assert!(pendings.add((input, speaker), at(secs), value));
            assert_eq!(pendings.ready(at(1)), None);
        }
        assert_eq!(pendings.ready(at(1).next()), Some(at(1)));
        assert_eq!(pendings.take(at(1), Duration::from_secs(5)), [vec![1.0, 2.0], vec![10.0]]);
        let later = pendings.take(at(2), Duration::from_secs(5));
        assert_eq!(later, [vec![100.0, 2.0], vec![10.0]]);
    }
}
