//! What is taken for what it looks like is what the format's own reader makes of it.
//!
//! Two decoders get the same bytes in the same chunks, one of which reads every line in full. All
//! that they tell must be the same: announcements with their slots, samples bit for bit, refusals,
//! defects and their words.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::lines::{Reader as _, Run};
use super::{Decoder, Format, Pass, TimeUnit};
use crate::kernel::model::Limits;

struct Pair {
    quick: Decoder,
    full: Decoder,
}

impl Pair {
    fn new(format: Format, unit: Option<TimeUnit>, limits: &Limits, keys_max: usize) -> Pair {
        let quick = Decoder::new(format, limits, keys_max);
        let full = Decoder::new(format, limits, keys_max).in_full();
        let mut pair = Pair { quick, full };
        pair.both(|decoder| decoder.set_time_unit(unit));
        pair
    }

    fn both(&mut self, act: impl Fn(&mut Decoder)) {
        act(&mut self.quick);
        act(&mut self.full);
    }

    /// Compares what was decoded since the last time.
    fn compare(&mut self, payload: &[u8]) {
        let (quick, full) = (self.quick.take(), self.full.take());
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let payload = payload.escape_ascii();
        assert_eq!(bits(&quick.value), bits(&full.value), "{payload}");
        assert_eq!(quick, full, "{payload}");
        assert_eq!(self.quick.evictions(), self.full.evictions(), "{payload}");
    }
}

/// Lines with `N` for a value, `T` for a time and `S` for what tells series apart.
fn shapes(format: Format) -> &'static [&'static str] {
    match format {
        Format::JsonLines => &[
            r#"{"name":"cpu","labels":{"host":"S","dc":"x"},"ts":T,"value":N}"#,
            r#"{"name":"cpu","labels":{"host":"S","dc":"x"},"value":N,"ts":T}"#,
            r#"{"name": "cpu", "labels": {"host": "S"}, "ts": T, "value": N}"#,
            r#"{"labels":{"host":"S}"},"name":"cpu","ts":T,"value":N}"#,
            r#"{"name":"cpuS","value":N}"#,
            r#"{"name":"cpuS","ts":T,"value":N}"#,
            r#"{"name":"S","a\"ts":5,"value":N}"#,
            r#"{"name":"S","a\"ts":5,"ts":T,"value":N}"#,
            r#"{"name":"S","ts":T,"ts":T,"value":N}"#,
            r#"{"name":"S","value":N,"value":N}"#,
            r#"{"ts":T,"value":N,"name":"cpu","labels":{"host":"S"}}"#,
            r#""cpu"{"host":"S"}"ts":T,"value":N}"#,
            r#"{"event":"stop","ts":T,"value":N}"#,
        ],
        Format::StatsD => &[
            "cpu:N|g|#host:S,dc:x|TT",
            "cpu:N|g|#host:S,dc:x",
            "requests.of.S:N|c|@0.1|#host:S",
            "requests.of.S:N|c",
            "took:N|ms|@0.5",
            "size:N:N|d|#host:S|TT",
            "users:S|s|#host:S",
            "cpuS:N|h|TT",
            "lag:N|d|#S|c:id",
            "_sc|S|0",
        ],
        Format::InfluxLine => &[
            "cpu,host=S,dc=x value=N T",
            "cpu,host=S,dc=x idle=N",
            "cpu,host=S usage=N,idle=Ni,on=t T",
            "cpu,host=S text=\"a b\",idle=Nu T",
            "cpuS value=Ni T",
            r"my\ cpu,a\,b=S\=d e\ f=N T",
            r"cpu,path=C:\S\ x value=N T",
            "#S N T",
        ],
        Format::PromText => &[
            r#"cpu{host="S",dc="x"} N T"#,
            r#"cpu{host="S"} N"#,
            "cpu_S N T",
            "cpu_S{} N",
            r#"cpu {host="}S"} N T # {trace="}"} 1"#,
            r#"{"my.cpu",host="S"} N T"#,
            "# TYPE S N",
        ],
        Format::Csv => &["name,value,ts,host", "cpu,N,T,S", "\"cpu\",N,,S", "host,ts,value,name"],
    }
}

