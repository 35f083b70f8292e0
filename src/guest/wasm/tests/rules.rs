//! Rules: columns in, verdicts out, and state that outlives an instance.

use serde_json::json;

use super::*;
use crate::kernel::rule::{Grouping, GuestRule, Judge};

#[test]
fn a_component_declares_rules_and_judges_rows() {
    let settings = json!({
        "name": "cpu-high", "metric": "cpu.*", "limit": 90.0, "only": "env=prod", "by": ["host"],
        "soak": "2m", "cool": "30s", "level": "critical", "text": "{value} on {labels.host}",
        "notify": ["chat"],
    });
    let threshold = rules("threshold", settings, host()).expect("good settings");
    let [rule] = threshold.rules.as_slice() else { panic!("one rule") };
    assert_eq!((&*rule.name, rule.origin.to_string().as_str()), ("cpu-high", "threshold.wasm:1"));
    assert_eq!(rule.inputs[0].selector.to_string(), "cpu.*{env=\"prod\"}");
    assert_eq!(rule.by, Grouping::By(vec!["host".into()]));
    assert_eq!(
        (rule.timing.soak.to_string(), rule.timing.cool.to_string()),
        ("2m".into(), "30s".into())
    );
    assert_eq!(rule.notify, ["chat".into()]);
    assert_eq!(rule.annotations[0].1.render(&event()).expect("filled"), "91.5 on a");
    let Judge::Guest(guest) = &rule.judge else { panic!("a guest judges") };
    let (reads, highest) = (Arc::default(), Level::Critical);
    assert_eq!(*guest, GuestRule { plugin: "threshold".into(), index: 0, reads, highest });
    assert_eq!((threshold.plugin.name(), rule.version.0), ("threshold", threshold.plugin.digest()));

    let mut instance = threshold.instance(&[0, 7]);
    let rows = [(0, 1, 90.0), (7, 1, 90.1), (0, 2, 91.0), (7, 2, 0.0)];
    let verdicts = judge(&mut *instance, &rows).expect("a good guest");
    assert_eq!(print(&verdicts), "1:critical 2:critical");
    assert_eq!(print(&judge(&mut *instance, &[]).expect("nothing to do")), "");
    // The trial batch of two rows was the host's own.
    assert_eq!(threshold.counters.rows.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[test]
fn other_settings_are_another_version() {
    let version = |limit: f64| {
        let settings = json!({ "name": "a", "metric": "m", "limit": limit });
        rules("threshold", settings, host()).expect("good settings").plugin.digest()
    };
    assert_eq!(version(1.0), version(1.0));
    assert_ne!(version(1.0), version(2.0));
}

fn ewma() -> Rules {
    let settings = json!({ "metric": "load", "alpha": 0.1, "k": 4.0, "warmup": 5, "floor": 0.5 });
    rules("ewma_anomaly", settings, host()).expect("good settings")
}

/// Ten calm rows of two series, then an outlier of each.
fn calm_then_odd(ids: [u32; 2]) -> Vec<Row> {
    let calm = (0..20).map(|row| (ids[row % 2], row as i64, 10.0 + (row / 2 % 3) as f64 * 0.1));
    calm.chain([(ids[0], 20, 14.0), (ids[1], 20, 10.1), (ids[1], 21, 3.0)]).collect()
}

#[test]
fn an_outlier_is_told_after_the_warm_up() {
    let mut instance = ewma().instance(&[3, 4]);
    let verdicts = judge(&mut *instance, &calm_then_odd([3, 4])).expect("a good guest");
    let holds: Vec<u32> = (0..10).collect();
    assert_eq!(verdicts.hold, holds);
    let odd: Vec<u32> = verdicts.breaches.iter().map(|breach| breach.row).collect();
    assert_eq!(odd, [20, 22]);
    let message = verdicts.breaches[0].message.as_deref().expect("ewma says why");
    assert!(message.starts_with("14 is 3.9"), "{message}");
}

#[test]
fn saved_state_goes_on_under_other_numbers() {
    let ewma = ewma();
    let rows = calm_then_odd([0, 1]);
    let (calm, odd) = rows.split_at(20);
    let mut whole = ewma.instance(&[0, 1]);
    judge(&mut *whole, calm).expect("a good guest");
    let state = whole.save().expect("saved").expect("ewma keeps state");
    let expected = judge(&mut *whole, odd).expect("a good guest");

    let mut next = ewma.plugin.instance().expect("it started before");
    next.intern(&[(SeriesId(9), load_of(0)), (SeriesId(5), load_of(1))]).expect("two series");
    next.restore(&state).expect("its own state");
    let renumbered: Vec<Row> =
        odd.iter().map(|row| (if row.0 == 0 { 9 } else { 5 }, row.1, row.2)).collect();
    assert_eq!(judge(&mut *next, &renumbered).expect("a good guest"), expected);
    assert!(next.restore(&state[..state.len() - 1]).is_err());
    assert!(next.restore(&[1]).is_err());
    // A refused state is a cold start: everything is warm-up again.
    assert_eq!(judge(&mut *next, &renumbered).expect("a good guest").hold, [0, 1, 2]);
}

#[test]
fn one_instance_and_two_agree() {
    let ewma = ewma();
    let rows = calm_then_odd([0, 1]);
    let mut one = ewma.instance(&[0, 1]);
    let together = judge(&mut *one, &rows).expect("a good guest");
    for id in [0, 1] {
        let mut shard = ewma.instance(&[id]);
        let places: Vec<u32> =
            (0..rows.len() as u32).filter(|row| rows[*row as usize].0 == id).collect();
        let own: Vec<Row> = places.iter().map(|row| rows[*row as usize]).collect();
        let alone = judge(&mut *shard, &own).expect("a good guest");
        let odd: Vec<_> = alone.breaches.iter().map(|breach| places[breach.row as usize]).collect();
        let expected: Vec<u32> = together
            .breaches
            .iter()
            .map(|breach| breach.row)
            .filter(|row| rows[*row as usize].0 == id)
            .collect();
        assert_eq!(odd, expected, "series {id}");
    }
}

#[test]
fn a_series_is_forgotten_and_a_tick_names_series() {
    let evil = rules("evil", json!({}), host()).expect("it behaves");
    let mut instance = evil.instance(&[4, 9]);
    let verdicts =
        judge(&mut *instance, &[(4, 1, 1.0), (9, 1, 1.0), (4, 2, 1.0)]).expect("behaves");
    assert_eq!(print(&verdicts), "0:warning=1 1:warning=1 2:warning=2");
    instance.forget(&[SeriesId(4)]);
    let verdicts = judge(&mut *instance, &[(4, 3, 1.0), (9, 3, 1.0)]).expect("behaves");
    assert_eq!(print(&verdicts), "0:hold 1:warning=2");
    let mut out = GuestVerdicts::default();
    judge(&mut *instance, &[(9, 4, 1.0)]).expect("behaves");
    instance.tick(0, EventTime::from_nanos(5), &mut out).expect("behaves");
    assert_eq!(print(&out), "9:warning");
}
