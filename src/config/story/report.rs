//! What came of a story, held against what it expects.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::print::{expectation_line, expectation_of};
use super::{Expectation, Story};
use crate::kernel::event::{Cause, Event, Kind};
use crate::kernel::model::{Duration, Labels, Level};

/// One story's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The rules' names.
    pub name: String,
    /// Where the story starts in its file.
    pub line: u32,
    /// In order of time.
    pub rows: Vec<Row>,
    names_rule: bool,
}

/// An expectation, a change, or both.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Met {
        expected: Expectation,
        told: Told,
    },
    /// The same alert changed in the same way, but at another time or with other values.
    Differs {
        expected: Expectation,
        told: Told,
    },
    Missing {
        expected: Expectation,
    },
    Unexpected {
        told: Told,
    },
}

/// A change that happened, as far as a story can speak of it. Times are from the story's start.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub at: Duration,
    pub kind: Kind,
    pub rule: Arc<str>,
    pub key: Labels,
    pub level: Level,
    pub value: Option<f64>,
    pub text: String,
    pub cause: Cause,
    pub fired_at: Option<Duration>,
}

impl Told {
    pub fn of(event: &Event, story: &Story) -> Told {
        Told {
            at: event.at.since(story.start),
            kind: event.kind,
            rule: event.rule.clone(),
            key: event.key.clone(),
            level: event.level,
            value: event.value,
            text: event.text.clone(),
            cause: event.cause,
            fired_at: event.fired_at.map(|at| at.since(story.start)),
        }
    }

    fn is_same_change(&self, expected: &Expectation) -> bool {
        self.kind == expected.kind && self.rule == expected.rule && self.key == expected.key
    }

    fn meets(&self, expected: &Expectation) -> bool {
        let value_holds = match (&expected.value, self.value) {
            (None, _) => true,
            (Some(printed), Some(value)) => printed.holds(value),
            (Some(_), None) => false,
        };
        self.is_same_change(expected)
            && self.at == expected.at
            && value_holds
            && expected.level.is_none_or(|level| level == self.level)
            && expected.text.as_ref().is_none_or(|text| *text == self.text)
            && expected.cause.is_none_or(|cause| cause == self.cause)
            && expected.fired_at.is_none_or(|at| Some(at) == self.fired_at)
    }
}

impl Report {
    /// Holds all that was told of the story's rules against its expectations.
    pub fn of(story: &Story, events: &[Event]) -> Report {
        let named = events.iter().filter(|event| story.rules.contains(&event.rule));
        let mut told: Vec<Option<Told>> = named.map(|event| Some(Told::of(event, story))).collect();
        let mut pairs: Vec<Option<Told>> = vec![None; story.expectations.len()];
        // What is met is paired first, then what differs in little, then in time.
        let tests: [fn(&Told, &Expectation) -> bool; 3] = [
            Told::meets,
            |told, expected| told.is_same_change(expected) && told.at == expected.at,
            Told::is_same_change,
        ];
        for test in tests {
            for (expected, pair) in story.expectations.iter().zip(&mut pairs) {
                if pair.is_none() {
                    let fits = |told: &&mut Option<Told>| {
                        told.as_ref().is_some_and(|told| test(told, expected))
                    };
                    *pair = told.iter_mut().find(fits).and_then(Option::take);
                }
            }
        }
        let expected = story.expectations.iter().cloned().zip(pairs);
        let mut rows: Vec<Row> = expected.map(|(expected, told)| Row::of(expected, told)).collect();
        rows.extend(told.into_iter().flatten().map(|told| Row::Unexpected { told }));
        rows.sort_by_key(Row::at);
        Report { name: story.name(), line: story.line, rows, names_rule: story.rules.len() > 1 }
    }

    pub fn passed(&self) -> bool {
        self.differences() == 0
    }

    pub fn differences(&self) -> usize {
        self.rows.iter().filter(|row| !matches!(row, Row::Met { .. })).count()
    }
}

impl Row {
    fn of(expected: Expectation, told: Option<Told>) -> Row {
        match told {
            None => Row::Missing { expected },
            Some(told) if told.meets(&expected) => Row::Met { expected, told },
            Some(told) => Row::Differs { expected, told },
        }
    }

    fn at(&self) -> Duration {
        match self {
            Row::Met { told, .. } | Row::Unexpected { told } => told.at,
            Row::Differs { expected, told } => expected.at.min(told.at),
            Row::Missing { expected } => expected.at,
        }
    }
}

/// Differences shown at most; the first ones tell what went wrong.
const DIFFERENCES_SHOWN_MAX: usize = 50;
/// Rows shown around each, so that one sees where it stands.
const AROUND: usize = 3;

/// The difference: `-` was expected and did not happen, `+` happened and was not expected. Each
/// expectation stands behind the number of its line.
impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = self.shown();
        let mut lines = Vec::new();
        let mut next = 0;
        for place in shown {
            if place > next {
                lines.push("      …".to_owned());
            }
            next = place + 1;
            match &self.rows[place] {
                Row::Met { expected, .. } => lines.push(self.expected(' ', expected)),
                Row::Missing { expected } => lines.push(self.expected('-', expected)),
                Row::Unexpected { told } => lines.push(self.happened(told, None)),
                Row::Differs { expected, told } => {
                    lines.push(self.expected('-', expected));
                    lines.push(self.happened(told, Some(expected)));
                }
            }
        }
        if more > 0 {
            lines.push(format!("      … and {more} more differences"));
        } else if next < self.rows.len() {
            lines.push("      …".to_owned());
        }
        out.write_str(&lines.join("\n"))
    }
}

impl Report {
    /// The places of the rows to show, in order, and how many differences are left out.
    fn shown(&self) -> (BTreeSet<usize>, usize) {
        let differs = |place: &usize| !matches!(self.rows[*place], Row::Met { .. });
        let differences: Vec<usize> = (0..self.rows.len()).filter(differs).collect();
        let first = differences.iter().take(DIFFERENCES_SHOWN_MAX);
        let around = |place: &usize| {
            let end = (place + AROUND + 1).min(self.rows.len());
            place.saturating_sub(AROUND)..end
        };
        let more = differences.len().saturating_sub(DIFFERENCES_SHOWN_MAX);
        let Some(last) = first.clone().next_back() else { return (BTreeSet::new(), 0) };
        let is_left_out = |place: &usize| more > 0 && place > last;
        (first.flat_map(around).filter(|place| !is_left_out(place)).collect(), more)
    }

    fn expected(&self, sign: char, expected: &Expectation) -> String {
        format!("{:>5} {sign} {}", expected.line, expectation_line(expected, self.names_rule))
    }

    fn happened(&self, told: &Told, like: Option<&Expectation>) -> String {
        let line = expectation_line(&expectation_of(told, like), self.names_rule);
        format!("{:>5} + {line}", "")
    }
}
