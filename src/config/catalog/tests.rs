//! Folders as lists of texts; what is live after each look, and what people are told.

use super::*;
use crate::guest::grant::GuestTerms;
use crate::guest::wasm::WasmLimits;

struct Desk {
    catalog: Catalog,
    files: BTreeMap<&'static str, String>,
    folder: Arc<str>,
    libraries: rhai::Imports,
    now: i64,
}

fn threshold(name: &str, limit: u32) -> String {
    format!("rule(\"{name}\").on(\"cpu\").when(|v| v > {limit}.0);\n")
}

impl Desk {
    fn new(files: &[(&'static str, String)]) -> Desk {
        let wasm = Arc::new(WasmHost::new(WasmLimits::default()).expect("the host starts"));
        let catalog = Catalog::new(Duration::from_secs(3), wasm);
        Desk {
            catalog,
            files: files.iter().cloned().collect(),
            folder: "rules".into(),
            libraries: rhai::Imports::new(),
            now: 0,
        }
    }

    fn look_as(&mut self, files: Option<Vec<Found>>, accept_empty: bool) -> Scan {
        let (why, is_missing) = ("it cannot be read (permission denied)".to_owned(), false);
        let files = files.ok_or(Unlisted { why, is_missing });
        let folder = Folder { path: self.folder.clone(), files, libraries: self.libraries.clone() };
        self.catalog.scan(&[folder], Now::from_nanos(self.now * 1_000_000_000), accept_empty)
    }

    fn look(&mut self) -> Scan {
        let found = |(name, text): (&&str, &String)| Found {
            path: format!("{}/{name}", self.folder).into(),
            bytes: Arc::from(text.as_bytes()),
            settings: serde_json::Value::Null,
            terms: GuestTerms::default(),
        };
        let files = self.files.iter().map(found).collect();
        self.look_as(Some(files), false)
    }
}

/// The rules that are live, as `name@line of its text`, and the findings.
fn names(scan: &Scan) -> String {
    let rules =
        scan.ruleset.rules().iter().map(|rule| format!("{}:{}", rule.origin.file, rule.name));
    rules.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_the_others_go_live() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1)), ("b.rhai", threshold("b", 1))]);
    let before = desk.look();
    assert_eq!(names(&before), "rules/a.rhai:a rules/b.rhai:b");
    desk.files.insert("a.rhai", "rule(\"a\").on(".into());
    desk.files.insert("b.rhai", threshold("b", 2));
    let scan = desk.look();
    assert_eq!(names(&scan), "rules/a.rhai:a rules/b.rhai:b");
    assert_eq!(scan.ruleset.rules()[0].version, before.ruleset.rules()[0].version);
    assert_ne!(scan.ruleset.rules()[1].version, before.ruleset.rules()[1].version);
    assert_eq!(scan.findings.len(), 1);
    assert_eq!(scan.findings[0].file, "rules/a.rhai");
    desk.files.insert("a.rhai", threshold("a", 3));
    let scan = desk.look();
    assert!(scan.findings.is_empty());
    assert_ne!(scan.ruleset.rules()[0].version, before.ruleset.rules()[0].version);
}

#[test]
fn nothing_new_is_no_change() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1))]);
    assert!(desk.look().is_new);
    assert!(!desk.look().is_new);
}

#[test]
fn a_file_counts_as_removed_when_it_is_still_missing_after_its_patience() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1)), ("b.rhai", threshold("b", 1))]);
    desk.look();
    desk.files.remove("a.rhai");
    for (now, live) in [
        (10, "rules/a.rhai:a rules/b.rhai:b"),
        (12, "rules/a.rhai:a rules/b.rhai:b"),
        (13, "rules/b.rhai:b"),
    ] {
        desk.now = now;
        let scan = desk.look();
        assert_eq!(names(&scan), live, "at {now} s");
        assert_eq!(scan.next.is_some(), now < 13);
    }
}

#[test]
fn a_renamed_file_changes_nothing() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1)), ("z.rhai", threshold("z", 1))]);
    desk.look();
    let text = desk.files.remove("a.rhai").expect("it is there");
    desk.files.insert("new-name.rhai", text);
    let scan = desk.look();
    assert_eq!(names(&scan), "rules/new-name.rhai:a rules/z.rhai:z");
    assert!(scan.findings.is_empty());
}

#[test]
fn one_name_in_two_files_rejects_both_changes_until_one_gives_way() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1)), ("b.rhai", threshold("b", 1))]);
    let before = desk.look();
    desk.files.insert("a.rhai", threshold("same", 1));
    desk.files.insert("b.rhai", threshold("same", 2));
    for _ in 0..2 {
        let scan = desk.look();
        assert_eq!(names(&scan), names(&before));
        let files: Vec<&str> = scan.findings.iter().map(|finding| finding.file.as_str()).collect();
        assert_eq!(files, ["rules/a.rhai", "rules/b.rhai"]);
        assert!(scan.findings[0].what.contains("declared in rules/a.rhai and in rules/b.rhai"));
    }
    desk.files.insert("b.rhai", threshold("b", 2));
    let scan = desk.look();
    // The name that was given up is given its patience.
    assert_eq!(names(&scan), "rules/a.rhai:a rules/b.rhai:b rules/a.rhai:same");
    assert!(scan.findings.is_empty());
}

