//! Two clocks, two types, and the lengths between them.
//!
//! `EventTime` is when a sample says it happened: everything left of the alert bus is a function of
//! it. `Now` is the shell's clock. There is no conversion between them, except the one that the
//! sequencer needs to stamp an arrival and to move an idle source's watermark
//! ([`Now::as_arrival`]).

use std::fmt;
use std::ops::{Add, Mul, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When something happened according to the stream: nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// When something happened according to the shell's clock: nanoseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Now(i64);

/// A length of time in nanoseconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(i64);

impl EventTime {
    /// Before every sample; also the column value of a sample that came without a time.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// After every sample.
    pub const MAX: EventTime = EventTime(i64::MAX);

    pub const fn from_nanos(nanos: i64) -> EventTime {
        EventTime(nanos)
    }

    /// `None` when the time lies outside the years 1677 to 2262 that nanoseconds can hold.
    pub fn from_millis(millis: i64) -> Option<EventTime> {
        millis.checked_mul(1_000_000).map(EventTime)
    }

    pub const fn nanos(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: EventTime) -> Duration {
        Duration(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The newest multiple of `step` (counted from the epoch) that is at or before this time.
    pub fn floor(self, step: Duration) -> EventTime {
        assert!(step.0 > 0);
        EventTime(self.0.saturating_sub(self.0.rem_euclid(step.0)))
    }

    /// The end of the pane `(end - step, end]` that this time falls in.
    pub fn pane_end(self, step: Duration) -> EventTime {
        assert!(step.0 > 0);
        let into = self.0.rem_euclid(step.0);
        if into == 0 { self } else { EventTime(self.0.saturating_add(step.0 - into)) }
    }

    /// One nanosecond later.
    pub fn next(self) -> EventTime {
        EventTime(self.0.saturating_add(1))
    }
}

impl Now {
    pub const fn from_nanos(nanos: i64) -> Now {
        Now(nanos)
    }

    pub const fn nanos(self) -> i64 {
        self.0
    }

    pub fn since(self, earlier: Now) -> Duration {
        Duration(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The one way across: the time of a sample stamped on arrival, of an idle source's move, and
    /// of an event that Watchfire makes about itself.
    pub fn as_arrival(self) -> EventTime {
        EventTime(self.0)
    }
}

impl Duration {
    pub const ZERO: Duration = Duration(0);
    pub const MAX: Duration = Duration(i64::MAX);

    pub const fn from_nanos(nanos: i64) -> Duration {
        assert!(nanos >= 0);
        Duration(nanos)
    }

    pub const fn from_millis(millis: i64) -> Duration {
        Duration::from_nanos(millis * 1_000_000)
    }

    pub const fn from_secs(secs: i64) -> Duration {
        Duration::from_nanos(secs * 1_000_000_000)
    }

    pub const fn nanos(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0 / 1_000_000
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// How often `part` fits in whole.
    pub fn whole(self, part: Duration) -> u32 {
        assert!(part.0 > 0);
        u32::try_from(self.0 / part.0).unwrap_or(u32::MAX)
    }

    pub fn saturating_sub(self, other: Duration) -> Duration {
        Duration((self.0 - other.0).max(0))
    }

    /// The shell's timers speak the standard library's type.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0 as u64)
    }

    /// Reads `500ms`, `90s`, `1h30m`, `1.5s`, `7d`, `0s`: numbers with the units
    /// `ns us ms s m h d w`, largest unit first. The error says what was wrong in words.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let hint = || format!("`{text}` is not a duration; write for example \"90s\" or \"1h30m\"");
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(hint());
        }
        let (mut total, mut last_unit) = (0i64, i64::MAX);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(hint)?;
            let (number, tail) = rest.split_at(digits);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let unit = unit_nanos(unit).ok_or_else(hint)?;
            if unit >= last_unit {
                return Err(hint());
            }
            let part = whole_nanos(number, unit).ok_or_else(hint)?;
            total = total.checked_add(part).ok_or_else(hint)?;
            (rest, last_unit) = (tail, unit);
        }
        Ok(Duration(total))
    }
}

const UNITS: [(&str, i64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

fn unit_nanos(name: &str) -> Option<i64> {
    UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, nanos)| *nanos)
}

/// `number` units in nanoseconds, exactly; `None` when it does not fit or is finer than 1 ns.
fn whole_nanos(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut nanos = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        if place % 10 != 0 || !digit.is_ascii_digit() {
            return None;
        }
        place /= 10;
        nanos = nanos.checked_add(i64::from(digit - b'0') * place)?;
    }
    Some(nanos)
}

impl Add<Duration> for EventTime {
    type Output = EventTime;
    fn add(self, length: Duration) -> EventTime {
        EventTime(self.0.saturating_add(length.0))
    }
}

impl Sub<Duration> for EventTime {
    type Output = EventTime;
    fn sub(self, length: Duration) -> EventTime {
        EventTime(self.0.saturating_sub(length.0))
    }
}

impl Add<Duration> for Now {
    type Output = Now;
    fn add(self, length: Duration) -> Now {
        Now(self.0.saturating_add(length.0))
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl Mul<i64> for Duration {
    type Output = Duration;
    fn mul(self, times: i64) -> Duration {
        assert!(times >= 0);
        Duration(self.0.saturating_mul(times))
    }
}

/// `1h30m`, `90s`: the largest units first; reads back to the same length.
impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, nanos) in UNITS {
            let count = rest / nanos;
            // A duration such as 90s is written as people write it, not as 1m30s.
            if count > 0 && !(unit == "m" && self.0 < 120_000_000_000 && rest % nanos != 0) {
                write!(out, "{count}{unit}")?;
                rest %= nanos;
            }
        }
        Ok(())
    }
}

