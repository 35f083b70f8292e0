//! One rule in two languages, and one recording in every way of reading it, give the same events.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::command::{Recorded, assert_same, events};
use crate::guests::{drop_into, guest};
use crate::random::Random;

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
            let _ = writeln!(
                text,
                r#"{{"name":"cpu.usage","labels":{{"host":"h{host}","core":"{row}"}},"ts":{at},"value":{value:.3}}}"#
            );
        }
    }
    text
}

/// The events without what legitimately tells the two languages apart: the version is a hash over
/// the rule's source, and what a component reads besides the sample is its own affair.
fn comparable(printed: &str) -> String {
    let mut text = String::new();
    for mut event in events(printed) {
        let fields = event.as_object_mut().expect("an event is an object");
        fields.remove("version").expect("every event names its rule's version");
        fields.remove("values");
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
