//! Every template builds, and passes when it is tried. Rules and sinks in Rust, and sinks in the
//! other languages, are on the pages.

use std::path::Path;
use std::process::Output;

use super::tools::has_all;
use crate::command::watchfire;

fn run(folder: &Path, args: &[&str]) -> Output {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/target");
    let mut command = watchfire();
    command.current_dir(folder).env("CARGO_TARGET_DIR", target).args(args);
    command.output().expect("it runs")
}

/// Writes and builds a plugin, and sees that it is of its world.
#[track_caller]
fn check(kind: &str, language: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let new = run(folder.path(), &["plugin", "new", "mine", "--kind", kind, "--lang", language]);
    assert!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
    let built = run(folder.path(), &["plugin", "build", "mine"]);
    let told = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{kind} in {language}: {told}");
    assert!(!told.contains("warning: unused"), "{kind} in {language}: {told}");
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(said.starts_with(&format!("built mine/mine.wasm: a {kind} in ")), "{said}");
    folder
}

#[test]
fn the_other_kinds_in_rust() {
    assert_eq!(asked(check("sample-sink", "rust").path()), DELIVERED);
    assert_eq!(asked(check("source", "rust").path()), DECODED);
    assert_eq!(asked(check("probe", "rust").path()), MEASURED);
    let folder = check("window-rule", "rust");
    let tested = run(folder.path(), &["plugin", "test", "mine/mine.wasm"]);
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
}

#[test]
fn probes_in_the_other_languages() {
    for (language, tools) in
        [("js", &["node", "npm"][..]), ("python", &["python3"]), ("c", &["clang", "wasm-ld"])]
    {
        if has_all(tools) {
            let folder = check("probe", language);
            assert_eq!(asked(folder.path()), MEASURED, "{language}");
        }
    }
}

/// What a probe of the template says of an address that answers.
const MEASURED: &str = "\
GET https://shop.example.net/health
web.up{url=\"https://shop.example.net/health\"} 1
web.status{url=\"https://shop.example.net/health\"} 200
2 readings, 1 requests; it measures every 10s
";

/// What a sink of samples of the template sends of those that come with it.
const DELIVERED: &str = "\
POST https://metrics.example.net/ingest
  content-type: application/json
  idempotency-key: test-1
  {\"labels\":{\"host\":\"db1\"},\"name\":\"cpu.usage\",\"ts\":1700000000000,\"value\":95.0}
  {\"labels\":{\"host\":\"db2\"},\"name\":\"cpu.usage\",\"ts\":1700000000000,\"value\":12.5}
2 samples: delivered
1 attempts, 0 failed, 1 requests; 0 samples not wanted
";

/// What a source of the template reads.
const DECODED: &str = "\
plant.pressure 1.5
plant.flow 12
byte 13: `warm` is no number
2 readings, 1 defects in 38 bytes of text/plain
";

fn asked(folder: &Path) -> String {
    let tested = run(folder, &["plugin", "test", "mine/mine.wasm"]);
    String::from_utf8_lossy(&tested.stdout).into_owned()
}

#[test]
fn a_build_that_cannot_be_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, language, says) in [
        ("rule", "python", "no template for a rule in Python"),
        ("rule", "cobol", "invalid value 'cobol'"),
    ] {
        let args = ["plugin", "new", "mine", "--kind", kind, "--lang", language];
        let output = run(folder.path(), &args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(says), "{told}");
    }
    let output = run(folder.path(), &["plugin", "build", "."]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("is no plugin's folder"), "{told}");
}

#[test]
fn a_file_that_is_no_plugin_is_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.wasm"), "no component").expect("it is ours");
    for command in ["check", "test"] {
        let output = run(folder.path(), &["plugin", command, "a.wasm"]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("this is not WebAssembly"), "{told}");
    }
}

#[test]
fn a_sink_that_a_server_turns_away_fails_its_test() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("hook.wasm"), crate::guests::guest("webhook"))
        .and_then(|()| {
            let settings = "url = \"https://a.example/hook\"\n\
                            headers = { token = { secret = \"TOKEN\" } }\n\
                            body = { text = \"{lines}\" }\n";
            std::fs::write(folder.path().join("hook.toml"), settings)
        })
        .expect("they are ours");
    let alert = "{\"text\":\"it burns\"}\n";
    std::fs::write(folder.path().join("one.jsonl"), alert).expect("it is ours");
    let args = ["plugin", "test", "hook.wasm", "--alerts", "one.jsonl", "--status", "400"];
    let output = run(folder.path(), &args);
    let expected = "\
POST https://a.example/hook
  content-type: application/json
  idempotency-key: test-1
  token: secret-TOKEN
  {\"text\":\"fired warning it burns\"}
1 alerts: rejected: the server answered 400:
1 attempts, 1 failed, 1 requests
";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(output.status.code(), Some(1));
}
