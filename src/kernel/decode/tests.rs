//! What holds for every format: nothing is lost, no line touches another, chunks and the cache
//! change nothing. `fuzz_one` is the whole of it for one piece of bytes.

use proptest::prelude::*;

use super::*;
use crate::kernel::model::{EventTime, Op, Refusal, Series};

/// A decoded sample, with its series instead of a slot. The value as bits, so that -0 is not 0.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    series: Series,
    at: EventTime,
    value: u64,
    op: Op,
}

/// Follows a decoder's announcements as the sequencer does, over any number of batches.
#[derive(Default)]
struct Follower {
    slots: Vec<Option<Series>>,
}

impl Follower {
    fn samples(&mut self, batch: &Batch) -> Vec<Sample> {
        assert_eq!((batch.at.len(), batch.value.len()), (batch.rows(), batch.rows()));
        let mut announced = batch.announced.iter().peekable();
        let mut samples = Vec::new();
        for row in 0..=batch.rows() {
            while let Some(told) = announced.next_if(|told| told.row as usize == row) {
                let slot = told.slot.0 as usize;
                self.slots.resize(self.slots.len().max(slot + 1), None);
                self.slots[slot] = Some(told.series.clone());
            }
            if let Some(slot) = batch.slots.get(row) {
                let series = self.slots[slot.0 as usize].clone().expect("slots are announced");
                let (at, value) = (batch.at[row], batch.value[row].to_bits());
                samples.push(Sample { series, at, value, op: batch.op(row) });
            }
        }
        assert!(announced.next().is_none(), "announcements are in the order of rows");
        samples
    }
}

/// Decodes the payload and compares what came of it, one fact a line: samples as
/// `name{label="value"} = 1.5 @time` (`+` for an increment), refusals, defects.
pub fn check(format: Format, payload: &str, expected: &str) {
    check_with(&mut Decoder::new(format, &Limits::default(), 1_000), payload, expected);
}

pub fn check_with(decoder: &mut Decoder, payload: &str, expected: &str) {
    decoder.decode(payload.as_bytes());
    let batch = decoder.take();
    let mut told = String::new();
    for sample in Follower::default().samples(&batch) {
        let sign = if sample.op == Op::Add { '+' } else { '=' };
        let value = f64::from_bits(sample.value);
        let time = match sample.at {
            EventTime::MIN => "arrival".to_owned(),
            at => at.to_string(),
        };
        told += &format!("{} {sign} {value} @{time}\n", sample.series);
    }
    for (refusal, count) in batch.refused.iter().filter(|(_, count)| *count > 0) {
        told += &format!("refused {} {count}\n", refusal.name());
    }
    for defect in &batch.defects {
        told += &format!("line {}: {}\n", defect.line, defect.what);
    }
    let lines = |text: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&told), lines(expected), "{payload}");
    assert_eq!(batch.bytes, payload.len());
}

/// Lines of every kind, to be sent in any order and with any damage.
fn examples(format: Format) -> &'static [&'static str] {
    match format {
        Format::JsonLines => &[
            r#"{"name":"cpu","labels":{"host":"a","dc":"x"},"ts":1700000000000,"value":91.5}"#,
            r#"{"name":"cpu","labels":{"host":"a","dc":"x"},"value":91.5,"ts":1700000000001}"#,
            r#"{"name":"cpu","labels":{"host":"b"},"value":-1e3}"#,
            r#"{"name": "cpu", "labels": {"host": "b"}, "ts": 1700000000000, "value": 2}"#,
            r#"{"labels":{"host":"b"},"name":"cpu","ts":"2023-11-14T22:13:20Z","value":3}"#,
            r#"{"ts":1700000000000,"value":4,"name":"cpu","labels":{"host":"\"ts\":1,"}}"#,
            r#"{"name":"x\"ts","a\"ts":5,"value":6}"#,
            r#"{"name":"n","x":{"ts":1,"value":2},"value":3}"#,
            r#"{"name":"n","x":[{"ts":1,"value":2}],"ts":3,"value":4}"#,
            r#"{"name":"n","ts":1,"ts":2,"value":1,"value":2}"#,
            r#"{"name":"n","ts":1,"value":1,"value":2}"#,
            r#"{"event":"job.stop","ts":1700000000000,"value":1}"#,
            r#"{"name":"n","labels":{"a":1,"b":true,"c":null},"value":1e999}"#,
        ],
        Format::StatsD => &[
            "cpu:50.79|g|#host:a,dc:x|T1699999800",
            "cpu:-3|g|#host:a,dc:x",
            "hits:1|c|@0.1|#host:a",
            "t:1:2:3.5|d|#a,b:c|c:container",
            "users:bob|s",
            "t:320.000000|ms",
            "_e{5,9}:title|text|pipe",
            "_sc|svc|0",
        ],
        Format::InfluxLine => &[
            "cpu,host=a,dc=x value=50.79 1700000000000000000",
            "cpu,host=a,dc=x value=50.79,idle=2i,on=t,text=\"a, \\\"b\" 1700000000000000000",
            "cpu value=1",
            r"my\ cpu,a\,b=c\=d e\ f=5u",
            "# comment",
        ],
        Format::PromText => &[
            r#"cpu{host="a",dc="x"} 50.79 1699999800000"#,
            r#"cpu{host="a",dc="x"} 50.79 # {trace="}"} 1"#,
            r#"cpu{host="}\"{",dc="\\"} 1e3 1699999800.5"#,
            r#"{"my.cpu",host="a"} NaN"#,
            "cpu 1",
            "cpu{} +Inf",
            "# TYPE cpu gauge",
        ],
        Format::Csv => &[
            "name,value,ts,host",
            "cpu,50.79,1700000000000,a",
            "cpu,1,,\"a,\"\"b\"",
            "host,ts,value,name",
            "a,2023-11-14T22:13:20Z,-1,cpu",
        ],
    }
}

