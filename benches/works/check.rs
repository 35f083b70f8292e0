//! Compares events with the known answers.

use std::collections::BTreeMap;

use super::answers::Edge;

/// How a run's events compare with the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Alerts that had to fire.
    pub alerts: usize,
    /// The farthest that an edge is off, within the tolerance or not.
    pub worst_ms: i64,
    /// What is wrong, one line for each edge.
    pub wrong: Vec<String>,
}

impl Comparison {
    /// Something was expected, and nothing else came.
    pub fn is_right(&self) -> bool {
        self.alerts > 0 && self.wrong.is_empty()
    }
}

type ByAlert<'a> = BTreeMap<(&'a str, &'a str), Vec<(i64, bool)>>;

/// Edge by edge, in order of time, for each alert. An edge that is missing shifts those behind it,
/// so the first line of an alert is the one to read.
pub fn compare(expected: &[Edge], told: &[Edge], tolerance_ms: i64) -> Comparison {
    let (expected, told) = (by_alert(expected), by_alert(told));
    let mut comparison = Comparison::default();
    let alerts: std::collections::BTreeSet<_> = expected.keys().chain(told.keys()).collect();
    for alert in alerts {
        let edges = |of: &ByAlert<'_>| of.get(alert).cloned().unwrap_or_default();
        let (expected, told) = (edges(&expected), edges(&told));
        comparison.alerts += expected.iter().filter(|(_, fires)| *fires).count();
        for at in 0..expected.len().max(told.len()) {
            let (wanted, got) = (expected.get(at), told.get(at));
            if let (Some((due, wanted)), Some((came, got))) = (wanted, got)
                && wanted == got
            {
                comparison.worst_ms = comparison.worst_ms.max((due - came).abs());
                if (due - came).abs() <= tolerance_ms {
                    continue;
                }
            }
            let (rule, key) = alert;
            let (wanted, got) = (words(wanted), words(got));
            comparison.wrong.push(format!("{rule} {key}: expected {wanted}, told {got}"));
        }
    }
    comparison
}

fn words(edge: Option<&(i64, bool)>) -> String {
    match edge {
        Some((at, true)) => format!("fired at {at}"),
        Some((at, false)) => format!("resolved at {at}"),
        None => "nothing".to_owned(),
    }
}

fn by_alert(edges: &[Edge]) -> ByAlert<'_> {
    let mut all = ByAlert::new();
    for edge in edges {
        all.entry((&edge.rule, &edge.key)).or_default().push((edge.at_ms, edge.fires));
    }
    all.values_mut().for_each(|edges| edges.sort_unstable());
    all
}

/// One edge as a line of an answers file.
pub fn print(edge: &Edge) -> String {
    let kind = if edge.fires { "fired" } else { "resolved" };
    format!("{}\t{}\t{}\t{kind}\n", edge.rule, edge.key, edge.at_ms)
}

/// The edges of an answers file.
pub fn read(answers: &str) -> Result<Vec<Edge>, String> {
    let edge = |line: &str| {
        let mut words = line.split('\t');
        let mut next = || words.next().ok_or_else(|| format!("no edge: `{line}`"));
        let (rule, key, at, kind) = (next()?, next()?, next()?, next()?);
        let at_ms = at.parse().map_err(|_| format!("no time: `{line}`"))?;
        Ok(Edge { rule: rule.into(), key: key.into(), at_ms, fires: kind == "fired" })
    };
    answers.lines().map(edge).collect()
}

/// The edges among the events that `watchfire replay` prints. The works' rules have one level and
/// no reminders, so any other kind is an error.
pub fn edges_of(events: &str) -> Result<Vec<Edge>, String> {
    let edge = |(at, line): (usize, &str)| {
        edge(line).ok_or_else(|| format!("line {}: no event of a work: {line}", at + 1))
    };
    events.lines().enumerate().map(edge).collect()
}