const NUMBERS: &[&str] = &[
    "50.79",
    "7",
    "0",
    "-3",
    "-0",
    "-0.5",
    "0.1234567890123456",
    "123456789012345",
    "1e3",
    "-1E-2",
    "1e999",
    "007",
    "+1",
    ".5",
    "5.",
    "",
    "nan",
    "12345678.25",
    "1234567.5",
    "0.0001",
    "1.2.3",
    "1234567890123456789012",
    "9007199254740993",
    "3i",
    "1 ",
    "\"1\"",
    "null",
];

const TIMES: &[&str] = &[
    "1699999800",
    "1699999800000",
    "1699999800000000000",
    "1699999800.5",
    "1699999800.1234567891",
    "1",
    "99999999999",
    "100000000000",
    "0100000000000",
    "-5",
    "9223372036854775807",
    "noon",
    "",
    "9223372036854775808",
    "1e9",
    "null",
    "\"2023-11-14T22:13:20Z\"",
    "18446744073709551616",
];

/// Bytes that mean something to a format, next to such bytes, or not ASCII.
const BYTES: &[u8] = b"{}[]\",:;|#@=T \t\r\n\\/.-+eE01589iucgxN\x00\x7f\x80\xba\xff";

fn write(shape: &str, series: usize, number: &str, time: &str) -> Vec<u8> {
    // The letter of a name such as `TT` or `TYPE` is not meant.
    let text = shape.replace('N', number).replace("TYPE", "\u{1}").replace("TT", "\u{2}");
    let text = text.replace('T', time).replace('\u{1}', "TYPE");
    text.replace('\u{2}', &format!("T{time}")).replace('S', &format!("s{series}")).into_bytes()
}

fn any_format() -> impl Strategy<Value = Format> {
    select(&Format::ALL[..])
}

fn any_unit() -> impl Strategy<Value = Option<TimeUnit>> {
    let units = [TimeUnit::Nanos, TimeUnit::Micros, TimeUnit::Millis, TimeUnit::Seconds];
    prop::option::of(select(units.to_vec()))
}

/// Rounds of the same series in the same order, with other numbers, and now and then a line that
/// is left out, damaged or out of turn.
fn any_stream(format: Format) -> impl Strategy<Value = Vec<u8>> {
    let series = prop::collection::vec((select(shapes(format)), 0..3usize), 1..7);
    let mishap = prop_oneof![
        12 => Just(None),
        1 => (any::<Index>(), 0..3usize, select(BYTES)).prop_map(Some),
    ];
    let usual = (Just("50.79"), Just("1699999800000"));
    let odd = (select(NUMBERS), select(TIMES));
    let line = (prop_oneof![3 => usual, 2 => odd], mishap, select(vec!["\n", "\n", "\n", "\r\n"]));
    let turns = prop::collection::vec((line, prop::option::weighted(0.1, any::<Index>())), 0..60);
    (series, turns).prop_map(|(series, turns)| {
        let mut stream = Vec::new();
        for (turn, (((number, time), mishap, end), elsewhere)) in turns.into_iter().enumerate() {
            let at = elsewhere.map_or(turn % series.len(), |at| at.index(series.len()));
            let mut line = write(series[at].0, series[at].1, number, time);
            if let Some((place, kind, byte)) = mishap {
                damage(&mut line, place.index(100), kind, byte);
            }
            stream.extend_from_slice(&line);
            stream.extend_from_slice(end.as_bytes());
        }
        stream
    })
}

