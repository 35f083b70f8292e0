//! What the bus promises its subscribers, and the publisher.

use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::kernel::event::{Cause, EventId, Fingerprint, Kind};
use crate::kernel::model::{EventTime, Labels, Level, Version};
use crate::kernel::rule::selector::{Matcher, NamePattern};
use crate::shell::metrics::tests::check_page;

/// A plausible event of a rule; tests change the fields they are about.
pub(crate) fn event(rule: &str, kind: Kind) -> Event {
    let at = EventTime::from_nanos(1_700_000_000_000_000_000);
    Event {
        id: EventId(0xABCD),
        seq: 1,
        rule: rule.into(),
        version: Version(7),
        kind,
        level: Level::Warning,
        previous_level: None,
        key: Labels::new([("host", "web-1")]),
        labels: Labels::new([("team", "core")]),
        value: Some(91.5),
        values: Vec::new(),
        window: None,
        at,
        since: at,
        fired_at: Some(at),
        resolved_at: None,
        cause: Cause::Breach,
        text: format!("{rule} is over its limit"),
        annotations: Vec::new(),
        shadow: false,
        fingerprint: Fingerprint(1),
        notify: Vec::new(),
    }
}

fn bus(history_max: usize) -> Bus {
    Bus::new(BusOptions { history_max, first_cursor: 1 })
}

fn publish(bus: &Bus, rules: &[&str]) {
    for rule in rules {
        bus.publish(Arc::new(event(rule, Kind::Fired)));
    }
}

fn shed(capacity: usize) -> Policy {
    Policy::ShedOldest { capacity }
}

/// `1 2 lagged(3) 6`: what the subscription holds now.
fn drain(subscription: &mut Subscription) -> String {
    let mut seen = Vec::new();
    while let Some(received) = subscription.try_recv() {
        seen.push(match received {
            Received::Event(entry) => entry.cursor.to_string(),
            Received::Lagged(count) => format!("lagged({count})"),
        });
    }
    seen.join(" ")
}

fn cursors(history: &History) -> Vec<u64> {
    history.entries.iter().map(|entry| entry.cursor).collect()
}

fn reading(bus: &Bus, series: &str) -> f64 {
    let mut page = Exposition::new();
    bus.metrics(&mut page);
    check_page(&page.text()).expect("a good page")[series]
}

#[test]
fn everyone_gets_every_event_in_order() {
    let bus = bus(10);
    let (mut one, mut two) =
        (bus.subscribe(Filter::all(), shed(10)), bus.subscribe(Filter::all(), shed(10)));
    publish(&bus, &["a", "b", "c"]);
    assert_eq!(drain(&mut one), "1 2 3");
    publish(&bus, &["d"]);
    assert_eq!(drain(&mut one), "4");
    assert_eq!(drain(&mut two), "1 2 3 4");
}

#[test]
fn a_full_queue_sheds_its_oldest_and_says_so() {
    let bus = bus(10);
    let mut slow = bus.subscribe(Filter::all(), shed(2));
    publish(&bus, &["a", "b", "c", "d", "e"]);
    assert_eq!(drain(&mut slow), "lagged(3) 4 5");
    publish(&bus, &["f"]);
    assert_eq!(drain(&mut slow), "6");
    assert_eq!(reading(&bus, "watchfire_bus_shed_total"), 3.0);
}

#[test]
fn only_matching_events_take_room_or_count_as_shed() {
    let bus = bus(10);
    let filter = Filter { rule: Some(NamePattern::parse("disk-*")), ..Filter::default() };
    let mut picky = bus.subscribe(filter, shed(1));
    publish(&bus, &["cpu", "disk-full", "cpu", "cpu", "disk-slow", "cpu"]);
    assert_eq!(drain(&mut picky), "lagged(1) 5");
}

#[test]
fn a_dropped_subscription_is_forgotten() {
    let bus = bus(10);
    let subscription = bus.subscribe(Filter::all(), shed(1));
    assert_eq!(reading(&bus, "watchfire_bus_subscribers"), 1.0);
    drop(subscription);
    assert_eq!(reading(&bus, "watchfire_bus_subscribers"), 0.0);
    publish(&bus, &["a"]);
}

