//! One rule in two languages, and one recording in every way of reading it, give the same events.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::command::{Recorded, assert_same, events};
use crate::guests::{drop_into, guest};
use crate::random::Random;
use crate::recording::{recording, written};

const START: i64 = 1_700_000_000_000;

/// Some 50,000 samples of 20 series over 42 minutes: each series wanders, at times above 90.
fn wandering() -> String {
    let (mut random, mut text) = (Random::new(7), String::new());
    let mut values = [50.0f64; 20];
    for second in 0..2_500i64 {
        for (row, value) in values.iter_mut().enumerate() {
            let pull = (60.0 - *value) * 0.02;
            *value = (*value + pull + (random.unit() - 0.5) * 18.0).clamp(0.0, 100.0);
            // Within a second no two series have the same time, and no two batches the same cut.
            let at = START + second * 1_000 + (row as i64) * 37;
            let host = row % 10;
            let _ = write!(
                text,
                r#"{{"name":"cpu.usage","labels":{{"host":"h{host}","core":"{row}"}},"#
            );
            let _ = writeln!(text, r#""ts":{at},"value":{value:.3}}}"#);
        }
    }
    text
}

/// The events without what tells the two languages apart: the version is a hash over the source.
fn comparable(printed: &str) -> String {
    let mut text = String::new();
    for mut event in events(printed) {
        let fields = event.as_object_mut().expect("an event is an object");
        fields.remove("version").expect("every event names its rule's version");
        let _ = writeln!(text, "{event}");
    }
    text
}

#[test]
fn a_rule_in_rhai_and_in_wasm_gives_the_same_events() {
    let samples = wandering();
    for (rhai, settings) in [
        (".by(\"host\").when(|v| v > 90.0)", "by = [\"host\"]"),
        (".when(|v| v > 90.0).soak(\"20s\").cool(\"10s\")", "soak = \"20s\"\ncool = \"10s\""),
        (
            ".only(\"host=~h[0-4]\").by(\"host\").severity(\"critical\").when(|v| v > 90.0)\
             .soak(\"3s\").text(|a| `cpu of ${a.labels.host} is hot`)",
            "only = \"host=~h[0-4]\"\nby = [\"host\"]\nlevel = \"critical\"\nsoak = \"3s\"\n\
             text = \"cpu of {labels.host} is hot\"",
        ),
    ] {
        let script = Recorded::new(&format!("rule(\"cpu-high\").on(\"cpu.usage\"){rhai};"));
        let in_rhai = script.write("samples", &samples).replay(&["--all"], "samples");
        let component = Recorded::new("");
        let settings =
            format!("name = \"cpu-high\"\nmetric = \"cpu.usage\"\nlimit = 90.0\n{settings}\n");
        drop_into(&component.plugins(), "threshold", &guest("threshold"), &settings);
        let in_wasm = component.write("samples", &samples).replay(&["--all"], "samples");
        let fired = events(&in_rhai).iter().filter(|event| event["kind"] == "fired").count();
        assert!(fired >= 10, "{rhai}: only {fired} alerts fired");
        assert_same(&comparable(&in_rhai), &comparable(&in_wasm), rhai);
        for shards in ["1", "3"] {
            let flags = ["--all", "--shards", shards, "--batch", "100"];
            assert_same(&in_wasm, &component.replay(&flags, "samples"), shards);
        }
    }
}

/// Three rules over windows, as a script.
const WINDOWS_IN_RHAI: &str = r#"
rule("each").on("cpu.usage").window("1m").when(|w| w.mean > 85.0);
rule("host").on("cpu.usage").by("host").window("30s").every("5s")
    .when(|w| w.mean > 75.0).soak("10s").cool("20s");
rule("some").on("cpu.usage").only("host=~h[0-4]").by("host").window("20s").every("2s")
    .severity("critical").when(|w| w.mean > 80.0).text(|a| `cpu of ${a.labels.host} is hot`);
"#;

/// The same as settings of `window-mean`.
const WINDOWS_IN_WASM: &str = r#"
[[rules]]
name = "each"
metric = "cpu.usage"
window = "1m"
threshold = 85.0

[[rules]]
name = "host"
metric = "cpu.usage"
by = ["host"]
window = "30s"
every = "5s"
threshold = 75.0
soak = "10s"
cool = "20s"

[[rules]]
name = "some"
metric = "cpu.usage"
only = "host=~h[0-4]"
by = ["host"]
window = "20s"
every = "2s"
threshold = 80.0
level = "critical"
text = "cpu of {labels.host} is hot"
"#;

#[test]
fn a_window_rule_in_rhai_and_in_wasm_gives_the_same_events() {
    let samples = wandering();
    let script = Recorded::new(WINDOWS_IN_RHAI);
    let in_rhai = script.write("samples", &samples).replay(&["--all"], "samples");
    assert_eq!(silent(WINDOWS_IN_RHAI, &in_rhai), Vec::<String>::new(), "rules that said nothing");
    let component = Recorded::new("");
    drop_into(&component.plugins(), "window-mean", &guest("window_mean"), WINDOWS_IN_WASM);
    let in_wasm = component.write("samples", &samples).replay(&["--all"], "samples");
    assert_same(&comparable(&in_rhai), &comparable(&in_wasm), "windows");
    for shards in ["1", "3"] {
        let flags = ["--all", "--shards", shards, "--batch", "100"];
        assert_same(&in_wasm, &component.replay(&flags, "samples"), shards);
    }
}

/// Rules of a file that never fired: a test over them would hold nothing.
fn silent(rules: &str, printed: &str) -> Vec<String> {
    let told: BTreeSet<String> =
        events(printed).iter().map(|event| event["rule"].to_string()).collect();
    let named = rules.lines().filter_map(|line| line.strip_prefix("rule("));
    let judging = named.filter(|line| line.contains(".when(") || !line.contains(".record("));
    let names = judging.filter_map(|line| line.split(')').next());
    names.filter(|name| !told.contains(*name)).map(str::to_owned).collect()
}

#[test]
fn events_depend_on_neither_batches_nor_shards() {
    for rules in [include_str!("rules_of_every_kind.rhai"), include_str!("rules_that_record.rhai")]
    {
        let recorded = Recorded::new(rules);
        recorded.write("samples", &written(&recording(1), "json"));
        let once = recorded.replay(&["--all", "--shards", "1", "--batch", "4096"], "samples");
        assert_eq!(silent(rules, &once), Vec::<String>::new(), "rules that said nothing");
        for shards in ["1", "2", "4"] {
            for batch in ["1", "7", "1000", "4096"] {
                let flags = ["--all", "--shards", shards, "--batch", batch];
                assert_same(&once, &recorded.replay(&flags, "samples"), &flags.join(" "));
            }
        }
    }
}

#[test]
fn every_format_of_the_same_samples_gives_the_same_events() {
    let recorded = Recorded::new(include_str!("rules_of_every_kind.rhai"));
    let samples = recording(2);
    let mut first = None;
    for format in ["json", "influx", "prom", "statsd", "csv"] {
        recorded.write(format, &written(&samples, format));
        let printed = recorded.replay(&["--all", "--format", format], format);
        let expected = first.get_or_insert_with(|| printed.clone());
        assert_same(expected, &printed, format);
    }
}

#[test]
fn a_recording_in_several_files_is_one_recording() {
    let recorded = Recorded::new(include_str!("rules_of_every_kind.rhai"));
    let samples = recording(3);
    let (early, late) = samples.split_at(samples.len() / 3);
    recorded.write("all", &written(&samples, "csv"));
    recorded.write("early", &written(early, "csv")).write("late", &written(late, "csv"));
    let flags = ["--all", "--format", "csv"];
    let parted = recorded.path("early").display().to_string();
    let whole = recorded.replay(&flags, "all");
    assert_same(&whole, &recorded.replay(&[&flags[..], &[&parted]].concat(), "late"), "two files");
}

#[test]
fn the_anomaly_that_is_there_is_found_and_no_other() {
    let (mut random, mut text) = (Random::new(3), String::new());
    for second in 0..2_000i64 {
        for host in 0..5 {
            let usual = 50.0 + 4.0 * (random.unit() + random.unit() + random.unit() - 1.5);
            let value = if (host, second) == (3, 1_500) { 95.0 } else { usual };
            let at = START + second * 1_000;
            let _ = writeln!(
                text,
                r#"{{"name":"cpu","labels":{{"host":"h{host}"}},"ts":{at},"value":{value:.3}}}"#
            );
        }
    }
    let recorded = Recorded::new("");
    let settings = "metric = \"cpu\"\nby = [\"host\"]\nhalf_life = \"2m\"\nk = 6\nwarmup = 60\n";
    drop_into(&recorded.plugins(), "ewma", &guest("ewma_anomaly"), settings);
    let printed = recorded.write("samples", &text).replay(&["--shards", "2"], "samples");
    for (shards, batch) in [("1", "4096"), ("4", "7")] {
        let flags = ["--shards", shards, "--batch", batch];
        assert_same(&printed, &recorded.replay(&flags, "samples"), &flags.join(" "));
    }
    let told: Vec<String> = events(&printed)
        .iter()
        .map(|event| format!("{} {} {}", event["kind"], event["key"]["host"], event["at"]))
        .collect();
    let expected =
        [r#""fired" "h3" "2023-11-14T22:38:20Z""#, r#""resolved" "h3" "2023-11-14T22:38:21Z""#];
    assert_eq!(told, expected);
}
