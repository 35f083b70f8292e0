//! What probes declare and give.

use super::*;
use crate::guest::grant::Granted;
use crate::guest::probe::{Failed, Reading};
use crate::guest::sink::SinkEnv;
use crate::kernel::model::{Duration, Now};

/// One measurement by the probe that `collect` makes.
#[track_caller]
fn measured(collect: &str) -> Result<Vec<Reading>, Failed> {
    let text = format!("probe(\"p\").every(\"10s\").collect({collect});");
    let loaded = load_good(&text);
    let folder = std::env::temp_dir();
    let env = SinkEnv { granted: Granted::default(), folder, settings: serde_json::Value::Null };
    let mut probe = loaded.probes[0].opener.open(&env).expect("it opens");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(probe.collect(Now::from_nanos(0)))
}

#[test]
fn a_probe_says_what_it_needs_and_how_often_it_measures() {
    let text = "probe(\"q\").every(\"90s\").needs(\"http:127.0.0.1:15672\").collect(|cap| []);";
    let loaded = load_good(text);
    let [probe] = loaded.probes.as_slice() else { panic!("one probe") };
    assert_eq!((&*probe.name, probe.kind, probe.every), ("q", "rhai", Duration::from_secs(90)));
    let needs: Vec<String> = probe.needs.iter().map(ToString::to_string).collect();
    assert_eq!(needs, ["http:127.0.0.1:15672"]);
}

#[test]
fn readings_have_labels_or_none_and_are_numbers() {
    let collect = "|cap| [reading(\"a\", #{ x: \"1\", y: 2 }, 1.5), reading(\"b\", 7)]";
    let reading = |metric: &str, labels: &[(&str, &str)], value| Reading {
        metric: metric.into(),
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        at: None,
        value,
    };
    let expected = vec![reading("a", &[("x", "1"), ("y", "2")], 1.5), reading("b", &[], 7.0)];
    assert_eq!(measured(collect), Ok(expected));
    assert_eq!(measured("|| reading(\"b\", 7)"), Ok(vec![reading("b", &[], 7.0)]));
}

#[test]
fn a_measurement_that_fails_says_why() {
    for (collect, says) in [
        ("|cap| 7", "probe `p`: `collect` gives readings, not i64"),
        ("|cap| [reading(\"a\", \"high\")]", "the value of a reading is a number, not string"),
        (
            "|cap| cap.http.get(\"http://192.0.2.1/\")",
            "denied: the guest must ask for `http:http://192.0.2.1`",
        ),
        ("|cap| [nothing_such(1)]", "nothing_such"),
    ] {
        let failed = measured(collect).expect_err(says);
        assert!(failed.fault.what.contains(says), "{collect}: {}", failed.fault);
        assert!(!failed.over, "a script can be asked again");
    }
}

#[test]
fn what_a_probe_lacks_is_told() {
    for (text, says) in [
        ("probe(\"p\").collect(|cap| []);", "1:1 the probe does not say how often it measures"),
        ("probe(\"p\").every(\"1s\");", "1:1 the probe does not say what it measures"),
        ("probe(\"p\").every(\"99ms\").collect(|c| []);", "1:12 a probe is asked every 100ms"),
        ("probe(\"p\").evry(\"1s\").collect(|c| []);", "1:12 a probe has no `evry` | did you"),
        ("probe(\"p\").every(\"1s\").collect(|a, b| []);", "1:24 "),
    ] {
        let loaded = load("rules/test.rhai", text, &host());
        let findings = listed(&loaded.findings);
        assert!(findings.starts_with(says), "{text}: {findings}");
    }
}
