use std::collections::BTreeMap;

use proptest::prelude::*;

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
    let (key, level) = (series.labels(), Level::Warning);
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

/// The text after blessing; blessed text passes, and blessing it again changes nothing.
fn check_bless(text: &str, expected: &str) {
    let blessed = bless(text, &read(text), &reports(text));
    assert_eq!(blessed, expected, "\n{blessed}\n");
    assert!(reports(&blessed).iter().all(Report::passed), "\n{blessed}\n");
    assert_eq!(bless(&blessed, &read(&blessed), &reports(&blessed)), blessed);
}

fn check_error(text: &str, expected: &str) {
    let errors = rendered(&StoryFile::parse("disk.story", text).expect_err(text));
    assert_eq!(errors.trim_matches('\n'), expected.trim_matches('\n'), "\n{errors}\n");
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

#[test]
fn feeds_have_their_own_cadence_and_start() {
    let file = read(
        "rule a\nfeed every 1m\n  x 1 _ 3\n\
         feed every 30s from 30s\n  y{h=\"1\"} 1+2x2 9-0.5x1 stale _x2 7x2\n",
    );
    let samples: Vec<String> = file.stories[0]
        .samples()
        .into_iter()
        .map(|(at, series, value)| format!("{} {series} {value}", at.since(Story::START_DEFAULT)))
        .collect();
    let expected = [
        "0s x 1",
        "30s y{h=\"1\"} 1",
        "1m y{h=\"1\"} 3",
        "90s y{h=\"1\"} 5",
        "2m x 3",
        "2m y{h=\"1\"} 9",
        "2m30s y{h=\"1\"} 8.5",
        "4m30s y{h=\"1\"} 7",
        "5m y{h=\"1\"} 7",
    ];
    assert_eq!(samples, expected);
    assert_eq!(file.stories[0].length(), Duration::from_secs(300));
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

#[test]
fn a_story_may_be_as_long_as_the_limit() {
    let file = read("rule a\nfeed every 1s\n  m 1x999999\n  n 1\n");
    assert_eq!(file.stories[0].samples().len() as u64, Story::SAMPLES_MAX);
    let file = read("rule a\nfeed every 1m\n  m 1x6\nuntil 5m\n");
    assert_eq!(file.stories[0].until, Some(Duration::from_secs(300)), "as long as its samples");
}

#[test]
fn time_goes_on_to_the_last_thing_that_is_said() {
    for (more, seconds) in [
        ("", 60),
        ("until 30m\n", 1800),
        ("at 20m FIRED\n", 1200),
        ("until 30m\nat 20m FIRED\n", 1800),
    ] {
        let file = read(&format!("rule a\nfeed every 1m\n  x 1 2\n{more}"));
        assert_eq!(file.stories[0].length(), Duration::from_secs(seconds), "{more}");
    }
}

#[test]
fn terms_read_as_promtool_reads_them() {
    for (text, expected) in [
        ("1", Some(vec![Some(1.0)])),
        ("-1.5x2", Some(vec![Some(-1.5), Some(-1.5)])),
        ("1e-3+2x1", Some(vec![Some(0.001), Some(2.001)])),
        ("1e+2x2", Some(vec![Some(100.0), Some(100.0)])),
        ("-2-3x2", Some(vec![Some(-2.0), Some(-5.0), Some(-8.0)])),
        ("5+0x0", Some(vec![Some(5.0)])),
        (".5", Some(vec![Some(0.5)])),
        ("Inf", Some(vec![Some(f64::INFINITY)])),
        ("-infx1", Some(vec![Some(f64::NEG_INFINITY)])),
        ("_x2", Some(vec![None, None])),
        ("stale", Some(vec![None])),
        ("1+2", None),
        ("1x", None),
        ("1x0", None),
        ("1x-2", None),
        ("x3", None),
        ("__", None),
        ("1,5", None),
        ("0x1f", None),
        ("4294967296x4294967296", None),
        ("", None),
    ] {
        let story = StoryFile::parse("f", &format!("rule a\nfeed every 1s\n  m {text}\n"));
        let values = story.ok().map(|file| {
            file.stories[0].feeds[0].lines[0]
                .terms
                .iter()
                .flat_map(Term::values)
                .collect::<Vec<_>>()
        });
        assert_eq!(values, expected, "{text}");
    }
}

#[test]
fn a_printed_value_holds_to_its_last_digit() {
    for (printed, actual, holds) in [
        ("0.92", 0.9249, true),
        ("0.92", 0.9251, false),
        ("0.92", 0.925, true),
        ("0.92", 0.9149, false),
        ("92", 92.4, true),
        ("92", 92.6, false),
        ("1.5e3", 1549.0, true),
        ("1.5e3", 1551.0, false),
        ("-3", -3.4, true),
        ("0", 0.4, true),
        ("0.92", f64::NAN, false),
        ("0.92", f64::INFINITY, false),
    ] {
        let parsed = Printed::parse(printed).expect(printed);
        assert_eq!(parsed.holds(actual), holds, "{printed} for {actual}");
    }
    for (value, text) in [
        (0.92, "0.92"),
        (1.0 / 3.0, "0.333333"),
        (123.456789, "123.457"),
        (1234567.8, "1234568"),
        (100.0, "100"),
        (0.0, "0"),
        (2.5e-9, "2.5e-9"),
        (1e300, "1e300"),
    ] {
        assert_eq!(Printed::of(value).map(|printed| printed.text().to_owned()), Some(text.into()));
    }
}

#[test]
fn bless_rewrites_expectations_and_nothing_else() {
    check_bless(
        r#"rules other.rhai   # kept
# kept too
rule disk-filling
feed   every 1m   # odd spacing is kept
  disk{host="db1"}  0.80  0.92x8  0.70x4

# it starts
at 1m   pending   {host="db1"}
at 5m   FIRED     {host="db1"}  value 0.93  level warning   # later
at 7m   FLAPPING  {host="db1"}   # goes

# the end
at 10m   RESOLVED  {host="db1"}

rule disk-filling
feed every 1m
  disk{host="b"} 0.95"#,
        r#"rules other.rhai   # kept
# kept too
rule disk-filling
feed   every 1m   # odd spacing is kept
  disk{host="db1"}  0.80  0.92x8  0.70x4

# it starts
at 1m   pending   {host="db1"}
at 6m   FIRED     {host="db1"}  level warning  value 0.92  # later
at 9m   cooling   {host="db1"}

# the end
at 11m  RESOLVED  {host="db1"}

rule disk-filling
feed every 1m
  disk{host="b"} 0.95
at 0s   pending   {host="b"}
"#,
    );
}

#[test]
fn bless_puts_a_change_where_its_time_belongs() {
    check_bless(
        "rule disk-filling\nfeed every 1m\n  disk{host=\"a\"} 0.95x6 0.1x3\n\n# end\n\
         at 8m RESOLVED {host=\"a\"}\n# last\n",
        r#"rule disk-filling
feed every 1m
  disk{host="a"} 0.95x6 0.1x3

# end
at 0s   pending   {host="a"}
at 5m   FIRED     {host="a"}  value 0.95
at 6m   cooling   {host="a"}
at 8m RESOLVED {host="a"}
# last
"#,
    );
    check_bless(
        "rule disk-filling\r\nfeed every 1m\r\n  disk{host=\"a\"} 0.95x2 0.1\r\n\
         at 1m pending {host=\"a\"} # c\r\n",
        "rule disk-filling\r\nfeed every 1m\r\n  disk{host=\"a\"} 0.95x2 0.1\r\n\
         at 0s   pending   {host=\"a\"}  # c\r\n\
         at 2m   cleared   {host=\"a\"}\r\n",
    );
}

#[test]
fn bless_keeps_what_looks_like_a_comment_in_quotes() {
    check_bless(
        "rule noise\nfeed every 1m\n  m{h=\"#\\\"#\"} 1 2\nat 1m FIRED {h=\"#\\\"#\"} value 3 # c\n",
        "rule noise\nfeed every 1m\n  m{h=\"#\\\"#\"} 1 2\n\
         at 0s   FIRED     {h=\"#\\\"#\"}  value 1\n\
         at 1m   FIRED     {h=\"#\\\"#\"}  value 2  # c\n",
    );
}

#[test]
fn bless_puts_changes_of_one_time_after_each_other() {
    check_bless(
        "rule disk-filling, noise\nfeed every 1m\n  m 1\nat 0s FIRED noise\n",
        "rule disk-filling, noise\nfeed every 1m\n  m 1\nat 0s FIRED noise\n\
         at 0s   pending   disk-filling\n",
    );
}

#[test]
fn every_line_that_cannot_be_read_is_shown() {
    check_error(
        "rule disk\nfeed every 60\n  m{host=\"a} 1\n  m{host=a} 1\n  m 1 2y\n  m 1\nat 6m fired\n",
        r#"
error: `60` is not a time
 --> disk.story:2:12
  |
2 | feed every 60
  |            ^^
  = help: write for example 90s or 1h30m
error: the quotes are not closed
 --> disk.story:3:10
  |
3 |   m{host="a} 1
  |          ^^^^^
  = help: a text ends on its own line; write a line break as \n
error: a text in quotes is missing
 --> disk.story:4:10
  |
4 |   m{host=a} 1
  |          ^
  = help: write "…"
error: `2y` is no value
 --> disk.story:5:7
  |
5 |   m 1 2y
  |       ^^
  = help: write a number, 0.92x8 (eight times), _ or _x3 (missing), 1+2x5 (the first and five more) or stale
error: `fired` is no change of an alert
 --> disk.story:7:7
  |
7 | at 6m fired
  |       ^^^^^
  = help: write `FIRED`: events stand in capitals, changes in small letters
"#,
    );
}

/// The one mistake of a story that ends in `lines`: `line:column what`, and the cure. Lines are
/// counted from the first of `lines`.
fn check_mistake(lines: &str, what: &str, help: &str) {
    let text = format!("rule rule-a\n{lines}\n");
    let errors = StoryFile::parse("f", &text).expect_err(lines);
    let error = &errors[0];
    let got = format!("{}:{} {}", error.line - 1, error.column, error.what);
    assert_eq!((got.as_str(), error.help.as_deref()), (what, Some(help)), "{lines}");
    assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
}

#[test]
fn a_mistake_in_an_expectation_has_its_place_and_cure() {
    for (line, what, help) in [
        ("at 6m PENDIN", "1:7 `PENDIN` is no change of an alert", "did you mean `pending`?"),
        ("at 6m FIRED b {}", "1:13 the story is not about a rule `b`", "it is about rule-a"),
        (
            "at 6m FIRED rulea",
            "1:13 the story is not about a rule `rulea`",
            "did you mean `rule-a`?",
        ),
        ("at 6m FIRED {h=\"1\" i=\"2\"}", "1:20 `,` or `}` is missing", "labels end with `}`"),
        (
            "at 6m FIRED {h=\"1\",h=\"2\"}",
            "1:20 the label `h` stands here twice",
            "a series has each label once",
        ),
        (
            "at 6m FIRED {h=\"\\q\"}",
            "1:17 this escape is not known",
            r#"known are \" \\ \n \r \t and \u{1F525}"#,
        ),
        (
            "at 6m FIRED {} value",
            "1:21 `` is no number",
            "write for example 0.92; it holds to the digits written",
        ),
        (
            "at 6m FIRED {} level bad",
            "1:22 `bad` is no level",
            "the levels are info, warning and critical",
        ),
        (
            "at 6m FIRED {} cause bad",
            "1:22 `bad` is no cause",
            "choose one of breach, clear, level, reminder, flapping, rule removed, rule changed, \
             expired, forgotten, no data, absent, outside hours",
        ),
        (
            "at 6m FIRED {} valu 3",
            "1:16 `valu` is nothing that an expectation can say",
            "did you mean `value`?",
        ),
        ("at FIRED", "1:4 `FIRED` is not a time", "write for example 90s or 1h30m"),
        ("at", "1:3 a time is missing", "write for example 90s or 1h30m"),
        (
            "at 9999w FIRED",
            "0:1 the story is longer than a hundred years",
            "look at its longest `at` and `until`",
        ),
    ] {
        check_mistake(line, what, help);
    }
    let errors = StoryFile::parse("f", "at 6m FIRED\n").expect_err("no story");
    assert_eq!(errors[0].what, "no story has begun");
}

#[test]
fn a_mistake_in_another_line_has_its_place_and_cure() {
    for (lines, what, help) in [
        ("unti 5m", "1:1 `unti` starts no line of a story", "did you mean `until`?"),
        (
            "cpu{host=\"a\"} 1 2",
            "1:1 `cpu` starts no line of a story",
            "indent a series below its `feed` by two blanks",
        ),
        (
            "feed every 0s\n  m 1",
            "1:12 samples every 0s would all have one time",
            "write for example `feed every 1m`",
        ),
        ("feed 1m\n  m 1", "1:6 `every` is missing", "see `watchfire test --help`"),
        (
            "feed every 1m",
            "1:1 this feed has no series",
            "write them below it, indented: `  metric{label=\"v\"}  1 2 3`",
        ),
        (
            "starting at noon",
            "1:13 `noon` is not an RFC 3339 time",
            "write for example 2026-01-01T00:00:00Z",
        ),
        ("until 5m 6m", "1:10 the line should end here", "start a comment with `#`"),
        (
            "rules x.rhai",
            "1:7 rule files are named before the first story",
            "move this line to the top; to start a story write `rule NAME`",
        ),
        ("rule", "1:5 the rule's name is missing", "a name with blanks or signs stands in quotes"),
        ("rule a, a", "1:9 `a` is named twice", "name it once"),
        (
            "feed every 1s\n  m 1x1000001",
            "2:3 the story is too long: 1000001 samples",
            "at most 1000000 samples in a hundred years",
        ),
        (
            "feed every 1s\n  m",
            "2:4 the series has no values",
            "write them after the labels, `_` for a missing one",
        ),
        (
            "until 5m\nfeed every 1m\n  m 1x9",
            "1:7 the samples go on after 5m, until 8m",
            "`until` makes a story longer; to shorten it, feed less",
        ),
    ] {
        check_mistake(lines, what, help);
    }
}

#[test]
fn a_story_about_an_unknown_rule_is_shown() {
    let errors = read(DISK).check_rules("disk.story", DISK, &["disk-fillin", "cpu"]);
    let expected = "
error: there is no rule `disk-filling`
 --> disk.story:2:1
  |
2 | rule disk-filling
  | ^^^^^^^^^^^^^^^^^
  = help: did you mean `disk-fillin`?
";
    assert_eq!(rendered(&errors).trim(), expected.trim());
    assert!(read(DISK).check_rules("disk.story", DISK, &["disk-filling"]).is_empty());
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,8}", "level|value|stale|at|rule", "[ -~]{1,6}", "\\PC{1,4}"]
        .prop_filter("names are not empty", |name: &String| !name.is_empty())
}

fn any_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map(any_name(), any::<String>(), 0..3).prop_map(Labels::new)
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (1i64..10_000).prop_map(Duration::from_secs),
        (1i64..9).prop_map(Duration::from_nanos)
    ]
}

