//! Prometheus text 0.0.4 and OpenMetrics: `name{label="value"} 1.5 1700000000000`.
//!
//! Comments (`# HELP`, `# TYPE`, `# EOF`, …) and exemplars (after ` # `) are passed over. A name
//! that is no identifier stands quoted within the braces: `{"my.metric",host="a"} 1`. In a label's
//! value `\\`, `\"` and `\n` are escapes; other backslashes stand for themselves.
//!
//! The two formats differ in the unit of time: integer milliseconds in 0.0.4, seconds in
//! OpenMetrics. Who knows which it is (by the content type) sets the unit. Else it is guessed line
//! by line: a time with a point or exponent, or below 10^11, is seconds, any other is milliseconds
//! (10^11 milliseconds were in 1973; 10^11 seconds, in 5138, are past every time we can hold).

use memchr::{memchr2, memrchr};

use super::number::{TimeUnit, float};
use super::{Intake, Words};
use crate::kernel::model::{EventTime, Op, Refusal, Series};

/// Integers with fewer digits are seconds when the unit is not known.
pub const MILLIS_DIGITS_MIN: usize = 12;

pub struct PromText;

impl PromText {
    pub fn line(line: &[u8], unit: Option<TimeUnit>, intake: &mut Intake) -> Result<(), Words> {
        let line = line.trim_ascii();
        if line.is_empty() || line[0] == b'#' {
            return Ok(());
        }
        // A known key that ends in a brace ended there when it was parsed, and where a key ends
        // depends on no byte after it. So the last brace is a good guess that need not be checked.
        let braced = memrchr(b'}', line).map(|end| end + 1);
        let guess = braced
            .filter(|_| intake.speculates())
            .and_then(|end| Some((end, intake.known(&line[..end])?)));
        let (end, known) = match guess {
            Some((end, key)) => (end, Some(key)),
            None => {
                let end = key_end(line)?;
                (end, intake.known(&line[..end]))
            }
        };
        let (value, at) = value_and_time(&line[end..], unit)?;
        let raw = &line[..end];
        let key = match known {
            Some(key) => key,
            None => {
                let series = series(raw, intake)?;
                intake.announce(raw, series)
            }
        };
        intake.push(key, at, value, Op::Set);
        Ok(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where name and labels end.
fn key_end(line: &[u8]) -> Result<usize, Words> {
    let name_end = line.iter().position(|byte| is_space(*byte) || *byte == b'{');
    let name_end = name_end.ok_or("the line has no value")?;
    let spaces = line[name_end..].iter().take_while(|byte| is_space(**byte)).count();
    if line.get(name_end + spaces) != Some(&b'{') {
        return Ok(name_end);
    }
    let mut at = name_end + spaces + 1;
    loop {
        let found = memchr2(b'"', b'}', line.get(at..).unwrap_or_default());
        at += found.ok_or("the labels have no closing brace")?;
        if line[at] == b'}' {
            return Ok(at + 1);
        }
        at = quote_end(line, at + 1).ok_or("a label's value has no closing quote")? + 1;
    }
}

/// Where the quote stands that closes the text which starts at `at`.
fn quote_end(line: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Reads ` 1.5 1700000000000 # exemplar`.
fn value_and_time(rest: &[u8], unit: Option<TimeUnit>) -> Result<(f64, EventTime), Words> {
    let mut words = rest.split(|byte| is_space(*byte)).filter(|word| !word.is_empty());
    let value = words.next().and_then(float).ok_or("the value is not a number")?;
    let at = match words.next() {
        None => return Ok((value, EventTime::MIN)),
        Some([b'#', ..]) => return Ok((value, EventTime::MIN)),
        Some(text) => time(text, unit).ok_or("the time is not a number within 1677 to 2262")?,
    };
    match words.next() {
        None | Some([b'#', ..]) => Ok((value, at)),
        Some(_) => Err("something follows the time".into()),
    }
}

fn time(text: &[u8], unit: Option<TimeUnit>) -> Option<EventTime> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_whole = digits.iter().all(u8::is_ascii_digit);
    let unit = match unit {
        Some(unit) => unit,
        None if is_whole && significant(digits) >= MILLIS_DIGITS_MIN => TimeUnit::Millis,
        None => TimeUnit::Seconds,
    };
    // A fraction of what should be milliseconds is a sender that means seconds.
    if is_whole || unit == TimeUnit::Seconds { unit.read(text) } else { None }
}

fn significant(digits: &[u8]) -> usize {
    digits.len() - digits.iter().take_while(|digit| **digit == b'0').count()
}

fn series(raw: &[u8], intake: &mut Intake) -> Result<Result<Series, Refusal>, Words> {
    let text = std::str::from_utf8(raw).map_err(|_| "the name or labels are not UTF-8")?;
    let (before, inside) = match text.split_once('{') {
        Some((before, inside)) => {
            (before.trim_end_matches([' ', '\t']), &inside[..inside.len() - 1])
        }
        None => (text, ""),
    };
    let mut name = (!before.is_empty()).then(|| before.to_owned());
    if name.as_deref().is_some_and(|name| !is_identifier(name, true)) {
        return Err("the name is not an identifier; quote it within the braces".into());
    }
    let mut labels = Vec::new();
    let mut rest = Rest(inside);
    while !rest.is_at_end() {
        let (label, is_quoted) = rest.label_name()?;
        if rest.take('=') {
            labels.push((label, rest.quoted()?));
        } else if is_quoted && name.is_none() {
            name = Some(label);
        } else {
            return Err("a label has no `=`".into());
        }
        if !rest.take(',') && !rest.is_at_end() {
            return Err("there is no comma between two labels".into());
        }
    }
    match name {
        Some(name) if !name.is_empty() => Ok(intake.series(&name, labels)),
        Some(_) | None => Err("the line has no metric name".into()),
    }
}

fn is_identifier(text: &str, may_have_colons: bool) -> bool {
    let is_part = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte == b'_' || (may_have_colons && byte == b':')
    };
    !text.is_empty() && !text.as_bytes()[0].is_ascii_digit() && text.bytes().all(is_part)
}

/// What is left between the braces.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn is_at_end(&mut self) -> bool {
        self.0 = self.0.trim_start_matches([' ', '\t']);
        self.0.is_empty()
    }

