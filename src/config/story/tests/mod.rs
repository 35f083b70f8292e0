//! Stories on a toy engine: what runs, and what a difference looks like.

mod blessing;
mod properties;
mod reading;

use std::collections::BTreeMap;

use super::run::{Bench, run};
use super::*;
use crate::kernel::event::{Event, EventId, Fingerprint, Identity};
use crate::kernel::model::Version;

const DISK: &str = r#"# soak 5m, cool 2m, breach at 0.90
rule disk-filling

feed every 1m
  disk_used_ratio{host="db1"}   0.80  0.92x8  0.70x4

at 1m   pending   {host="db1"}
at 6m   FIRED     {host="db1"}  value 0.92   # five minutes later
at 9m   cooling   {host="db1"}
at 11m  RESOLVED  {host="db1"}
"#;

/// `value > 0.9` for 5 m fires, 2 m below resolves; the rule is `disk-filling`. A second rule,
/// `noise`, fires on every sample.
#[derive(Default)]
struct Toy {
    alerts: BTreeMap<Series, Alert>,
}

#[derive(Default)]
struct Alert {
    breach_since: Option<EventTime>,
    fired_at: Option<EventTime>,
    clear_since: Option<EventTime>,
}

impl Bench for Toy {
    fn feed(&mut self, samples: &[(EventTime, Series, f64)]) -> Vec<Event> {
        let mut events = Vec::new();
        for (at, series, value) in samples {
            events.push(event("noise", Kind::Fired, series, *at, *value, None));
            let alert = self.alerts.entry(series.clone()).or_default();
            if let Some(kind) = alert.step(*at, *value > 0.9) {
                events.push(event("disk-filling", kind, series, *at, *value, alert.fired_at));
            }
        }
        events
    }

    fn advance(&mut self, _: EventTime) -> Vec<Event> {
        Vec::new()
    }

    fn finish(&mut self) -> Vec<Event> {
        Vec::new()
    }
}

impl Alert {
    fn step(&mut self, at: EventTime, breach: bool) -> Option<Kind> {
        let (soak, cool) = (Duration::from_secs(300), Duration::from_secs(120));
        match (self.fired_at, breach) {
            (None, false) => self.breach_since.take().map(|_| Kind::Cleared),
            (None, true) => match self.breach_since {
                None => {
                    self.breach_since = Some(at);
                    Some(Kind::Pending)
                }
                Some(since) if at.since(since) >= soak => {
                    self.fired_at = Some(at);
                    Some(Kind::Fired)
                }
                Some(_) => None,
            },
            (Some(_), true) => self.clear_since.take().map(|_| Kind::Cleared),
            (Some(_), false) => match self.clear_since {
                None => {
                    self.clear_since = Some(at);
                    Some(Kind::Cooling)
                }
                Some(since) if at.since(since) >= cool => {
                    *self = Alert::default();
                    Some(Kind::Resolved)
                }
                Some(_) => None,
            },
        }
    }
}

fn event(
    rule: &str,
    kind: Kind,
    series: &Series,
    at: EventTime,
    value: f64,
    fired_at: Option<EventTime>,
) -> Event {
    let (key, level) = (series.labels().clone(), Level::Warning);
    let identity = Identity { rule, key: &key, since: at, kind, level, at, repeat: 0 };
    Event {
        id: EventId::of(&identity),
        seq: 1,
        rule: rule.into(),
        version: Version(1),
        kind,
        level,
        previous_level: None,
        key: key.clone(),
        labels: Labels::empty(),
        value: Some(value),
        values: Vec::new(),
        window: None,
        at,
        since: at,
        fired_at,
        resolved_at: None,
        cause: if kind == Kind::Resolved { Cause::Expired } else { Cause::Breach },
        text: format!("{rule} {}", kind.name()),
        annotations: Vec::new(),
        shadow: false,
        fingerprint: Fingerprint(0),
        notify: Vec::new(),
    }
}

fn read(text: &str) -> StoryFile {
    StoryFile::parse("disk.story", text).unwrap_or_else(|errors| panic!("{}", rendered(&errors)))
}

fn rendered(errors: &[ConfigError]) -> String {
    errors.iter().map(|error| error.to_string() + "\n").collect()
}

fn reports(text: &str) -> Vec<Report> {
    read(text).stories.iter().map(|story| run(story, &mut Toy::default())).collect()
}

/// The difference that running the text's one story shows.
fn check_run(text: &str, expected: &str) {
    let report = &reports(text)[0];
    assert_eq!(report.to_string(), expected.trim_matches('\n'), "\n{report}\n");
}

