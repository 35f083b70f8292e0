//! The rules that ship, by their own stories.

use std::path::Path;
use std::process::Output;

use super::instance::Place;

fn shipped() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let entries = std::fs::read_dir(folder).expect("the rules that ship");
    entries.map(|entry| entry.expect("readable").path()).collect()
}

/// The shipped rules and stories, in a place where they may be changed.
fn copied() -> Place {
    let place = Place::new();
    for path in shipped() {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        place.write(&format!("rules/{name}"), std::fs::read(&path).expect("readable"));
    }
    place
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn every_rule_file_has_a_story_and_all_of_them_hold() {
    for path in shipped().iter().filter(|path| path.extension().is_some_and(|e| e == "rhai")) {
        assert!(path.with_extension("story").is_file(), "{} has no story", path.display());
    }
    let place = copied();
    for command in ["test", "check"] {
        let output = place.run(&[command]);
        assert!(output.status.success(), "{command}: {}", told(&output));
    }
}

#[test]
fn a_story_that_is_wrong_fails_with_what_happened_beside_what_was_expected() {
    let place = copied();
    let wrong = "rule cpu-high
feed every 10s
  cpu.usage{host=\"a\"}   95x61  20x20
at 0s   pending  {host=\"a\"}
at 5m   FIRED    {host=\"a\"}  level critical
";
    place.write("rules/cpu.story", wrong);
    let output = place.run(&["test", "rules/cpu.story"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
FAILED  rules/cpu.story:1  cpu-high
    4   at 0s   pending   {host=\"a\"}
    5 - at 5m   FIRED     {host=\"a\"}  level critical
      + at 10m  FIRED     {host=\"a\"}  level warning
      + at 10m10s cooling   {host=\"a\"}
      + at 12m10s RESOLVED  {host=\"a\"}
  = help: if what happened (+) is right, `watchfire test --bless rules/cpu.story` writes it down
0 passed, 1 failed, in ";
    assert!(told(&output).starts_with(expected), "{}", told(&output));
}
