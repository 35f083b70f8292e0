//! Prometheus text exposition 0.0.4: what `/metrics` answers.
//!
//! Parts of the program write their numbers into one [`Exposition`]; it groups them by family,
//! whoever wrote first. Names, help texts and label names are literals of this program, so a wrong
//! one is our own bug and stops the writer; only label values come from outside, and are escaped.
//! Never keeps numbers itself, [`Histogram`] apart.
//!
//! Units are base units and part of the name: `_seconds`, `_bytes`, `_ratio`; counters end in
//! `_total`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The content type of [`Exposition::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families of numbers, sorted by name. Within a family each set of labels stands once.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<&'static str, Family>,
}

/// All numbers of one name. Given out by [`Exposition`] to be filled in.
#[derive(Debug)]
pub struct Family {
    kind: Kind,
    help: &'static str,
    /// By their labels as text, `a="x",b="y"`.
    series: BTreeMap<String, Reading>,
}

/// Labels as name and value. Names are unique and neither `le` nor `__name__`.
pub type LabelPairs<'a> = &'a [(&'static str, &'a str)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
enum Reading {
    Number(f64),
    Buckets(Buckets),
}

/// A histogram as it stood at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// Upper bounds, inclusive and rising; the last bucket, without a bound, is not listed.
    pub bounds: &'static [f64],
    /// How many fell into each bucket alone; one more than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

/// Counts values by size, from any thread.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Vec<AtomicU64>,
    /// In billionths, so that it adds up without a lock: exact for durations in nanoseconds.
    sum_nanos: AtomicU64,
}

impl Exposition {
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// A number that only grows while the program runs. The name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        assert!(name.ends_with("_total"), "the counter {name} ends in _total");
        self.family(name, help, Kind::Counter)
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        let reserved = ["_total", "_count", "_sum", "_bucket"];
        assert!(!reserved.iter().any(|end| name.ends_with(end)), "{name} ends as other kinds do");
        self.family(name, help, Kind::Gauge)
    }

    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> &mut Family {
        self.family(name, help, Kind::Histogram)
    }

    /// The whole page. Ends with a line end; empty when nothing was written.
    pub fn text(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        for (name, family) in &self.families {
            family.print(name, &mut page).expect("a String takes all text");
        }
        page
    }

    fn family(&mut self, name: &'static str, help: &'static str, kind: Kind) -> &mut Family {
        assert!(is_name(name) && name.starts_with("watchfire_"), "{name} is a metric's name");
        assert!(!help.is_empty(), "{name} has a help text");
        let family = self.families.entry(name).or_insert_with(|| Family {
            kind,
            help,
            series: BTreeMap::new(),
        });
        assert_eq!((family.kind, family.help), (kind, help), "{name} means one thing");
        family
    }
}

impl Family {
    /// Sets the number that these labels have; a second one for the same labels replaces it.
    pub fn set(&mut self, labels: LabelPairs<'_>, value: f64) -> &mut Family {
        assert_ne!(self.kind, Kind::Histogram, "a histogram has buckets, not one number");
        self.series.insert(label_text(labels), Reading::Number(value));
        self
    }

    /// As [`Family::set`], for what is counted in whole numbers.
    pub fn count(&mut self, labels: LabelPairs<'_>, value: u64) -> &mut Family {
        self.set(labels, value as f64)
    }

    pub fn buckets(&mut self, labels: LabelPairs<'_>, buckets: Buckets) -> &mut Family {
        assert_eq!(self.kind, Kind::Histogram, "only a histogram has buckets");
        assert_eq!(buckets.counts.len(), buckets.bounds.len() + 1, "one bucket has no bound");
        assert!(buckets.bounds.is_sorted(), "bounds rise");
        self.series.insert(label_text(labels), Reading::Buckets(buckets));
        self
    }

    fn print(&self, name: &str, page: &mut String) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(page, "# HELP {name} {}", escaped(self.help, false))?;
        writeln!(page, "# TYPE {name} {kind}")?;
        for (labels, reading) in &self.series {
            match reading {
                Reading::Number(value) => print_line(page, name, "", labels, *value)?,
                Reading::Buckets(buckets) => buckets.print(name, labels, page)?,
            }
        }
        Ok(())
    }
}

impl Buckets {
    fn print(&self, name: &str, labels: &str, page: &mut String) -> std::fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let unbounded = [f64::INFINITY];
        let mut total = 0;
        for (bound, count) in self.bounds.iter().chain(&unbounded).zip(&self.counts) {
            total += count;
            let labels = format!("{labels}{comma}le=\"{}\"", number(*bound));
            print_line(page, name, "_bucket", &labels, total as f64)?;
        }
        print_line(page, name, "_sum", labels, self.sum)?;
        print_line(page, name, "_count", labels, total as f64)
    }
}

impl Histogram {
    /// Seconds from 1 ms to 10 s, for requests and other things that people wait for.
    pub const SECONDS: &'static [f64] =
        &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

    pub fn new(bounds: &'static [f64]) -> Histogram {
        assert!(bounds.is_sorted(), "bounds rise");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum_nanos: AtomicU64::new(0) }
    }

    /// Counts a length of time, in seconds.
    pub fn observe(&self, length: Duration) {
        let seconds = length.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> Buckets {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = self.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        Buckets { bounds: self.bounds, counts, sum }
    }
}

fn print_line(
    page: &mut String,
    name: &str,
    suffix: &str,
    labels: &str,
    value: f64,
) -> std::fmt::Result {
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    writeln!(page, "{name}{suffix}{open}{labels}{close} {}", number(value))
}

fn label_text(labels: LabelPairs<'_>) -> String {
    let mut text = String::new();
    for (at, (name, value)) in labels.iter().enumerate() {
        assert!(is_name(name) && !name.contains(':') && *name != "le", "{name} is a label's name");
        assert!(!labels[..at].iter().any(|(before, _)| before == name), "{name} stands once");
        let comma = if at == 0 { "" } else { "," };
        write!(text, "{comma}{name}=\"{}\"", escaped(value, true)).expect("a String takes all");
    }
    text
}

/// As the format asks: backslash and line end, and quotes inside label values.
fn escaped(text: &str, quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"") } else { text }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !text.is_empty() && text.bytes().all(plain) && !text.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
pub(crate) mod tests;