    fn take(&mut self, wanted: char) -> bool {
        self.0 = self.0.trim_start_matches([' ', '\t']);
        match self.0.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// The name, and whether it was quoted.
    fn label_name(&mut self) -> Result<(String, bool), Words> {
        if self.0.starts_with('"') {
            return Ok((self.quoted()?, true));
        }
        let end = self.0.find([' ', '\t', '=', ',', '"']).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        if !is_identifier(name, false) {
            return Err("a label's name is not an identifier".into());
        }
        self.0 = rest;
        Ok((name.to_owned(), false))
    }

    fn quoted(&mut self) -> Result<String, Words> {
        if !self.take('"') {
            return Err("a label's value is not quoted".into());
        }
        let end = quote_end(self.0.as_bytes(), 0).ok_or("a text has no closing quote")?;
        let text = unescape(&self.0[..end]);
        self.0 = &self.0[end + 1..];
        Ok(text)
    }
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = match (letter, letters.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('"')) => Some('"'),
            ('\\', Some('n')) => Some('\n'),
            _ => None,
        };
        if escaped.is_some() {
            letters.next();
        }
        plain.push(escaped.unwrap_or(letter));
    }
    plain
}

#[cfg(test)]
mod tests {
    use crate::kernel::decode::tests::{check as check_format, check_with};
    use crate::kernel::decode::{Decoder, Format, TimeUnit};
    use crate::kernel::model::Limits;

    fn check(payload: &str, expected: &str) {
        check_format(Format::PromText, payload, expected);
    }

