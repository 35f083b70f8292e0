//! StatsD and DogStatsD: `name:value|type[|@rate][|#tag:v,tag2][|T<unix seconds>]`.
//!
//! - `c` adds value / rate to the series. For the other types the rate tells how many samples the
//!   client left out, not what this one was, and changes nothing.
//! - `g` sets, or adds when the value has a sign (StatsD's rule; DogStatsD has no relative gauges,
//!   so a negative gauge has to be set to 0 first, as StatsD says too).
//! - `ms`, `h` and `d` are samples in the unit they came in.
//! - `s`: the sample's value is a hash of the member, an integer below 2^52, so that `distinct`
//!   over the values counts members. All up to the `|` is the member, colons too.
//! - `name:1:2:3|d` packs several values (DogStatsD 1.1); all types but `s`.
//! - A tag without a value becomes a label with the value `true`; of two values for one tag the
//!   last counts. Other sections (`c:` container, `e:`, `card:`) are passed over.
//! - Events (`_e{`) and service checks (`_sc|`) are refused as unsupported.

use memchr::{memchr, memchr2};

use super::number::{TimeUnit, float};
use super::{Intake, Words};
use crate::kernel::model::{EventTime, Op, Refusal, Series};

#[derive(Default)]
pub struct StatsD {
    /// `name 0xFF tags`; 0xFF is in no text, so the two cannot run into each other.
    key: Vec<u8>,
    /// The values of one line, taken only when all of the line is sound.
    values: Vec<(f64, Op)>,
}

impl StatsD {
    pub fn line(
        &mut self,
        line: &[u8],
        unit: Option<TimeUnit>,
        intake: &mut Intake,
    ) -> Result<(), Words> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        if line.starts_with(b"_e{") || line.starts_with(b"_sc|") {
            intake.refuse(Refusal::Unsupported);
            return Ok(());
        }
        let metric = Metric::cut(line)?;
        let at = match metric.time {
            Some(text) => {
                let unit = unit.unwrap_or(TimeUnit::Seconds);
                unit.read(text).ok_or("the time after `T` is not a number of seconds")?
            }
            None => EventTime::MIN,
        };
        self.read_values(&metric)?;
        self.key.clear();
        self.key.extend_from_slice(metric.name);
        self.key.push(0xFF);
        self.key.extend_from_slice(metric.tags);
        let key = match intake.known(&self.key) {
            Some(key) => key,
            None => {
                let series = series(metric.name, metric.tags, intake)?;
                intake.announce(&self.key, series)
            }
        };
        for (value, op) in self.values.drain(..) {
            intake.push(key, at, value, op);
        }
        Ok(())
    }

    fn read_values(&mut self, metric: &Metric<'_>) -> Result<(), Words> {
        self.values.clear();
        let kind = Kind::parse(metric.kind).ok_or("the type is none of c, g, ms, h, d, s")?;
        let rate = match metric.rate {
            Some(text) => float(text)
                .filter(|rate| 0.0 < *rate && *rate <= 1.0)
                .ok_or("the rate after `@` is not in (0, 1]")?,
            None => 1.0,
        };
        if kind == Kind::Set {
            // The top 52 bits: every such integer is exact as an `f64`.
            let hash = xxhash_rust::xxh3::xxh3_64(metric.values) >> 12;
            self.values.push((hash as f64, Op::Set));
            return Ok(());
        }
        let mut rest = metric.values;
        loop {
            let end = memchr(b':', rest).unwrap_or(rest.len());
            let text = &rest[..end];
            let value = float(text).ok_or("the value is not a number")?;
            self.values.push(match kind {
                Kind::Counter => (value / rate, Op::Add),
                Kind::Gauge if matches!(text[0], b'+' | b'-') => (value, Op::Add),
                Kind::Gauge | Kind::Sample | Kind::Set => (value, Op::Set),
            });
            if end == rest.len() {
                return Ok(());
            }
            rest = &rest[end + 1..];
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    /// A timer, histogram or distribution.
    Sample,
    Set,
}

impl Kind {
    fn parse(text: &[u8]) -> Option<Kind> {
        match text {
            b"c" => Some(Kind::Counter),
            b"g" => Some(Kind::Gauge),
            b"ms" | b"h" | b"d" => Some(Kind::Sample),
            b"s" => Some(Kind::Set),
            _ => None,
        }
    }
}

/// One line, cut at its separators. Of two equal sections the last counts.
struct Metric<'a> {
    name: &'a [u8],
    values: &'a [u8],
    kind: &'a [u8],
    rate: Option<&'a [u8]>,
    tags: &'a [u8],
    time: Option<&'a [u8]>,
}

