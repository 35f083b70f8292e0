//! Text to stories: what is read, and how mistakes are shown.

use super::*;

fn check_error(text: &str, expected: &str) {
    let errors = rendered(&StoryFile::parse("disk.story", text).expect_err(text));
    assert_eq!(errors.trim_matches('\n'), expected.trim_matches('\n'), "\n{errors}\n");
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
  = help: write a number, 0.92x8 (8 times), _ or _x3 (missing), 1+2x5 (and 5 more), stale
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
