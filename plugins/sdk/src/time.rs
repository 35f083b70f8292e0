//! Lengths of time as people write them in settings.

use crate::{Duration, Failure};

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// Reads `90s`, `1h30m`, `500ms`: whole numbers with units, as the host's own rules write them.
pub fn parse_duration(text: &str) -> Result<Duration, Failure> {
    let hint = || {
        Failure::settings(format!(
            "`{text}` is not a duration; write for example \"90s\" or \"1h30m\""
        ))
    };
    let (mut rest, mut total) = (text.trim(), 0u64);
    if rest.is_empty() {
        return Err(hint());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(hint)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(hint)?;
        let number: u64 = number.parse().map_err(|_| hint())?;
        let part = number.checked_mul(*nanos).ok_or_else(hint)?;
        total = total.checked_add(part).ok_or_else(hint)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_host_reads_them() {
        for (text, nanos) in [("90s", 90_000_000_000), ("1h30m", 5_400_000_000_000), ("0s", 0)] {
            assert_eq!(parse_duration(text).ok(), Some(nanos), "{text}");
        }
        for text in ["", "5", "m", "2x", "-1s", "99999999999w"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