/// Events are written compactly, and nothing in the works' names needs an escape, so a field is
/// found by its text; within a string its quotes would be escaped.
fn edge(line: &str) -> Option<Edge> {
    let text = |open: &str| Some(line.split_once(open)?.1.split_once('"')?.0);
    let (_, key) = line.split_once(r#""key":{"#)?;
    let (_, key) = key.split_once('}')?.0.split_once(':')?;
    let fires = match text(r#""kind":""#)? {
        "fired" => true,
        "resolved" => false,
        _ => return None,
    };
    Some(Edge {
        rule: text(r#""rule":""#)?.to_owned(),
        key: key.trim_matches('"').to_owned(),
        at_ms: millis(text(r#""at":""#)?)?,
        fires,
    })
}

/// `2023-11-14T22:10:00.5Z` in milliseconds since the epoch.
fn millis(time: &str) -> Option<i64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    let days = days(number(year)?, number(month)?, number(day)?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let millis = number(&format!("{fraction:0<3}")[..3])?;
    let seconds = ((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?;
    Some(seconds * 1000 + millis)
}

/// Days since the epoch in the Gregorian calendar, counted in years that begin in March, so that
/// the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an answers file, with spaces in place of tabs.
    fn edges(script: &str) -> Vec<Edge> {
        let lines = script.lines().map(|line| line.trim().replace(' ', "\t"));
        read(&lines.collect::<Vec<_>>().join("\n")).expect("edges")
    }

    #[test]
    fn an_answers_file_is_read_as_it_was_written() {
        let edges = edges("cpu a 1000 fired\n cpu a 5000 resolved");
        let written: String = edges.iter().map(print).collect();
        assert_eq!(read(&written), Ok(edges));
        assert!(read("cpu\ta\tnoon\tfired").is_err());
        assert!(read("cpu").is_err());
    }

    fn check(told: &str, tolerance_ms: i64, wrong: &[&str]) {
        let expected = "cpu a 1000 fired\n cpu a 5000 resolved\n mem b 2000 fired";
        let comparison = compare(&edges(expected), &edges(told), tolerance_ms);
        assert_eq!(comparison.wrong, wrong, "{told}");
        assert_eq!(comparison.alerts, 2);
        assert_eq!(comparison.is_right(), wrong.is_empty());
    }

    #[test]
    fn the_same_edges_in_any_order_are_right() {
        check("mem b 2000 fired\n cpu a 1000 fired\n cpu a 5000 resolved", 0, &[]);
    }

    #[test]
    fn a_planted_wrong_alert_is_reported() {
        let right = "cpu a 1000 fired\n cpu a 5000 resolved\n mem b 2000 fired";
        check(
            &format!("{right}\n mem c 7000 fired"),
            0,
            &["mem c: expected nothing, told fired at 7000"],
        );
        check(
            "cpu a 1000 fired\n cpu a 5000 resolved",
            0,
            &["mem b: expected fired at 2000, told nothing"],
        );
        check(
            "cpu a 1001 fired\n cpu a 5000 resolved\n mem b 2000 fired",
            0,
            &["cpu a: expected fired at 1000, told fired at 1001"],
        );
        check(
            "cpu a 1000 fired\n mem b 2000 fired\n cpu a 5000 fired",
            9_999,
            &["cpu a: expected resolved at 5000, told fired at 5000"],
        );
    }

    #[test]
    fn a_tolerance_is_inclusive_and_the_worst_is_told() {
        let told = "cpu a 1010 fired\n cpu a 4990 resolved\n mem b 2003 fired";
        check(told, 10, &[]);
        let expected = edges("cpu a 1000 fired\n cpu a 5000 resolved\n mem b 2000 fired");
        assert_eq!(compare(&expected, &edges(told), 10).worst_ms, 10);
        assert!(!compare(&[], &[], 0).is_right(), "nothing was proved");
    }

    #[test]
    fn events_are_read_as_the_program_writes_them() {
        let event = concat!(
            r#"{"id":"0","seq":1,"rule":"r/s","kind":"fired","key":{"host":"h1"},"#,
            r#""at":"2023-11-14T22:13:20.5Z","since":"2023-11-14T22:12:50Z"}"#
        );
        let edge = edges_of(event).expect("an event").remove(0);
        let at_ms = 1_700_000_000_500;
        assert_eq!(edge, Edge { rule: "r/s".into(), key: "h1".into(), at_ms, fires: true });
        let other = edges_of(&event.replace("fired", "changed"));
        assert!(other.expect_err("no edge").starts_with("line 1: no event of a work"));
    }

    #[test]
    fn times_around_leap_days() {
        for (time, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("2023-11-14T22:10:00Z", 1_699_999_800_000),
            ("2024-03-01T00:00:00.001Z", 1_709_251_200_001),
        ] {
            assert_eq!(millis(time), Some(expected), "{time}");
        }
        assert_eq!(millis("yesterday"), None);
    }
}
