//! What files declare.

use std::sync::Arc;

use super::*;
use crate::guest::grant::Request;
use crate::kernel::model::{Duration, Level};
use crate::kernel::rule::view::{BaseStat, Column, Reduction};
use crate::kernel::rule::{Across, Distinct, Grouping, Judge, OnNoData, Shape, State};

/// The rules of the authoring guide, as they stand there.
pub const GUIDE: &str = include_str!("guide.rhai");

const GUIDE_SINKS: &str = include_str!("guide_sinks.rhai");

fn column(reduction: Reduction) -> Column {
    Column::Reduced { input: 0, reduction }
}

#[test]
fn every_rule_of_the_guide_loads_as_it_stands() {
    let loaded = load_good(GUIDE);
    assert_eq!(loaded.findings, []);
    let names: Vec<&str> = loaded.rules.iter().map(|rule| rule.name.as_ref()).collect();
    assert_eq!(
        names,
        [
            "cpu-high",
            "api-slow",
            "error-rate",
            "error-ratio",
            "agent-gone",
            "disk-filling",
            "queue-depth",
            "traffic-odd",
            "restart-loop",
            "mem-warning",
            "mem-critical",
            "cpu-busy",
            "svc-load",
        ]
    );
    let lines: Vec<u32> = loaded.rules.iter().map(|rule| rule.origin.line).collect();
    assert_eq!(lines, [2, 9, 16, 18, 24, 26, 28, 35, 40, 49, 49, 54, 57]);
    let again = load("rules/test.rhai", GUIDE, &host());
    assert_eq!(again.rules[0].version, loaded.rules[0].version);
}

#[test]
fn every_sink_of_the_guide_loads_as_it_stands() {
    let loaded = load_good(GUIDE_SINKS);
    let [chat, archive] = &loaded.sinks[..] else { panic!("two sinks") };
    assert_eq!((chat.name.as_ref(), chat.kind, chat.origin.line), ("ops-chat", "rhai", 1));
    let needs = [Request::Http("chat.example.net".into()), Request::Secret("CHAT_URL".into())];
    assert_eq!(chat.needs, needs);
    assert_eq!((chat.batching.max, chat.batching.age), (20, Duration::from_secs(2)));
    assert_eq!((chat.retry.attempts, chat.retry.base), (8, Duration::from_secs(1)));
    assert_eq!(archive.needs, [Request::File("alerts-*.jsonl".into())]);
    assert_eq!((archive.batching, archive.rate), (Default::default(), None));
}

#[test]
fn conditions_name_the_columns_they_read() {
    let loaded = load_good(GUIDE);
    let columns = |name: &str| {
        let found = loaded.rules.iter().find(|rule| rule.name.as_ref() == name);
        found.expect(name).columns()
    };
    let base = |stat| Column::Base { input: 0, reduction: Reduction::Rate, stat };
    let rate = |input| Column::Reduced { input, reduction: Reduction::Rate };
    use Reduction::{Count, Max, Mean, Quantile, Rate};
    assert_eq!(columns("cpu-high"), [Column::Value { input: 0 }]);
    assert_eq!(columns("api-slow"), [Count, Quantile(500), Quantile(990)].map(column));
    assert_eq!(columns("error-ratio"), [rate(0), rate(1)]);
    let stats = [BaseStat::Count, BaseStat::Mean, BaseStat::Stddev].map(base);
    assert_eq!(columns("traffic-odd"), [&[column(Rate)], &stats[..]].concat());
    assert_eq!(columns("cpu-busy"), [Mean, Max].map(column));
    assert_eq!(columns("agent-gone"), []);
}