/// What one line alone gives: the reference for what it gives among others. CSV is read under the
/// first header.
struct Alone {
    samples: Vec<Sample>,
    refused: u64,
    defect: Option<String>,
}

fn alone(format: Format, line: &[u8]) -> Alone {
    let mut decoder = Decoder::new(format, &Limits::default(), 1_000);
    if format == Format::Csv {
        decoder.feed(examples(format)[0].as_bytes());
        decoder.feed(b"\n");
    }
    decoder.feed(line);
    decoder.finish();
    let batch = decoder.take();
    assert!(batch.defect_count <= 1, "a line has one defect at most");
    let samples = Follower::default().samples(&batch);
    let defect = batch.defects.first().map(|defect| defect.what.clone());
    Alone { samples, refused: batch.refused.total(), defect }
}

fn may_be_empty(format: Format, line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let has_comments = matches!(format, Format::InfluxLine | Format::PromText);
    line.is_empty() || (has_comments && line[0] == b'#')
}

/// The promises that hold for any bytes whatever. A fuzz target only has to call this.
pub fn fuzz_one(format: Format, bytes: &[u8]) {
    let mut expected = Vec::new();
    let (mut refused, mut defects) = (0, Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        let alone = alone(format, line);
        let told = alone.samples.len() as u64 + alone.refused;
        match &alone.defect {
            Some(_) => assert_eq!(told, 0, "a line with a defect is not taken in part"),
            None => assert_eq!(told == 0, may_be_empty(format, line), "{line:?}"),
        }
        expected.extend(alone.samples);
        refused += alone.refused;
        defects.extend(alone.defect);
    }
    // All lines through one decoder, twice: the second time the keys are known, and with only
    // three keys they are known now and then.
    for keys_max in [1_000, 3] {
        let mut decoder = Decoder::new(format, &Limits::default(), keys_max);
        let mut follower = Follower::default();
        for _ in 0..2 {
            if format == Format::Csv {
                decoder.feed(examples(format)[0].as_bytes());
                decoder.feed(b"\n");
            }
            decoder.decode(bytes);
            let batch = decoder.take();
            assert_eq!(follower.samples(&batch), expected);
            assert_eq!(batch.refused.total(), refused);
            assert_eq!(batch.defect_count, defects.len() as u64);
            let words = batch.defects.iter().map(|defect| &defect.what);
            assert!(words.eq(defects.iter().take(Batch::DEFECTS_MAX)));
            assert!(follower.slots.len() <= keys_max);
        }
    }
}

fn any_format() -> impl Strategy<Value = Format> {
    proptest::sample::select(&Format::ALL[..])
}

