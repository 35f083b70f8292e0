//! The figures of a judged row, as events tell them.

use std::sync::Arc;

use crate::kernel::event::Bounds;
use crate::kernel::rule::view::{Column, Reduction};

use super::programs::Table;

/// What a verdict was about, for the event that may come of it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub value: Option<f64>,
    pub values: Values,
    pub window: Option<Bounds>,
}

/// The figures that were judged, by name. Most verdicts come to no event, so names are made late.
#[derive(Clone, Debug, Default)]
pub enum Values {
    #[default]
    None,
    /// The value alone, as `value`.
    Value,
    All(Vec<(Arc<str>, f64)>),
}

pub fn named(value: Option<f64>) -> Vec<(Arc<str>, f64)> {
    value.map(|value| (Arc::from("value"), value)).into_iter().collect()
}

/// The first column besides `count` that the rule reads.
pub fn main_column(columns: &[Column]) -> Option<usize> {
    let rank = |column: &Column| match column {
        Column::Value { .. } => Some(0),
        Column::Reduced { reduction: Reduction::Count, .. } => Some(2),
        Column::Reduced { .. } => Some(1),
        Column::Base { .. } | Column::Label(_) => None,
    };
    let ranked = columns.iter().enumerate().filter_map(|(at, column)| Some((rank(column)?, at)));
    ranked.min().map(|(_, at)| at)
}

/// The figure of that column.
pub fn main_value(columns: &[Column], table: &Table, row: usize) -> Option<f64> {
    main_column(columns).map(|at| table.columns[at][row])
}

/// Every number that was judged, by the name a condition reads it under.
pub fn all_values(
    columns: &[Column],
    inputs: &[Arc<str>],
    table: &Table,
    row: usize,
) -> Vec<(Arc<str>, f64)> {
    let under = |input: u8, field: String| -> Arc<str> {
        match inputs[input as usize].as_ref() {
            "" => field.into(),
            name if field.is_empty() => name.into(),
            name => format!("{name}.{field}").into(),
        }
    };
    let mut values: Vec<(Arc<str>, f64)> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let name = match column {
            Column::Value { input } if inputs[*input as usize].is_empty() => "value".into(),
            Column::Value { input } => under(*input, String::new()),
            Column::Reduced { input, reduction } => under(*input, reduction.name()),
            Column::Base { input, reduction, stat } => {
                under(*input, format!("base.{}.{}", reduction.name(), stat.name()))
            }
            Column::Label(_) => continue,
        };
        values.push((name, table.columns[at][row]));
    }
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}