#[test]
fn reads_are_followed_through_helpers_aliases_and_inner_closures() {
    use Reduction::{Max, Mean, Min, Sum};
    for (condition, reads) in [
        ("|w| { let m = w.mean; m > 1.0 }", vec![Mean]),
        ("|w| { let m = w.mean; if m > 1.0 { m = w.sum; } m > 2.0 }", vec![Sum, Mean]),
        ("|w| { let m = w.mean; m += w.sum; m > 2.0 }", vec![Sum, Mean]),
        ("|w| { { let w = 3; } w.mean > 1.0 }", vec![Mean]),
        ("|w| high(w)", vec![Mean, Max]),
        ("|w| { let v = w; high(v) && v.min > 0.0 }", vec![Mean, Min, Max]),
        ("|w| [1, 2].some(|x| x > w.mean)", vec![Mean]),
        ("|w| w[\"mean\"] > 1.0", vec![Mean]),
        ("|w| switch w.max { 0..5 => w.min > 1.0, _ => false }", vec![Min, Max]),
        ("|w| { for i in 0..3 { if w.mean > i { return true; } } false }", vec![Mean]),
        ("|w| w.mean.abs() > 1.0 && !w.max.is_nan", vec![Mean, Max]),
        ("|w| { let w = 3; w > 2 }", vec![Reduction::Count]),
        ("|w| true", vec![Reduction::Count]),
        ("|w| `${w.mean}`.len() > 3", vec![Mean]),
    ] {
        let text = format!(
            "fn high(w) {{ over(w, 1.0) || w.max > 2.0 }}\nfn over(x, y) {{ x.mean > y }}\n\
             rule(\"r\").on(\"m\").window(\"1m\").when({condition});"
        );
        let expected: Vec<Column> = reads.into_iter().map(column).collect();
        assert_eq!(rule(&text).columns(), expected, "{condition}");
    }
}

#[test]
fn a_baseline_is_of_the_one_reduction_besides_the_count() {
    let of = |reduction| Column::Base { input: 0, reduction, stat: BaseStat::Mean };
    let count = Reduction::Count;
    for (condition, columns) in [
        ("|w, base| w.count > 9 && w.rate > base.mean", {
            vec![column(count), column(Reduction::Rate), of(Reduction::Rate)]
        }),
        ("|w, base| w.count > base.mean", vec![column(count), of(count)]),
        ("|w, base| w.max > base.p99.mean", {
            vec![column(Reduction::Max), of(Reduction::Quantile(990))]
        }),
        ("|w, base| base.mean > 2.0", vec![column(count), of(count)]),
    ] {
        let text =
            format!("rule(\"r\").on(\"m\").window(\"1m\").baseline(\"1h\").when({condition});");
        assert_eq!(rule(&text).columns(), columns, "{condition}");
    }
}

