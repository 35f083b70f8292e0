//! What was left out, and why: refusals (well-formed but unusable) and defects (not readable).
//! Neither is ever silent and neither stops anything else.

use serde::{Deserialize, Serialize};

/// Why a well-formed sample was left out. A closed list: each reason has a counter by source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// NaN or an infinity: one of them would poison every sum it enters.
    NotFinite,
    /// A sample without a time in a replay, where nothing says when it came.
    NoTime,
    /// Further ahead of the clock than `future_max`.
    Future,
    /// The series' newest event time once more.
    Duplicate,
    /// A new series past `series_max`; it folds into the overflow series.
    TooManySeries,
    TooManyLabels,
    NameTooLong,
    LabelTooLong,
    /// Shed by a source that cannot make its sender wait (UDP).
    Shed,
    /// A span event or another kind of telemetry that no rule can read.
    Unsupported,
}

impl Refusal {
    pub const ALL: [Refusal; 10] = [
        Refusal::NotFinite,
        Refusal::NoTime,
        Refusal::Future,
        Refusal::Duplicate,
        Refusal::TooManySeries,
        Refusal::TooManyLabels,
        Refusal::NameTooLong,
        Refusal::LabelTooLong,
        Refusal::Shed,
        Refusal::Unsupported,
    ];

    /// The name it has in metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::NotFinite => "not_finite",
            Refusal::NoTime => "no_time",
            Refusal::Future => "future",
            Refusal::Duplicate => "duplicate",
            Refusal::TooManySeries => "too_many_series",
            Refusal::TooManyLabels => "too_many_labels",
            Refusal::NameTooLong => "name_too_long",
            Refusal::LabelTooLong => "label_too_long",
            Refusal::Shed => "shed",
            Refusal::Unsupported => "unsupported",
        }
    }
}

/// How often each refusal happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCounts([u64; Refusal::ALL.len()]);

impl RefusalCounts {
    pub fn add(&mut self, refusal: Refusal, count: u64) {
        self.0[refusal as usize] += count;
    }

    pub fn merge(&mut self, other: &RefusalCounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub fn get(&self, refusal: Refusal) -> u64 {
        self.0[refusal as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.into_iter().map(|refusal| (refusal, self.get(refusal)))
    }
}

/// Bytes that could not be read as the format they came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// Line within the payload or stream, from 1; 0 where the format has no lines.
    pub line: u64,
    /// What was wrong, in words, without the offending text.
    pub what: String,
    /// The start of the offending bytes, cut to [`Defect::EXCERPT_MAX`] characters.
    pub excerpt: String,
}

impl Defect {
    pub const EXCERPT_MAX: usize = 80;

    pub fn new(line: u64, what: impl Into<String>, bytes: &[u8]) -> Defect {
        let head = &bytes[..bytes.len().min(4 * Defect::EXCERPT_MAX)];
        let excerpt = String::from_utf8_lossy(head).chars().take(Defect::EXCERPT_MAX).collect();
        Defect { line, what: what.into(), excerpt }
    }
}