#[test]
fn a_story_that_happens_passes() {
    let report = &reports(DISK)[0];
    assert!(report.passed(), "\n{report}\n");
    assert_eq!((report.name.as_str(), report.line, report.rows.len()), ("disk-filling", 2, 4));
}

#[test]
fn what_differs_is_shown_in_order_of_time() {
    check_run(
        r#"rule disk-filling
feed every 1m
  disk{host="db1"}  0.80  0.92x9  0.70x2
at 5m   FIRED     {host="db1"}  value 0.92  cause "breach"
at 10m  cooling   {host="db1"}
at 11m  RESOLVED  {host="db1"}
"#,
        r#"
      + at 1m   pending   {host="db1"}
    4 - at 5m   FIRED     {host="db1"}  value 0.92  cause "breach"
      + at 6m   FIRED     {host="db1"}  value 0.92  cause "breach"
    5   at 10m  cooling   {host="db1"}
    6 - at 11m  RESOLVED  {host="db1"}
"#,
    );
}

#[test]
fn only_what_stands_around_a_difference_is_shown() {
    let mut text = String::from("rule noise\nfeed every 1m\n  m 1x20\n");
    for minute in (0..20).filter(|minute| *minute != 9) {
        text += &format!("at {minute}m FIRED\n");
    }
    let text = text.replace("at 0m", "at 0s");
    check_run(
        &text,
        "
      …
   10   at 6m   FIRED
   11   at 7m   FIRED
   12   at 8m   FIRED
      + at 9m   FIRED  value 1
   13   at 10m  FIRED
   14   at 11m  FIRED
   15   at 12m  FIRED
      …
",
    );
    let nothing = "rule noise\nfeed every 1s\n  m 1x99\n";
    assert!(reports(nothing)[0].to_string().ends_with("\n      … and 49 more differences"));
    assert_eq!(reports(nothing)[0].to_string().lines().count(), 51);
}

#[test]
fn every_clause_is_held_against_the_change() {
    for (clause, passes) in [
        ("", true),
        ("value 0.92", true),
        ("value 0.9", true),
        ("value 0.920", true),
        ("value 0.93", false),
        ("level warning", true),
        ("level critical", false),
        ("text \"disk-filling fired\"", true),
        ("text \"disk-filling\"", false),
        ("cause \"breach\"", true),
        ("cause breach", true),
        ("cause \"no data\"", false),
        ("fired at 6m", true),
        ("fired at 5m", false),
    ] {
        let text = DISK.replace("value 0.92 ", clause);
        assert_eq!(reports(&text)[0].passed(), passes, "{clause}");
    }
}

#[test]
fn another_rule_is_ignored_unless_it_is_named() {
    let text = r#"rule disk-filling, noise
feed every 1m
  disk{host="a"}  0.95  0.1
at 0s   pending  disk-filling {host="a"}
at 0s   FIRED    noise        {host="a"}
at 1m   cleared  disk-filling {host="a"}
at 1m   FIRED    noise        {host="a"}
"#;
    assert!(reports(text)[0].passed());
    let without = text.replace("at 1m   FIRED    noise        {host=\"a\"}\n", "");
    assert_eq!(reports(&without)[0].differences(), 1);
}

/// Writes down how it is called, and fires `a` once at the very end.
#[derive(Default)]
struct Diary(Vec<String>);

impl Bench for Diary {
    fn feed(&mut self, samples: &[(EventTime, Series, f64)]) -> Vec<Event> {
        let at = samples[0].0.since(Story::START_DEFAULT);
        self.0.push(format!("feed {} at {at}", samples.len()));
        Vec::new()
    }

    fn advance(&mut self, to: EventTime) -> Vec<Event> {
        self.0.push(format!("advance to {}", to.since(Story::START_DEFAULT)));
        Vec::new()
    }

    fn finish(&mut self) -> Vec<Event> {
        self.0.push("finish".into());
        let (series, at) = (Series::new("m", [("h", "1")]), Story::START_DEFAULT);
        vec![event("a", Kind::Fired, &series, at, 1.0, None)]
    }
}

#[test]
fn samples_of_one_time_come_together_and_then_time_goes_on() {
    let text = "rule a\nfeed every 1m\n  m 1 2\n  n 1\nuntil 9m\nat 0s FIRED {h=\"1\"}\n";
    let mut diary = Diary::default();
    assert!(run(&read(text).stories[0], &mut diary).passed(), "what the end leads to counts");
    assert_eq!(diary.0, ["feed 2 at 0s", "feed 1 at 1m", "advance to 9m", "finish"]);
}
