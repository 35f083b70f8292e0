//! Guests that misbehave: what the host says, and that it goes on.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::*;

/// Loads the evil guest with `act` on a row of value 666, judges two good batches, one that holds
/// such a row, and a good one. Gives the fault, and the counts that the last batch was given.
fn check(act: &str, host: &WasmHost) -> (String, String, Rules) {
    let evil = rules("evil", json!({ "act": act, "value": 666.0 }), host).expect("it loads well");
    let mut instance = evil.instance(&[0, 1]);
    for second in 1..=2 {
        judge(&mut *instance, &[(0, second, 1.0), (1, second, 1.0)]).expect("good rows");
    }
    let fault = judge(&mut *instance, &[(0, 3, 666.0)]).expect_err(act);
    let after = judge(&mut *instance, &[(0, 4, 1.0), (1, 4, 1.0)]).expect("good rows again");
    (fault.to_string(), print(&after), evil)
}

#[test]
fn a_trap_ends_one_batch_and_no_state() {
    for (act, says) in [
        ("panic", "`evil` died in evaluate: panicked (it said: panicked at evil/src/lib.rs"),
        ("allocate", "`evil` died in evaluate: wanted more than its 16 MiB"),
        ("recurse", "`evil` died in evaluate: "),
        ("sleep", "`evil` died in evaluate: a guest may not wait or sleep"),
        ("huge_message", "`evil` died in evaluate: "),
    ] {
        let (fault, after, evil) = check(act, host());
        assert!(fault.starts_with(says), "{act}: {fault}");
        assert_eq!(evil.counters.last_death(), Some(fault), "{act}");
        // The batch that killed it twice does not count; those before it do.
        assert_eq!(after, "0:warning=3 1:warning=3", "{act}");
        assert_eq!(evil.counters.traps.load(Relaxed), 2, "{act}");
        assert_eq!(evil.counters.states_lost.load(Relaxed), 0, "{act}");
    }
}

#[test]
fn an_endless_loop_is_stopped() {
    let (fault, after, evil) = check("spin", &host_with(Duration::from_secs(1)));
    assert!(fault.starts_with("`evil` died in evaluate: ran past its 1s"), "{fault}");
    assert_eq!(after, "0:warning=3 1:warning=3");
    assert_eq!(evil.counters.traps.load(Relaxed), 2);
}

#[test]
fn a_broken_promise_is_a_fault_and_no_trap() {
    for (act, says) in [
        ("storm", "`evil` broke a promise: 100001 rows were listed of 1"),
        ("twice", "`evil` broke a promise: 2 rows were listed of 1"),
        ("wrong_level", "`evil` broke a promise: a verdict has the level critical"),
        ("fail", "evaluate failed (data): does not like these rows"),
    ] {
        let (fault, after, evil) = check(act, host());
        assert!(fault.starts_with(says), "{act}: {fault}");
        // The guest lives on, and has counted the row.
        assert_eq!(after, "0:warning=4 1:warning=3", "{act}");
        assert_eq!((evil.counters.traps.load(Relaxed), evil.counters.faults.load(Relaxed)), (0, 1));
    }
}

#[test]
fn a_trap_that_does_not_come_back_is_not_seen() {
    let settings = json!({ "act": "panic", "value": 666.0, "fresh": true });
    let evil = rules("evil", settings, host()).expect("loads");
    let mut instance = evil.instance(&[0]);
    judge(&mut *instance, &[(0, 1, 1.0)]).expect("good rows");
    assert!(instance.save().expect("saved").is_some());
    judge(&mut *instance, &[(0, 2, 1.0)]).expect("good rows");
    let verdicts = judge(&mut *instance, &[(0, 3, 666.0)]).expect("the retry succeeds");
    assert_eq!(print(&verdicts), "0:warning=3");
    assert_eq!(evil.counters.traps.load(Relaxed), 1);
}

#[test]
fn a_checkpoint_is_taken_by_itself() {
    let settings = json!({ "act": "panic", "value": 666.0, "fresh": true });
    let evil = rules("evil", settings, host()).expect("loads");
    let mut instance = evil.instance(&[0]);
    let batch: Vec<Row> = (0..4096).map(|second| (0, second, 1.0)).collect();
    for _ in 0..4 {
        judge(&mut *instance, &batch).expect("good rows");
    }
    // 16,384 rows were enough: the new instance is a restored one.
    let verdicts = judge(&mut *instance, &[(0, 5000, 666.0)]).expect("the retry succeeds");
    assert_eq!(print(&verdicts), "0:warning=16385");
}