#[test]
fn an_emptied_or_unreadable_folder_changes_nothing_until_it_is_accepted() {
    let mut desk = Desk::new(&[("a.rhai", threshold("a", 1))]);
    let scan = desk.look_as(None, false);
    let why = "it cannot be read (permission denied); no rule of it is live";
    assert_eq!(scan.held.get("rules").map(String::as_str), Some(why));
    desk.look();
    for files in [Some(Vec::new()), None] {
        desk.now += 100;
        let scan = desk.look_as(files, false);
        assert_eq!(names(&scan), "rules/a.rhai:a");
        assert!(scan.held.contains_key("rules"), "{:?}", scan.held);
    }
    let scan = desk.look_as(None, true);
    assert_eq!(names(&scan), "rules/a.rhai:a", "what cannot be read is not empty");
    let scan = desk.look_as(Some(Vec::new()), true);
    assert_eq!((names(&scan).as_str(), scan.held.len()), ("", 0));
}

#[test]
fn recording_rules_that_feed_each_other_are_refused() {
    let record = |name: &str, from: &str, to: &str| {
        format!("rule(\"{name}\").on(\"{from}\").window(\"1m\").record(\"{to}\", |w| w.mean);\n")
    };
    let mut desk = Desk::new(&[("a.rhai", record("a", "x", "y"))]);
    desk.look();
    desk.files.insert("b.rhai", record("b", "y", "x"));
    let scan = desk.look();
    assert_eq!(names(&scan), "rules/a.rhai:a");
    assert!(scan.findings[0].what.contains("circle"), "{}", scan.findings[0].what);
}

#[test]
fn what_is_no_component_says_so() {
    let mut desk = Desk::new(&[("a.wasm", "this is a text".into()), ("b.rhai", threshold("b", 1))]);
    let scan = desk.look();
    assert_eq!(names(&scan), "rules/b.rhai:b");
    assert_eq!(scan.findings.len(), 1, "{:?}", scan.findings);
}

#[test]
fn a_changed_library_reloads_its_users_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let limit = |text: &str| {
        std::fs::write(folder.path().join("limits.rhai"), text).expect("a library");
        rhai::library_hash(folder.path(), "limits.rhai")
    };
    let user = "import \"limits\" as limits;\n\
                rule(\"user\").on(\"cpu\").when(|v| v > limits::high());\n";
    let mut desk = Desk::new(&[("other.rhai", threshold("other", 1)), ("user.rhai", user.into())]);
    desk.folder = folder.path().display().to_string().into();
    let first = limit("fn high() { 90.0 }");
    assert_eq!(desk.look().findings.len(), 0);
    assert_eq!(desk.catalog.imports(&desk.folder), BTreeSet::from(["limits.rhai".to_owned()]));
    desk.libraries = rhai::Imports::from([("limits.rhai".into(), first)]);
    assert!(!desk.look().is_new, "it was read with this library");

    for (text, findings) in [("fn high( {", 1), ("fn high() { 80.0 }", 0)] {
        desk.libraries = rhai::Imports::from([("limits.rhai".into(), limit(text))]);
        let scan = desk.look();
        let user = format!("{}/user.rhai", desk.folder);
        assert_eq!(scan.changed, [Arc::from(user)], "{text}");
        assert_eq!((scan.findings.len(), scan.ruleset.rules().len()), (findings, 2), "{text}");
    }
}

#[test]
fn a_rule_that_is_cut_out_of_its_file_is_given_the_same_patience() {
    let both = format!("{}{}", threshold("a", 1), threshold("b", 1));
    let mut desk = Desk::new(&[("x.rhai", both.clone()), ("y.rhai", threshold("y", 1))]);
    let all = "rules/x.rhai:a rules/x.rhai:b rules/y.rhai:y";
    assert_eq!(names(&desk.look()), all);
    desk.files.insert("x.rhai", threshold("a", 2));
    for (now, live) in [(10, all), (12, all), (13, "rules/x.rhai:a rules/y.rhai:y")] {
        desk.now = now;
        assert_eq!(names(&desk.look()), live, "at {now} s");
    }
    // It comes back, moves to another file, is cut out there too: one rule all the while.
    desk.files.insert("x.rhai", both);
    desk.look();
    desk.files.insert("x.rhai", threshold("a", 2));
    desk.files.insert("y.rhai", format!("{}{}", threshold("y", 1), threshold("b", 3)));
    assert_eq!(names(&desk.look()), "rules/x.rhai:a rules/y.rhai:b rules/y.rhai:y");
    desk.files.insert("y.rhai", threshold("y", 1));
    let scan = desk.look();
    assert_eq!(scan.ruleset.rules().len(), 3);
    assert!(scan.findings.is_empty() && scan.next.is_some());
}
