//! Plain decimal numbers at the start of a text, read eight bytes at a time.
//!
//! These are the numbers that senders write nearly always. What is read here is what the readers
//! of all numbers, in [`number`](super::number), would read from the same bytes, bit for bit; for
//! other text the answer is `None`, which says nothing about it.

use super::number::{TimeUnit, float};
use crate::kernel::model::EventTime;

/// `-12.345`: a sign or none, digits, and perhaps a point with digits after it; 19 digits in all,
/// as many as a `u64` can always hold.
pub struct Decimal<'a> {
    text: &'a [u8],
    is_negative: bool,
    /// All digits, as if there were no point.
    digits: u64,
    whole_len: usize,
    /// 0 without a point.
    fraction_len: usize,
}

const DIGITS_MAX: usize = 19;

const POWERS_OF_TEN: [u64; DIGITS_MAX + 1] = {
    let mut powers = [1; DIGITS_MAX + 1];
    let mut power = 1;
    while power <= DIGITS_MAX {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};

/// Up to 10^22 they are exact.
const POWERS_AS_FLOATS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

impl<'a> Decimal<'a> {
    /// The longest decimal that the text begins with, and the text after it.
    #[inline(always)]
    pub fn cut(text: &'a [u8]) -> Option<(Decimal<'a>, &'a [u8])> {
        let (is_negative, plain) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (digits, whole_len, fraction_len) = match short(plain) {
            Some(parts) => parts,
            None => long(plain)?,
        };
        let point = usize::from(fraction_len > 0);
        let len = usize::from(is_negative) + whole_len + point + fraction_len;
        let (text, after) = text.split_at(len);
        Some((Decimal { text, is_negative, digits, whole_len, fraction_len }, after))
    }

    /// The same, quicker for long integers without a sign, such as times.
    #[inline(always)]
    pub fn cut_long(whole_and_fraction: &'a [u8]) -> Option<(Decimal<'a>, &'a [u8])> {
        let (digits, whole_len) = digits(whole_and_fraction)?;
        let (text, after) = whole_and_fraction.split_at(whole_len);
        if after.first() == Some(&b'.') {
            return Decimal::cut(whole_and_fraction);
        }
        let whole = Decimal { text, is_negative: false, digits, whole_len, fraction_len: 0 };
        Some((whole, after))
    }

    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    pub fn is_whole(&self) -> bool {
        self.fraction_len == 0
    }

    /// How many digits stand before the point.
    pub fn whole_digits(&self) -> usize {
        self.whole_len
    }

    /// `01` is a number, but to JSON it is not.
    #[inline(always)]
    pub fn has_leading_zero(&self) -> bool {
        self.whole_len > 1 && self.text[usize::from(self.is_negative)] == b'0'
    }

    /// The nearest `f64`.
    #[inline(always)]
    pub fn value(&self) -> Option<f64> {
        self.short_value().or_else(|| float(self.text))
    }

    /// The nearest `f64` of up to 15 digits. They and the power of ten are exact as `f64`, so only
    /// the division rounds (Clinger 1990, "How to read floating point numbers accurately").
    #[inline(always)]
    pub fn short_value(&self) -> Option<f64> {
        if self.whole_len + self.fraction_len > 15 {
            return None;
        }
        // A signed integer is converted in one instruction, an unsigned one in several.
        let value = self.digits as i64 as f64 / POWERS_AS_FLOATS[self.fraction_len];
        Some(if self.is_negative { -value } else { value })
    }

    /// The value of an integer. Minus nought is nought.
    pub fn integer(&self) -> Option<f64> {
        if !self.is_whole() || self.whole_len > 15 {
            return None;
        }
        let value = self.digits as i64;
        Some(if self.is_negative { -value } else { value } as f64)
    }

    /// Times before 1970 and with digits past the nanosecond are left to the other reader.
    #[inline(always)]
    pub fn time(&self, unit: TimeUnit) -> Option<EventTime> {
        if self.is_negative {
            return None;
        }
        let scale = POWERS_OF_TEN[unit.digits().checked_sub(self.fraction_len)?];
        let nanos = self.digits.checked_mul(scale)?;
        Some(EventTime::from_nanos(i64::try_from(nanos).ok()?))
    }
}

/// A decimal of up to seven characters and what ends it, all within one word: its digits, and how
/// many stand before and after the point.
#[inline(always)]
fn short(text: &[u8]) -> Option<(u64, usize, usize)> {
    let (lanes, others) = digits_and_others(word(text));
    let whole_len = first(others);
    // A point is no byte that carries, so the lanes after it are right too.
    let later = others & others.wrapping_sub(1);
    if whole_len == 0 || others == 0 {
        return None;
    }
    if (lanes >> (8 * whole_len)) & 0xFF != u64::from(b'.' ^ b'0') {
        return Some((value_of(lanes, whole_len), whole_len, 0));
    }
    let end = first(later);
    if later == 0 || end == whole_len + 1 {
        return None;
    }
    // Closes the gap where the point stood.
    let before = (1 << (8 * whole_len)) - 1;
    let joined = (lanes & before) | ((lanes >> 8) & !before);
    Some((value_of(joined, end - 1), whole_len, end - 1 - whole_len))
}

/// The same for a decimal of any length. Apart, so that what calls it stays small.
#[inline(never)]
fn long(text: &[u8]) -> Option<(u64, usize, usize)> {
    let (whole, whole_len) = digits(text)?;
    let [b'.', fraction @ ..] = &text[whole_len..] else { return Some((whole, whole_len, 0)) };
    let (fraction, fraction_len) = digits(fraction)?;
    if whole_len + fraction_len > DIGITS_MAX {
        return None;
    }
    Some((whole * POWERS_OF_TEN[fraction_len] + fraction, whole_len, fraction_len))
}

/// The value and number of the digits that the text begins with: at least one, and no more than a
/// `u64` holds.
#[inline(always)]
fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let (head, len) = digits_of_eight(text);
    if len < 8 {
        return (len > 0).then_some((head, len));
    }
    let (value, len) = digits_of_eight(&text[8..]);
    let head = head * POWERS_OF_TEN[len] + value;
    if len < 8 {
        return Some((head, 8 + len));
    }
    let (value, len) = digits_of_eight(&text[16..]);
    let total = 16 + len;
    (total <= DIGITS_MAX).then(|| (head * POWERS_OF_TEN[len] + value, total))
}

