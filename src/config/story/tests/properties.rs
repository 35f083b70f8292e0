//! What holds for every story.

use proptest::prelude::*;

use super::*;

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
    let change = (any_duration(), proptest::sample::select(&KINDS[..]), any_labels());
    let says = (
        proptest::option::of(proptest::sample::select(&Level::ALL[..])),
        proptest::option::of(proptest::num::f64::NORMAL),
        proptest::option::of(any::<String>()),
        proptest::option::of(proptest::sample::select(&CAUSES[..])),
        proptest::option::of(any_duration()),
    );
    (change, proptest::sample::select(rules), says).prop_map(
        |((at, kind, key), rule, (level, value, text, cause, fired_at))| {
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
                "rule ", "rules ", "a", "\n", "\n  ", "feed every ", "1m ", "at ", "FIRED ", "{",
                "}", "=", "\"", "\\", "\\u{", ",", "#", "1", "x9", "_", "+", "-", "e", ".", "é",
                "until ", "value ", "text ", "starting at ", "from ", "inf", "stale ",
                "99999999999 ",
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
    fn a_value_that_is_printed_holds(
        value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
    ) {
        let printed = Printed::of(value).expect("it is finite");
        prop_assert!(printed.holds(value), "{} for {}", printed.text(), value);
    }
}
