//! `watchfire test` over folders of rules and stories: what it prints and how it exits.

use super::*;
use crate::kernel::event::Event;
use crate::kernel::model::{EventTime, Series};

/// Rules in which nothing ever happens; the rule files declare `quiet`.
struct Quiet;

impl Benches for Quiet {
    fn rules(&mut self, files: &[PathBuf]) -> Result<Vec<String>, String> {
        let [file] = files else { return Err("error: one file".into()) };
        std::fs::read_to_string(file).map(|_| vec!["quiet".into()]).map_err(|e| e.to_string())
    }

    fn bench(&mut self, _: &[PathBuf], _: &Story) -> Result<Box<dyn Bench>, String> {
        Ok(Box::new(Quiet))
    }
}

impl Bench for Quiet {
    fn feed(&mut self, _: &[(EventTime, Series, f64)]) -> Vec<Event> {
        Vec::new()
    }

    fn advance(&mut self, _: EventTime) -> Vec<Event> {
        Vec::new()
    }

    fn finish(&mut self) -> Vec<Event> {
        Vec::new()
    }
}

const GOOD: &str = "rule quiet\nfeed every 1m\n  m 1\n";
const BAD: &str = "rule quiet\nfeed every 1m\n  m 1\nat 0s FIRED {}  value 1\n";

/// Writes the files, tests the folder, and compares what is printed, without the folder's name
/// and the seconds.
fn check(files: &[(&str, &str)], flags: &[&str], exit: Exit, expected: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let args = Args {
        paths: vec![folder.path().to_owned()],
        bless: flags.contains(&"--bless"),
        junit: flags.contains(&"--junit").then(|| folder.path().join("junit.xml")),
    };
    let mut out = Vec::new();
    let got = test(&args, &mut Quiet, &mut out).expect("it runs");
    let printed = String::from_utf8(out).expect("text");
    let printed = printed.replace(&format!("{}/", folder.path().display()), "");
    let printed = printed[..printed.rfind(", in ").expect("a summary")].to_owned();
    assert_eq!((printed.as_str(), got), (expected.trim_matches('\n'), exit), "\n{printed}\n");
    folder
}

#[test]
fn every_story_of_a_folder_runs_in_order_of_names() {
    check(
        &[
            ("b.story", GOOD),
            ("b.rhai", ""),
            ("a/z.story", GOOD),
            ("a/z.wasm", ""),
            (".hidden.story", "nonsense"),
            ("notes.txt", "nonsense"),
        ],
        &[],
        Exit::Ok,
        "
ok      a/z.story:1  quiet
ok      b.story:1  quiet
2 passed, 0 failed",
    );
}

#[test]
fn what_fails_is_shown_with_its_difference_or_its_mistake() {
    let folder = check(
        &[
            ("a.story", BAD),
            ("a.rhai", ""),
            ("b.story", "rule quiet\nat 0s FIRE\n"),
            ("b.rhai", ""),
            ("c.story", "rules gone/c.rhai\n"),
            ("d.story", "rule quite\n"),
            ("d.rhai", ""),
        ],
        &["--junit"],
        Exit::Findings,
        "
FAILED  a.story:1  quiet
    4 - at 0s   FIRED  value 1
  = help: if what happened (+) is right, `watchfire test --bless a.story` writes it down
FAILED  b.story:1  the whole file
error: `FIRE` is no change of an alert
 --> b.story:2:7
  |
2 | at 0s FIRE
  |       ^^^^
  = help: did you mean `FIRED`?
FAILED  c.story:1  the whole file
No such file or directory (os error 2)
FAILED  d.story:1  the whole file
error: there is no rule `quite`
 --> d.story:1:1
  |
1 | rule quite
  | ^^^^^^^^^^
  = help: did you mean `quiet`?
0 passed, 4 failed",
    );
    let xml = std::fs::read_to_string(folder.path().join("junit.xml")).expect("it was written");
    assert!(xml.contains("tests=\"4\" failures=\"1\" errors=\"3\""), "{xml}");
}

#[test]
fn a_blessed_story_is_rewritten_in_place() {
    let files = [("a.story", BAD), ("a.rhai", "")];
    let folder =
        check(&files, &["--bless"], Exit::Ok, "ok      a.story:1  quiet\n1 passed, 0 failed");
    let text = std::fs::read_to_string(folder.path().join("a.story")).expect("it is there");
    assert_eq!(text, GOOD);
}

#[test]
fn a_story_without_its_rule_file_says_so() {
    check(
        &[("a.story", GOOD)],
        &[],
        Exit::Findings,
        "
FAILED  a.story:1  the whole file
error: neither a.rhai nor a.wasm is there
  = help: put the story beside its rule file, or start it with a line `rules FILE`
0 passed, 1 failed",
    );
}

#[test]
fn a_path_that_is_named_must_be_there() {
    let args = Args { paths: vec!["/nonexistent".into()], bless: false, junit: None };
    let failure = test(&args, &mut Quiet, &mut Vec::new()).expect_err("nothing is there");
    assert_eq!(failure.exit, Exit::Usage);
}
