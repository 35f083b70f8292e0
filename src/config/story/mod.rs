//! Stories: a rule's test in plain text. What is fed to the rule, and all that must come of it.
//!
//! ```text
//! rule disk-filling                    # a story starts; several may stand in one file
//! feed every 1m
//!   disk_used_ratio{host="db1"}   0.80  0.92x8  0.70x4
//! at 1m   pending   {host="db1"}
//! at 6m   FIRED     {host="db1"}  value 0.92
//! at 9m   cooling   {host="db1"}
//! at 11m  RESOLVED  {host="db1"}
//! ```
//!
//! A change of the named rules that is not listed must not happen. Never judges anything itself:
//! the real engine does, behind [`run::Bench`].
//!
//! The grammar, line by line; `#` starts a comment:
//!
//! - `rules FILE`: before the first story, the rule file instead of the one beside the story.
//! - `rule NAME[, NAME]`: starts a story about these rules.
//! - `starting at 2026-01-01T00:00:00Z`: the event time that the story's times count from.
//! - `feed every 1m [from 5m]`: then, indented, `metric{label="v"}  values`. A value is a number,
//!   `0.92x8` (eight times), `_` or `_x3` (missing), `1+2x5` or `9-2x4` (as promtool has it: the
//!   first and then five more), or `stale` (one missing sample: a silent series expires by time).
//! - `at 6m WORD [RULE] {key} [level L] [value V] [text "T"] [cause "C"] [fired at 5m]`: an event
//!   in capitals, a change in small letters. The rule is named only where the story has several.
//!   A value holds to the precision it is printed in.
//! - `until 30m`: time goes on at least so far. It always reaches the last sample and expectation.

mod cursor;
pub mod junit;
mod parse;
mod phrase;
mod print;
mod report;
pub mod run;

use std::sync::Arc;

use crate::config::error::ConfigError;
use crate::config::suggest;
use crate::kernel::event::{Cause, Kind};
use crate::kernel::model::{Duration, EventTime, Labels, Level, Series};

pub use print::bless;
pub use report::{Report, Row, Told};

/// One `.story` file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoryFile {
    /// Relative to the story's folder; when empty, the file beside the story (`disk.rhai` for
    /// `disk.story`).
    pub rules_files: Vec<String>,
    pub stories: Vec<Story>,
}

/// What is fed to some rules, and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Where it starts, from 1.
    pub line: u32,
    /// Each once, at least one. Changes of other rules are ignored.
    pub rules: Vec<Arc<str>>,
    pub start: EventTime,
    pub feeds: Vec<Feed>,
    pub expectations: Vec<Expectation>,
    /// From the start.
    pub until: Option<Duration>,
}

/// Series with one cadence.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    pub every: Duration,
    /// The first sample's time, from the story's start.
    pub from: Duration,
    pub lines: Vec<FeedLine>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FeedLine {
    pub series: Series,
    pub terms: Vec<Term>,
}

/// Some values in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Term {
    Value {
        value: f64,
        times: u32,
    },
    Missing {
        times: u32,
    },
    /// `first`, and then `more` values, each `step` on from the one before.
    Ramp {
        first: f64,
        step: f64,
        more: u32,
    },
    Stale,
}

/// A change that must happen. What is `None` is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Where it is written, from 1.
    pub line: u32,
    /// From the story's start.
    pub at: Duration,
    pub kind: Kind,
    pub rule: Arc<str>,
    pub key: Labels,
    pub level: Option<Level>,
    pub value: Option<Printed>,
    pub text: Option<String>,
    pub cause: Option<Cause>,
    /// From the story's start.
    pub fired_at: Option<Duration>,
}

/// A number as it was written: it stands for every number that prints so.
#[derive(Clone, Debug, PartialEq)]
pub struct Printed {
    text: String,
    value: f64,
}

impl StoryFile {
    /// Reads a whole file, and reports every line that cannot be read.
    pub fn parse(file: &str, text: &str) -> Result<StoryFile, Vec<ConfigError>> {
        parse::parse(file, text)
    }

    /// An error for each rule that a story names and that is not among `known`.
    pub fn check_rules(&self, file: &str, text: &str, known: &[&str]) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for story in &self.stories {
            for rule in &story.rules {
                if known.contains(&rule.as_ref()) {
                    continue;
                }
                let help = match suggest::nearest(rule, known.iter().copied()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None if known.is_empty() => "the rule file declares no rules".to_owned(),
                    None => format!("the rule file declares {}", known.join(", ")),
                };
                let span = parse::line_span(text, story.line);
                let what = format!("there is no rule `{rule}`");
                errors.push(ConfigError::at(file, text, span, what, Some(help)));
            }
        }
        errors
    }
}

impl Story {
    /// Midnight of a Thursday in winter: every window that people write starts with a whole pane.
    pub const START_DEFAULT: EventTime = EventTime::from_nanos(1_767_225_600_000_000_000);
    /// Samples of one story, missing ones too. A story that needs more is a recording to replay.
    pub const SAMPLES_MAX: u64 = 1_000_000;

