//! The writer against a strict reader of the format, which other modules' tests use as well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;

/// Reads a page as a strict scraper does, and adds the naming rules that linters ask for: every
/// family is announced by HELP and TYPE, stands in one piece, and holds each series once; the page
/// ends with a line end. Returns each line's value by its series as text.
pub(crate) fn check_page(page: &str) -> Result<BTreeMap<String, f64>, String> {
    if !page.is_empty() && !page.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let (mut values, mut seen) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut helped) = (None, None);
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            if help.is_empty() || !seen.insert(name.to_owned()) {
                return Err(format!("help is empty or given twice: {line}"));
            }
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
            if helped.as_deref() != Some(name) {
                return Err(format!("type without help before it: {line}"));
            }
            check_family_name(name, kind)?;
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, kind) = family.as_ref().ok_or(format!("not announced: {line}"))?;
            let (series, value) = check_line(line, name, kind)?;
            if values.insert(series, value).is_some() {
                return Err(format!("a series stands twice: {line}"));
            }
        }
    }
    check_histograms(&values)?;
    Ok(values)
}

fn check_family_name(name: &str, kind: &str) -> Result<(), String> {
    let valid = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let total = name.ends_with("_total");
    let units = ["ms", "us", "ns", "kb", "mb", "sec", "secs", "minutes", "percent"];
    let not_base = name.split('_').any(|word| units.contains(&word));
    if !valid || (kind == "counter") != total || not_base {
        return Err(format!("{name} is no good name for a {kind}"));
    }
    Ok(())
}

/// `name{label="value",…} number`, with the name that the family's kind asks for.
fn check_line(line: &str, family: &str, kind: &str) -> Result<(String, f64), String> {
    let bad = |why: &str| format!("{why}: {line}");
    let end = line.find(['{', ' ']).ok_or(bad("no value"))?;
    let suffix = line[..end].strip_prefix(family).ok_or(bad("another family's line"))?;
    let suffixes: &[&str] =
        if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    if !suffixes.contains(&suffix) {
        return Err(bad("a wrong name for its kind"));
    }
    let mut rest = &line[end..];
    if let Some(mut labels) = rest.strip_prefix('{') {
        loop {
            let (name, quoted) = labels.split_once("=\"").ok_or(bad("a label without quotes"))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
                return Err(bad("a bad label name"));
            }
            let close = closing_quote(quoted).ok_or(bad("a quote is not closed"))?;
            labels = &quoted[close + 1..];
            if let Some(after) = labels.strip_prefix('}') {
                rest = after;
                break;
            }
            labels = labels.strip_prefix(',').ok_or(bad("no comma between labels"))?;
        }
    }
    let value = match rest.strip_prefix(' ').ok_or(bad("no space before the value"))? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        text => text.parse().map_err(|_| bad("not a number"))?,
    };
    Ok((line[..line.len() - rest.len()].to_owned(), value))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escape = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escape && !matches!(byte, b'\\' | b'"' | b'n') => return None,
            _ if escape => escape = false,
            b'\\' => escape = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Every histogram has an unbounded bucket that equals its count.
fn check_histograms(values: &BTreeMap<String, f64>) -> Result<(), String> {
    for (series, count) in values.iter().filter(|(series, _)| series.contains("_count")) {
        let bucket = series.replacen("_count", "_bucket", 1);
        let bucket = match bucket.strip_suffix('}') {
            Some(open) => format!("{open},le=\"+Inf\"}}"),
            None => format!("{bucket}{{le=\"+Inf\"}}"),
        };
        if values.get(&bucket) != Some(count) {
            return Err(format!("{bucket} is not {count}"));
        }
    }
    Ok(())
}

