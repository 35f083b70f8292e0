//! Stories of one outbox of samples. Each line is a time since the start, an input, and the actions
//! it must give. `wake` as the time jumps to the next wake.
//!
//! `offer 1=a 1:5 2:6 -1` introduces number 1 as series `a`, gives a row of each number and retires
//! number 1. `attempt +0=a 0:5 0:6` announces our number 0 as `a` and tries two rows of it.

mod random;

use super::queue::ROW_BYTES;
use super::*;
use crate::kernel::delivery::policy::{Batching, Retry};
use crate::kernel::model::{EventTime, Series, SeriesId};

const START: Now = Now::from_nanos(0);

/// Batches of three or 1 s, three attempts from 1 s, six rows may wait.
fn policy() -> SamplePolicy {
    SamplePolicy {
        batching: Batching { max: 3, age: Duration::from_secs(1) },
        retry: Retry { attempts: 3, base: Duration::from_secs(1) },
        rows_max: 6,
        bytes_max: 1_000_000,
    }
}

fn outbox(policy: SamplePolicy) -> SampleOutbox {
    SampleOutbox::new(policy, vec![Selector::metric("?")], 1, START)
}

#[track_caller]
fn check(policy: SamplePolicy, story: &str) -> SampleOutbox {
    let mut outbox = outbox(policy);
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let (time, input) = (columns.next().unwrap(), columns.next().unwrap());
        let now = match time {
            "wake" => outbox.next_wake().expect(line),
            time => Now::from_nanos(Duration::parse(time).expect(line).nanos()),
        };
        let actions: Vec<String> =
            give(&mut outbox, now, input, policy).iter().map(print).collect();
        assert_eq!(actions.join("; "), columns.next().unwrap_or(""), "at {now:?}: {input}");
    }
    outbox
}

fn give(
    outbox: &mut SampleOutbox,
    now: Now,
    text: &str,
    policy: SamplePolicy,
) -> Vec<SampleAction> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let tapped = tapped(if word == "offer" { rest } else { "" });
    let input = match word {
        "offer" => SampleInput::Offer(&tapped),
        "tick" => SampleInput::Tick,
        "opened" => SampleInput::Opened(Ok(rest == "knowing")),
        "unopened" => SampleInput::Opened(Err(Fault::new("no such host"))),
        "delivered" => SampleInput::Attempted(Outcome::Delivered { note: None }),
        "retry" => SampleInput::Attempted(Outcome::Retry {
            after: Duration::parse(rest).ok(),
            why: "busy".to_owned(),
        }),
        "rejected" => SampleInput::Attempted(Outcome::Rejected { why: "bad".to_owned() }),
        "faulted" => SampleInput::Attempted(Outcome::Faulted(Fault::new("trapped"))),
        "flush" => SampleInput::Flush,
        "swap" => SampleInput::Swap(policy, vec![Selector::metric(rest)]),
        "park" => SampleInput::Park,
        "discard" => SampleInput::Discard,
        other => panic!("no such input: {other}"),
    };
    outbox.step(now, input)
}

fn tapped(text: &str) -> Tapped {
    let mut tapped = Tapped::default();
    let number = |text: &str| text.parse().expect(text);
    for word in text.split_whitespace() {
        if let Some((host, name)) = word.split_once('=') {
            let series = Series::new::<&str, &str>(name, []);
            tapped.introduced.push((SeriesId(number(host)), series));
        } else if let Some((host, value)) = word.split_once(':') {
            tapped.series.push(SeriesId(number(host)));
            tapped.at.push(EventTime::from_nanos(0));
            tapped.value.push(f64::from(number(value)));
        } else {
            tapped.retired.push(SeriesId(number(word.trim_start_matches('-'))));
        }
    }
    tapped
}

