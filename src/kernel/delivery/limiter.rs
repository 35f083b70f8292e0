//! A sink's rate limit, and the one summary that speaks for what it withheld.
//!
//! At most `count` events leave in any `per`. The first that may not leave starts a hold, which
//! ends when the newest admitted event is `per` old; all that comes due until then is withheld.
//! So there is at most one summary in any `per`, and after it the full count may leave again.
//!
//! A summary is an event of the rule `watchfire_rate_limited` with the key `{sink="NAME"}`, as
//! severe as the worst event withheld. It counts the events by rule and says which alerts they left
//! firing and which resolved, so nobody believes in a calm that is only a limit. The events
//! themselves are in the sink's dead-letter log.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;

use super::own;
use super::policy::Rate;
use crate::kernel::event::{Event, Kind};
use crate::kernel::model::{Duration, Labels, Level, Now};

/// Rules that a summary names, by count; the rest is one number.
const RULES_NAMED: usize = 10;

/// Alerts that a summary names in each of its two lists.
const ALERTS_NAMED: usize = 20;

/// Rules counted apart, and alerts followed, while withholding; what is past it is only counted.
const RULES_MAX: usize = 1_000;
const ALERTS_MAX: usize = 10_000;

/// What has left lately, and what was withheld since.
#[derive(Debug, Default)]
pub struct Limiter {
    /// When each event of the last `per` was admitted, oldest first: `count` at most.
    admitted: VecDeque<Now>,
    hold: Option<Hold>,
    /// Summaries made.
    spoken: u64,
}

#[derive(Debug)]
struct Hold {
    until: Now,
    withheld: Withheld,
}

#[derive(Debug)]
struct Withheld {
    since: Now,
    total: u64,
    worst: Level,
    rules: BTreeMap<Arc<str>, u64>,
    /// The kind of each alert's newest withheld event.
    alerts: BTreeMap<(Arc<str>, Labels), Kind>,
    /// Events whose alert is not in `alerts`.
    unfollowed: u64,
}

impl Limiter {
    /// How many events may leave now; none during a hold.
    pub fn allowance(&mut self, rate: Rate, now: Now) -> usize {
        while self.admitted.front().is_some_and(|&at| at + rate.per <= now) {
            self.admitted.pop_front();
        }
        if self.hold.is_some() {
            return 0;
        }
        (rate.count as usize).saturating_sub(self.admitted.len())
    }

    pub fn admit(&mut self, now: Now, count: usize) {
        self.admitted.extend(std::iter::repeat_n(now, count));
    }

    /// The rate was taken away: nothing has to be remembered for it.
    pub fn forget_admitted(&mut self) {
        self.admitted.clear();
    }

    /// Begins a hold, or goes on with the one there is.
    pub fn withhold(&mut self, rate: Rate, now: Now, event: &Event) {
        let newest = self.admitted.back().copied().unwrap_or(now);
        let hold = self.hold.get_or_insert_with(|| Hold {
            until: newest + rate.per,
            withheld: Withheld::none(now),
        });
        hold.withheld.add(event);
    }

    pub fn is_holding(&self) -> bool {
        self.hold.is_some()
    }

    pub fn held_until(&self) -> Option<Now> {
        self.hold.as_ref().map(|hold| hold.until)
    }

    /// Events withheld that no summary has spoken for yet.
    pub fn unspoken(&self) -> u64 {
        self.hold.as_ref().map_or(0, |hold| hold.withheld.total)
    }

    /// Ends the hold. The summary of it, unless all was said already.
    pub fn release(&mut self, sink: &str, now: Now) -> Option<Event> {
        let summary = self.speak(sink, now);
        self.hold = None;
        summary
    }

    /// Speaks for what was withheld so far; the hold goes on.
    pub fn speak(&mut self, sink: &str, now: Now) -> Option<Event> {
        let hold = self.hold.as_mut()?;
        let withheld = std::mem::replace(&mut hold.withheld, Withheld::none(now));
        if withheld.total == 0 {
            return None;
        }
        self.spoken += 1;
        Some(withheld.summary(sink, now).numbered(self.spoken))
    }
}

impl Withheld {
    fn none(since: Now) -> Withheld {
        Withheld {
            since,
            total: 0,
            worst: Level::Warning,
            rules: BTreeMap::new(),
            alerts: BTreeMap::new(),
            unfollowed: 0,
        }
    }

    fn add(&mut self, event: &Event) {
        self.total += 1;
        self.worst = self.worst.max(event.level);
        if self.rules.len() < RULES_MAX || self.rules.contains_key(&event.rule) {
            *self.rules.entry(event.rule.clone()).or_default() += 1;
        }
        let alert = (event.rule.clone(), event.key.clone());
        if self.alerts.len() < ALERTS_MAX || self.alerts.contains_key(&alert) {
            self.alerts.insert(alert, event.kind);
        } else {
            self.unfollowed += 1;
        }
    }

    fn summary(&self, sink: &str, now: Now) -> Event {
        let key = Labels::new([("sink", sink)]);
        let (level, at) = (self.worst, now.as_arrival());
        let event = Event::own(own::RATE_LIMITED, key, Kind::Fired, level, at, self.text(now));
        Event { value: Some(self.total as f64), ..event }
    }