#[test]
fn a_page_reads_as_the_format_says() {
    let mut page = Exposition::new();
    page.gauge("watchfire_uptime_seconds", "Time since the start.").set(&[], 1.5);
    let refused = page.counter("watchfire_refused_total", "Samples refused.");
    refused.count(&[("source", "udp"), ("reason", "shed")], 3);
    refused.count(&[("source", "http"), ("reason", "future")], 1);
    assert_eq!(
        page.text(),
        "\
# HELP watchfire_refused_total Samples refused.
# TYPE watchfire_refused_total counter
watchfire_refused_total{source=\"http\",reason=\"future\"} 1
watchfire_refused_total{source=\"udp\",reason=\"shed\"} 3
# HELP watchfire_uptime_seconds Time since the start.
# TYPE watchfire_uptime_seconds gauge
watchfire_uptime_seconds 1.5
"
    );
    check_page(&page.text()).expect("a good page");
}

#[test]
fn label_values_are_escaped_and_nothing_else_is() {
    let mut page = Exposition::new();
    let hostile = "C:\\\"x\"\n# TYPE forged counter";
    page.gauge("watchfire_rule_unhealthy", "Back\\slash.").set(&[("rule", hostile)], 1.0);
    let text = page.text();
    assert!(text.contains(r##"{rule="C:\\\"x\"\n# TYPE forged counter"} 1"##), "{text}");
    assert!(text.contains(r"# HELP watchfire_rule_unhealthy Back\\slash."), "{text}");
    check_page(&text).expect("one line, however hostile the label");
}

#[test]
fn numbers_that_are_not_finite_have_their_own_spelling() {
    let mut page = Exposition::new();
    let family = page.gauge("watchfire_value", "A value.");
    family.set(&[("of", "a")], f64::INFINITY).set(&[("of", "b")], f64::NEG_INFINITY);
    family.set(&[("of", "c")], f64::NAN).set(&[("of", "d")], 1e21).set(&[("of", "e")], 1e-9);
    let values = check_page(&page.text()).expect("a good page");
    let value = |of: &str| values[&format!("watchfire_value{{of=\"{of}\"}}")];
    assert_eq!((value("a"), value("b")), (f64::INFINITY, f64::NEG_INFINITY));
    assert_eq!((value("d"), value("e")), (1e21, 1e-9));
    assert!(value("c").is_nan());
}

#[test]
fn a_histograms_buckets_hold_their_bound_and_add_up() {
    static BOUNDS: &[f64] = &[0.1, 0.5];
    let histogram = Histogram::new(BOUNDS);
    for millis in [50, 100, 101, 500, 2_000] {
        histogram.observe(Duration::from_millis(millis));
    }
    let mut page = Exposition::new();
    page.histogram("watchfire_request_duration_seconds", "Time per request.")
        .buckets(&[("route", "ingest")], histogram.read());
    let values = check_page(&page.text()).expect("a good page");
    let read = |series: &str| values[&format!("watchfire_request_duration_seconds{series}")];
    assert_eq!(read("_bucket{route=\"ingest\",le=\"0.1\"}"), 2.0);
    assert_eq!(read("_bucket{route=\"ingest\",le=\"0.5\"}"), 4.0);
    assert_eq!(read("_bucket{route=\"ingest\",le=\"+Inf\"}"), 5.0);
    assert_eq!(read("_count{route=\"ingest\"}"), 5.0);
    assert!((read("_sum{route=\"ingest\"}") - 2.751).abs() < 1e-9);
}

#[test]
fn a_family_written_in_two_places_stands_in_one_piece() {
    let mut page = Exposition::new();
    page.counter("watchfire_events_total", "Events.").count(&[("kind", "fired")], 1);
    page.gauge("watchfire_between", "Another one.").set(&[], 0.0);
    page.counter("watchfire_events_total", "Events.").count(&[("kind", "resolved")], 2);
    page.counter("watchfire_events_total", "Events.").count(&[("kind", "fired")], 5);
    let values = check_page(&page.text()).expect("a good page");
    assert_eq!(values["watchfire_events_total{kind=\"fired\"}"], 5.0);
    assert_eq!(values.len(), 3);
}

/// The reader must be able to fail, or it proves nothing.
#[test]
fn the_strict_reader_refuses_what_scrapers_and_linters_refuse() {
    let announced = "# HELP a_total x\n# TYPE a_total counter\n";
    for (page, why) in [
        ("a 1\n".to_owned(), "not announced"),
        ("# TYPE a gauge\na 1\n".to_owned(), "type without help"),
        ("# HELP a x\n# TYPE a counter\na 1\n".to_owned(), "no good name"),
        ("# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n".to_owned(), "no good name"),
        (format!("{announced}a_total 1"), "no end"),
        (format!("{announced}a_total 1\na_total 2\n"), "stands twice"),
        (format!("{announced}b_total 1\n"), "another family"),
        (format!("{announced}a_total{{x=\"y}} 1\n"), "not closed"),
        (format!("{announced}a_total{{x=\"\\t\"}} 1\n"), "not closed"),
        (format!("{announced}a_total inf\n").replace("inf", "one"), "not a number"),
        (format!("{announced}{announced}"), "given twice"),
        ("# HELP h x\n# TYPE h histogram\nh_count 1\n".to_owned(), "is not 1"),
    ] {
        let error = check_page(&page).expect_err(&page);
        assert!(error.contains(why), "{page}: {error}");
    }
}
