//! Stories of one outbox. Each line is a time since the start, an input, and the actions it must
//! give. `wake` as the time jumps to the next wake; its input column is then the wake's reason.

mod waits;

use super::*;
use crate::kernel::delivery::policy::{Batching, Rate, Retry};
use crate::kernel::event::Kind;
use crate::kernel::model::{EventTime, Labels, Level};

/// Batches of three or 200 ms, three attempts from 1 s, no rate.
fn policy() -> Policy {
    Policy {
        batching: Batching { max: 3, age: Duration::from_millis(200) },
        retry: Retry { attempts: 3, base: Duration::from_secs(1) },
        ..Policy::default()
    }
}

fn check(policy: Policy, story: &str) {
    let mut outbox = Outbox::new("ops", policy, 1, Now::from_nanos(0));
    let mut now = Now::from_nanos(0);
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut columns = line.splitn(3, '|').map(str::trim);
        let (time, input) = (columns.next().unwrap(), columns.next().unwrap());
        let (given, input) = if time == "wake" {
            let (at, reason) = outbox.next_wake().expect(line);
            assert_eq!(format!("{reason:?}"), input, "{line}");
            assert!(now < at, "{line}: a wake that is not later");
            now = at;
            (Input::Tick, input)
        } else {
            let at = Now::from_nanos(Duration::parse(time).expect(line).nanos());
            assert!(now <= at, "{line}: time goes backward");
            now = at;
            (input_of(input, policy), input)
        };
        let actions: Vec<String> = outbox.step(now, given).iter().map(print).collect();
        assert_eq!(actions.join("; "), columns.next().unwrap_or(""), "at {now:?}: {input}");
    }
}

fn input_of(text: &str, policy: Policy) -> Input {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word {
        "offer" => Input::Offer(Arc::new(event(rest))),
        "tick" => Input::Tick,
        "opened" => Input::Opened(Ok(())),
        "unopened" => Input::Opened(Err(Fault::new("no such host"))),
        "delivered" => Input::Attempted(Outcome::Delivered { note: None }),
        "retry" => Input::Attempted(Outcome::Retry {
            after: Duration::parse(rest).ok(),
            why: "busy".to_owned(),
        }),
        "rejected" => Input::Attempted(Outcome::Rejected { why: "bad body".to_owned() }),
        "faulted" => Input::Attempted(Outcome::Faulted(Fault::new("trapped"))),
        "flush" => Input::Flush,
        "swap" => Input::Swap(policy),
        "unlimited" => Input::Swap(Policy { rate: None, ..policy }),
        "park" => Input::Park,
        "discard" => Input::Discard { why: "purged".to_owned() },
        other => panic!("no such input: {other}"),
    }
}

fn event(name: &str) -> Event {
    let at = EventTime::from_nanos(0);
    let key = Labels::new([("name", name)]);
    let rule = if name == "watchdog" { own::WATCHDOG } else { name };
    Event::own(rule, key, Kind::Fired, Level::Warning, at, String::new())
}

fn print(action: &Action) -> String {
    match action {
        Action::Open => "open".to_owned(),
        Action::Close => "close".to_owned(),
        Action::Flushed => "flushed".to_owned(),
        Action::Attempt { events, .. } => format!("attempt {}", names(events)),
        Action::Settled(Settled { events, end, .. }) => match end {
            End::Delivered { .. } => format!("done {}", names(events)),
            End::Dead { why } => format!("dead {} ({why})", names(events)),
            End::Withheld => format!("withheld {}", names(events)),
        },
    }
}

