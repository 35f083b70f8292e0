//! The performance works of `benches/`: the tests of their driver, and that the rules still give
//! the known answers, on as little data as has every kind of breach.

#[path = "../../benches/works/main.rs"]
#[expect(dead_code, reason = "its commands are for benches/works.sh")]
mod driver;

use std::path::Path;

use driver::answers::Work;
use driver::check::{compare, edges_of};
use driver::data::{Data, Extent};
use driver::format::Format;

use crate::command::watchfire;
use crate::guests::{drop_into, guest};
use crate::instance::Site;
use crate::loopback::{post, wait_for};

const EXTENT: Extent = Extent { seed: 3, hosts: 20, ticks: 260, cadence_ms: 1_000 };

/// Replays the work's samples with these arguments and compares.
#[track_caller]
fn check(work: Work, format: Format, arguments: &[&Path]) {
    let data = Data::new(EXTENT);
    let folder = tempfile::tempdir().expect("a folder");
    let samples = folder.path().join("samples");
    let mut text = Vec::new();
    driver::write_samples(&data, format, &mut text).expect("a vector takes all");
    std::fs::write(&samples, text).expect("it is written");
    let output = watchfire()
        .args(["replay", "--shards", "2", "--format", format.name()])
        .args(arguments)
        .arg(&samples)
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let summary = String::from_utf8_lossy(&output.stderr);
    assert!(summary.contains("refused: none; 0 defects"), "{}: {summary}", work.name());
    let edges = edges_of(&told).expect("events of a work");
    let comparison = compare(&work.answers(&data), &edges, work.tolerance_ms());
    assert!(comparison.is_right(), "{}: {:#?}", work.name(), comparison.wrong);
}

fn rules_of(work: Work) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/works").join(work.name())
}

#[test]
fn the_works_rules_give_the_known_answers() {
    for (work, format) in Work::ALL.into_iter().zip(Format::ALL) {
        check(work, format, &[Path::new("--rules"), &rules_of(work)]);
    }
}

/// As [`check`], by the work's rules in a component, whose name its settings bear.
#[track_caller]
fn check_component(work: Work, component: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (rules, plugins) = (folder.path().join("rules"), folder.path().join("plugins"));
    for folder in [&rules, &plugins] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let settings = rules_of(work).join(format!("{component}.toml"));
    let settings = std::fs::read_to_string(settings).expect("settings");
    drop_into(&plugins, component, &guest(component), &settings);
    let arguments = [Path::new("--rules"), &rules, Path::new("--plugins"), &plugins];
    check(work, Format::Json, &arguments);
}

#[test]
fn components_give_the_same_answers() {
    check_component(Work::T1, "works");
    check_component(Work::W1, "window_mean");
}

#[test]
fn a_replay_keeps_to_the_limits_of_its_settings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("watchfire.toml"), "[limits]\nlabels_max = 1\n").expect("settings");
    std::fs::write(path("samples"), r#"{"name":"m","labels":{"a":"1","b":"2"},"ts":1,"value":1}"#)
        .expect("a sample");
    let told = |flags: &[&str]| {
        let mut command = watchfire();
        command.args(["replay", "--rules"]).arg(rules_of(Work::T1)).args(flags);
        let output = command.arg(path("samples")).current_dir(&folder).output().expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(told(&[]).contains("refused: none"), "{}", told(&[]));
    let limited = told(&["--config", "watchfire.toml"]);
    assert!(limited.contains("refused: too_many_labels 1"), "{limited}");
    assert!(told(&["--config", "gone.toml"]).contains("cannot read the settings"));
}

#[test]
fn every_shards_pause_is_counted() {
    let site = Site::new();
    site.write("rules/rule.rhai", "rule(\"r\").on(\"m\").when(|v| v > 1.0);");
    let instance = site.start("[engine]\nshards = 2\n");
    let count = || instance.metric("watchfire_reload_pause_seconds_count");
    assert_eq!(count(), Some(0.0), "a start is no reload");
    instance.site.write("rules/rule.rhai", "rule(\"r\").on(\"m\").when(|v| v > 2.0);");
    post(instance.address, "/api/v1/reload", b"");
    let count = wait_for("the reload", || count().filter(|count| *count > 0.0));
    assert_eq!(count % 2.0, 0.0, "one for each shard");
}
