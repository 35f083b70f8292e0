//! What alerts say.

use super::*;
use crate::kernel::event::{Bounds, Cause, Event, EventId, Fingerprint, Kind};
use crate::kernel::model::{Duration, EventTime, Labels, Level, Version};

pub fn event() -> Event {
    let at = EventTime::from_nanos(1_700_000_000_000_000_000);
    Event {
        id: EventId(0xabc),
        seq: 2,
        rule: "mem".into(),
        version: Version(7),
        kind: Kind::Fired,
        level: Level::Critical,
        previous_level: Some(Level::Warning),
        key: Labels::new([("host", "db1")]),
        labels: Labels::new([("team", "db")]),
        value: Some(97.5),
        values: vec![("mean".into(), 97.5)],
        window: Some(Bounds { start: at - Duration::from_secs(120), end: at }),
        at,
        since: at - Duration::from_secs(90),
        fired_at: Some(at),
        resolved_at: None,
        cause: Cause::RuleRemoved,
        text: "memory".into(),
        annotations: vec![("hint".into(), "look".into())],
        shadow: false,
        fingerprint: Fingerprint(0x1f),
        notify: Vec::new(),
    }
}

#[track_caller]
fn check(words: &str, closure: &str, text: Result<&str, &str>) {
    let rule = rule(&format!("rule(\"r\").on(\"m\").by(\"host\"){words}.text({closure});"));
    let rendered = rule.annotations[0].1.render(&event());
    let rendered = rendered.as_ref().map(String::as_str).map_err(|fault| fault.what.as_ref());
    assert_eq!(rendered, text, "{closure}");
}

#[test]
fn texts_see_the_alert() {
    let when = ".when(|v| v > 1.0)";
    for (closure, text) in [
        ("|a| `memory ${a.value}% on ${a.labels.host}`", "memory 97.5% on db1"),
        (
            "|a| `${a.labels.team}/${a.key.host} ${a.kind} ${a.level} ${a.severity} ${a.state}`",
            "db/db1 fired critical critical firing",
        ),
        (
            "|a| `${a.previous_level} ${a.cause} ${a.rule} ${a.seq} ${a.shadow}`",
            "warning rule removed mem 2 false",
        ),
        (
            "|a| `${a.at} ${a.since} ${a.fired_at} ${a.day}`",
            "2023-11-14T22:13:20Z 2023-11-14T22:11:50Z 2023-11-14T22:13:20Z 2023-11-14",
        ),
        (
            "|a| `${a.window.start} ${a.values.mean} ${a.annotations.hint}`",
            "2023-11-14T22:11:20Z 97.5 look",
        ),
        (
            "|a| `${a.id} ${a.fingerprint} ${a.version}`",
            "00000000000000000000000000000abc 000000000000001f 0000000000000007",
        ),
        ("|a| `[${a.labels.nosuch}${a.resolved_at}] ${a.silent}`", "[] 90s"),
        ("|a| if a.value > 95 { \"very full\" } else { \"full\" }", "very full"),
        ("\"always this\"", "always this"),
        ("|a| a.value", "97.5"),
    ] {
        check(when, closure, Ok(text));
    }
    check(".absent(\"30s\")", "|a| `silent for ${a.silent}`", Ok("silent for 2m"));
}

#[test]
fn a_text_that_fails_is_a_fault_with_its_place() {
    check(
        ".when(|v| v > 1.0)",
        "|a| a.value.nosuch()",
        Err("there is no `nosuch` for (float) (rules/test.rhai:1:65)"),
    );
}

#[test]
fn texts_keep_what_they_captured() {
    let text = "for level in [[\"warning\", 80.0], [\"critical\", 95.0]] { let limit = level[1];
        rule(`mem-${level[0]}`).on(\"m\").when(|v| v > limit).text(|a| `limit ${limit}`); }";
    let loaded = load_good(text);
    let texts = loaded.rules.iter().map(|rule| rule.annotations[0].1.render(&event()));
    assert_eq!(
        texts.collect::<Result<Vec<_>, _>>(),
        Ok(vec!["limit 80.0".into(), "limit 95.0".into()])
    );
}
