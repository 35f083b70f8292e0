//! Events that delivery itself makes: the watchdog and the test. The rate limit's summary is in
//! `limiter.rs`.

use crate::kernel::event::{Cause, Event, Kind};
use crate::kernel::model::{Labels, Level, Now};

/// The alert that always fires, so that an outside service can tell when it stops coming.
pub const WATCHDOG: &str = "watchfire_watchdog";

/// The event that `sinks test` sends.
pub const TEST: &str = "watchfire_test";

/// What stands in for events that a rate limit withheld.
pub const RATE_LIMITED: &str = "watchfire_rate_limited";

/// Whether an event passes a sink's rate limit uncounted: a withheld summary would be the silence
/// it exists to prevent, and a withheld watchdog a false alarm.
pub fn is_exempt(event: &Event) -> bool {
    *event.rule == *WATCHDOG || *event.rule == *RATE_LIMITED
}

/// The watchdog's event number `turn`, from 0: fired once, then reminded.
pub fn watchdog(started: Now, now: Now, turn: u64) -> Event {
    let kind = if turn == 0 { Kind::Fired } else { Kind::Reminded };
    let text = "Watchfire is running; when this stops coming, it is not".to_owned();
    let at = now.as_arrival();
    let event = Event::own(WATCHDOG, Labels::empty(), kind, Level::Info, at, text);
    let event = event.numbered(turn + 1);
    let started = started.as_arrival();
    let cause = if turn == 0 { Cause::Breach } else { Cause::Reminder };
    Event { since: started, fired_at: Some(started), cause, ..event }
}

/// A marked event for trying a sink out; each nanosecond gives another id.
pub fn test(sink: &str, now: Now) -> Event {
    let text = format!("this is a test of the sink {sink}; nothing is wrong");
    let key = Labels::new([("sink", sink), ("test", "true")]);
    Event::own(TEST, key, Kind::Fired, Level::Info, now.as_arrival(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_one_alert_whose_every_event_is_new() {
        let at = |seconds: i64| Now::from_nanos(seconds * 1_000_000_000);
        let [first, second, third] = [0, 1, 2].map(|n| watchdog(at(5), at(5 + 60 * n), n as u64));
        assert_eq!([first.kind, second.kind], [Kind::Fired, Kind::Reminded]);
        assert_eq!([first.seq, second.seq, third.seq], [1, 2, 3]);
        assert_eq!(first.fingerprint, third.fingerprint);
        assert_eq!([second.since, third.since], [first.at; 2]);
        assert!(first.id != second.id && second.id != third.id);
        assert_eq!(watchdog(at(5), at(65), 1).id, second.id, "an id follows from the event");
        assert!(is_exempt(&first) && !is_exempt(&test("ops", at(0))));
    }

    #[test]
    fn a_test_is_marked_as_one() {
        let event = test("ops", Now::from_nanos(7));
        assert_eq!(event.key.to_string(), r#"{sink="ops",test="true"}"#);
        assert!(event.text.contains("test") && event.text.contains("nothing is wrong"));
        assert_ne!(event.id, test("ops", Now::from_nanos(8)).id);
    }
}