#[test]
fn a_waiting_subscriber_holds_the_publisher_until_there_is_room() {
    let bus = bus(100);
    let policy = Policy::Wait { capacity: 1, patience: Duration::from_secs(600) };
    let mut sink = bus.subscribe(Filter::all(), policy);
    let publisher = thread::spawn({
        let bus = bus.clone();
        move || publish(&bus, &["a"; 50])
    });
    for wanted in 1..=50 {
        let received = sink.recv_timeout(Duration::from_secs(600));
        let Some(Received::Event(entry)) = received else { panic!("{received:?}") };
        assert_eq!(entry.cursor, wanted);
    }
    publisher.join().expect("the publisher went on");
    assert_eq!(reading(&bus, "watchfire_bus_shed_total"), 0.0);
}

#[test]
fn one_that_waits_does_not_hold_up_the_others() {
    let bus = bus(100);
    let policy = Policy::Wait { capacity: 1, patience: Duration::from_secs(600) };
    let sink = bus.subscribe(Filter::all(), policy);
    let mut viewer = bus.subscribe(Filter::all(), shed(10));
    let publisher = thread::spawn({
        let bus = bus.clone();
        move || publish(&bus, &["a", "b"])
    });
    for _ in 0..2 {
        let received = viewer.recv_timeout(Duration::from_secs(60));
        assert!(matches!(received, Some(Received::Event(_))), "{received:?}");
    }
    drop(sink);
    publisher.join().expect("the publisher went on");
}

#[test]
fn dropping_a_waiting_subscription_frees_the_publisher() {
    let bus = bus(100);
    let policy = Policy::Wait { capacity: 1, patience: Duration::from_secs(600) };
    let sink = bus.subscribe(Filter::all(), policy);
    let (started, first_published) = mpsc::channel();
    let publisher = thread::spawn({
        let bus = bus.clone();
        move || {
            publish(&bus, &["a"]);
            started.send(()).expect("the test listens");
            publish(&bus, &["b", "c"]);
        }
    });
    first_published.recv().expect("the first event finds room");
    drop(sink);
    publisher.join().expect("the publisher went on");
}

#[test]
fn nobody_waits_for_a_dropped_subscription() {
    let bus = bus(100);
    let policy = Policy::Wait { capacity: 1, patience: Duration::from_millis(1) };
    let sink = bus.subscribe(Filter::all(), policy);
    // As a publisher has it that was about to offer when the subscription was dropped.
    let mailbox = sink.mailbox.clone();
    drop(sink);
    let entry = Entry { cursor: 1, event: Arc::new(event("a", Kind::Fired)) };
    for _ in 0..3 {
        let offered = mailbox.offer(&entry);
        assert!(!offered.stalled && !offered.shed);
    }
}

#[test]
fn one_that_never_takes_loses_its_patience_once_and_then_sheds() {
    let bus = bus(100);
    let policy = Policy::Wait { capacity: 2, patience: Duration::from_millis(1) };
    let mut stuck = bus.subscribe(Filter::all(), policy);
    publish(&bus, &["a"; 6]);
    assert_eq!(reading(&bus, "watchfire_bus_stalled_total"), 1.0);
    assert_eq!(drain(&mut stuck), "lagged(4) 5 6");
    publish(&bus, &["a"; 3]);
    assert_eq!(reading(&bus, "watchfire_bus_stalled_total"), 2.0, "it was given another chance");
    assert_eq!(drain(&mut stuck), "lagged(1) 8 9");
}

#[test]
fn history_is_bounded_and_tells_when_it_is_not_all() {
    let bus = bus(3);
    publish(&bus, &["a", "b", "c", "d", "e"]);
    for (after, limit, wanted, next, complete) in [
        (None, 10, vec![3, 4, 5], 5, true),
        (None, 2, vec![4, 5], 5, true),
        (Some(2), 10, vec![3, 4, 5], 5, true),
        (Some(1), 10, vec![3, 4, 5], 5, false),
        (Some(0), 10, vec![3, 4, 5], 5, false),
        (Some(3), 10, vec![4, 5], 5, true),
        (Some(2), 2, vec![3, 4], 4, true),
        (Some(2), 0, vec![], 2, true),
        (Some(3), 2, vec![4, 5], 5, true),
        (Some(5), 10, vec![], 5, true),
        // Not a cursor of this run: all there is, and a hint that more may be missing.
        (Some(6), 10, vec![3, 4, 5], 5, false),
        (Some(u64::MAX), 10, vec![3, 4, 5], 5, false),
    ] {
        let history = bus.history(&Filter::all(), after, limit);
        let got = (cursors(&history), history.next, history.complete);
        assert_eq!(got, (wanted, next, complete), "after {after:?}, at most {limit}");
    }
}

