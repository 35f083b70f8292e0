//! Tables: time, verdict, the state after it, the change. `check` is the only caller of `step`.

use super::*;

fn seconds(text: &str) -> Duration {
    Duration::parse(text).expect(text)
}

fn verdict(text: &str) -> Verdict {
    Verdict::of(Level::parse(text))
}

/// Feeds the first two columns of each line and compares every column with what came out.
#[track_caller]
fn check(soak: &str, cool: &str, table: &str) {
    let timing = Timing { soak: seconds(soak), cool: seconds(cool) };
    let mut state = State::Inactive;
    let mut printed = String::new();
    let clean = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected: Vec<String> = table.lines().map(clean).filter(|line| !line.is_empty()).collect();
    for line in &expected {
        let mut words = line.split(' ');
        let time = words.next().expect("each line has a time");
        let said = words.next().expect("each line has a verdict");
        let at = EventTime::from_nanos(0) + seconds(time);
        let (next, change) = step(state, at, verdict(said), timing);
        state = next;
        let level = state.firing_level().map_or(String::new(), |level| format!(" {level}"));
        let change = change.map_or(String::new(), |change| match change {
            Change::Pending => " pending".to_owned(),
            Change::Withdrawn => " withdrawn".to_owned(),
            Change::Fired { level } => format!(" FIRED {level}"),
            Change::Changed { from, to } => format!(" CHANGED {from} {to}"),
            Change::Cooling => " cooling".to_owned(),
            Change::Rekindled => " rekindled".to_owned(),
            Change::Resolved { from } => format!(" RESOLVED {from}"),
        });
        printed += &format!("{time} {said} {}{level} |{change}\n", state.name());
    }
    assert_eq!(printed.trim_end(), expected.join("\n"));
}

#[test]
fn a_soak_ends_on_the_judgement_at_its_bound_and_not_one_nanosecond_before() {
    check(
        "30s",
        "0s",
        "
        0s            critical pending  | pending
        29s999999999ns critical pending |
        30s           critical firing critical | FIRED critical
        31s           clear    inactive | RESOLVED critical
        ",
    );
}

#[test]
fn without_soak_and_cool_it_acts_at_once() {
    check(
        "0s",
        "0s",
        "
        0s warning firing warning | FIRED warning
        1s clear   inactive | RESOLVED warning
        2s clear   inactive |
        ",
    );
}

#[test]
fn a_clear_verdict_withdraws_what_is_pending() {
    check(
        "1m",
        "0s",
        "
        0s  warning pending  | pending
        30s clear   inactive | withdrawn
        40s warning pending  | pending
        90s warning pending  |
        100s warning firing warning | FIRED warning
        ",
    );
}

#[test]
fn a_brief_dip_does_not_resolve_a_firing_alert() {
    check(
        "2m",
        "3m",
        "
        0m critical pending  | pending
        2m critical firing critical | FIRED critical
        3m clear    cooling critical | cooling
        4m critical firing critical | rekindled
        5m clear    cooling critical | cooling
        7m59s clear cooling critical |
        8m clear    inactive | RESOLVED critical
        ",
    );
}

#[test]
fn it_fires_at_the_highest_level_that_was_held_for_the_soak() {
    check(
        "30s",
        "0s",
        "
        0s  warning  pending | pending
        10s critical pending |
        30s critical firing warning  | FIRED warning
        39s critical firing warning  |
        40s critical firing critical | CHANGED warning critical
        ",
    );
    check(
        "30s",
        "0s",
        "
        0s  critical pending | pending
        20s info     pending |
        30s critical firing info | FIRED info
        ",
    );
}

#[test]
fn a_firing_alert_falls_to_the_highest_level_seen_while_it_cooled() {
    check(
        "0s",
        "5m",
        "
        0m  critical firing critical  | FIRED critical
        1m  info     cooling critical | cooling
        2m  warning  cooling critical |
        3m  clear    cooling critical |
        6m  clear    cooling warning  | CHANGED critical warning
        10m clear    cooling warning  |
        11m clear    inactive | RESOLVED warning
        ",
    );
    check(
        "0s",
        "5m",
        "
        0m critical firing critical  | FIRED critical
        1m warning  cooling critical | cooling
        6m warning  firing warning   | CHANGED critical warning
        7m critical firing critical  | CHANGED warning critical
        ",
    );
}

#[test]
fn without_cool_levels_follow_the_verdict() {
    check(
        "0s",
        "0s",
        "
        0s info     firing info     | FIRED info
        1s critical firing critical | CHANGED info critical
        2s warning  firing warning  | CHANGED critical warning
        3s clear    inactive        | RESOLVED warning
        ",
    );
}

#[test]
fn no_data_takes_back_what_is_pending_and_stops_the_cool_timer() {
    let timing = Timing { soak: seconds("1m"), cool: seconds("5m") };
    let at = |text: &str| EventTime::from_nanos(0) + seconds(text);
    let breach = Verdict::Breach(Level::Critical);
    let (pending, _) = step(State::Inactive, at("0s"), breach, timing);
    assert_eq!(hold(pending), (State::Inactive, Some(Change::Withdrawn)));

    let (firing, _) = step(pending, at("1m"), breach, timing);
    let (cooling, _) = step(firing, at("2m"), Verdict::Clear, timing);
    let (held, change) = hold(cooling);
    assert_eq!((held.name(), change), ("cooling", None));
    // Ten minutes without data do not count: of the cool, two minutes were used.
    let (before, _) = step(held, at("4m"), Verdict::Clear, timing);
    let back = resume(before, seconds("10m"));
    let (still, _) = step(back, at("16m59s"), Verdict::Clear, timing);
    assert_eq!(still.name(), "cooling");
    let (_, change) = step(still, at("17m"), Verdict::Clear, timing);
    assert_eq!(change, Some(Change::Resolved { from: Level::Critical }));
}

#[test]
fn a_lowered_cool_applies_from_then_on_and_a_raised_soak_takes_nothing_back() {
    let long = Timing { soak: seconds("10m"), cool: seconds("10m") };
    let short = Timing { soak: seconds("0s"), cool: seconds("1m") };
    let at = |text: &str| EventTime::from_nanos(0) + seconds(text);
    let (firing, _) = step(State::Inactive, at("0s"), Verdict::Breach(Level::Info), short);
    let (kept, change) = step(firing, at("1s"), Verdict::Breach(Level::Info), long);
    assert_eq!((kept.name(), change), ("firing", None));
    let (cooling, _) = step(kept, at("2s"), Verdict::Clear, long);
    let (_, change) = step(cooling, at("62s"), Verdict::Clear, short);
    assert_eq!(change, Some(Change::Resolved { from: Level::Info }));
}
