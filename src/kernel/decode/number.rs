//! Numbers in text: values as `f64`, times as exact nanoseconds.

use super::decimal::Decimal;
use crate::kernel::model::EventTime;

/// The unit of a time that is a plain number since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    Nanos,
    Micros,
    Millis,
    Seconds,
}

impl TimeUnit {
    /// `ns`, `us` or `u`, `ms`, `s`: the words of Influx's `precision`.
    pub fn parse(text: &str) -> Option<TimeUnit> {
        match text {
            "ns" | "n" => Some(TimeUnit::Nanos),
            "us" | "u" => Some(TimeUnit::Micros),
            "ms" => Some(TimeUnit::Millis),
            "s" => Some(TimeUnit::Seconds),
            _ => None,
        }
    }

    /// Reads a decimal number of this unit, exactly: digits past the nanosecond are cut off.
    /// `None` for other text, and for times that nanoseconds in an `i64` cannot hold.
    pub fn read(self, text: &[u8]) -> Option<EventTime> {
        let digits = self.digits() as u32;
        if let Some((decimal, [])) = Decimal::cut(text)
            && let Some(at) = decimal.time(self)
        {
            return Some(at);
        }
        let nanos = decimal_nanos(text, digits)?;
        // The smallest time is how a batch writes "no time".
        Some(EventTime::from_nanos(nanos)).filter(|at| *at != EventTime::MIN)
    }

    /// How many digits a nanosecond of this unit has after the point.
    pub fn digits(self) -> usize {
        match self {
            TimeUnit::Nanos => 0,
            TimeUnit::Micros => 3,
            TimeUnit::Millis => 6,
            TimeUnit::Seconds => 9,
        }
    }
}

/// The same `f64` that `str::parse` gives, and `None` where it gives an error. `NaN` and `inf` in
/// any case are numbers to it.
pub fn float(text: &[u8]) -> Option<f64> {
    if let Some((decimal, [])) = Decimal::cut(text)
        && let Some(value) = decimal.short_value()
    {
        return Some(value);
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number as JSON writes it; `float` takes more.
pub fn is_json_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            exponent => exponent,
        };
        let count = digits(exponent);
        return count > 0 && count == exponent.len();
    }
    rest.is_empty()
}

/// `-1.5e3`, in units of 10^`unit_digits` ns. The point is moved in the text, so nothing is
/// rounded.
pub fn decimal_nanos(text: &[u8], unit_digits: u32) -> Option<i64> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &mantissa[..0]),
    };
    let mut digits = whole.iter().chain(fraction);
    if mantissa.len() == mantissa.iter().filter(|byte| **byte == b'.').count()
        || !digits.clone().all(u8::is_ascii_digit)
    {
        return None;
    }
    // How many of the digits stand left of the point once it is counted in nanoseconds.
    let left = whole.len() as i64 + i64::from(exponent) + i64::from(unit_digits);
    let mut total = 0i64;
    for _ in 0..left {
        let digit = match digits.next() {
            Some(digit) => i64::from(digit - b'0'),
            // A zero stays zero however large its exponent is.
            None if total == 0 => break,
            None => 0,
        };
        total = total.checked_mul(10)?.checked_sub(digit)?;
    }
    // Counted downward, since the negative side of an `i64` reaches further.
    if negative { Some(total) } else { total.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(value: Option<f64>) -> Option<u64> {
        value.map(f64::to_bits)
    }

    fn check_float(text: &str) {
        assert_eq!(bits(float(text.as_bytes())), bits(text.parse().ok()), "{text}");
    }

    #[test]
    fn floats_are_those_of_the_standard_library() {
        for text in [
            "0",
            "-0",
            "1",
            "50.79",
            "-3",
            "+3",
            ".5",
            "5.",
            ".",
            "-",
            "",
            "1.2.3",
            "1..2",
            "e5",
            "1e5",
            "1E-400",
            "1e400",
            "NaN",
            "-inf",
            "Infinity",
            "9007199254740992",
            "9007199254740993",
            "9999999999999999",
            "0.1234567890123456",
            "123456789012345.6",
            "000000000000001",
            "0x10",
            " 1",
            "1 ",
            "1_000",
            "\u{661}",
        ] {
            check_float(text);
        }
    }

    proptest! {
        #[test]
        fn any_decimal_reads_as_in_the_standard_library(text in "-?[0-9]{0,17}\\.?[0-9]{0,17}") {
            check_float(&text);
        }

        #[test]
        fn any_float_survives_its_printing(value in any::<f64>()) {
            prop_assert_eq!(float(value.to_string().as_bytes()).map(f64::to_bits).is_some(), true);
            if !value.is_nan() {
                prop_assert_eq!(bits(float(format!("{value:e}").as_bytes())), bits(Some(value)));
            }
        }

        #[test]
        fn json_numbers_are_those_of_the_json_parser(text in "[-+.eE0-9]{1,8}") {
            let json = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(is_json_number(text.as_bytes()), json, "{}", text);
            prop_assert!(!json || float(text.as_bytes()).is_some());
        }

        #[test]
        fn times_survive_being_written_with_a_point(nanos in (i64::MIN + 1)..i64::MAX) {
            let sign = if nanos < 0 { "-" } else { "" };
            let size = nanos.unsigned_abs();
            let text = format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000);
            let at = Some(EventTime::from_nanos(nanos));
            prop_assert_eq!(TimeUnit::Seconds.read(text.as_bytes()), at);
            prop_assert_eq!(TimeUnit::Nanos.read(nanos.to_string().as_bytes()), at);
        }
    }

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        let check = |unit: TimeUnit, text: &str, nanos: Option<i64>| {
            let read = unit.read(text.as_bytes()).map(EventTime::nanos);
            assert_eq!(read, nanos, "{text} {unit:?}");
        };
        check(TimeUnit::Seconds, "1700000000", Some(1_700_000_000_000_000_000));
        check(TimeUnit::Seconds, "1700000000.123456789", Some(1_700_000_000_123_456_789));
        check(TimeUnit::Seconds, "1700000000.1234567899", Some(1_700_000_000_123_456_789));
        check(TimeUnit::Seconds, "1.7e9", Some(1_700_000_000_000_000_000));
        check(TimeUnit::Seconds, "17E8", Some(1_700_000_000_000_000_000));
        check(TimeUnit::Millis, "1700000000000.5", Some(1_700_000_000_000_500_000));
        check(TimeUnit::Millis, "-1.5", Some(-1_500_000));
        check(TimeUnit::Micros, "7", Some(7_000));
        check(TimeUnit::Nanos, "9223372036854775807", Some(i64::MAX));
        check(TimeUnit::Nanos, "9223372036854775808", None);
        check(TimeUnit::Nanos, "-9223372036854775807", Some(i64::MIN + 1));
        check(TimeUnit::Nanos, "-9223372036854775808", None);
        check(TimeUnit::Seconds, "9223372037", None);
        check(TimeUnit::Seconds, "0e2000000000", Some(0));
        check(TimeUnit::Seconds, "1e2000000000", None);
        check(TimeUnit::Seconds, "5e-2000000000", Some(0));
        check(TimeUnit::Seconds, ".5", Some(500_000_000));
        for text in ["", ".", "-", "1.2.3", "1e", "e1", "12a", "NaN", "+-1", " 1"] {
            check(TimeUnit::Seconds, text, None);
        }
    }
}