#[test]
fn labels_are_columns_of_their_own() {
    let rule =
        rule(r#"rule("r").on("m").by("host").when(|v, labels| v > 1.0 && labels.host == "a");"#);
    // The labels are no columns of a native condition but facts.
    assert_eq!(rule.columns(), [Column::Value { input: 0 }]);
    assert!(rule.programs()[0].has_label_facts());
    let text =
        r#"rule("r").on("m").by("host").when(|v, labels| v > 1.0 && labels.host.len() > 2);"#;
    let rule = super::rule(text);
    assert_eq!(rule.columns(), [Column::Value { input: 0 }, Column::Label("host".into())]);
}

#[test]
fn conditions_of_the_guide_run_native_or_say_why_not() {
    let loaded = load_good(GUIDE);
    let paths = loaded.rules.iter().flat_map(|rule| {
        rule.programs().into_iter().map(|program| (rule.name.as_ref(), program.path()))
    });
    let slow: Vec<String> = paths
        .filter(|(_, path)| path != "native")
        .map(|(rule, path)| format!("{rule} {path}"))
        .collect();
    assert_eq!(slow, ["restart-loop interpreted, because it keeps state in `this` at 43:9"]);
}

#[test]
fn refusals_have_a_place_and_a_reason() {
    for (condition, expected) in [
        ("|v| { while v > 5.0 { } true }", "it has a loop at 1:30"),
        ("|v| { try { v > 1.0 } catch { false } }", "it catches errors at 1:30"),
        ("|v| { if v < 0.0 { throw 1; } v > 1.0 }", "it throws at 1:43"),
        ("|v| v ** 2 > 4.0", "the operator `**` has no native form at 1:30"),
        ("|v| `${v}` == \"1\"", "it builds a text at 1:28"),
        ("|v| switch v { 1.0 => true, _ => false }", "it has a `switch`"),
        ("|v, labels| labels.host.len() > 2", "`len` has no native form here at 1:48"),
        ("|v| { let x = 1; if v > 1.0 { x = 1.5; } x > 1 }", "a value is of one kind or another"),
        ("|v| [v].len() > 0", "`len` has no native form here at 1:32"),
        (
            "|v| { let y = v; y < (if v > 1.0 { y *= y; y } else { 0.0 }) }",
            "an assignment stands within an operand at 1:46",
        ),
        ("|v| { let m = #{ a: v }; m.a > 1.0 }", "it builds a map at 1:38"),
    ] {
        let rule = rule(&format!("rule(\"r\").on(\"m\").when({condition});"));
        let path = rule.programs()[0].path();
        assert!(
            path.starts_with("interpreted, because ") && path.contains(expected),
            "{condition}: {path}"
        );
    }
}

#[test]
fn every_word_reaches_its_field() {
    let text = r#"
        rule("all").on("cpu.*").only("env=prod").only(|labels| labels.tier != "test")
            .by("host", "dc")
            .window("1m").every("5s").lateness("2s").baseline("1h").across("quantile(0.95)")
            .share(|v| v > 0.5).ewma("30s").distinct("user").during("Mon-Fri 08:00-18:00 UTC")
            .forget("2h").expire("10m").when(|w| w.share > 0.1 && w.ewma > 1.0 && w.distinct > 3)
            .clear(|w| w.share < 0.05).soak("1m").cool("2m").repeat("4h").on_no_data("breach")
            .flapping(40, 20.5).severity("critical").label("team", "db").text("full")
            .annotation("hint", |a| `on ${a.labels.host}`).runbook("https://wiki/x")
            .notify("a", "b").notify(["b", "c"]).state(#{ n: 0 }).record("cpu.p", |w| w.mean)
            .shadow();"#;
    let rule = rule(text);
    let secs = Duration::from_secs;
    assert_eq!(
        rule.inputs[0].selector.to_string(),
        r#"cpu.*{env="prod"} where |labels| labels.tier != "test""#
    );
    assert_eq!(rule.by, Grouping::By(vec!["host".into(), "dc".into()]));
    assert_eq!(rule.shape, Shape::Sliding { length: secs(60), every: secs(5) });
    assert_eq!((rule.lateness, rule.baseline.map(|b| b.span)), (secs(2), Some(secs(3600))));
    assert_eq!(rule.across, Some(Across::Quantile(0.95)));
    assert_eq!(rule.declared.ewma, Some(secs(30)));
    assert_eq!(rule.declared.distinct, Some(Distinct::Label("user".into())));
    let share = rule.declared.share.as_ref().expect("it was declared");
    assert_eq!((share.source(), share.reads()), ("|v| v > 0.5", &[Column::Value { input: 0 }][..]));
    assert_eq!(
        rule.during.as_ref().map(ToString::to_string).as_deref(),
        Some("Mon-Fri 08:00-18:00 UTC")
    );
    let timing = rule.timing;
    assert_eq!(
        (timing.soak, timing.cool, timing.repeat),
        (secs(60), secs(120), Some(secs(14_400)))
    );
    assert_eq!(
        (timing.expire, timing.forget, timing.forget_firing),
        (secs(600), secs(7_200), true)
    );
    assert_eq!((timing.absent, timing.on_no_data), (None, OnNoData::Breach));
    assert_eq!(rule.flapping.map(|f| (f.high, f.low)), Some((40.0, 20.5)));
    let Judge::Levels([None, None, Some(critical)]) = &rule.judge else { panic!("critical only") };
    assert!(critical.reset.is_some());
    assert_eq!(critical.when.path(), "native");
    assert_eq!(critical.when.source(), "|w| w.share > 0.1 && w.ewma > 1.0 && w.distinct > 3");
    assert_eq!(rule.labels.get("team"), Some("db"));
    let annotations: Vec<&str> = rule.annotations.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(annotations, ["text", "hint", "runbook"]);
    assert_eq!(rule.notify, ["a", "b", "c"].map(Arc::from));
    assert_eq!(rule.state, Some(State::Map(vec![("n".into(), State::Int(0))])));
    assert_eq!(rule.record.as_ref().map(|record| record.name.as_ref()), Some("cpu.p"));
    assert!(rule.shadow);
}

#[test]
fn shapes_come_from_the_window_and_from_what_is_read() {
    let secs = Duration::from_secs;
    for (words, condition, shape) in [
        ("", "|v| v > 1.0", Shape::Each),
        (".by(\"a\").across(\"sum\")", "|v| v > 1.0", Shape::Latest { every: secs(10) }),
        (".by().across(\"sum\").every(\"3s\")", "|v| v > 1.0", Shape::Latest { every: secs(3) }),
        (
            ".window(\"5m\")",
            "|w| w.mean > 1.0",
            Shape::Sliding { length: secs(300), every: secs(5) },
        ),
        (
            ".window(\"5m\")",
            "|w| w.p99 > 1.0",
            Shape::Sliding { length: secs(300), every: secs(25) },
        ),
        (
            ".tumbling(\"1m\")",
            "|w| w.p99 > 1.0",
            Shape::Sliding { length: secs(60), every: secs(60) },
        ),
        (
            ".session(\"30s\").every(\"5s\")",
            "|w| w.sum > 1.0",
            Shape::Session { gap: secs(30), every: secs(5) },
        ),
        (".last(20)", "|w| w.mean > 1.0", Shape::Count { count: 20 }),
    ] {
        let rule = rule(&format!("rule(\"r\").on(\"m\"){words}.when({condition});"));
        assert_eq!(rule.shape, shape, "{words} {condition}");
    }
}

#[test]
fn judges_follow_from_the_conditions() {
    let judge = |words: &str| rule(&format!("rule(\"r\").on(\"m\"){words};")).judge;
    let when = judge(".when(|v| v > 1)");
    assert!(matches!(when, Judge::Levels([None, Some(_), None])), "{when:?}");
    let levels = judge(".info(|v| v > 1).critical(|v| v > 2, |v| v < 1)");
    assert!(matches!(levels, Judge::Levels([Some(_), None, Some(_)])), "{levels:?}");
    let absent = judge(".absent(\"1m\").severity(\"critical\")");
    assert!(matches!(absent, Judge::Absent(Level::Critical)), "{absent:?}");
    let never = judge(".record(\"x\", |v| v * 2)");
    assert!(matches!(never, Judge::Never), "{never:?}");
}

#[test]
fn a_library_is_read_below_the_folder_and_its_users_know_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("lib")).expect("a folder in it");
    let library = "const FAST = 14.4;\nfn burn(w, goal) { w.mean / (1.0 - goal) > FAST_OR(14.4) }\n\
                   fn FAST_OR(x) { x }\n";
    std::fs::write(folder.path().join("lib/slo.rhai"), library).expect("a library");
    let text = "import \"lib/slo\" as slo;\n\
                rule(\"r\").on(\"m\").window(\"1m\").when(|w| slo::burn(w, 0.99) && w.max > 0.0);";
    let loaded = load("r.rhai", text, &Host::new(folder.path()));
    assert_eq!(loaded.findings, [], "{}", shown(&loaded.findings, text));
    let read: Vec<_> = loaded.imports.iter().collect();
    let hash = library_hash(folder.path(), "lib/slo.rhai");
    assert!(hash.is_some());
    assert_eq!(read, [(&"lib/slo.rhai".to_owned(), &hash)]);
    let columns = loaded.rules[0].columns();
    assert_eq!(columns, [Reduction::Mean, Reduction::Max].map(column));

    let other = library.replace("14.4", "6.0");
    std::fs::write(folder.path().join("lib/slo.rhai"), other).expect("a library");
    let again = load("r.rhai", text, &Host::new(folder.path()));
    assert_ne!(again.rules[0].version, loaded.rules[0].version, "a library is part of its users");
}