/// Any printable text, and often one of what the formats give a meaning to.
fn any_label_value() -> impl Strategy<Value = String> {
    prop_oneof!["\\PC{0,12}", r#"[-"\\,=: {}|\#]{1,4}"#]
}

/// A bit of damage: at a place, some bytes are taken out and some put in.
fn any_damage() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let pieces: Vec<&[u8]> = vec![
        b"",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b",",
        b":",
        b"=",
        b" ",
        b"|",
        b"#",
        b"\x0c",
        b"\t",
        b"\r",
        b"0",
        b"-",
        b"e",
        b".",
        b"\xFF",
        b"\n",
        b"\xC3\xBC",
        b"\"ts\":1,",
        b"\"value\":2",
        b"NaN",
        b"null",
        b"\\n",
        b"# ",
        b"i",
        b"+",
        b"@",
        b"[",
        b"T1",
        b"event",
        b"\0",
    ];
    let piece = proptest::sample::select(pieces).prop_map(<[u8]>::to_vec);
    (any::<prop::sample::Index>(), 0..3usize, piece)
}

/// A format and lines of its own, some of them damaged. Few kinds of line, so that keys come again.
fn any_payload() -> impl Strategy<Value = (Format, Vec<u8>)> {
    any_format().prop_flat_map(|format| {
        let line = proptest::sample::select(examples(format));
        let damaged =
            (line, prop::collection::vec(any_damage(), 0..3)).prop_map(|(line, damage)| {
                let mut line = line.as_bytes().to_vec();
                for (place, taken, put) in damage {
                    let start = place.index(line.len() + 1);
                    let end = (start + taken).min(line.len());
                    line.splice(start..end, put);
                }
                line
            });
        let lines = prop::collection::vec(damaged, 1..12).prop_map(|lines| lines.join(&b'\n'));
        (Just(format), lines)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_line_is_lost_and_the_cache_changes_nothing((format, payload) in any_payload()) {
        fuzz_one(format, &payload);
    }

    #[test]
    fn arbitrary_bytes_are_lines_like_any_other(
        format in any_format(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        fuzz_one(format, &bytes);
    }

    #[test]
    fn chunks_change_nothing(
        (format, payload) in any_payload(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        line_bytes_max in 20..200usize,
    ) {
        let limits = Limits { line_bytes_max, ..Limits::default() };
        let mut whole = Decoder::new(format, &limits, 100);
        whole.decode(&payload);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.sort_unstable();
        let mut chunked = Decoder::new(format, &limits, 100);
        let mut start = 0;
        for cut in cuts.into_iter().chain([payload.len()]) {
            chunked.feed(&payload[start..cut]);
            start = cut;
        }
        chunked.finish();
        prop_assert_eq!(chunked.take(), whole.take());
    }

    #[test]
    fn what_a_client_writes_is_read_back(
        format in any_format(),
        name in "\\PC{1,12}",
        labels in prop::collection::btree_map("l[a-z0-9_]{0,6}", any_label_value(), 0..5),
        millis in 100_000_000_000i64..4_000_000_000_000,
        value in proptest::num::f64::NORMAL | proptest::num::f64::ZERO,
    ) {
        let name = writable(format, &name);
        prop_assume!(!name.is_empty());
        let labels: Vec<(String, String)> =
            labels.iter().map(|(label, value)| (label.clone(), writable(format, value))).collect();
        let payload = write(format, &name, &labels, millis, value);
        let mut decoder = Decoder::new(format, &Limits::default(), 10);
        decoder.decode(payload.as_bytes());
        let batch = decoder.take();
        let sample = Sample {
            series: Series::new(&name, labels),
            at: EventTime::from_millis(millis).expect("in range"),
            value: value.to_bits(),
            op: Op::Set,
        };
        prop_assert_eq!(Follower::default().samples(&batch), vec![sample], "{}", payload);
    }

    #[test]
    fn an_evicted_slot_never_gives_a_sample_to_another_series(
        format in any_format(),
        keys_max in 1..6usize,
        batches in prop::collection::vec(prop::collection::vec(0..9u32, 0..20), 1..5),
    ) {
        let mut decoder = Decoder::new(format, &Limits::default(), keys_max);
        let mut follower = Follower::default();
        for batch in batches {
            for number in batch {
                let labels = [("l".to_owned(), number.to_string())];
                let payload = write(format, "m", &labels, 1_700_000_000_000, f64::from(number));
                decoder.decode(payload.as_bytes());
            }
            for sample in follower.samples(&decoder.take()) {
                let number = f64::from_bits(sample.value).to_string();
                prop_assert_eq!(sample.series.label("l"), Some(number.as_str()));
            }
            prop_assert!(follower.slots.len() <= keys_max);
        }
    }
}

/// Leaves out what the format has no way to write.
fn writable(format: Format, text: &str) -> String {
    let keep = |letter: &char| match format {
        Format::JsonLines | Format::PromText | Format::Csv => true,
        Format::StatsD => !matches!(letter, ',' | '|' | ':'),
        // A backslash before a comma, equals sign or space, a measurement that looks a comment.
        Format::InfluxLine => !matches!(letter, '\\' | '#'),
    };
    text.chars().filter(keep).collect()
}

fn write(
    format: Format,
    name: &str,
    labels: &[(String, String)],
    millis: i64,
    value: f64,
) -> String {
    let each = |one: &dyn Fn(&str, &str) -> String| -> Vec<String> {
        labels.iter().map(|(label, value)| one(label, value)).collect()
    };
    match format {
        Format::JsonLines => {
            let labels: serde_json::Map<String, serde_json::Value> = labels
                .iter()
                .map(|(label, value)| (label.clone(), value.as_str().into()))
                .collect();
            let name = serde_json::Value::from(name);
            let labels = serde_json::Value::from(labels);
            format!(r#"{{"name":{name},"labels":{labels},"ts":{millis},"value":{value}}}"#)
        }
        Format::StatsD => {
            let tags = each(&|label, value| format!("{label}:{value}")).join(",");
            let (secs, rest) = (millis / 1000, millis % 1000);
            format!("{name}:{value}|d|#{tags}|T{secs}.{rest:03}")
        }
        Format::InfluxLine => {
            let escape =
                |text: &str| text.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
            let has_value = |label: &&(String, String)| !label.1.is_empty();
            let tags: String = labels
                .iter()
                .filter(has_value)
                .map(|(label, value)| format!(",{label}={}", escape(value)))
                .collect();
            format!("{}{tags} value={value} {millis}000000", escape(name))
        }
        Format::PromText => {
            let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let mut parts = vec![format!("\"{}\"", escape(name))];
            parts.extend(each(&|label, value| format!("{label}=\"{}\"", escape(value))));
            format!("{{{}}} {value} {millis}", parts.join(","))
        }
        Format::Csv => {
            let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let names: String = each(&|label, _| format!(",{label}")).concat();
            let values: String = each(&|_, value| format!(",{}", quote(value))).concat();
            format!("ts,value,name{names}\n{millis},{value},{}{values}", quote(name))
        }
    }
}

#[test]
fn formats_are_known_by_name() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.name()), Some(format));
    }
    assert_eq!(Format::parse("xml"), None);
}

#[test]
fn permuted_labels_do_not_grow_the_cache() {
    let mut decoder = Decoder::new(Format::StatsD, &Limits::default(), 50);
    let mut follower = Follower::default();
    let mut tags: Vec<String> = (0..7).map(|tag| format!("t{tag}:v")).collect();
    let mut series = Vec::new();
    for turn in 0..2_000 {
        tags.rotate_left(1 + turn % 3);
        tags.swap(turn % 7, (turn / 7) % 7);
        decoder.decode(format!("m:1|g|#{}", tags.join(",")).as_bytes());
        for sample in follower.samples(&decoder.take()) {
            series.push(sample.series);
        }
    }
    assert!(follower.slots.len() <= 50);
    assert!(decoder.evictions() > 100);
    series.dedup();
    assert_eq!(series.len(), 1, "all orders are one series");
}

#[test]
fn a_line_past_the_limit_is_one_defect_and_the_next_line_is_read() {
    let limits = Limits { line_bytes_max: 10, ..Limits::default() };
    let mut decoder = Decoder::new(Format::StatsD, &limits, 10);
    let long = format!("{}:1|g", "x".repeat(10));
    check_with(
        &mut decoder,
        &format!("a:1|g\n{long}\nb:2|g"),
        "a = 1 @arrival
        b = 2 @arrival
        line 2: the line is longer than line_bytes_max",
    );
}

#[test]
fn only_the_first_defects_are_kept_in_full_and_all_are_counted() {
    let mut decoder = Decoder::new(Format::StatsD, &Limits::default(), 10);
    decoder.decode("nonsense\n".repeat(100).as_bytes());
    let batch = decoder.take();
    assert_eq!((batch.defects.len(), batch.defect_count), (Batch::DEFECTS_MAX, 100));
    assert_eq!(batch.defects[1].excerpt, "nonsense");
}

#[test]
fn a_series_past_a_limit_is_refused_on_each_of_its_lines() {
    let limits = Limits { labels_max: 1, ..Limits::default() };
    let mut decoder = Decoder::new(Format::StatsD, &limits, 10);
    check_with(&mut decoder, "a:1:2|g|#x,y\na:3|g|#x,y", "refused too_many_labels 3");
    assert_eq!(decoder.take().refused.get(Refusal::TooManyLabels), 0);
}
