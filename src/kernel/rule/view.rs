//! What a condition can see: the columns of a view, and the frame that holds them.

use serde::{Deserialize, Serialize};

use crate::kernel::model::{EventTime, Labels};
use std::sync::Arc;

/// One number made from a window's samples. Units are those of the metric; rates and slopes are
/// per second; `share` is a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reduction {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    First,
    Last,
    Delta,
    Rate,
    Increase,
    Stddev,
    Slope,
    /// In tenths of a percent: `p99` is 990, `p99_9` is 999.
    Quantile(u16),
    Share,
    Ewma,
    Distinct,
}

impl Reduction {
    /// The field of a window view that reads it: `mean`, `p99`, `p99_9`.
    pub fn name(self) -> String {
        match self {
            Reduction::Count => "count".into(),
            Reduction::Sum => "sum".into(),
            Reduction::Mean => "mean".into(),
            Reduction::Min => "min".into(),
            Reduction::Max => "max".into(),
            Reduction::First => "first".into(),
            Reduction::Last => "last".into(),
            Reduction::Delta => "delta".into(),
            Reduction::Rate => "rate".into(),
            Reduction::Increase => "increase".into(),
            Reduction::Stddev => "stddev".into(),
            Reduction::Slope => "slope".into(),
            Reduction::Quantile(tenths) if tenths % 10 == 0 => format!("p{}", tenths / 10),
            Reduction::Quantile(tenths) => format!("p{}_{}", tenths / 10, tenths % 10),
            Reduction::Share => "share".into(),
            Reduction::Ewma => "ewma".into(),
            Reduction::Distinct => "distinct".into(),
        }
    }

    /// The reduction that a field's name stands for.
    pub fn parse(name: &str) -> Option<Reduction> {
        Some(match name {
            "count" => Reduction::Count,
            "sum" => Reduction::Sum,
            "mean" => Reduction::Mean,
            "min" => Reduction::Min,
            "max" => Reduction::Max,
            "first" => Reduction::First,
            "last" => Reduction::Last,
            "delta" => Reduction::Delta,
            "rate" => Reduction::Rate,
            "increase" => Reduction::Increase,
            "stddev" => Reduction::Stddev,
            "slope" => Reduction::Slope,
            "share" => Reduction::Share,
            "ewma" => Reduction::Ewma,
            "distinct" => Reduction::Distinct,
            _ => return Reduction::parse_quantile(name),
        })
    }

    fn parse_quantile(name: &str) -> Option<Reduction> {
        let percent = name.strip_prefix('p')?;
        let (whole, tenth) = percent.split_once('_').unwrap_or((percent, "0"));
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || tenth.len() != 1 {
            return None;
        }
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(tenth) {
            return None;
        }
        let tenths = whole.parse::<u16>().ok()?.checked_mul(10)? + tenth.parse::<u16>().ok()?;
        (tenths <= 1000).then_some(Reduction::Quantile(tenths))
    }
}

/// A figure about a baseline's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BaseStat {
    Count,
    Mean,
    Stddev,
    Min,
    Max,
}

impl BaseStat {
    pub fn parse(name: &str) -> Option<BaseStat> {
        Some(match name {
            "count" => BaseStat::Count,
            "mean" => BaseStat::Mean,
            "stddev" => BaseStat::Stddev,
            "min" => BaseStat::Min,
            "max" => BaseStat::Max,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            BaseStat::Count => "count",
            BaseStat::Mean => "mean",
            BaseStat::Stddev => "stddev",
            BaseStat::Min => "min",
            BaseStat::Max => "max",
        }
    }
}

/// One thing that a program reads. `input` counts the rule's inputs from 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// The value of a sample, of a join's input at the judged time, or of a fold by `across`.
    Value { input: u8 },
    /// A window's reduction. `Count` and `Distinct` are whole numbers.
    Reduced { input: u8, reduction: Reduction },
    /// A figure about the baseline of one reduction.
    Base { input: u8, reduction: Reduction, stat: BaseStat },
    /// A label of the group's key; text, `()` when the group has no such label.
    Label(Arc<str>),
}

impl Column {
    /// Whether its numbers count things, so that scripts see them as whole numbers.
    pub fn is_whole(&self) -> bool {
        match self {
            Column::Reduced { reduction: Reduction::Count | Reduction::Distinct, .. }
            | Column::Base { stat: BaseStat::Count, .. } => true,
            Column::Value { .. } | Column::Reduced { .. } | Column::Base { .. } => false,
            Column::Label(_) => false,
        }
    }
}

/// Rows to be judged, as columns of equal length.
///
/// `numbers` holds one column for each numeric [`Column`] that the program reads, in the order of
/// [`super::program::Program::reads`]; a [`Column::Label`] has an empty slice in its place and is
/// read from `keys`.
pub struct Frame<'a> {
    pub rows: usize,
    pub numbers: &'a [&'a [f64]],
    /// The judged event time of each row.
    pub at: &'a [EventTime],
    /// The labels of each row's group; empty slice when the program reads no labels.
    pub keys: &'a [&'a Labels],
    /// What [`super::program::Program::label_facts`] said of each row's group; when it is empty,
    /// an evaluator that needs facts asks `keys` itself.
    pub facts: &'a [u64],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_reductions_name_each_other() {
        for name in ["count", "p0", "p50", "p99", "p99_9", "p100", "slope", "distinct"] {
            let reduction = Reduction::parse(name).expect(name);
            assert_eq!(reduction.name(), name);
        }
        for name in ["p", "p101", "p100_1", "p05", "p9x", "p99_99", "p-1", "p+1", "average"] {
            assert_eq!(Reduction::parse(name), None, "{name}");
        }
    }
}