fn any_term() -> impl Strategy<Value = Term> {
    let number = prop_oneof![any::<i32>().prop_map(f64::from), proptest::num::f64::NORMAL];
    let number = prop_oneof![number, Just(0.0), Just(f64::INFINITY), Just(-5e-324)];
    prop_oneof![
        (number.clone(), 1u32..9).prop_map(|(value, times)| Term::Value { value, times }),
        (1u32..9).prop_map(|times| Term::Missing { times }),
        (number.clone(), number, 0u32..9).prop_map(|(first, step, more)| Term::Ramp {
            first,
            step,
            more
        }),
        Just(Term::Stale),
    ]
}

fn any_feed() -> impl Strategy<Value = Feed> {
    let line = (any_name(), any_labels(), proptest::collection::vec(any_term(), 1..4)).prop_map(
        |(name, labels, terms)| FeedLine { series: Series::new(&name, labels.iter()), terms },
    );
    let from = prop_oneof![Just(Duration::ZERO), any_duration()];
    (any_duration(), from, proptest::collection::vec(line, 1..3))
        .prop_map(|(every, from, lines)| Feed { every, from, lines })
}

fn any_expectation(rules: Vec<Arc<str>>) -> impl Strategy<Value = Expectation> {
    let change = (any_duration(), proptest::sample::select(&WORDS[..]), any_labels());
    let says = (
        proptest::option::of(proptest::sample::select(&Level::ALL[..])),
        proptest::option::of(proptest::num::f64::NORMAL),
        proptest::option::of(any::<String>()),
        proptest::option::of(proptest::sample::select(&CAUSES[..])),
        proptest::option::of(any_duration()),
    );
    (change, proptest::sample::select(rules), says).prop_map(
        |((at, (_, kind), key), rule, (level, value, text, cause, fired_at))| {
            let value = value.and_then(Printed::of);
            Expectation { line: 0, at, kind, rule, key, level, value, text, cause, fired_at }
        },
    )
}

