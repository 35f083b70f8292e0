//! Stories to text: as a whole, and in place, where only the expectations are rewritten.

use std::fmt;

use super::cursor::{bare_or_quoted, comment_start, quote};
use super::report::{Report, Row, Told};
use super::{CLAUSES, Expectation, Feed, Printed, Story, StoryFile, Term, word_of};
use crate::kernel::event::{Cause, Kind};
use crate::kernel::model::{Labels, Series};

/// In the form that people write; reads back to the same stories.
impl fmt::Display for StoryFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.rules_files {
            writeln!(out, "rules {}", bare_or_quoted(file))?;
        }
        for (place, story) in self.stories.iter().enumerate() {
            if place > 0 || !self.rules_files.is_empty() {
                writeln!(out)?;
            }
            write!(out, "{story}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Story {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.rules.iter().map(|rule| bare_or_quoted(rule)).collect();
        writeln!(out, "rule {}", rules.join(", "))?;
        if self.start != Story::START_DEFAULT {
            writeln!(out, "starting at {}", self.start)?;
        }
        for feed in &self.feeds {
            write!(out, "{feed}")?;
        }
        if let Some(until) = self.until {
            writeln!(out, "until {until}")?;
        }
        for expectation in &self.expectations {
            writeln!(out, "{}", expectation_line(expectation, self.rules.len() > 1))?;
        }
        Ok(())
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "feed every {}", self.every)?;
        if !self.from.is_zero() {
            write!(out, " from {}", self.from)?;
        }
        writeln!(out)?;
        for line in &self.lines {
            write!(out, "  {}", series_text(&line.series))?;
            for (place, term) in line.terms.iter().enumerate() {
                write!(out, "{}{term}", if place == 0 { "   " } else { "  " })?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |times: u32| if times == 1 { String::new() } else { format!("x{times}") };
        match *self {
            Term::Value { value, times: count } => {
                write!(out, "{}{}", number_text(value), times(count))
            }
            Term::Missing { times: count } => write!(out, "_{}", times(count)),
            Term::Ramp { first, step, more } => {
                let step = number_text(step);
                let sign = if step.starts_with('-') { "" } else { "+" };
                write!(out, "{}{sign}{step}x{more}", number_text(first))
            }
            Term::Stale => out.write_str("stale"),
        }
    }
}

/// One line without its newline. The rule is named only where the story has several.
pub fn expectation_line(expectation: &Expectation, names_rule: bool) -> String {
    let word = word_of(expectation.kind);
    let mut line = format!("at {:<4} {word:<9} ", expectation.at.to_string());
    if names_rule {
        let rule = &expectation.rule;
        let is_clause = CLAUSES.contains(&rule.as_ref());
        line += &if is_clause { quote(rule) } else { bare_or_quoted(rule) };
        line.push(' ');
    }
    line += &labels_text(&expectation.key);
    line.truncate(line.trim_end().len());
    if let Some(level) = expectation.level {
        line += &format!("  level {level}");
    }
    if let Some(value) = &expectation.value {
        line += &format!("  value {}", value.text());
    }
    if let Some(text) = &expectation.text {
        line += &format!("  text {}", quote(text));
    }
    if let Some(cause) = expectation.cause {
        line += &format!("  cause {}", quote(cause.words()));
    }
    if let Some(fired_at) = expectation.fired_at {
        line += &format!("  fired at {fired_at}");
    }
    line
}

/// What an expectation would say of a change: as much as `like` says, or as much as a person would
/// write who sees it for the first time.
pub fn expectation_of(told: &Told, like: Option<&Expectation>) -> Expectation {
    let says = |old: fn(&Expectation) -> bool, fresh: bool| like.map_or(fresh, old);
    let is_judged = matches!(told.kind, Kind::Fired | Kind::Changed);
    let is_plain = matches!(
        told.cause,
        Cause::Breach | Cause::Clear | Cause::Level | Cause::Reminder | Cause::Flapping
    );
    let says_level = says(|old| old.level.is_some(), told.kind == Kind::Changed);
    let says_value = says(|old| old.value.is_some(), is_judged);
    Expectation {
        line: like.map_or(0, |old| old.line),
        at: told.at,
        kind: told.kind,
        rule: told.rule.clone(),
        key: told.key.clone(),
        level: says_level.then_some(told.level),
        value: told.value.filter(|_| says_value).and_then(Printed::of),
        text: says(|old| old.text.is_some(), false).then(|| told.text.clone()),
        cause: says(|old| old.cause.is_some(), !is_plain).then_some(told.cause),
        fired_at: told.fired_at.filter(|_| says(|old| old.fired_at.is_some(), false)),
    }
}

/// The text with its expectations rewritten to what happened; feeds and comments stay as they are.
/// `reports` are those of the file's stories, in order.
pub fn bless(text: &str, file: &StoryFile, reports: &[Report]) -> String {
    let mut lines: Vec<Line> = text
        .split_inclusive('\n')
        .map(|line| Line { text: line.to_owned(), after: vec![] })
        .collect();
    for (place, (story, report)) in file.stories.iter().zip(reports).enumerate() {
        let end = file.stories.get(place + 1).map_or(lines.len(), |next| next.line as usize - 1);
        bless_story(&mut lines, story, report, end);
    }
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut blessed = String::new();
    for line in lines {
        blessed += &line.text;
        for added in line.after {
            if !blessed.is_empty() && !blessed.ends_with('\n') {
                blessed += newline;
            }
            blessed += &added;
            blessed += newline;
        }
    }
    blessed
}

/// A line of the old text, and the new ones that follow it.
struct Line {
    text: String,
    after: Vec<String>,
}

/// `end` is the index of the line after the story's last.
fn bless_story(lines: &mut [Line], story: &Story, report: &Report, end: usize) {
    let names_rule = story.rules.len() > 1;
    // The kept expectations' times, by the index of their line.
    let mut kept = Vec::new();
    for row in &report.rows {
        match row {
            Row::Met { expected, .. } => kept.push((expected.line as usize - 1, expected.at)),
            Row::Differs { expected, told } => {
                let index = expected.line as usize - 1;
                let new = expectation_line(&expectation_of(told, Some(expected)), names_rule);
                replace(&mut lines[index].text, &new);
                kept.push((index, told.at));
            }
            Row::Missing { expected } => lines[expected.line as usize - 1].text.clear(),
            Row::Unexpected { .. } => {}
        }
    }
    kept.sort();
    let start = story.line as usize - 1;
    let is_said = |line: &Line| {
        let said = &line.text[..comment_start(&line.text)];
        !said.trim().is_empty()
    };
    let last_said = (start..end).rev().find(|index| is_said(&lines[*index])).unwrap_or(start);
    let before_all =
        kept.first().map_or(last_said, |(index, _)| index.saturating_sub(1).max(start));
    for row in &report.rows {
        let Row::Unexpected { told } = row else { continue };
        let earlier = kept.iter().rev().find(|(_, at)| *at <= told.at).map(|(index, _)| *index);
        let line = expectation_line(&expectation_of(told, None), names_rule);
        lines[earlier.unwrap_or(before_all)].after.push(line);
    }
}

/// Puts `new` in the line's place; its comment and its newline stay.
fn replace(line: &mut String, new: &str) {
    let said = comment_start(line);
    let newline = line.trim_end_matches(['\n', '\r']).len();
    let comment = line[said.min(newline)..newline].to_owned();
    let ending = line[newline..].to_owned();
    *line = if comment.is_empty() { new.to_owned() } else { format!("{new}  {comment}") };
    line.push_str(&ending);
}

pub fn labels_text(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pair = |(name, value): (&str, &str)| format!("{}={}", bare_or_quoted(name), quote(value));
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(","))
}

fn series_text(series: &Series) -> String {
    format!("{}{}", bare_or_quoted(series.name()), labels_text(series.labels()))
}

/// The shortest text that reads back to the same number.
fn number_text(value: f64) -> String {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-5..1e15).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}
