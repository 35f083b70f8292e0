//! A rule in words: what it selects, how it looks at it, what it waits for. For `explain` and the
//! API.

use std::fmt::Write;

use crate::kernel::rule::view::Column;
use crate::kernel::rule::{Across, Grouping, Judge, OnNoData, Rule, Shape};

/// `cpu.usage{env="prod"}`, or for a join `bad: http.errors, all: http.requests`.
pub fn selector(rule: &Rule) -> String {
    let inputs = rule.inputs.iter().map(|input| match input.name.as_ref() {
        "" => input.selector.to_string(),
        name => format!("{name}: {}", input.selector),
    });
    inputs.collect::<Vec<_>>().join(", ")
}

/// Grouping and window: `by host, sliding 5m every 10s`.
pub fn view(rule: &Rule) -> String {
    let mut text = match &rule.by {
        Grouping::EachSeries => "each series".to_owned(),
        Grouping::By(labels) if labels.is_empty() => "all series as one group".to_owned(),
        Grouping::By(labels) => format!("by {}", labels.join(", ")),
    };
    let _ = match rule.shape {
        Shape::Each => write!(text, ", every sample"),
        Shape::Latest { every } => write!(text, ", latest values every {every}"),
        Shape::Sliding { length, every } if length == every => write!(text, ", tumbling {length}"),
        Shape::Sliding { length, every } => write!(text, ", sliding {length} every {every}"),
        Shape::Session { gap, every } => {
            write!(text, ", sessions that end after {gap} of silence, every {every}")
        }
        Shape::Count { count } => write!(text, ", the last {count} samples"),
    };
    if let Some(across) = rule.across {
        let _ = write!(text, ", {} across series", across_name(across));
    }
    text
}

fn across_name(across: Across) -> String {
    match across {
        Across::Sum => "sum".into(),
        Across::Mean => "mean".into(),
        Across::Min => "min".into(),
        Across::Max => "max".into(),
        Across::Count => "count".into(),
        Across::Quantile(q) => format!("quantile({q})"),
    }
}

/// Everything about a rule, over several lines.
pub fn explain(rule: &Rule) -> String {
    let mut lines = vec![
        format!("rule {}   {}   version {}", rule.name, rule.origin, rule.version),
        format!("  selects     {}", selector(rule)),
        format!("  looks at    {}", view(rule)),
    ];
    conditions(rule, &mut lines);
    timing(rule, &mut lines);
    if let Some(baseline) = rule.baseline {
        lines.push(format!("  baseline    the {} before the window", baseline.span));
    }
    if let Some(during) = &rule.during {
        lines.push(format!("  during      {during}"));
    }
    if !rule.labels.is_empty() {
        lines.push(format!("  labels      {}", rule.labels));
    }
    let annotations: Vec<&str> = rule.annotations.iter().map(|(name, _)| name.as_ref()).collect();
    if !annotations.is_empty() {
        lines.push(format!("  annotates   {}", annotations.join(", ")));
    }
    let sinks = match rule.notify.is_empty() {
        true => "the default sinks".to_owned(),
        false => rule.notify.join(", "),
    };
    lines.push(format!(
        "  notifies    {sinks}{}",
        if rule.shadow { " (shadow: nobody)" } else { "" }
    ));
    lines.join("\n") + "\n"
}

fn conditions(rule: &Rule, lines: &mut Vec<String>) {
    match &rule.judge {
        Judge::Levels(levels) => {
            for (level, condition) in crate::kernel::model::Level::ALL.iter().zip(levels) {
                let Some(condition) = condition else { continue };
                lines.push(format!("  {:<11} {}", level.name(), condition.when.source()));
                let reads: Vec<String> = condition.when.reads().iter().map(column).collect();
                let path = condition.when.path();
                lines.push(format!("              {path}, reads {}", reads.join(", ")));
                if let Some(reset) = &condition.reset {
                    lines.push(format!("    until     {}", reset.source()));
                }
            }
        }
        Judge::Guest(guest) => {
            lines.push(format!(
                "  judged by   component {}, its rule {}",
                guest.plugin, guest.index
            ));
            if !guest.reads.is_empty() {
                let reads: Vec<String> = guest.reads.iter().map(column).collect();
                lines.push(format!("              reads {}", reads.join(", ")));
            }
        }
        Judge::Absent(level) => lines.push(format!("  {:<11} when it is absent", level.name())),
        Judge::Never => {}
    }
    if let Some(record) = &rule.record {
        lines.push(format!("  records     {} = {}", record.name, record.value.source()));
    }
}

fn timing(rule: &Rule, lines: &mut Vec<String>) {
    let timing = &rule.timing;
    lines.push(format!("  timing      soak {}, cool {}", timing.soak, timing.cool));
    if let Some(repeat) = timing.repeat {
        lines.push(format!("  reminds     every {repeat}"));
    }
    if let Some(absent) = timing.absent {
        lines.push(format!("  absent      after {absent} without a sample"));
    }
    let no_data = match timing.on_no_data {
        OnNoData::Hold => "keeps what fires, takes back what is pending",
        OnNoData::Clear => "counts as clear",
        OnNoData::Breach => "counts as a breach",
    };
    lines.push(format!("  no data     {no_data}; a series expires after {}", timing.expire));
    lines.push(format!("  forgets     idle groups after {}", timing.forget));
    if let Some(flapping) = rule.flapping {
        lines.push(format!("  flapping    above {} %, until {} %", flapping.high, flapping.low));
    }
}

fn column(column: &Column) -> String {
    match column {
        Column::Value { input } => format!("value {input}"),
        Column::Reduced { input: 0, reduction } => reduction.name(),
        Column::Reduced { input, reduction } => format!("{input}.{}", reduction.name()),
        Column::Base { reduction, stat, .. } => {
            format!("base.{}.{}", reduction.name(), stat.name())
        }
        Column::Label(name) => format!("label {name}"),
    }
}
