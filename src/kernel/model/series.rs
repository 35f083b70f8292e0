//! A series: one metric name with one set of labels. Labels: sorted name=value pairs.
//!
//! Labels are kept as one block of text in which fields end with a byte that no UTF-8 text contains
//! (`0xFF`), hashed and compared as bytes. A host has many series of the same labels, so a series
//! points at its name and its labels, which it [shares](Series::shared) with others.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use triomphe::Arc;

use super::limits::Limits;
use super::memo::Memo;
use super::refusal::Refusal;
use super::shared_text::SharedText;

const END: u8 = 0xFF;

/// Where a text is put together: most find room without an allocation of their own.
type Text = SmallVec<[u8; 256]>;

/// A set of labels, sorted by name, each name once. An empty value is the same as no label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(SharedText);

/// A metric name and its labels; in order of names first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series(Arc<Parts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Parts {
    name: SharedText,
    labels: Labels,
}

/// The dense number that the series table gave a series. Numbers follow first appearance in the
/// recorded sequence, so they are the same in every run over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesId(pub u32);

impl SeriesId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Labels {
    pub fn empty() -> Labels {
        Labels(SharedText::from(&[][..]))
    }

    /// Sorts by name and leaves out empty values. Of two values for one name the last wins.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Labels {
        Labels::of(&mut Memo::of_nothing(), pairs)
    }

    fn of<N: AsRef<str>, V: AsRef<str>>(
        memo: &mut Memo,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Labels {
        let mut pairs: SmallVec<[(N, V); 16]> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        let mut text = Text::new();
        encode_pairs(&pairs, &mut text);
        Labels(memo.text(&text))
    }

    pub fn iter(&self) -> Pairs<'_> {
        Pairs { rest: &self.0 }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels with these names, those that are there.
    pub fn only<S: AsRef<str>>(&self, names: &[S]) -> Labels {
        self.iter().only(names, &mut Memo::of_nothing())
    }

    /// These labels with `others` laid over them.
    pub fn with(&self, others: &Labels) -> Labels {
        Labels::new(self.iter().chain(others.iter()))
    }

    /// The canonical bytes, for hashing: `name 0xFF value 0xFF` for each label in order.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of these bytes: the same in every run and on every machine.
    pub fn digest(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.0)
    }

    /// The same labels in the text that others share.
    pub fn shared(&self, memo: &mut Memo) -> Labels {
        Labels(memo.text(&self.0))
    }
}

impl Series {
    pub fn new<N: AsRef<str>, V: AsRef<str>>(
        name: &str,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Series {
        Series::of(&mut Memo::of_nothing(), name, labels)
    }

    fn of<N: AsRef<str>, V: AsRef<str>>(
        memo: &mut Memo,
        name: &str,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Series {
        let (name, labels) = (memo.text(name.as_bytes()), Labels::of(memo, labels));
        Series(Arc::new(Parts { name, labels }))
    }

    /// The same series, whose name and labels are those that others share.
    pub fn shared(&self, memo: &mut Memo) -> Series {
        let (name, labels) = (memo.text(&self.0.name), self.0.labels.shared(memo));
        Series(Arc::new(Parts { name, labels }))
    }

    /// As [`Series::new`], but in texts of the memo, and a name or label past its limit is a
    /// refusal.
    pub fn within<N: AsRef<str>, V: AsRef<str>>(
        limits: &Limits,
        memo: &mut Memo,
        name: &str,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Series, Refusal> {
        let series = Series::of(memo, name, labels);
        if name.is_empty() || name.len() > limits.name_bytes_max {
            return Err(Refusal::NameTooLong);
        }
        let mut count = 0;
        let mut pairs = series.pairs();
        while let Some(pair) = pairs.next_raw() {
            count += 1;
            if pair.name.len() > limits.name_bytes_max {
                return Err(Refusal::NameTooLong);
            }
            if pair.value.len() > limits.value_bytes_max {
                return Err(Refusal::LabelTooLong);
            }
        }
        if count > limits.labels_max { Err(Refusal::TooManyLabels) } else { Ok(series) }
    }

    pub fn name(&self) -> &str {
        text_of(&self.0.name)
    }

    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    pub fn pairs(&self) -> Pairs<'_> {
        self.0.labels.iter()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.pairs().find(name)
    }

    /// The length of its text, with a byte for the end of each field.
    pub fn text_len(&self) -> usize {
        self.0.name.len() + 1 + self.0.labels.0.len()
    }

    /// The hash of its canonical bytes, `name 0xFF`, then as [`Labels::bytes`]: the same in every
    /// run and on every machine.
    pub fn digest(&self) -> u64 {
        let mut text = Text::from_slice(&self.0.name);
        text.push(END);
        text.extend_from_slice(&self.0.labels.0);
        xxhash_rust::xxh3::xxh3_64(&text)
    }
}

fn encode_pairs<N: AsRef<str>, V: AsRef<str>>(sorted: &[(N, V)], text: &mut Text) {
    for (at, (name, value)) in sorted.iter().enumerate() {
        let overridden = sorted.get(at + 1).is_some_and(|next| next.0.as_ref() == name.as_ref());
        if overridden || value.as_ref().is_empty() {
            continue;
        }
        text.extend_from_slice(name.as_ref().as_bytes());
        text.push(END);
        text.extend_from_slice(value.as_ref().as_bytes());
        text.push(END);
    }
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("fields are made from text")
}

/// The labels of a set in order, as `(name, value)`.
pub struct Pairs<'a> {
    rest: &'a [u8],
}

/// One label as bytes, and the bytes of both with their ends.
struct RawPair<'a> {
    name: &'a [u8],
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Pairs<'a> {
    fn next_raw(&mut self) -> Option<RawPair<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        // Names and values are short: a plain loop finds their ends before a wide one has begun.
        let end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == END);
        let name = end(self.rest).expect("a label's name has an end");
        let value = end(&self.rest[name + 1..]).expect("a label's value has an end");
        let (whole, rest) = self.rest.split_at(name + value + 2);
        self.rest = rest;
        Some(RawPair { name: &whole[..name], value: &whole[name + 1..whole.len() - 1], whole })
    }

    fn find(mut self, name: &str) -> Option<&'a str> {
        while let Some(pair) = self.next_raw() {
            if pair.name == name.as_bytes() {
                return Some(text_of(pair.value));
            }
        }
        None
    }

    /// The labels with these names, those that are there, in a text of the memo.
    pub fn only<S: AsRef<str>>(mut self, names: &[S], memo: &mut Memo) -> Labels {
        let mut text = Text::new();
        while let Some(pair) = self.next_raw() {
            if names.iter().any(|wanted| wanted.as_ref().as_bytes() == pair.name) {
                text.extend_from_slice(pair.whole);
            }
        }
        Labels(memo.text(&text))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.next_raw().map(|pair| (text_of(pair.name), text_of(pair.value)))
    }
}