#[test]
fn pages_of_a_filtered_history_end_where_the_bus_does() {
    let bus = bus(10);
    publish(&bus, &["a", "b", "a", "b", "a", "b"]);
    let filter = Filter { rule: Some(NamePattern::parse("a")), ..Filter::default() };
    let first = bus.history(&filter, Some(0), 2);
    assert_eq!((cursors(&first), first.next), (vec![1, 3], 3));
    let second = bus.history(&filter, Some(first.next), 2);
    assert_eq!((cursors(&second), second.next), (vec![5], 6));
}

#[test]
fn a_new_run_does_not_know_the_cursors_of_the_one_before() {
    let bus = Bus::new(BusOptions { history_max: 10, first_cursor: 1_000 });
    assert!(bus.history(&Filter::all(), Some(999), 10).complete);
    publish(&bus, &["a"]);
    let history = bus.history(&Filter::all(), Some(41), 10);
    assert_eq!((cursors(&history), history.complete), (vec![1_000], false));
}

#[test]
fn filters_take_what_they_say() {
    let mut resolved = event("disk-full", Kind::Resolved);
    resolved.level = Level::Critical;
    let mut shadow = event("disk-full", Kind::Fired);
    shadow.shadow = true;
    let pending = event("cpu-high", Kind::Pending);
    let events = [("resolved", resolved), ("shadow", shadow), ("pending", pending)];
    let check = |filter: Filter, wanted: &str| {
        let taken = events.iter().filter(|(_, event)| filter.takes(event));
        let names: Vec<&str> = taken.map(|(name, _)| *name).collect();
        assert_eq!(names.join(" "), wanted, "{filter:?}");
    };
    let labels = |text: &str| Matcher::parse_list(text).expect(text);
    let all = Filter::all;
    check(Filter::default(), "resolved");
    check(all(), "resolved shadow pending");
    check(Filter { shadow: Shadow::Only, ..all() }, "shadow");
    check(
        Filter { kinds: Kinds::Only(vec![Kind::Pending, Kind::Fired]), ..all() },
        "shadow pending",
    );
    check(Filter { level_min: Some(Level::Warning), ..all() }, "resolved shadow pending");
    check(Filter { level_min: Some(Level::Critical), ..all() }, "resolved");
    check(Filter { rule: Some(NamePattern::parse("cpu*")), ..all() }, "pending");
    check(Filter { rule: Some(NamePattern::parse("cpu")), ..all() }, "");
    check(
        Filter { matchers: labels("host=~web-.*, team=core"), ..all() },
        "resolved shadow pending",
    );
    check(Filter { matchers: labels("team!=core"), ..all() }, "");
    check(Filter { matchers: labels("zone="), ..all() }, "resolved shadow pending");
}

#[test]
fn a_closed_bus_ends_subscriptions_after_what_is_queued() {
    let bus = bus(10);
    let mut subscription = bus.subscribe(Filter::all(), shed(10));
    publish(&bus, &["a"]);
    bus.close();
    publish(&bus, &["b"]);
    let patience = Duration::from_secs(600);
    assert!(matches!(subscription.recv_timeout(patience), Some(Received::Event(_))));
    assert_eq!(subscription.recv_timeout(patience), None);
    assert_eq!(bus.subscribe(Filter::all(), shed(1)).recv_timeout(patience), None);
}