/// How many digits the text begins with, of eight bytes, and their value before that.
#[inline(always)]
fn digits_of_eight(text: &[u8]) -> (u64, usize) {
    let (lanes, others) = digits_and_others(word(text));
    let len = first(others);
    (value_of(lanes, len), len)
}

/// A word of characters as one number a lane, the first character in the lowest lane, and the top
/// bit of each lane that is above 9. Such a lane may set the bit of later lanes, if its byte is
/// not ASCII, but never of earlier ones.
#[inline(always)]
fn digits_and_others(word: u64) -> (u64, u64) {
    let lanes = word ^ 0x3030_3030_3030_3030;
    let others = (lanes.wrapping_add(0x7676_7676_7676_7676) | lanes) & 0x8080_8080_8080_8080;
    (lanes, others)
}

/// The first lane whose top bit is set, or 8.
#[inline(always)]
fn first(top_bits: u64) -> usize {
    top_bits.trailing_zeros() as usize / 8
}

/// The value of the first lanes, which are digits.
#[inline(always)]
fn value_of(lanes: u64, len: usize) -> u64 {
    // Drops the lanes from there on and puts noughts in front: half the shift twice, since a
    // shift by all 64 bits is none.
    let half = (8 - len) as u32 * 4;
    let digits = (lanes << half) << half;
    // Ones and tens, then hundreds, then ten thousands: each step joins two neighbours
    // (Lemire 2022, "Parsing eight digits quickly").
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

/// The first eight bytes as one word, the first of them lowest; zeroes past the end of the text.
#[inline(always)]
pub fn word(text: &[u8]) -> u64 {
    match text.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => short_word(text),
    }
}