fn print(action: &SampleAction) -> String {
    let named = |(own, series): &(u32, Series)| format!("+{own}={series}");
    match action {
        SampleAction::Open { known } => {
            let words = std::iter::once("open".to_owned()).chain(known.iter().map(named));
            words.collect::<Vec<_>>().join(" ")
        }
        SampleAction::Close => "close".to_owned(),
        SampleAction::Flushed => "flushed".to_owned(),
        SampleAction::Attempt { batch, added, removed } => {
            let removed = removed.iter().map(|own| format!("-{own}"));
            let rows = batch.series.iter().zip(&batch.value);
            let rows = rows.map(|(own, value)| format!("{own}:{value}"));
            let words = removed.chain(added.iter().map(named)).chain(rows);
            format!("attempt {}", words.collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn a_batch_leaves_when_it_is_full_or_its_oldest_is_old_enough() {
    let outbox = check(
        policy(),
        "
        0s             | tick                    | open
        0s             | opened                  |
        1s             | offer 7=a 7:1           |
        1s500ms        | offer 8=b 8:2           |
        1s999ms        | tick                    |
        wake           | tick                    | attempt +0=a +1=b 0:1 1:2
        2s100ms        | offer 7:3 8:4 7:5 8:6   |
        2s200ms        | delivered               | attempt 0:3 1:4 0:5
        2s300ms        | delivered               |
        wake           | tick                    | attempt 1:6
        3s200ms        | delivered               |
        ",
    );
    assert_eq!((outbox.counts().delivered, outbox.waiting(), outbox.next_wake()), (6, 0, None));
}

#[test]
fn what_is_not_wanted_or_not_known_is_passed_over() {
    check(
        policy(),
        "
        0s | tick                                | open
        0s | opened                              |
        1s | offer 1=a 2=long 1:1 2:2 3:3 1:4 1:5 | attempt +0=a 0:1 0:4 0:5
        ",
    );
}

#[test]
fn a_batch_that_is_tried_again_keeps_its_rows_and_its_place() {
    let outbox = check(
        policy(),
        "
        0s   | tick                    | open
        0s   | opened                  |
        1s   | offer 1=a 1:1 1:2 1:3   | attempt +0=a 0:1 0:2 0:3
        1s   | offer 1:4 1:5 1:6       |
        2s   | retry 5s                |
        6s   | tick                    |
        7s   | tick                    | attempt 0:1 0:2 0:3
        8s   | delivered               | attempt 0:4 0:5 0:6
        8s   | rejected                |
        ",
    );
    let counts = outbox.counts();
    assert_eq!((counts.delivered, counts.dead, counts.retries), (3, 3, 1));
    assert_eq!(outbox.last_error().map(|(_, why)| why.as_str()), Some("bad"));
}

#[test]
fn a_batch_is_given_up_after_its_attempts() {
    let outbox = check(
        policy(),
        "
        0s   | tick                    | open
        0s   | opened                  |
        1s   | offer 1=a 1:1 1:2 1:3   | attempt +0=a 0:1 0:2 0:3
        1s   | retry 10s               |
        20s  | tick                    | attempt 0:1 0:2 0:3
        20s  | retry 10s               |
        40s  | offer 1:4 1:5 1:6       | attempt 0:1 0:2 0:3
        41s  | retry 10s               |
        60s  | tick                    | attempt 0:4 0:5 0:6
        ",
    );
    let why = outbox.last_error().map(|(_, why)| why.as_str());
    assert_eq!((outbox.counts().dead, why), (3, Some("gave up after 3 attempts: busy")));
}

#[test]
fn a_batch_that_ends_two_instances_is_dead_and_each_instance_is_told_the_series() {
    let outbox = check(
        SamplePolicy { retry: Retry { attempts: 9, base: Duration::ZERO }, ..policy() },
        "
        0s   | tick                       | open
        0s   | opened                     |
        1s   | offer 1=a 1:1 1:2 1:3      | attempt +0=a 0:1 0:2 0:3
        1s   | faulted                    | close; open +0=a
        2s   | opened                     | attempt +0=a 0:1 0:2 0:3
        2s   | faulted                    | close; open +0=a
        2s   | offer 2=b 2:7 1:8 2:9      |
        2s   | opened knowing             | attempt +1=b 1:7 0:8 1:9
        ",
    );
    assert_eq!((outbox.counts().dead, outbox.counts().faults), (3, 2));
    assert_eq!(
        outbox.last_error().map(|(_, why)| why.as_str()),
        Some("it ended 2 instances: trapped")
    );
}

#[test]
fn past_a_bound_the_oldest_rows_are_refused_and_a_batch_in_flight_stays() {
    let story = "
        0s | tick                              | open
        0s | opened                            |
        1s | offer 1=a 1:1 1:2 1:3             | attempt +0=a 0:1 0:2 0:3
        1s | offer 1:4 1:5 1:6 1:7 1:8         |
        2s | delivered                         | attempt 0:6 0:7 0:8
        ";
    let outbox = check(policy(), story);
    assert_eq!((outbox.counts().refused, outbox.counts().taken), (2, 8));
    let bytes = SamplePolicy { rows_max: 100, bytes_max: 6 * ROW_BYTES, ..policy() };
    assert_eq!(check(bytes, story).counts().refused, 2);
    let roomy = SamplePolicy { bytes_max: 6 * ROW_BYTES + 1, ..bytes };
    assert_eq!(check(roomy, story).counts().refused, 2);
}

#[test]
fn a_series_that_retires_is_known_until_its_rows_are_settled() {
    let outbox = check(
        policy(),
        "
        0s | tick                        | open
        0s | opened                      |
        1s | offer 1=a 1:1 -1            |
        1s | offer 1=b 1:2 1:3           | attempt +0=a +1=b 0:1 1:2 1:3
        1s | delivered                   |
        2s | offer 3=c 3:4 3:5 3:6       | attempt -0 +0=c 0:4 0:5 0:6
        3s | delivered                   |
        ",
    );
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_number_may_stand_for_another_series_without_a_word_of_the_first() {
    // As it is when what was between found no room on its way.
    check(
        policy(),
        "
        0s | tick                        | open
        0s | opened                      |
        1s | offer 1=a 1:1               |
        1s | offer 1=a 1:2               |
        1s | offer 1=b 1:3               | attempt +0=a +1=b 0:1 0:2 1:3
        1s | delivered                   |
        1s | offer 1=long 1:4            |
        2s | offer 2=c 2:5 2:6 2:7       | attempt -0 -1 +1=c 1:5 1:6 1:7
        ",
    );
}

#[test]
fn a_new_version_goes_on_with_what_waits_and_with_its_own_choice() {
    check(
        policy(),
        "
        0s | tick                        | open
        0s | opened                      |
        1s | offer 1=a 2=b 1:1 2:2       |
        1s | swap b                      | close; open
        2s | opened                      | attempt +0=a +1=b 0:1 1:2
        2s | offer 1:3 2:4 2:5 2:6       |
        2s | swap b                      |
        3s | delivered                   | close; open +1=b
        3s | opened                      | attempt +1=b 1:4 1:5 1:6
        ",
    );
}

#[test]
fn a_parked_outbox_keeps_its_rows_and_forgets_the_sequencers_numbers() {
    let outbox = check(
        policy(),
        "
        0s | tick                        | open
        0s | opened                      |
        1s | offer 1=a 1:1               |
        1s | park                        | close
        2s | offer 1:2                   |
        2s | flush                       | flushed
        3s | swap ?                      | open
        3s | opened                      | attempt +0=a 0:1
        3s | offer 1:3                   |
        3s | offer 1=b 1:4               |
        3s | delivered                   |
        4s | tick                        | attempt -0 +1=b 1:4
        ",
    );
    assert_eq!(outbox.counts().taken, 2);
}

#[test]
fn a_flush_hurries_what_waits_and_not_what_comes_after() {
    let outbox = check(
        policy(),
        "
        0s | tick                        | open
        0s | opened                      |
        1s | flush                       | flushed
        1s | offer 1=a 1:1               |
        1s | flush                       | attempt +0=a 0:1
        1s | offer 1:2                   |
        1s | retry                       |
        1s | flush                       | attempt 0:1
        1s | delivered                   | attempt 0:2
        1s | offer 1:3                   |
        1s | delivered                   | flushed
        1s | discard                     |
        ",
    );
    assert_eq!((outbox.counts().dead, outbox.waiting()), (1, 0));
}

#[test]
fn keys_differ_by_batch_and_by_run() {
    assert_eq!(key_of(1, 1).len(), 32);
    let keys = [key_of(1, 1), key_of(1, 2), key_of(2, 1)];
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    assert_eq!(key_of(1, 1), keys[0]);
}