#[tokio::test]
async fn a_task_wakes_for_events_and_for_the_end() {
    let bus = bus(10);
    let mut subscription = bus.subscribe(Filter::all(), shed(10));
    let reader = tokio::spawn(async move {
        let mut cursors = Vec::new();
        while let Some(Received::Event(entry)) = subscription.recv().await {
            cursors.push(entry.cursor);
        }
        cursors
    });
    for _ in 0..100 {
        publish(&bus, &["a"]);
        drain(&mut bus.subscribe(Filter::all(), shed(1)));
        tokio::task::yield_now().await;
    }
    bus.close();
    // The queue holds ten; the reader had its turn after each event.
    assert_eq!(reader.await.expect("the reader ends"), (1..=100).collect::<Vec<u64>>());
}

#[test]
fn a_panicking_handler_loses_one_event_and_no_more() {
    let bus = bus(10);
    let (seen, told) = mpsc::channel();
    let handler = bus
        .subscribe_with(Filter::all(), move |received| {
            let Received::Event(entry) = received else { panic!("nothing was shed") };
            assert_ne!(entry.cursor, 2, "this one is too much for me");
            seen.send(entry.cursor).expect("the test listens");
        })
        .expect("a thread can be started");
    publish(&bus, &["a", "b", "c"]);
    assert_eq!((told.recv(), told.recv()), (Ok(1), Ok(3)));
    assert_eq!(reading(&bus, "watchfire_bus_handler_panics_total"), 1.0);
    handler.unsubscribe();
    assert_eq!(reading(&bus, "watchfire_bus_subscribers"), 0.0);
    publish(&bus, &["d"]);
    assert!(told.recv().is_err(), "the handler is gone");
}

#[test]
fn a_handler_may_unsubscribe_itself() {
    let bus = bus(10);
    let (give, take) = mpsc::channel::<HandlerGuard>();
    let (done, ended) = mpsc::channel();
    let handler = bus
        .subscribe_with(Filter::all(), move |_| {
            take.recv().expect("the guard is sent").unsubscribe();
            done.send(()).expect("the test listens");
        })
        .expect("a thread can be started");
    give.send(handler).expect("the handler lives");
    publish(&bus, &["a", "b"]);
    ended.recv().expect("it came back from unsubscribing");
    assert!(ended.recv().is_err(), "and was not called again");
}

/// Moves past what was received or reported shed; false when there was nothing.
fn account(next: &mut u64, received: Option<Received>) -> bool {
    match received {
        Some(Received::Lagged(count)) => *next += count,
        Some(Received::Event(entry)) => {
            assert_eq!(entry.cursor, *next);
            *next += 1;
        }
        None => return false,
    }
    true
}

proptest! {
    /// Whatever is published and taken in whatever order: cursors rise, and each event is either
    /// received or counted as shed in front of the next one.
    #[test]
    fn received_and_shed_make_up_all(
        capacity in 1usize..5,
        steps in proptest::collection::vec(any::<bool>(), 0..80),
    ) {
        let bus = bus(4);
        let mut subscription = bus.subscribe(Filter::all(), shed(capacity));
        let (mut published, mut next) = (0, 1);
        for publishes in steps {
            if publishes {
                published += 1;
                publish(&bus, &["a"]);
            } else {
                account(&mut next, subscription.try_recv());
            }
        }
        while account(&mut next, subscription.try_recv()) {}
        prop_assert_eq!(next - 1, published);
    }

    /// Coming back at any point gives each event once, however the past and the present meet.
    #[test]
    fn resuming_neither_misses_nor_repeats(before in 0u64..8, after in 0u64..8, live in 0u64..8) {
        let bus = bus(4);
        publish(&bus, &vec!["a"; before as usize]);
        let (history, mut subscription) = bus.resume(Filter::all(), shed(100), after);
        publish(&bus, &vec!["a"; live as usize]);
        let mut seen = cursors(&history);
        while let Some(Received::Event(entry)) = subscription.try_recv() {
            seen.push(entry.cursor);
        }
        let oldest_kept = before.saturating_sub(4) + 1;
        let start = if after > before { oldest_kept } else { oldest_kept.max(after + 1) };
        prop_assert_eq!(seen, (start..=before + live).collect::<Vec<u64>>());
        prop_assert_eq!(history.complete, after <= before && oldest_kept <= after + 1);
    }
}