    /// "37 events withheld in 1m: cpu-high ×30, disk ×7; left firing: cpu-high{host="a"}".
    fn text(&self, now: Now) -> String {
        let noun = if self.total == 1 { "event" } else { "events" };
        let span = whole_seconds(now.since(self.since));
        let mut text = format!("{} {noun} withheld in {span}: ", self.total);
        text.push_str(&self.rules_text());
        let mut firing = Vec::new();
        let mut resolved = Vec::new();
        for (alert, kind) in &self.alerts {
            if *kind == Kind::Resolved { resolved.push(alert) } else { firing.push(alert) }
        }
        for (heading, alerts) in [("left firing", firing), ("resolved", resolved)] {
            if !alerts.is_empty() {
                let _ = write!(text, "; {heading}: {}", alerts_text(&alerts));
            }
        }
        if self.unfollowed > 0 {
            let _ = write!(text, "; {} events of further alerts", self.unfollowed);
        }
        text.push_str("; all are in the sink's dead-letter log");
        text
    }

    fn rules_text(&self) -> String {
        let mut rules: Vec<(&Arc<str>, u64)> = self.rules.iter().map(|(r, n)| (r, *n)).collect();
        rules.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        rules.truncate(RULES_NAMED);
        let named: u64 = rules.iter().map(|(_, count)| count).sum();
        let mut parts: Vec<String> =
            rules.iter().map(|(rule, count)| format!("{rule} ×{count}")).collect();
        if named < self.total {
            parts.push(format!("other rules ×{}", self.total - named));
        }
        parts.join(", ")
    }
}

/// Rounded up: nobody reads a summary for its nanoseconds.
fn whole_seconds(length: Duration) -> Duration {
    Duration::from_secs(length.nanos().saturating_add(999_999_999) / 1_000_000_000)
}

fn alerts_text(alerts: &[&(Arc<str>, Labels)]) -> String {
    let mut parts: Vec<String> =
        alerts.iter().take(ALERTS_NAMED).map(|(rule, key)| format!("{rule}{key}")).collect();
    if alerts.len() > ALERTS_NAMED {
        parts.push(format!("and {} more", alerts.len() - ALERTS_NAMED));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::model::EventTime;

    const RATE: Rate = Rate { count: 2, per: Duration::from_secs(60) };

    fn at(nanos: i64) -> Now {
        Now::from_nanos(nanos)
    }

    fn event(rule: &str, host: &str, kind: Kind, level: Level) -> Event {
        let key = Labels::new([("host", host)]);
        Event::own(rule, key, kind, level, EventTime::from_nanos(0), String::new())
    }

    #[test]
    fn an_event_counts_until_it_is_exactly_one_period_old() {
        let mut limiter = Limiter::default();
        limiter.admit(at(0), 1);
        limiter.admit(at(5), 1);
        let minute = 60_000_000_000;
        for (now, allowed) in
            [(5, 0), (minute - 1, 0), (minute, 1), (minute + 4, 1), (minute + 5, 2)]
        {
            assert_eq!(limiter.allowance(RATE, at(now)), allowed, "at {now}");
        }
    }

    #[test]
    fn a_hold_lasts_until_the_newest_admitted_event_is_a_period_old() {
        let mut limiter = Limiter::default();
        limiter.admit(at(0), 1);
        limiter.admit(at(20), 1);
        limiter.withhold(RATE, at(30), &event("r", "a", Kind::Fired, Level::Info));
        limiter.withhold(RATE, at(40), &event("r", "a", Kind::Resolved, Level::Info));
        assert_eq!(limiter.held_until(), Some(at(60_000_000_020)));
        assert_eq!(limiter.allowance(RATE, at(60_000_000_001)), 0, "held, though one slot is free");
        assert!(limiter.release("ops", at(60_000_000_020)).is_some());
        assert_eq!(limiter.allowance(RATE, at(60_000_000_020)), 2);
        assert_eq!(limiter.release("ops", at(60_000_000_021)), None);
    }

    #[test]
    fn a_summary_names_rules_by_count_and_how_alerts_were_left() {
        let mut limiter = Limiter::default();
        limiter.withhold(RATE, at(0), &event("disk", "a", Kind::Fired, Level::Critical));
        for host in ["a", "b", "b"] {
            limiter.withhold(RATE, at(0), &event("cpu", host, Kind::Fired, Level::Info));
        }
        limiter.withhold(RATE, at(0), &event("cpu", "a", Kind::Resolved, Level::Info));
        let summary = limiter.speak("ops", at(60_000_000_000)).expect("five were withheld");
        assert_eq!(
            summary.text,
            "5 events withheld in 1m: cpu ×4, disk ×1; \
             left firing: cpu{host=\"b\"}, disk{host=\"a\"}; resolved: cpu{host=\"a\"}; \
             all are in the sink's dead-letter log"
        );
        assert_eq!(summary.level, Level::Critical);
        assert_eq!(summary.key.get("sink"), Some("ops"));
        assert_eq!(limiter.speak("ops", at(60_000_000_001)), None, "said already");
        assert!(limiter.is_holding());
        limiter.withhold(
            RATE,
            at(60_000_000_000),
            &event("cpu", "b", Kind::Fired, Level::Critical),
        );
        let second = limiter.release("ops", at(60_000_000_000)).expect("one more was withheld");
        assert_eq!(second.at, summary.at);
        assert_ne!(second.id, summary.id, "two summaries of one moment are two events");
    }

    #[test]
    fn a_summary_is_short_however_much_was_withheld() {
        let mut limiter = Limiter::default();
        for number in 0..20_000 {
            let (rule, host) = (format!("rule-{:04}", number % 2_000), format!("host-{number}"));
            limiter.withhold(RATE, at(0), &event(&rule, &host, Kind::Fired, Level::Info));
        }
        let text = limiter.release("ops", at(1)).expect("they were withheld").text;
        assert!(text.len() < 2_000, "{text}");
        assert!(text.contains("other rules ×19900"), "{text}");
        assert!(text.contains("and 9980 more"), "{text}");
        assert!(text.contains("; 10000 events of further alerts;"), "{text}");
    }
}