impl<'a> Metric<'a> {
    fn cut(line: &'a [u8]) -> Result<Metric<'a>, Words> {
        let name_end = match memchr2(b':', b'|', line) {
            Some(0) => return Err("the line has no name".into()),
            Some(end) if line[end] == b':' => end,
            Some(_) | None => return Err("the line has no `:` after a name".into()),
        };
        let (values, mut rest) = section(&line[name_end + 1..]);
        let rest_at_kind = rest.take().ok_or("the line has no `|` and type after the value")?;
        let (kind, mut rest) = section(rest_at_kind);
        let name = &line[..name_end];
        let mut metric = Metric { name, values, kind, rate: None, tags: &[], time: None };
        while let Some(bytes) = rest {
            let (text, next) = section(bytes);
            match text {
                [b'@', rate @ ..] => metric.rate = Some(rate),
                [b'#', tags @ ..] => metric.tags = tags,
                [b'T', time @ ..] => metric.time = Some(time),
                _ => {}
            }
            rest = next;
        }
        Ok(metric)
    }
}

/// The bytes up to the next `|`, and those after it.
fn section(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b'|', bytes) {
        Some(end) => (&bytes[..end], Some(&bytes[end + 1..])),
        None => (bytes, None),
    }
}

fn series(name: &[u8], tags: &[u8], intake: &mut Intake) -> Result<Result<Series, Refusal>, Words> {
    let name = std::str::from_utf8(name).map_err(|_| "the name is not UTF-8")?;
    let tags = std::str::from_utf8(tags).map_err(|_| "the tags are not UTF-8")?;
    let mut labels = Vec::new();
    for tag in tags.split(',').filter(|tag| !tag.is_empty()) {
        let (label, value) = tag.split_once(':').unwrap_or((tag, "true"));
        if label.is_empty() {
            return Err("a tag has no name".into());
        }
        labels.push((label, value));
    }
    Ok(intake.series(name, labels))
}

#[cfg(test)]
mod tests {
    use crate::kernel::decode::Format;
    use crate::kernel::decode::tests::check as check_format;

    fn check(payload: &str, expected: &str) {
        check_format(Format::StatsD, payload, expected);
    }

    #[test]
    fn one_sample_of_each_type() {
        check(
            "hits:2|c\nhits:1|c|@0.25\nload:0.5|g\nload:-3|g\nload:+3|g\napp.t:320.000000|ms\n\
             size:7|h\nlag:8|d|@0.5\n",
            "hits + 2 @arrival
            hits + 4 @arrival
            load = 0.5 @arrival
            load + -3 @arrival
            load + 3 @arrival
            app.t = 320 @arrival
            size = 7 @arrival
            lag = 8 @arrival",
        );
    }

    #[test]
    fn tags_become_labels() {
        check(
            "a:1|g|#env:prod,x,url:http://h:80/,e:,,env:test\na:2|g|#\na:3|g|#x|@1|c:id|e:it",
            r#"a{env="test",url="http://h:80/",x="true"} = 1 @arrival
            a = 2 @arrival
            a{x="true"} = 3 @arrival"#,
        );
    }

    #[test]
    fn names_and_tags_do_not_run_into_each_other() {
        check("ab:1|g\na:2|g|#b", "ab = 1 @arrival\na{b=\"true\"} = 2 @arrival");
    }

    #[test]
    fn several_values_and_times() {
        check(
            "a:1:-2:3.5|d|#x|T1700000000\na:1:+2|g|T1700000000.25\nh:4:6|c|@0.5",
            r#"a{x="true"} = 1 @2023-11-14T22:13:20Z
            a{x="true"} = -2 @2023-11-14T22:13:20Z
            a{x="true"} = 3.5 @2023-11-14T22:13:20Z
            a = 1 @2023-11-14T22:13:20.25Z
            a + 2 @2023-11-14T22:13:20.25Z
            h + 8 @arrival
            h + 12 @arrival"#,
        );
    }

    #[test]
    fn set_members_are_hashed_to_52_bits() {
        let hash = |member: &[u8]| xxhash_rust::xxh3::xxh3_64(member) >> 12;
        check(
            "u:bob|s\nu:a:b|s\nu:bob|s",
            &format!(
                "u = {bob} @arrival\nu = {colon} @arrival\nu = {bob} @arrival",
                bob = hash(b"bob"),
                colon = hash(b"a:b")
            ),
        );
        assert!(hash(b"bob") < 1 << 52);
    }

    #[test]
    fn what_is_no_sample_is_told() {
        check(
            "_e{5,9}:title|text|pipe\n_sc|svc|0\na:nan|g\na:inf|g\n\na:1:x|d\na\n:1|g\na|g:1\na:1\n\
             a:1|q\na:|g\na:1|c|@0\na:1|c|@2\na:1|g|Tnoon\na:1|g|#:v\na:1|g\u{20}",
            "refused not_finite 2
            refused unsupported 2
            line 6: the value is not a number
            line 7: the line has no `:` after a name
            line 8: the line has no name
            line 9: the line has no `:` after a name
            line 10: the line has no `|` and type after the value
            line 11: the type is none of c, g, ms, h, d, s
            line 12: the value is not a number
            line 13: the rate after `@` is not in (0, 1]
            line 14: the rate after `@` is not in (0, 1]
            line 15: the time after `T` is not a number of seconds
            line 16: a tag has no name
            line 17: the type is none of c, g, ms, h, d, s",
        );
    }
}
