//! What authors are told: place, what is wrong, what to do.

use super::*;

#[track_caller]
fn check(text: &str, findings: &str) {
    let loaded = load("rules/test.rhai", text, &host());
    assert_eq!(listed(&loaded.findings), findings, "{text}");
}

/// A rule over metric `m` with these words, on one line.
#[track_caller]
fn words(words: &str, findings: &str) {
    check(&format!("rule(\"r\").on(\"m\"){words};"), findings);
}

#[test]
fn habits_from_other_languages() {
    words(".when(|v| v > 1 and v < 2)", "1:35 `and` is no operator | use `&&`");
    words(".when(|v| v > 1 or v < 2)", "");
    words(".when(|v| not v > 1)", "");
    words(".when(|v| v > 1).soak(2m)", "");
    words(".when(|v| v > 1).soak(90)", "");
    words(".when(|v| v > 1).soak(1.5)", "");
    words(".when(|v| v > 1).soak(\"2x\")", "");
    words(".when(|v| v > 1).soak(\"0s\").every(\"0s\")", "");
    words(".when(|v| v > limt)", "");
    words(".when(|v| v > 1", "");
    words(".text(|a| `a\\nb`).when(|v| v > 1)", "");
}

#[test]
fn misspelt_words() {
    words(".windw(\"5m\").sok(\"1m\").frobnicate()", "");
    check("sink(\"s\").sendd(|a, c| 1);", "");
    check("rul(\"s\");", "");
    check("let r = rule(\"r\"); r.windw(\"5m\");", "");
    check("counter(\"a\").from(\"b\");\nprobe(\"x\");", "");
    check("flow(\"x\"); sum(\"a\"); last_value(\"b\"); distribution(\"c\");", "");
}

#[test]
fn fields_that_are_not_there() {
    words(".window(\"5m\").when(|w| w.maen > 1 || w.p999x > 2)", "");
    words(".window(\"5m\").when(|w| w.share > 1 || w.ewma > 2 || w.distinct > 3)", "");
    words(".window(\"5m\").when(|w| w > 1)", "");
    words(".window(\"5m\").when(|w| w.mean.x > 1)", "");
    words(".window(\"5m\").when(|w| w.keys().len() > 1)", "");
    words(".window(\"5m\").when(|w| { w.mean = 3.0; true })", "");
    words(".when(|v| v.mean > 1)", "");
    words(".when(|v, x| v > 1)", "");
    words(".when(|v, base| v > base.mean)", "");
    words(".window(\"1m\").baseline(\"1h\").when(|w, base| w.mean > base.maen)", "");
    words(".window(\"1m\").baseline(\"1h\").when(|w, base| w.rate + w.mean > base.mean)", "");
    words(".when(|v| this.n > v)", "");
    words(".text(|a| a.vaule).when(|v| v > 1)", "");
    check("rule(\"r\").join(#{ a: \"x\", b: \"y\" }).when(|v| v.c > 1 || v.a.rate > 2);", "");
    check("fn busy(w) { w.maen > 1 }\nrule(\"r\").on(\"m\").window(\"1m\").when(busy);", "");
}

#[test]
fn conditions_that_are_none() {
    words(".when(|v| 3)", "");
    words(".when(|v| v)", "");
    words(".when(|v| { })", "");
    words(".when(|v| v.nosuch() > 1)", "");
    words(".when(3)", "");
    words(".when(Fn(\"abs\"))", "");
    words(".when()", "");
    words(".when(|v| v > 1, |v| v < 1)", "");
    words(".record(\"x\", |v| v > 1)", "");
    words("", "");
}

#[test]
fn words_that_do_not_go_together() {
    check("rule(\"r\").when(|v| v > 1);", "");
    check("rule(\"r\").on(\"m\").join(#{ a: \"x\", b: \"y\" }).when(|v| true);", "");
    words(".window(\"1m\").tumbling(\"1m\").when(|w| w.mean > 1)", "");
    words(".window(\"1m\").every(\"7s\").when(|w| w.mean > 1)", "");
    words(".tumbling(\"1m\").every(\"10s\").when(|w| w.mean > 1)", "");
    words(".every(\"10s\").lateness(\"1s\").when(|v| v > 1)", "");
    words(".baseline(\"1h\").share(|v| v > 1).ewma(\"1m\").distinct().when(|v| v > 1)", "");
    words(".clear(|v| v < 1).absent(\"1m\")", "");
    words(".when(|v| v > 1).info(|v| v > 1)", "");
    words(".severity(\"info\").info(|v| v > 1)", "");
    words(".tolerance(\"1m\").when(|v| v > 1)", "");
    words(".absent(\"1m\").window(\"1m\")", "");
    words(".across(\"sum\").when(|v| v > 1)", "");
    words(".window(\"1m\").baseline(\"10s\").when(|w, base| w.mean > base.mean)", "");
    words(".by(\"team\").label(\"team\", \"db\").when(|v| v > 1)", "");
    words(".when(|v| v > 1).soak(\"1m\").soak(\"2m\")", "");
    words(".absent(\"1m\").flapping()", "");
}

#[test]
fn values_that_are_not_taken() {
    words(".only(\"env\").severity(\"sever\").on_no_data(\"what\").across(\"median\")", "");
    words(".during(\"Mon-Foo\").last(10001).last(0).flapping(10, 20).by(\"a\", \"a\").by(3)", "");
    words(".severity(\"critcal\").label(\"a\", 1).state(3).notify(\"\")", "");
    check("rule(); rule(3); rule(\"\");", "");
    check("rule(\"r\").join(#{ a: \"x\" }).when(|v| true);", "");
    check("sink(\"s\").needs(\"ftp:x\").batch(0, \"1s\").retry(1, \"0s\").rate(1);", "");
    check("sink(\"s\").send(|a, b, c| 1);\nsink(\"t\");", "");
}

#[test]
fn the_same_name_twice() {
    check("rule(\"r\").on(\"m\").absent(\"1m\");\nrule(\"r\").on(\"n\").absent(\"1m\");\nsink(\"r\").send(|a| 1);", "");
}

#[test]
fn an_empty_window_is_no_data() {
    words(".window(\"1m\").when(|w| w.count < 5)", "");
    words(".window(\"1m\").when(|w| 5 > w.count || w.mean > 1)", "");
    words(".window(\"1m\").when(|w| w.count > 5)", "");
    words(".window(\"1m\").on_no_data(\"breach\").when(|w| w.count < 5)", "");
}

#[test]
fn a_file_tells_all_its_mistakes_at_once_and_keeps_its_good_rules_apart() {
    let text = "rule(\"a\").on(\"m\").when(|v| v > 1).soak(5);\n\
                rule(\"b\").on(\"m\").when(|v| v > 1);\n\
                rule(\"c\").on(\"m\").window(\"1m\").when(|w| w.maen > 1);";
    let loaded = load("rules/test.rhai", text, &host());
    let told: Vec<(u32, Option<&str>)> =
        loaded.findings.iter().map(|finding| (finding.line, finding.rule.as_deref())).collect();
    assert_eq!(told, [(1, Some("a")), (3, Some("c"))]);
    assert!(!loaded.is_good());
    assert_eq!(loaded.rules.len(), 1);
}