fn names(events: &[Arc<Event>]) -> String {
    let name = |event: &Arc<Event>| event.key.get("name").unwrap_or("summary").to_owned();
    events.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_batch_leaves_when_it_is_full_or_its_oldest_is_old_enough() {
    check(
        policy(),
        "
        0s                 | tick      | open
        0s                 | opened    |
        1s                 | offer a   |
        1s100ms            | offer b   |
        1s199ms999us999ns  | tick      |
        1s200ms            | tick      | attempt a b
        1s300ms            | offer c   |
        1s300ms            | offer d   |
        1s300ms            | offer e   |
        1s300ms            | offer f   |
        1s400ms            | delivered | done a b; attempt c d e
        1s400ms            | delivered | done c d e
        wake               | BatchAge  | attempt f
        1s500ms            | delivered | done f
        ",
    );
}

#[test]
fn an_age_of_zero_sends_at_once_and_one_nanosecond_after_the_age_is_late_enough() {
    check(
        Policy { batching: Batching { max: 3, age: Duration::ZERO }, ..policy() },
        "
        0s  | tick    | open
        0s  | opened  |
        1s  | offer a | attempt a
        ",
    );
    check(
        policy(),
        "
        0s            | tick    | open
        0s            | opened  |
        1s            | offer a |
        1s200ms1ns    | tick    | attempt a
        ",
    );
}

#[test]
fn a_failed_batch_is_tried_again_before_anything_newer_and_dies_after_its_attempts() {
    check(
        policy(),
        "
        0s    | tick    | open
        0s    | opened  |
        1s    | offer a |
        wake  | BatchAge| attempt a
        2s    | offer b |
        2s    | retry   |
        wake  | Backoff | attempt a
        10s   | offer c |
        10s   | retry   |
        wake  | Backoff | attempt a
        20s   | retry   | dead a (gave up after 3 attempts: busy)
        wake  | Backoff | attempt b c
        60s   | delivered | done b c
        ",
    );
}

#[test]
fn a_wait_that_the_receiver_asks_for_is_kept_to_the_nanosecond_but_not_for_ever() {
    check(
        policy(),
        "
        0s                | tick      | open
        0s                | opened    |
        1s                | offer a   |
        2s                | tick      | attempt a
        2s                | retry 1m  |
        61s999ms999us999ns| tick      |
        62s               | tick      | attempt a
        100s              | retry 9w  |
        3699s999ms        | tick      |
        3700s             | tick      | attempt a
        ",
    );
}

#[test]
fn a_rejected_batch_is_dead_and_the_next_one_leaves_without_a_wait() {
    check(
        policy(),
        "
        0s    | tick     | open
        0s    | opened   |
        1s    | offer a  |
        1s    | offer b  |
        1s    | offer c  | attempt a b c
        1s    | offer d  |
        2s    | rejected | dead a b c (bad body); attempt d
        ",
    );
}

#[test]
fn a_fault_ends_the_instance_and_a_new_one_gets_the_same_batch() {
    check(
        policy(),
        "
        0s    | tick     | open
        0s    | opened   |
        1s    | offer a  |
        2s    | tick     | attempt a
        2s    | faulted  | close
        wake  | Backoff  | open
        10s   | unopened |
        wake  | Backoff  | open
        20s   | opened   | attempt a
        ",
    );
}

#[test]
fn what_comes_before_the_sink_is_open_waits_for_it() {
    check(
        policy(),
        "
        0s    | offer a  | open
        5s    | unopened |
        wake  | Backoff  | open
        9s    | opened   | attempt a
        ",
    );
}

#[test]
fn a_full_queue_refuses_its_oldest() {
    check(
        Policy { queue_max: 2, ..policy() },
        "
        0s  | tick     | open
        0s  | offer a  |
        0s  | offer b  |
        0s  | offer c  | dead a (queue full: more than 2 events wait)
        9s  | opened   | attempt b c
        ",
    );
}

#[test]
fn a_flush_sends_what_waits_and_tells_when_it_is_settled() {
    check(
        policy(),
        "
        0s    | tick      | open
        0s    | opened    |
        0s    | flush     | flushed
        1s    | offer a   |
        1s    | flush     | attempt a
        1s    | offer b   |
        1s    | delivered | done a; flushed
        wake  | BatchAge  | attempt b
        2s    | retry 30s |
        3s    | flush     | attempt b
        4s    | retry 30s |
        34s   | tick      | attempt b
        35s   | rejected  | dead b (bad body); flushed
        ",
    );
}

#[test]
fn a_swap_lets_the_delivery_in_flight_finish_with_the_old_instance() {
    check(
        policy(),
        "
        0s  | tick      | open
        0s  | opened    |
        1s  | offer a   |
        1s  | flush     | attempt a
        1s  | offer b   |
        2s  | swap      |
        2s  | swap      |
        3s  | delivered | done a; flushed; close; open
        3s  | opened    | attempt b
        ",
    );
}

#[test]
fn a_failure_of_the_old_instance_costs_the_new_one_no_wait() {
    for (failure, then) in [("retry 1m", "close; open"), ("faulted", "close; open")] {
        check(
            policy(),
            &format!(
                "
                0s  | tick      | open
                0s  | opened    |
                1s  | offer a   |
                2s  | tick      | attempt a
                2s  | swap      |
                3s  | {failure} | {then}
                3s  | opened    | attempt a
                "
            ),
        );
    }
}

#[test]
fn a_swap_during_an_opening_opens_again() {
    check(
        policy(),
        "
        0s  | offer a  | open
        1s  | swap     |
        2s  | opened   | close; open
        3s  | swap     |
        4s  | unopened | open
        5s  | opened   | attempt a
        ",
    );
}

#[test]
fn a_removed_sink_keeps_its_events_until_it_comes_back() {
    check(
        policy(),
        "
        0s   | tick      | open
        0s   | opened    |
        1s   | offer a   |
        2s   | tick      | attempt a
        2s   | park      |
        2s   | offer b   |
        3s   | retry     | close
        99s  | tick      |
        99s  | flush     | flushed
        100s | swap      | open
        100s | opened    | attempt a
        101s | park      |
        102s | delivered | done a; close
        103s | discard   | dead b (purged)
        ",
    );
}

#[test]
fn a_swap_in_of_a_removed_sink_during_its_last_delivery_starts_afresh() {
    check(
        policy(),
        "
        0s   | tick      | open
        0s   | opened    |
        1s   | offer a   |
        2s   | tick      | attempt a
        2s   | park      |
        2s   | swap      |
        3s   | delivered | done a; close; open
        ",
    );
}

/// At most two events a minute, one in a batch.
fn limited() -> Policy {
    Policy {
        batching: Batching { max: 1, age: Duration::ZERO },
        rate: Some(Rate { count: 2, per: Duration::from_secs(60) }),
        ..policy()
    }
}

#[test]
fn what_is_past_the_rate_ends_in_one_summary() {
    check(
        limited(),
        "
        0s    | tick            | open
        0s    | opened          |
        0s    | offer a         | attempt a
        0s    | delivered       | done a
        10s   | offer b         | attempt b
        10s   | delivered       | done b
        20s   | offer c         | withheld c
        30s   | offer d         | withheld d
        65s   | offer e         | withheld e
        66s   | offer watchdog  | attempt watchdog
        67s   | delivered       | done watchdog
        69s999ms999us999ns | tick |
        70s   | tick            | attempt summary
        71s   | delivered       | done summary
        71s   | offer f         | attempt f
        71s   | delivered       | done f
        72s   | offer g         | attempt g
        72s   | delivered       | done g
        73s   | offer h         | withheld h
        wake  | Summary         | attempt summary
        ",
    );
}

#[test]
fn a_batch_is_cut_to_what_the_rate_allows() {
    check(
        Policy { batching: Batching { max: 3, age: Duration::ZERO }, ..limited() },
        "
        0s    | offer a   | open
        0s    | offer b   |
        0s    | offer c   |
        0s    | opened    | attempt a b
        1s    | delivered | done a b; withheld c
        wake  | Summary   | attempt summary
        ",
    );
}

#[test]
fn an_attempt_that_is_tried_again_counts_once() {
    check(
        limited(),
        "
        0s    | offer a   | open
        0s    | opened    | attempt a
        0s    | retry     |
        wake  | Backoff   | attempt a
        5s    | delivered | done a
        5s    | offer b   | attempt b
        ",
    );
}

#[test]
fn a_flush_and_a_lifted_rate_speak_for_what_was_withheld() {
    let withheld = "
        0s    | offer a   | open
        0s    | opened    | attempt a
        0s    | offer b   |
        0s    | offer c   |
        0s    | delivered | done a; attempt b
        0s    | delivered | done b; withheld c
        ";
    let flushed = "
        1s    | flush     | attempt summary
        1s    | offer d   |
        1s    | delivered | done summary; flushed; withheld d
        wake  | Summary   | attempt summary
        ";
    check(limited(), &format!("{withheld}{flushed}"));
    let lifted = "
        1s    | unlimited | close; open
        1s    | opened    | attempt summary
        1s    | delivered | done summary
        1s    | offer d   | attempt d
        ";
    check(limited(), &format!("{withheld}{lifted}"));
}

#[test]
fn a_backlog_is_drained_in_paced_steps_until_it_is_caught_up() {
    let policy =
        Policy { batching: Batching { max: 1, age: Duration::ZERO }, max_pending: 4, ..policy() };
    let backlog = "
        0s    | offer a   | open
        0s    | offer b   |
        0s    | offer c   |
        0s    | offer d   |
        0s    | offer e   |
        10s   | opened    | attempt a
        10s   | delivered | done a
        ";
    let paced = "
        10s999ms999us999ns | tick |
        wake  | Throttle  | attempt b
        11s   | delivered | done b
        wake  | Throttle  | attempt c
        12s   | delivered | done c
        wake  | Throttle  | attempt d
        13s   | delivered | done d; attempt e
        ";
    check(policy, &format!("{backlog}{paced}"));
    let flushed = "
        10s   | flush     | attempt b
        10s   | delivered | done b; attempt c
        10s   | delivered | done c; attempt d
        10s   | delivered | done d; attempt e
        10s   | delivered | done e; flushed
        ";
    check(policy, &format!("{backlog}{flushed}"));
}

#[test]
fn the_key_is_an_only_event_s_id_or_follows_from_all_ids_in_order() {
    let [a, b] = ["a", "b"].map(|name| Arc::new(event(name)));
    assert_eq!(*key_of(std::slice::from_ref(&a)), *a.id.to_string());
    assert_eq!(key_of(&[a.clone(), b.clone()]), key_of(&[a.clone(), b.clone()]));
    assert_ne!(key_of(&[a.clone(), b.clone()]), key_of(&[b, a]));
}
