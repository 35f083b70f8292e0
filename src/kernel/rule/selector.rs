//! Which series a rule takes: a metric name and label matchers.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

use super::program::{Fault, SeriesFilter};
use crate::kernel::model::Series;

/// All parts must hold. A label that a series does not have matches as the empty text, as in
/// Prometheus.
#[derive(Clone, Debug)]
pub struct Selector {
    pub metric: NamePattern,
    pub matchers: Vec<Matcher>,
    /// A closure over labels, from `.only(|labels| ..)`.
    pub filter: Option<Arc<dyn SeriesFilter>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    Exact(Arc<str>),
    /// `*` takes any run of characters, `?` one, `[ab]` a set, `{a,b}` one of several.
    Glob(Arc<str>),
}

#[derive(Clone, Debug)]
pub struct Matcher {
    pub label: Arc<str>,
    pub test: Test,
}

#[derive(Clone, Debug)]
pub enum Test {
    Equal(Arc<str>),
    NotEqual(Arc<str>),
    /// Fully anchored.
    Like(Regex),
    Unlike(Regex),
}

impl Selector {
    pub fn metric(name: &str) -> Selector {
        Selector { metric: NamePattern::parse(name), matchers: Vec::new(), filter: None }
    }

    /// Whether the selector takes the series; a fault in the closure is passed on.
    pub fn takes(&self, series: &Series) -> Result<bool, Fault> {
        if !self.metric.takes(series.name()) {
            return Ok(false);
        }
        if !self.matchers.iter().all(|matcher| matcher.takes(series)) {
            return Ok(false);
        }
        self.filter.as_ref().map_or(Ok(true), |filter| filter.admits(series))
    }

    /// Whether another selector says the same, but for a closure, which cannot be compared.
    pub fn reads_alike(&self, other: &Selector) -> bool {
        let same = |(a, b): (&Matcher, &Matcher)| a.label == b.label && a.test.reads_alike(&b.test);
        self.metric == other.metric
            && self.filter.is_some() == other.filter.is_some()
            && self.matchers.len() == other.matchers.len()
            && self.matchers.iter().zip(&other.matchers).all(same)
    }

    /// A label and the value that it must have, by the first matcher that says so.
    pub fn wanted_label(&self) -> Option<(&Arc<str>, &Arc<str>)> {
        self.matchers.iter().find_map(|matcher| match &matcher.test {
            // A series without the label takes the empty value.
            Test::Equal(value) if !value.is_empty() => Some((&matcher.label, value)),
            Test::Equal(_) | Test::NotEqual(_) | Test::Like(_) | Test::Unlike(_) => None,
        })
    }

    /// Whether the selector names one series in full: exact metric, only `=` matchers, no closure.
    pub fn names_in_full(&self) -> Option<Series> {
        let NamePattern::Exact(metric) = &self.metric else { return None };
        if self.filter.is_some() {
            return None;
        }
        let mut pairs = Vec::new();
        for matcher in &self.matchers {
            let Test::Equal(value) = &matcher.test else { return None };
            pairs.push((matcher.label.clone(), value.clone()));
        }
        Some(Series::new(metric, pairs))
    }
}

impl Test {
    fn reads_alike(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::Equal(a), Test::Equal(b)) | (Test::NotEqual(a), Test::NotEqual(b)) => a == b,
            (Test::Like(a), Test::Like(b)) | (Test::Unlike(a), Test::Unlike(b)) => {
                a.as_str() == b.as_str()
            }
            (Test::Equal(_) | Test::NotEqual(_) | Test::Like(_) | Test::Unlike(_), _) => false,
        }
    }
}

impl NamePattern {
    pub fn parse(text: &str) -> NamePattern {
        if text.contains(['*', '?', '[', '{']) {
            NamePattern::Glob(text.into())
        } else {
            NamePattern::Exact(text.into())
        }
    }

    pub fn takes(&self, name: &str) -> bool {
        match self {
            NamePattern::Exact(wanted) => wanted.as_ref() == name,
            NamePattern::Glob(pattern) => glob_match::glob_match(pattern, name),
        }
    }
}