/// The word of fewer than eight bytes: of halves that overlap, or byte by byte.
fn short_word(text: &[u8]) -> u64 {
    if let (Some(head), Some(tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        return u64::from(head) | (u64::from(tail) << (8 * (text.len() - 4)));
    }
    text.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::number::{decimal_nanos, is_json_number};
    use super::*;

    /// Cuts a decimal off the text and compares what it stands for with what `number` reads.
    fn check(text: &str) {
        let Some((decimal, after)) = Decimal::cut(text.as_bytes()) else { return };
        let bytes = &text.as_bytes()[..text.len() - after.len()];
        if let Some((same, rest)) = Decimal::cut_long(text.as_bytes()) {
            let parts = |it: &Decimal<'_>| (it.digits, it.whole_len, it.fraction_len);
            assert_eq!((parts(&same), rest), (parts(&decimal), after), "{text}");
        }
        let plain = std::str::from_utf8(bytes).expect("digits are ASCII");
        let bits = |value: Option<f64>| value.map(f64::to_bits);
        assert_eq!(bits(decimal.value()), bits(plain.parse().ok()), "{text}");
        for unit in [TimeUnit::Nanos, TimeUnit::Micros, TimeUnit::Millis, TimeUnit::Seconds] {
            if let Some(time) = decimal.time(unit) {
                let expected = decimal_nanos(bytes, unit.digits() as u32);
                assert_eq!(Some(time.nanos()), expected, "{text} {unit:?}");
            }
        }
        assert_eq!(!decimal.has_leading_zero(), is_json_number(bytes), "{text}");
        if let Some(value) = decimal.integer() {
            let expected = plain.parse::<i64>().ok().map(|value| value as f64);
            assert_eq!(bits(Some(value)), bits(expected), "{text}");
        }
    }

    /// What the text begins with: all digits, how many of them after the point, and the rest.
    fn cut(text: &str, expected: &str) {
        let cut = match Decimal::cut(text.as_bytes()) {
            Some((decimal, after)) => {
                let sign = if decimal.is_negative { "-" } else { "" };
                let after = String::from_utf8_lossy(after);
                format!("{sign}{} {} {after}", decimal.digits, decimal.fraction_len)
            }
            None => "none".to_owned(),
        };
        assert_eq!(cut.trim_end(), expected, "{text}");
        check(text);
    }

    #[test]
    fn a_decimal_ends_where_its_digits_end() {
        cut("0", "0 0");
        cut("-0.50}", "-50 2 }");
        cut("007,", "7 0 ,");
        cut("12.345}", "12345 3 }");
        cut("12.3456}", "123456 4 }");
        cut("123456.7", "1234567 1");
        cut("1234567", "1234567 0");
        cut("1234567.", "none");
        cut("12345678|", "12345678 0 |");
        cut("12345678.9|", "123456789 1 |");
        cut("1699999800000,", "1699999800000 0 ,");
        cut("1234567890123456 ", "1234567890123456 0");
        cut("1699999800000000000\n", "1699999800000000000 0");
        cut("9999999999.999999999e", "9999999999999999999 9 e");
        cut("9999999999.9999999999", "none");
        cut("1e5", "1 0 e5");
        cut("1.2.3", "12 1 .3");
        for text in ["", "-", "+1", ".5", "5.", "-.5", "1.e", "--1", "x", "12345678901234567890"] {
            cut(text, "none");
        }
        // The bytes next to the digits, and those whose carry would reach the next lane.
        for byte in ['/', ':', '\u{0}', '\u{7f}', '\u{ff}', '\u{8a}'] {
            cut(&format!("12{byte}3"), &format!("12 0 {byte}3"));
            cut(&format!("1.2{byte}3"), &format!("12 1 {byte}3"));
        }
    }

    proptest! {
        #[test]
        fn it_reads_as_the_other_reader(text in "-?[0-9]{1,20}(\\.[0-9]{1,20})?[^0-9]?") {
            check(&text);
        }

        #[test]
        fn any_bytes_end_a_decimal_or_are_its_digits(
            bytes in prop::collection::vec(any::<u8>(), 0..24),
            digits in "[0-9]{0,18}",
        ) {
            let mut text = digits.as_bytes().to_vec();
            text.extend_from_slice(&bytes);
            let plain = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let found = super::digits(&text);
            prop_assert_eq!(found.is_some(), (1..=DIGITS_MAX).contains(&plain));
            if let Some((value, len)) = found {
                let expected = std::str::from_utf8(&text[..plain]).expect("digits").parse::<u64>();
                prop_assert_eq!((Ok(value), len), (expected, plain));
            }
        }
    }
}