fn any_story() -> impl Strategy<Value = Story> {
    let rules = proptest::collection::btree_set(any_name(), 1..3)
        .prop_map(|rules| rules.into_iter().map(Arc::from).collect::<Vec<Arc<str>>>());
    let start = prop_oneof![
        Just(Story::START_DEFAULT),
        (0i64..i64::MAX / 2).prop_map(EventTime::from_nanos)
    ];
    rules.prop_flat_map(move |rules| {
        let expectations = proptest::collection::vec(any_expectation(rules.clone()), 0..4);
        let feeds = proptest::collection::vec(any_feed(), 0..3);
        (Just(rules), start.clone(), feeds, expectations, any::<bool>()).prop_map(
            |(rules, start, feeds, expectations, goes_on)| {
                let fed = feeds.iter().map(Feed::length).max().unwrap_or(Duration::ZERO);
                let until = goes_on.then_some(fed);
                Story { line: 0, rules, start, feeds, expectations, until }
            },
        )
    })
}

/// The same without line numbers, which printing changes.
fn unplaced(mut file: StoryFile) -> StoryFile {
    for story in &mut file.stories {
        story.line = 0;
        story.expectations.iter_mut().for_each(|expectation| expectation.line = 0);
    }
    file
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(
        rules_files in proptest::collection::vec(any_name(), 0..2),
        stories in proptest::collection::vec(any_story(), 0..3),
    ) {
        let file = StoryFile { rules_files, stories };
        let text = file.to_string();
        let parsed = StoryFile::parse("f", &text);
        let parsed = parsed.map_err(|errors| TestCaseError::fail(rendered(&errors)))?;
        prop_assert_eq!(unplaced(parsed), file, "{}", text);
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>()) {
        let _ = StoryFile::parse("f", &text).map_err(|errors| rendered(&errors));
    }

    #[test]
    fn no_line_of_known_words_is_too_odd(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "rule ", "rules ", "a", "\n", "\n  ", "feed every ", "1m ", "at ", "FIRED ", "{", "}",
                "=", "\"", "\\", "\\u{", ",", "#", "1", "x9", "_", "+", "-", "e", ".", "until ",
                "value ", "text ", "é", "starting at ", "from ", "inf", "stale ", "99999999999 ",
            ]),
            0..40,
        ),
    ) {
        let text: String = words.concat();
        let text = format!("rule a\nfeed every 1m\n  m 1\n{text}");
        if let Ok(file) = StoryFile::parse("f", &text) {
            let reports: Vec<Report> =
                file.stories.iter().map(|story| run(story, &mut Toy::default())).collect();
            let blessed = bless(&text, &file, &reports);
            let again = StoryFile::parse("f", &blessed)
                .map_err(|errors| TestCaseError::fail(rendered(&errors)))?;
            for story in &again.stories {
                let report = run(story, &mut Toy::default());
                prop_assert!(report.passed(), "{}\n{}", blessed, report);
            }
        }
    }

    #[test]
    fn a_blessed_story_passes(
        feeds in proptest::collection::vec(any_feed(), 1..3),
        expectations in proptest::collection::vec(
            any_expectation(vec!["disk-filling".into(), "noise".into()]), 0..4,
        ),
    ) {
        let rules = vec!["disk-filling".into(), "noise".into()];
        let start = Story::START_DEFAULT;
        let story = Story { line: 0, rules, start, feeds, expectations, until: None };
        let text = format!("# kept\n{story}# kept as well");
        let blessed = bless(&text, &read(&text), &reports(&text));
        prop_assert!(reports(&blessed).iter().all(Report::passed), "{}", blessed);
        prop_assert!(blessed.starts_with("# kept\n") && blessed.contains("# kept as well"));
    }

    #[test]
    fn a_value_that_is_printed_holds(value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
        let printed = Printed::of(value).expect("it is finite");
        prop_assert!(printed.holds(value), "{} for {}", printed.text(), value);
    }
}
