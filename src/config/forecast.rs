//! What a rule's conditions would cost, before anybody pays for it.

use crate::guest::finding::{Finding, Severity};
use crate::kernel::model::{Level, Limits};
use crate::kernel::rule::program::Program;
use crate::kernel::rule::{Judge, Rule, Shape};

/// `2 ns a row: 0.0002 % of a core for every 1,000 a second`.
pub fn words(program: &dyn Program) -> String {
    let nanos = program.cost().nanos;
    format!("{nanos:.0} ns a row: {} % of a core for every 1,000 a second", nanos / 10_000.0)
}

/// One finding for each rule whose interpreted conditions take more than the limits allow.
pub fn findings<'a>(rules: impl Iterator<Item = &'a Rule>, limits: &Limits) -> Vec<Finding> {
    rules.filter_map(|rule| finding(rule, limits)).collect()
}

fn finding(rule: &Rule, limits: &Limits) -> Option<Finding> {
    let slow = interpreted(rule);
    let first = slow.first()?;
    let nanos: f64 = slow.iter().map(|program| program.cost().nanos).sum();
    let a_second = evaluations(rule, limits);
    let core = nanos * a_second / 1e9;
    if core <= limits.max_interpreted_core {
        return None;
    }
    let (percent, most) = (core * 100.0, limits.max_interpreted_core * 100.0);
    let what = format!(
        "rule `{}` would take {percent:.0} % of a core at {a_second:.0} evaluations a second, \
         more than the {most:.0} % of `max_interpreted_core`",
        rule.name
    );
    let help = format!(
        "`{}` runs {}; write it so that it runs native, or change [limits]",
        first.source(),
        first.path()
    );
    Some(Finding {
        file: rule.origin.file.to_string(),
        line: rule.origin.line,
        column: 0,
        severity: Severity::Warning,
        what,
        help: Some(help),
        rule: Some(rule.name.to_string()),
    })
}

/// What runs for every judgement and is not native. Resets run only while an alert burns.
fn interpreted(rule: &Rule) -> Vec<&dyn Program> {
    let mut programs: Vec<&dyn Program> = Vec::new();
    if let Judge::Levels(levels) = &rule.judge {
        let levels = Level::ALL.iter().filter_map(|level| levels[level.index()].as_ref());
        programs.extend(levels.map(|level| level.when.as_ref()));
    }
    programs.extend(rule.record.iter().map(|record| record.value.as_ref()));
    programs.extend(rule.declared.share.iter().map(|share| share.as_ref()));
    programs.retain(|program| program.cost().operations == 0);
    programs
}

/// How often a rule is judged, were the assumed samples to reach it.
fn evaluations(rule: &Rule, limits: &Limits) -> f64 {
    let samples = limits.assumed_samples as f64;
    match rule.shape {
        Shape::Each | Shape::Count { .. } => samples,
        Shape::Latest { every } | Shape::Sliding { every, .. } | Shape::Session { every, .. } => {
            samples / (every.nanos() as f64 / 1e9).max(1.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::rhai::{Host, load};

    /// `what | help` of each finding.
    fn check(text: &str, limits: &Limits) -> Vec<String> {
        let loaded = load("r.rhai", text, &Host::new(std::path::Path::new("/nonexistent")));
        assert!(loaded.is_good(), "{:?}", loaded.findings);
        let told = |found: Finding| format!("{} | {}", found.what, found.help.unwrap_or_default());
        findings(loaded.rules.iter(), limits).into_iter().map(told).collect()
    }

    const LOOP: &str = "|v| { let n = 0; while n < 9 { n += 1; } v > n }";

    #[test]
    fn a_slow_rule_is_a_finding_with_its_place_and_reason() {
        let text = format!("rule(\"r\").on(\"m\")\n.when({LOOP});");
        let limits = Limits { max_interpreted_core: 0.04, ..Limits::default() };
        let found = check(&text, &limits);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("rule `r` would take "), "{found:?}");
        assert!(found[0].contains("at 100000 evaluations a second, more than the 4 % of"));
        assert!(found[0].contains("interpreted, because it has a loop at 2:24;"), "{found:?}");
    }

    #[test]
    fn rate_and_limit_decide() {
        let each = format!("rule(\"r\").on(\"m\").when({LOOP});");
        let body = LOOP.strip_prefix("|v|").expect("it does").replace("v > n", "w.mean > n");
        let every =
            format!("rule(\"r\").on(\"m\").window(\"1m\").every(\"10s\").when(|w| {body});");
        let at = |assumed_samples| Limits { assumed_samples, ..Limits::default() };
        for (text, samples, expected) in [
            (&each, 1_000_000, 1),
            (&each, 1_000, 0),
            (&every, 1_000_000, 0),
            (&every, 9_999_999, 1),
        ] {
            assert_eq!(check(text, &at(samples)).len(), expected, "{text} {samples}");
        }
        let nothing = Limits { max_interpreted_core: 0.0, ..Limits::default() };
        assert_eq!(check("rule(\"r\").on(\"m\").when(|v| v > 1);", &nothing).len(), 0);
        assert_eq!(check(&each, &nothing).len(), 1);
    }
}