/// Puts a byte in place of another, or between two, or takes one out.
fn damage(line: &mut Vec<u8>, place: usize, kind: usize, byte: u8) {
    let place = place % (line.len() + 1);
    let taken = usize::from(kind != 1 && place < line.len());
    line.splice(place..place + taken, (kind != 2).then_some(byte));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_stream_in_any_chunks(
        (format, stream) in any_format().prop_flat_map(|each| (Just(each), any_stream(each))),
        unit in any_unit(),
        cuts in prop::collection::vec((any::<Index>(), any::<bool>()), 0..6),
        keys_max in 1..12usize,
        line_bytes_max in select(vec![40, 70, 1_000]),
    ) {
        let limits = Limits { line_bytes_max, labels_max: 2, ..Limits::default() };
        let mut pair = Pair::new(format, unit, &limits, keys_max);
        let mut cuts: Vec<_> =
            cuts.iter().map(|(cut, ends)| (cut.index(stream.len() + 1), *ends)).collect();
        cuts.push((stream.len(), true));
        cuts.sort_unstable();
        let mut start = 0;
        for (end, ends) in cuts {
            pair.both(|decoder| decoder.feed(&stream[start..end]));
            if ends {
                pair.both(Decoder::finish);
            }
            pair.compare(&stream);
            start = end;
        }
    }
}

/// Every byte of a usual line, changed to every byte that may matter, where the line is expected.
fn check_every_damage(format: Format, time: &str) {
    let limits = Limits::default();
    for shape in shapes(format) {
        let good = write(shape, 1, "50.79", time);
        let mut pair = Pair::new(format, None, &limits, 1_000);
        for place in 0..=good.len() {
            let mut payload = Vec::new();
            for (kind, byte) in (0..2).flat_map(|kind| BYTES.iter().map(move |byte| (kind, *byte)))
            {
                let mut line = good.clone();
                damage(&mut line, place, kind, byte);
                // Twice, for a damaged line may itself be of a known key then.
                payload
                    .extend([&good[..], &good[..], &line[..], &good[..], &line[..]].join(&b'\n'));
                payload.push(b'\n');
            }
            let mut line = good.clone();
            damage(&mut line, place, 2, 0);
            payload.extend_from_slice(&line);
            pair.both(|decoder| decoder.feed(&payload));
            pair.both(Decoder::finish);
            pair.compare(&payload);
        }
    }
}

#[test]
fn every_damage_to_a_json_line() {
    check_every_damage(Format::JsonLines, "1699999800000");
}

#[test]
fn every_damage_to_a_statsd_line() {
    check_every_damage(Format::StatsD, "1699999800");
}

#[test]
fn every_damage_to_an_influx_line() {
    check_every_damage(Format::InfluxLine, "1699999800000000000");
}

#[test]
fn every_damage_to_a_prometheus_line() {
    check_every_damage(Format::PromText, "1699999800000");
    check_every_damage(Format::PromText, "1699999800.5");
}

#[test]
fn every_damage_to_a_csv_line() {
    check_every_damage(Format::Csv, "1699999800000");
}

/// The quick way must be the usual one, or the tests above compare nothing.
#[test]
fn usual_lines_are_taken_without_their_reader() {
    for (format, usual) in [
        (Format::JsonLines, 0..3),
        (Format::StatsD, 0..5),
        (Format::InfluxLine, 0..2),
        (Format::PromText, 0..4),
    ] {
        for shape in &shapes(format)[usual] {
            for (number, time) in [("50.79", "1699999800"), ("-0.1234567890123456", "1")] {
                let line = [&write(shape, 1, number, time)[..], b"\n"].concat();
                let other = [&write(shape, 2, number, time)[..], b"\r\n"].concat();
                let lines = [&line[..], &other, &line, &line, &other].concat();
                let mut decoder = Decoder::new(format, &Limits::default(), 10);
                decoder.feed(&lines);
                let Decoder { unit, reader, intake, scratch, .. } = &mut decoder;
                let mut pass = Pass { unit: *unit, reader, intake, scratch };
                let run = pass.run(&lines, 1_000);
                assert_eq!(run, Run { lines: 5, bytes: lines.len() }, "{shape}");
            }
        }
    }
}