/// `{host="a",dc="b"}` as Prometheus writes it; nothing at all for the empty set.
impl fmt::Display for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.iter().enumerate() {
            write!(out, "{}{name}={value:?}", if at == 0 { "{" } else { "," })?;
        }
        if self.is_empty() { Ok(()) } else { out.write_str("}") }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// `http_requests{code="200"}`.
impl fmt::Display for Series {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.name(), self.labels())
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// A JSON object, `{"host":"a"}`.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(self.iter().count()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        let pairs = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Labels::new(pairs))
    }
}

#[derive(Serialize, Deserialize)]
struct SeriesText {
    name: String,
    labels: Labels,
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SeriesText { name: self.name().to_owned(), labels: self.labels().clone() }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Series, D::Error> {
        let text = SeriesText::deserialize(deserializer)?;
        Ok(Series::new(&text.name, text.labels.iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_empty_values_are_no_labels() {
        let labels = Labels::new([("zone", "eu"), ("host", "a"), ("dc", ""), ("host", "b")]);
        assert_eq!(labels.to_string(), r#"{host="b",zone="eu"}"#);
        assert_eq!(labels, Labels::new([("host", "b"), ("zone", "eu")]));
        assert_eq!((labels.get("dc"), labels.get("zone")), (None, Some("eu")));
        assert_eq!(labels.only(&["zone", "rack"]).to_string(), r#"{zone="eu"}"#);
        assert_eq!(labels.with(&Labels::new([("zone", "us")])).get("zone"), Some("us"));
    }

    #[test]
    fn a_series_past_a_limit_is_refused() {
        let limits =
            Limits { labels_max: 1, name_bytes_max: 4, value_bytes_max: 3, ..Limits::default() };
        let check = |name: &str, labels: &[(&str, &str)]| {
            Series::within(&limits, &mut Memo::new(), name, labels.iter().copied()).err()
        };
        assert_eq!(check("load", &[("host", "abc")]), None);
        assert_eq!(check("load1", &[]), Some(Refusal::NameTooLong));
        assert_eq!(check("", &[]), Some(Refusal::NameTooLong));
        assert_eq!(check("load", &[("hosts", "a")]), Some(Refusal::NameTooLong));
        assert_eq!(check("load", &[("host", "abcd")]), Some(Refusal::LabelTooLong));
        assert_eq!(check("load", &[("a", "1"), ("b", "2")]), Some(Refusal::TooManyLabels));
    }

    #[test]
    fn labels_survive_json() {
        let labels = Labels::new([("a", "x\"y"), ("b", "ü")]);
        let text = serde_json::to_string(&labels).expect("labels are plain text");
        assert_eq!(serde_json::from_str::<Labels>(&text).expect(&text), labels);
    }
}