/// RFC 3339 in UTC, with as many digits of the second as are needed: `2023-11-14T22:13:20.5Z`.
impl fmt::Display for EventTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(out, "{time}"),
            Err(_) => write!(out, "{}ns", self.0),
        }
    }
}

impl std::str::FromStr for EventTime {
    type Err = String;
    fn from_str(text: &str) -> Result<EventTime, String> {
        let time: jiff::Timestamp =
            text.parse().map_err(|_| format!("`{text}` is not an RFC 3339 time"))?;
        i64::try_from(time.as_nanosecond())
            .map(EventTime)
            .map_err(|_| format!("`{text}` is outside the years 1677 to 2262"))
    }
}

/// Text for people and JSON, nanoseconds for snapshots.
impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(EventTime)
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        if deserializer.is_human_readable() {
            Duration::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
        } else {
            let nanos = i64::deserialize(deserializer)?;
            if nanos < 0 {
                return Err(serde::de::Error::custom("a duration is never negative"));
            }
            Ok(Duration(nanos))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, nanos, printed) in [
            ("90s", 90_000_000_000, "90s"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("60s", 60_000_000_000, "1m"),
            ("0s", 0, "0s"),
            ("1.5s", 1_500_000_000, "1s500ms"),
            ("500ms", 500_000_000, "500ms"),
            ("7d", 604_800_000_000_000, "1w"),
        ] {
            let parsed = Duration::parse(text).expect(text);
            assert_eq!((parsed.nanos(), parsed.to_string().as_str()), (nanos, printed), "{text}");
            assert_eq!(Duration::parse(printed), Ok(parsed), "{printed}");
        }
        for text in ["", "5", "m", "2x", "1s1m", "-1s", "1m1m", "1.s1", "99999999w", "0.5ns"] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pane_holds_its_end_and_not_its_start() {
        let step = Duration::from_secs(10);
        let at = |nanos| EventTime::from_nanos(nanos).pane_end(step).nanos();
        assert_eq!(at(10_000_000_000), 10_000_000_000);
        assert_eq!(at(10_000_000_001), 20_000_000_000);
        assert_eq!(at(9_999_999_999), 10_000_000_000);
        assert_eq!(at(-1), 0);
    }

    #[test]
    fn times_print_as_rfc_3339_and_read_back() {
        let time = EventTime::from_nanos(1_700_000_000_500_000_000);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.5Z");
        assert_eq!("2023-11-14T22:13:20.5Z".parse(), Ok(time));
    }
}
