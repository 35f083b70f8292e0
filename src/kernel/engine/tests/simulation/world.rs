//! What happens in a simulated run: sources with clocks and faults, made from one seed.

use super::super::kit::*;
use crate::kernel::model::Now;

/// A small generator of our own, so that a seed gives the same world for ever (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// At least `from`, below `to`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.next() % (to - from) as u64) as i64
    }

    pub fn one_in(&mut self, times: i64) -> bool {
        self.between(0, times) == 0
    }
}

#[derive(Clone, Debug)]
pub enum Step {
    Batch {
        source: u16,
        arrival: Option<Now>,
        samples: Vec<(EventTime, Series, f64)>,
    },
    Tick(Now),
    Listening {
        source: u16,
        on: bool,
        now: Option<Now>,
    },
    /// Adopt the ruleset with this number.
    Swap(usize),
}

pub const SECOND: i64 = 1_000_000_000;
pub const SOURCES: u16 = 5;

/// Live worlds have a clock and ticks; in a replay each sample arrives at its own time.
pub fn world(seed: u64, live: bool) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    let mut steps = Vec::new();
    let mut sources: Vec<Sender> = (0..SOURCES).map(|number| Sender::new(number, seed)).collect();
    let lost = dice.between(60, 140);
    for second in 0..dice.between(240, 320) {
        let now = Now::from_nanos(base().nanos() + second * SECOND);
        let clock = live.then_some(now);
        for (turn, on) in [(lost, false), (lost + 80, true)] {
            if second == turn {
                steps.push(Step::Listening { source: 0, on, now: clock });
            }
        }
        for (at, source) in sources.iter_mut().enumerate() {
            let silent = at == 0 && (lost..lost + 80).contains(&second);
            if (second % source.cadence != 0 && !source.backlog) || silent {
                continue;
            }
            let samples = source.send(now, live, &mut dice);
            if !samples.is_empty() {
                steps.push(Step::Batch { source: source.number, arrival: clock, samples });
            }
        }
        if live {
            steps.push(Step::Tick(now));
        }
        if [91, 160, 161, 221].contains(&second) {
            steps.push(Step::Swap(second as usize % 3));
        }
    }
    steps
}

struct Sender {
    number: u16,
    cadence: i64,
    /// Its clock against ours.
    ahead: i64,
    /// Sends an hour's backlog, ten seconds of it each second.
    backlog: bool,
    sent: i64,
    counters: [f64; 3],
    gauge: f64,
}

impl Sender {
    fn new(number: u16, seed: u64) -> Sender {
        let cadence = if number == 1 { 60 } else { 1 };
        let ahead = if number == 2 { 240 * SECOND } else { 0 };
        let gauge = 40.0 + (seed % 50) as f64;
        Sender { number, cadence, ahead, backlog: number == 3, sent: 0, counters: [0.0; 3], gauge }
    }

    fn send(&mut self, now: Now, live: bool, dice: &mut Dice) -> Vec<(EventTime, Series, f64)> {
        self.sent += 1;
        // In a replay a clock that is off would look like a jump of all time.
        let ahead = if live { self.ahead } else { 0 };
        let behind = match (self.backlog, live) {
            (true, true) => 3_600 * SECOND - self.sent * 10 * SECOND,
            _ => 0,
        };
        let clock = now.nanos() + ahead - behind.max(0);
        // The fifth source falls silent now and then.
        if self.number == 4 && self.sent % 100 > 60 {
            return Vec::new();
        }
        let host = format!("h{}", self.number);
        let dc = if self.number.is_multiple_of(2) { "eu" } else { "us" };
        let mut samples = Vec::new();
        for core in 0..2i64 {
            self.gauge = (self.gauge + dice.between(-12, 13) as f64).clamp(0.0, 120.0);
            let labels = [("host", host.clone()), ("dc", dc.into()), ("core", core.to_string())];
            let at = EventTime::from_nanos(clock - jitter(dice));
            let value = if dice.one_in(60) { f64::NAN } else { self.gauge };
            samples.push((at, Series::new("cpu", labels), value));
        }
        for (at, counter) in self.counters.iter_mut().enumerate() {
            *counter += dice.between(0, 40) as f64;
            if dice.one_in(80) {
                *counter = 0.0;
            }
            let labels = [("host", host.clone()), ("dc", dc.into()), ("port", at.to_string())];
            let at = EventTime::from_nanos(clock - jitter(dice));
            samples.push((at, Series::new("bytes", labels), *counter));
        }
        if dice.one_in(20) {
            samples.push(samples[0].clone());
        }
        if dice.one_in(50) {
            let mut future = samples[1].clone();
            future.0 = future.0 + Duration::from_secs(400);
            samples.push(future);
        }
        samples
    }
}

/// Mostly on time to the millisecond, now and then seconds late.
fn jitter(dice: &mut Dice) -> i64 {
    match dice.between(0, 20) {
        0 => dice.between(0, 9 * SECOND),
        1 => dice.between(0, SECOND),
        2 => 0,
        _ => dice.between(0, 20) * 1_000_000,
    }
}