    #[test]
    fn an_exposition() {
        check(
            r#"# HELP http_requests_total The {"total"}.
            # TYPE http_requests_total counter
            http_requests_total{method="post",code="200"} 1027 1700000000000
            http_requests_total{method="post",code="400",}    3
            http_requests_total { method = "get" , code = "200" } 4
            up 1
            up{} 2
            job:latency:mean 1.5e-3
            lat_bucket{le="+Inf"} 5 # {trace_id="}"} 0.5 1700000000.1
            lat_sum 6 1700000000.123 # {} 1
            # EOF"#,
            r#"http_requests_total{code="200",method="post"} = 1027 @2023-11-14T22:13:20Z
            http_requests_total{code="400",method="post"} = 3 @arrival
            http_requests_total{code="200",method="get"} = 4 @arrival
            up = 1 @arrival
            up = 2 @arrival
            job:latency:mean = 0.0015 @arrival
            lat_bucket{le="+Inf"} = 5 @arrival
            lat_sum = 6 @2023-11-14T22:13:20.123Z"#,
        );
    }

    #[test]
    fn escapes_and_quoted_names() {
        check(
            r#"x{a="C:\\dir \"q\" \n \t",b="}{",c="ü"} 1
            {"my.metric","l.x"="v",m="w"} 2
            {a="v","my \"metric\""} 3"#,
            r#"x{a="C:\\dir \"q\" \n \\t",b="}{",c="ü"} = 1 @arrival
            my.metric{l.x="v",m="w"} = 2 @arrival
            my "metric"{a="v"} = 3 @arrival"#,
        );
    }

    #[test]
    fn an_unknown_unit_of_time_is_guessed() {
        check(
            "x 1 9223372036\nx 2 100000000000\nx 3 1700000000.5\nx 4 1.7e9\nx 5 -5\n\
             x 6 0000000000001\nx 7 99999999999",
            "x = 1 @2262-04-11T23:47:16Z
            x = 2 @1973-03-03T09:46:40Z
            x = 3 @2023-11-14T22:13:20.5Z
            x = 4 @2023-11-14T22:13:20Z
            x = 5 @1969-12-31T23:59:55Z
            x = 6 @1970-01-01T00:00:01Z
            line 7: the time is not a number within 1677 to 2262",
        );
    }

    #[test]
    fn a_known_unit_of_time_is_kept_to() {
        let mut decoder = Decoder::new(Format::PromText, &Limits::default(), 10);
        decoder.set_time_unit(Some(TimeUnit::Millis));
        check_with(
            &mut decoder,
            "x 1 1000\nx 2 1000.5",
            "x = 1 @1970-01-01T00:00:01Z
            line 2: the time is not a number within 1677 to 2262",
        );
        decoder = Decoder::new(Format::PromText, &Limits::default(), 10);
        decoder.set_time_unit(Some(TimeUnit::Seconds));
        check_with(&mut decoder, "x 1 1000.5", "x = 1 @1970-01-01T00:16:40.5Z");
    }

    #[test]
    fn what_is_no_sample_is_told() {
        check(
            r#"x NaN
            x{a="b"} +Inf
            x -Inf
            x
            x{a="b"}
            x one
            x 1 noon
            x 1 2 3
            5x 1
            x.y 1
            x{a="b" 1
            x{a="b} 1
            x{a=b} 1
            x{a} 1
            x{a="b"c="d"} 1
            x{a.b="c"} 1
            {a="b"} 1
            {"",a="b"} 1
            x{"y"} 1"#,
            "refused not_finite 3
            line 4: the line has no value
            line 5: the value is not a number
            line 6: the value is not a number
            line 7: the time is not a number within 1677 to 2262
            line 8: something follows the time
            line 9: the name is not an identifier; quote it within the braces
            line 10: the name is not an identifier; quote it within the braces
            line 11: the labels have no closing brace
            line 12: a label's value has no closing quote
            line 13: a label's value is not quoted
            line 14: a label has no `=`
            line 15: there is no comma between two labels
            line 16: a label's name is not an identifier
            line 17: the line has no metric name
            line 18: the line has no metric name
            line 19: a label has no `=`",
        );
    }
}
