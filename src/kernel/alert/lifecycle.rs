//! The state machine of one alert.
//!
//! Times are judged event times; bounds are inclusive: a soak of 30 s fires on the judgement that
//! comes 30 s after the first breach. A soak or cool of zero acts at once.

use serde::{Deserialize, Serialize};

use crate::kernel::model::{Duration, EventTime, Level};

/// What one judgement said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    Clear,
    Breach(Level),
}

impl Verdict {
    pub fn level(self) -> Option<Level> {
        match self {
            Verdict::Clear => None,
            Verdict::Breach(level) => Some(level),
        }
    }

    pub fn of(level: Option<Level>) -> Verdict {
        level.map_or(Verdict::Clear, Verdict::Breach)
    }
}

/// For each level, since when every verdict was at it or above it.
pub type Runs = [Option<EventTime>; 3];

/// Where an alert stands. Cooling is firing with `below` set; "resolved" is a change, not a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    #[default]
    Inactive,
    Pending {
        since: Runs,
    },
    Firing {
        fired_at: EventTime,
        level: Level,
        above: Runs,
        below: Option<Below>,
    },
}

/// The stretch of verdicts below the alert's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    pub since: EventTime,
    /// The highest level seen in the stretch; `None` when all were clear.
    pub highest: Option<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub soak: Duration,
    pub cool: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Inactive to pending.
    Pending,
    /// Pending to inactive.
    Withdrawn,
    Fired {
        level: Level,
    },
    Changed {
        from: Level,
        to: Level,
    },
    /// Firing to cooling.
    Cooling,
    /// Cooling back to firing, the same alert burning again.
    Rekindled,
    Resolved {
        from: Level,
    },
}

impl State {
    pub fn is_inactive(&self) -> bool {
        matches!(self, State::Inactive)
    }

    /// The level of an alert that fires or cools.
    pub fn firing_level(&self) -> Option<Level> {
        match self {
            State::Firing { level, .. } => Some(*level),
            State::Inactive | State::Pending { .. } => None,
        }
    }

    /// "inactive", "pending", "firing" or "cooling".
    pub fn name(&self) -> &'static str {
        match self {
            State::Inactive => "inactive",
            State::Pending { .. } => "pending",
            State::Firing { below: None, .. } => "firing",
            State::Firing { below: Some(_), .. } => "cooling",
        }
    }

    /// When the next change would come if the last verdict held: the end of a soak or of a cool.
    pub fn deadline(&self, timing: Timing) -> Option<EventTime> {
        match self {
            State::Inactive => None,
            State::Pending { since } => {
                since.iter().flatten().min().map(|since| *since + timing.soak)
            }
            State::Firing { level, above, below, .. } => {
                let cool = below.map(|below| below.since + timing.cool);
                let rise = above[level.index() + 1..]
                    .iter()
                    .flatten()
                    .min()
                    .map(|since| *since + timing.soak);
                [cool, rise].into_iter().flatten().min()
            }
        }
    }
}

/// Moves one alert by one verdict. The only code that decides a lifecycle.
pub fn step(
    state: State,
    at: EventTime,
    verdict: Verdict,
    timing: Timing,
) -> (State, Option<Change>) {
    match state {
        State::Inactive => match verdict {
            Verdict::Clear => (State::Inactive, None),
            Verdict::Breach(level) => {
                let (next, change) = soak([None; 3], at, level, timing);
                (next, Some(change.unwrap_or(Change::Pending)))
            }
        },
        State::Pending { since } => match verdict {
            Verdict::Clear => (State::Inactive, Some(Change::Withdrawn)),
            Verdict::Breach(level) => soak(since, at, level, timing),
        },
        State::Firing { fired_at, level, above, below } => {
            let firing =
                Firing { fired_at, level, above: extend(above, at, verdict.level()), below };
            firing.step(at, verdict.level(), timing)
        }
    }
}

/// No data, and the rule says hold: pending goes back to inactive, a firing alert stays as it is.
/// Runs above the alert's level are broken, for nothing proves that they went on.
pub fn hold(state: State) -> (State, Option<Change>) {
    match state {
        State::Inactive => (State::Inactive, None),
        State::Pending { .. } => (State::Inactive, Some(Change::Withdrawn)),
        State::Firing { fired_at, level, mut above, below } => {
            above[level.index() + 1..].fill(None);
            (State::Firing { fired_at, level, above, below }, None)
        }
    }
}

/// Takes a stretch without data out of the cool timer.
pub fn resume(state: State, silent: Duration) -> State {
    match state {
        State::Firing { fired_at, level, above, below: Some(below) } => {
            let below = Below { since: below.since + silent, ..below };
            State::Firing { fired_at, level, above, below: Some(below) }
        }
        State::Inactive | State::Pending { .. } | State::Firing { .. } => state,
    }
}

/// Starts a run at every level up to the verdict's and breaks those above it.
fn extend(runs: Runs, at: EventTime, verdict: Option<Level>) -> Runs {
    Level::ALL.map(
        |level| {
            if verdict >= Some(level) { runs[level.index()].or(Some(at)) } else { None }
        },
    )
}

/// The highest level that was held for the soak.
fn soaked(runs: &Runs, at: EventTime, soak: Duration) -> Option<Level> {
    let held = |level: &Level| runs[level.index()].is_some_and(|since| at.since(since) >= soak);
    Level::ALL.into_iter().rev().find(held)
}

fn soak(since: Runs, at: EventTime, level: Level, timing: Timing) -> (State, Option<Change>) {
    let since = extend(since, at, Some(level));
    match soaked(&since, at, timing.soak) {
        None => (State::Pending { since }, None),
        Some(level) => {
            let state = State::Firing { fired_at: at, level, above: since, below: None };
            (state, Some(Change::Fired { level }))
        }
    }
}

struct Firing {
    fired_at: EventTime,
    level: Level,
    above: Runs,
    below: Option<Below>,
}

impl Firing {
    fn step(
        self,
        at: EventTime,
        verdict: Option<Level>,
        timing: Timing,
    ) -> (State, Option<Change>) {
        if let Some(risen) = soaked(&self.above, at, timing.soak).filter(|to| *to > self.level) {
            let change = Change::Changed { from: self.level, to: risen };
            return (self.at_level(risen, None), Some(change));
        }
        if verdict >= Some(self.level) {
            let change = self.below.map(|_| Change::Rekindled);
            let level = self.level;
            return (self.at_level(level, None), change);
        }
        let new = Below { since: at, highest: verdict };
        let begun = self.below.is_none();
        let below = self
            .below
            .map_or(new, |below| Below { since: below.since, highest: below.highest.max(verdict) });
        if at.since(below.since) < timing.cool {
            let (level, change) = (self.level, begun.then_some(Change::Cooling));
            return (self.at_level(level, Some(below)), change);
        }
        match below.highest {
            None => (State::Inactive, Some(Change::Resolved { from: self.level })),
            Some(to) => {
                let change = Change::Changed { from: self.level, to };
                // What lies below the new level has to hold for a cool of its own.
                let rest = (verdict < Some(to)).then_some(new);
                (self.at_level(to, rest), Some(change))
            }
        }
    }

    fn at_level(self, level: Level, below: Option<Below>) -> State {
        State::Firing { fired_at: self.fired_at, level, above: self.above, below }
    }
}

#[cfg(test)]
mod tests;