impl Matcher {
    /// Reads `env=prod, tier!=test, host=~"web.*", path!~/api/.+`: values may be quoted; a comma
    /// inside quotes does not end one.
    pub fn parse_list(text: &str) -> Result<Vec<Matcher>, String> {
        split_outside_quotes(text)?.into_iter().map(Matcher::parse).collect()
    }

    fn parse(text: &str) -> Result<Matcher, String> {
        let hint = || {
            format!(
                "`{text}` is not a matcher; write label=value, label!=value, label=~regex or \
                 label!~regex"
            )
        };
        let start = text.find(['=', '!']).ok_or_else(hint)?;
        let (label, rest) = text.split_at(start);
        let (operator, value) = ["=~", "!~", "!=", "="]
            .iter()
            .find_map(|operator| rest.strip_prefix(operator).map(|value| (*operator, value)))
            .ok_or_else(hint)?;
        let (label, value) = (label.trim(), unquote(value.trim()));
        if label.is_empty() {
            return Err(hint());
        }
        let anchored = |value: &str| {
            Regex::new(&format!("^(?:{value})$"))
                .map_err(|error| format!("`{value}` is not a regular expression: {error}"))
        };
        let test = match operator {
            "=~" => Test::Like(anchored(value)?),
            "!~" => Test::Unlike(anchored(value)?),
            "!=" => Test::NotEqual(value.into()),
            _ => Test::Equal(value.into()),
        };
        Ok(Matcher { label: label.into(), test })
    }

    pub fn takes(&self, series: &Series) -> bool {
        self.admits(series.label(&self.label))
    }

    /// Whether the test holds for the label's value; no label is the empty text.
    pub fn admits(&self, value: Option<&str>) -> bool {
        let value = value.unwrap_or("");
        match &self.test {
            Test::Equal(wanted) => wanted.as_ref() == value,
            Test::NotEqual(unwanted) => unwanted.as_ref() != value,
            Test::Like(pattern) => pattern.is_match(value),
            Test::Unlike(pattern) => !pattern.is_match(value),
        }
    }
}

fn split_outside_quotes(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(format!("`{text}` has a quote that is not closed"));
    }
    parts.push(text[start..].trim());
    Ok(parts)
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// As Prometheus writes it: `cpu.usage{env="prod"}`.
impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.metric {
            NamePattern::Exact(name) | NamePattern::Glob(name) => out.write_str(name)?,
        }
        for (at, matcher) in self.matchers.iter().enumerate() {
            write!(out, "{}{matcher}", if at == 0 { "{" } else { "," })?;
        }
        if !self.matchers.is_empty() {
            out.write_str("}")?;
        }
        match &self.filter {
            Some(filter) => write!(out, " where {}", filter.source()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |pattern: &Regex| {
            pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$").to_owned()
        };
        match &self.test {
            Test::Equal(value) => write!(out, "{}={value:?}", self.label),
            Test::NotEqual(value) => write!(out, "{}!={value:?}", self.label),
            Test::Like(pattern) => write!(out, "{}=~{:?}", self.label, plain(pattern)),
            Test::Unlike(pattern) => write!(out, "{}!~{:?}", self.label, plain(pattern)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_decide_as_prometheus_does() {
        let series = Series::new("http.latency", [("env", "prod"), ("host", "web-12")]);
        for (matchers, takes) in [
            ("env=prod", true),
            ("env!=prod", false),
            ("env=prod, tier!=test", true),
            ("tier=", true),
            ("host=~web-.*", true),
            ("host=~web", false),
            ("host!~web-1.", false),
            ("host=~\"web-(1,|12)\"", true),
        ] {
            let parsed = Matcher::parse_list(matchers).expect(matchers);
            assert_eq!(parsed.iter().all(|matcher| matcher.takes(&series)), takes, "{matchers}");
        }
        for broken in ["env", "=prod", "host=~(", "a=\"b", "a=b,"] {
            assert!(Matcher::parse_list(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_name_may_be_a_glob() {
        for (pattern, name, takes) in [
            ("cpu.usage", "cpu.usage", true),
            ("cpu.*", "cpu.usage", true),
            ("cpu.*", "mem.usage", false),
            ("*.used_pct", "disk.used_pct", true),
            ("{cpu,mem}.usage", "mem.usage", true),
        ] {
            assert_eq!(NamePattern::parse(pattern).takes(name), takes, "{pattern} {name}");
        }
    }
}