    /// The rules' names, for people.
    pub fn name(&self) -> String {
        self.rules.join(", ")
    }

    /// All samples in order of time; at one time, in the order they are written.
    pub fn samples(&self) -> Vec<(EventTime, Series, f64)> {
        let mut samples = Vec::new();
        for feed in &self.feeds {
            for line in &feed.lines {
                let values = line.terms.iter().flat_map(Term::values);
                for (place, value) in (0..).zip(values) {
                    if let Some(value) = value {
                        let at = self.start + feed.from + feed.every * place;
                        samples.push((at, line.series.clone(), value));
                    }
                }
            }
        }
        samples.sort_by_key(|(at, _, _)| *at);
        samples
    }

    /// How far time goes: the last slot of a feed, `until`, or the last expectation.
    pub fn length(&self) -> Duration {
        let feeds = self.feeds.iter().map(Feed::length);
        let expected = self.expectations.iter().map(|expectation| expectation.at);
        feeds.chain(expected).chain(self.until).max().unwrap_or(Duration::ZERO)
    }
}

impl Feed {
    /// The time of the last slot, from the story's start.
    pub fn length(&self) -> Duration {
        let slots = self.lines.iter().map(FeedLine::slots).max().unwrap_or(0);
        let last = i64::try_from(slots.saturating_sub(1)).unwrap_or(i64::MAX);
        self.from + self.every * last
    }
}

impl FeedLine {
    /// Values and missing ones.
    pub fn slots(&self) -> u64 {
        self.terms.iter().map(|term| term.slots()).sum()
    }
}

impl Term {
    pub fn slots(&self) -> u64 {
        match *self {
            Term::Value { times, .. } | Term::Missing { times } => u64::from(times),
            Term::Ramp { more, .. } => u64::from(more) + 1,
            Term::Stale => 1,
        }
    }

    /// A value for each slot; `None` is a missing one.
    fn values(&self) -> impl Iterator<Item = Option<f64>> + use<> {
        let term = *self;
        (0..term.slots()).map(move |place| match term {
            Term::Value { value, .. } => Some(value),
            Term::Ramp { first, step, .. } => Some(first + step * place as f64),
            Term::Missing { .. } | Term::Stale => None,
        })
    }
}

impl Printed {
    /// `None` when it is not a finite number.
    pub fn parse(text: &str) -> Option<Printed> {
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
        Some(Printed { text: text.to_owned(), value })
    }

    /// As many digits as tell people something: six that count, but every digit of a whole number.
    pub fn of(value: f64) -> Option<Printed> {
        let size = value.abs();
        if size != 0.0 && !(1e-6..1e15).contains(&size) {
            return Printed::parse(&format!("{value:e}"));
        }
        let before_point = if size < 1.0 { 0 } else { size.log10() as usize + 1 };
        let text = format!("{value:.*}", 6usize.saturating_sub(before_point));
        match text.contains('.') {
            true => Printed::parse(text.trim_end_matches('0').trim_end_matches('.')),
            false => Printed::parse(&text),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `actual` prints so: it lies within half a unit of the last digit.
    pub fn holds(&self, actual: f64) -> bool {
        let lower = self.text.to_ascii_lowercase();
        let (digits, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
        let decimals = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent = exponent.parse::<f64>().unwrap_or(0.0) - decimals as f64;
        // A little more than a half: 0.925 itself has no exact form in binary.
        (actual - self.value).abs() <= 0.500_000_001 * 10f64.powf(exponent)
    }
}

/// `{host="db1",mount="/var"}`, or nothing; for flags that name a group as stories do.
pub fn parse_labels(text: &str) -> Result<Labels, String> {
    phrase::parse_labels(text)
}

const KINDS: [Kind; 8] = [
    Kind::Fired,
    Kind::Changed,
    Kind::Reminded,
    Kind::Flapping,
    Kind::Resolved,
    Kind::Pending,
    Kind::Cooling,
    Kind::Cleared,
];

/// A kind's word in a story: what sinks are told stands in capitals.
fn word_of(kind: Kind) -> String {
    if kind.is_told() { kind.name().to_ascii_uppercase() } else { kind.name().to_owned() }
}

const CAUSES: [Cause; 12] = [
    Cause::Breach,
    Cause::Clear,
    Cause::Level,
    Cause::Reminder,
    Cause::Flapping,
    Cause::RuleRemoved,
    Cause::RuleChanged,
    Cause::Expired,
    Cause::Forgotten,
    Cause::NoData,
    Cause::Absent,
    Cause::OutsideHours,
];

/// Words that begin a clause of an expectation, so a rule of that name is written in quotes.
const CLAUSES: [&str; 5] = ["level", "value", "text", "cause", "fired"];

#[cfg(test)]
mod tests;