#[test]
fn calls_since_the_checkpoint_leave_out_forgotten_series() {
    let evil = rules("evil", json!({ "act": "panic", "value": 666.0 }), host()).expect("loads");
    let mut instance = evil.instance(&[0, 1]);
    judge(&mut *instance, &[(0, 1, 1.0), (1, 1, 1.0)]).expect("good rows");
    instance.forget(&[SeriesId(0)]);
    judge(&mut *instance, &[(1, 2, 666.0)]).expect_err("dies twice");
    instance.intern(&[(SeriesId(0), load_of(0))]).expect("announced anew");
    let verdicts = judge(&mut *instance, &[(0, 3, 1.0), (1, 3, 1.0)]).expect("good rows");
    assert_eq!(print(&verdicts), "0:warning=1 1:warning=2");
}

#[test]
fn state_past_the_cap_is_not_loaded() {
    let error = rules("evil", json!({ "act": "huge_state" }), host()).err().expect("too large");
    assert!(error.to_string().contains("its state of 6291456 bytes is more than"), "{error}");
}

#[test]
fn state_that_outgrew_the_cap_stops_no_judging() {
    let evil = rules("evil", json!({ "act": "huge_state", "value": 666.0 }), host());
    let evil = evil.expect("its state is small at first");
    let mut instance = evil.instance(&[0]);
    judge(&mut *instance, &[(0, 1, 666.0)]).expect("a good row");
    instance.save().expect_err("too large");
    let batch: Vec<Row> = (0..8192).map(|second| (0, second, 1.0)).collect();
    for _ in 0..4 {
        judge(&mut *instance, &batch).expect("good rows");
    }
    assert_eq!(evil.counters.states_lost.load(Relaxed), 1);
    assert_eq!(evil.counters.traps.load(Relaxed), 0);
}

#[test]
fn a_refused_restore_is_a_cold_start() {
    let settings = json!({ "act": "fail", "in": "restore" });
    let evil = rules("evil", settings, host()).expect("loads");
    let mut instance = evil.instance(&[0]);
    judge(&mut *instance, &[(0, 1, 1.0)]).expect("good rows");
    let state = instance.save().expect("saved").expect("it counts");
    let fault = instance.restore(&state).expect_err("it refuses");
    assert_eq!(fault.to_string(), "restore failed (data): does not like these rows");
    assert_eq!(print(&judge(&mut *instance, &[(0, 2, 1.0)]).expect("good")), "0:warning=1");
}

#[test]
fn a_restore_that_fails_after_a_trap_loses_the_state_and_says_so() {
    // Dies on 666, and its successor cannot take the saved state over.
    let settings = json!({ "act": "panic", "in": "restore" });
    let evil = rules("evil", settings, host()).expect("loads");
    let mut instance = evil.instance(&[0]);
    judge(&mut *instance, &[(0, 1, 1.0)]).expect("good rows");
    let state = instance.save().expect("saved").expect("it counts");
    // The restore dies; what follows starts a new instance, whose restore dies as well.
    instance.restore(&state).expect_err("it dies twice");
    assert_eq!(print(&judge(&mut *instance, &[(0, 2, 1.0)]).expect("good")), "0:warning=1");
    assert!(evil.counters.states_lost.load(Relaxed) > 0);
}

#[test]
fn a_log_flood_is_cut_and_counted() {
    let settings = json!({ "act": "log_flood", "value": 666.0 });
    let evil = rules("evil", settings, host()).expect("loads");
    let mut instance = evil.instance(&[0]);
    judge(&mut *instance, &[(0, 1, 666.0)]).expect("logging is no fault");
    let left_out = evil.counters.log_lines_left_out.load(Relaxed);
    // A hundred lines pass in each second that the flood lasts.
    assert!((1..=9_900).contains(&left_out), "{left_out}");
}

#[test]
fn who_dies_before_the_first_row_is_not_loaded() {
    for (act, call, says) in [
        ("panic", "configure", "`evil` died in configure: panicked"),
        ("fail", "configure", "it refused its settings: configure failed (data)"),
        ("panic", "describe", "`evil` died in describe: panicked"),
        ("no_rules", "describe", "it declares 0 rules; let `describe` declare 1 to 256"),
        ("bad_metric", "describe", "its rule `evil`: it names no metric"),
        ("same_name", "describe", "its rule `evil`: it is declared twice"),
        ("panic", "intern", "`evil` died in intern: panicked"),
        ("panic", "evaluate", "`evil` died in evaluate: panicked"),
        ("storm", "tick", "on a trial batch `evil` broke a promise"),
        ("panic", "tick", "`evil` died in tick: panicked"),
        ("panic", "forget", "`evil` died in forget: panicked"),
        ("panic", "save", "`evil` died in save: panicked"),
    ] {
        let loaded = rules("evil", json!({ "act": act, "in": call }), host());
        let error = loaded.err().unwrap_or_else(|| panic!("{act} in {call} loads")).to_string();
        assert!(error.starts_with(says), "{act} in {call}: {error}");
    }
    let error = rules("evil", json!({ "act": "nothing such" }), host()).err().expect("bad setting");
    assert!(error.to_string().contains("unknown variant `nothing such`"), "{error}");
}
