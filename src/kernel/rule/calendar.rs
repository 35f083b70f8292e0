//! Hours in a week, in a time zone: `Mon-Fri 08:00-18:00 Europe/Berlin`.
//!
//! Time zones come from the copy of the tz database that is built in, so the same event time gives
//! the same answer on every machine.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::kernel::model::EventTime;

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// Spans of a week. A span may pass midnight (`22:00-06:00`); it then belongs to the day that it
/// begins on. The start is in, the end is out.
#[derive(Clone, Debug)]
pub struct Calendar {
    text: String,
    /// By days from Monday.
    days: [bool; 7],
    /// Minutes of the day; `to` is past 24 h when the span passes midnight.
    from: u32,
    to: u32,
    zone: TimeZone,
}

impl Calendar {
    /// Reads `[DAYS] [HH:MM-HH:MM] [ZONE]`, where days are `Mon-Fri` or `Sat,Sun`. Without days
    /// every day counts, without hours the whole day, without a zone UTC.
    pub fn parse(text: &str) -> Result<Calendar, String> {
        let (mut days, mut hours, mut zone) = (None, None, None);
        for word in text.split_whitespace() {
            if word.starts_with(|c: char| c.is_ascii_digit()) && hours.is_none() {
                hours = Some(parse_hours(word)?);
            } else if days.is_none() && hours.is_none() && is_day(word) {
                days = Some(parse_days(word)?);
            } else if zone.is_none() {
                zone = Some(TimeZoneDatabase::bundled().get(word).map_err(|_| {
                    format!("`{word}` is no time zone; write one such as Europe/Berlin or UTC")
                })?);
            } else {
                return Err(format!("`{word}` is one word too many in `{text}`"));
            }
        }
        if days.is_none() && hours.is_none() {
            return Err(format!(
                "`{text}` has no days and no hours; write \"Mon-Fri 08:00-18:00 Europe/Berlin\""
            ));
        }
        let (from, to) = hours.unwrap_or((0, 24 * 60));
        let days = days.unwrap_or([true; 7]);
        Ok(Calendar { text: text.to_owned(), days, from, to, zone: zone.unwrap_or(TimeZone::UTC) })
    }

    pub fn holds(&self, at: EventTime) -> bool {
        let Ok(time) = Timestamp::from_nanosecond(i128::from(at.nanos())) else { return false };
        let local = time.to_zoned(self.zone.clone());
        let day = local.weekday().to_monday_zero_offset() as usize;
        let minute = local.hour() as u32 * 60 + local.minute() as u32;
        let today = self.days[day] && self.from <= minute && minute < self.to;
        let since_yesterday = self.days[(day + 6) % 7] && minute + 24 * 60 < self.to;
        today || since_yesterday
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

fn is_day(word: &str) -> bool {
    DAYS.iter().any(|(name, _)| word.starts_with(name)) && !word.contains('/')
}

fn parse_days(word: &str) -> Result<[bool; 7], String> {
    let day = |name: &str| {
        DAYS.iter()
            .position(|(known, _)| *known == name)
            .ok_or_else(|| format!("`{name}` is no day; write Mon Tue Wed Thu Fri Sat Sun"))
    };
    let mut days = [false; 7];
    for part in word.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let mut at = first;
        days[at] = true;
        while at != last {
            at = (at + 1) % 7;
            days[at] = true;
        }
    }
    Ok(days)
}

fn parse_hours(word: &str) -> Result<(u32, u32), String> {
    let hint = || format!("`{word}` are no hours; write 08:00-18:00");
    let minute = |text: &str| -> Option<u32> {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
        (hour <= 24 && minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
    };
    let (from, to) = word.split_once('-').ok_or_else(hint)?;
    let (from, to) = (minute(from).ok_or_else(hint)?, minute(to).ok_or_else(hint)?);
    if from == to {
        return Err(hint());
    }
    Ok(if from < to { (from, to) } else { (from, to + 24 * 60) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(calendar: &str, holds: &[(&str, bool)]) {
        let parsed = Calendar::parse(calendar).expect(calendar);
        for (at, expected) in holds {
            assert_eq!(parsed.holds(at.parse().expect(at)), *expected, "{calendar} at {at}");
        }
    }

    #[test]
    fn the_start_is_in_and_the_end_is_out() {
        // 2026-11-23 is a Monday; Berlin is one hour ahead of UTC in winter, two in summer.
        check(
            "Mon-Fri 08:00-18:00 Europe/Berlin",
            &[
                ("2026-11-23T06:59:59.999999999Z", false),
                ("2026-11-23T07:00:00Z", true),
                ("2026-11-23T16:59:59.999999999Z", true),
                ("2026-11-23T17:00:00Z", false),
                ("2026-11-22T12:00:00Z", false),
                ("2026-07-01T06:00:00Z", true),
            ],
        );
    }

    #[test]
    fn a_span_past_midnight_belongs_to_the_day_it_begins_on() {
        check(
            "Fri 22:00-06:00",
            &[
                ("2026-11-27T21:59:00Z", false),
                ("2026-11-27T22:00:00Z", true),
                ("2026-11-28T05:59:00Z", true),
                ("2026-11-28T06:00:00Z", false),
                ("2026-11-28T22:00:00Z", false),
            ],
        );
    }

    #[test]
    fn what_is_no_calendar_says_why() {
        for text in [
            "",
            "Monday",
            "08:00",
            "25:00-26:00",
            "Mon-Fri 08:00-18:00 Mars/Base",
            "Mon-Foo",
            "UTC",
        ] {
            assert!(Calendar::parse(text).is_err(), "{text}");
        }
    }
}
