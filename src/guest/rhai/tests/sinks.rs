//! What sinks do with alerts.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::guest::grant::{Granted, Request, Secret};
use crate::guest::sink::{Deliver, Outcome, SinkEnv};
use crate::kernel::event::Event;

/// One attempt with two events by the sink that `send` makes.
#[track_caller]
fn attempt(send: &str, granted: Granted, folder: &Path) -> Outcome {
    let loaded = load_good(&format!("sink(\"s\").send({send});"));
    let folder = folder.to_owned();
    let env = SinkEnv { granted, folder, settings: serde_json::Value::Null };
    let mut sink = loaded.sinks[0].opener.open(&env).expect("it opens");
    let first = super::texts::event();
    let second = Event { text: "second".into(), seq: 3, ..first.clone() };
    deliver(&mut *sink, &[Arc::new(first), Arc::new(second)])
}

fn deliver(sink: &mut dyn Deliver, events: &[Arc<Event>]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(sink.deliver("key", events))
}

fn files(patterns: &[&str]) -> Granted {
    let files = patterns.iter().map(|pattern| Arc::from(*pattern)).collect();
    Granted { files, ..Granted::default() }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect(name)
}

#[test]
fn the_archive_of_the_guide_appends_a_line_for_each_alert() {
    let folder = tempfile::tempdir().expect("a folder");
    let send = "|alerts, cap| {
        for a in alerts { cap.file.append(`alerts-${a.day}.jsonl`, a.to_json()); }
    }";
    let outcome = attempt(send, files(&["alerts-*.jsonl"]), folder.path());
    assert_eq!(outcome, Outcome::Delivered { note: None });
    let text = read(folder.path(), "alerts-2023-11-14.jsonl");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(
        (lines.len(), &lines[0]["text"], &lines[1]["text"]),
        (2, &"memory".into(), &"second".into())
    );
    assert_eq!((&lines[0]["value"], &lines[0]["labels"]["team"]), (&97.5.into(), &"db".into()));
    assert_eq!(
        (&lines[0]["at"], &lines[0]["state"]),
        (&"2023-11-14T22:13:20Z".into(), &"firing".into())
    );
}

#[test]
fn files_stay_in_the_folder_and_in_the_grant() {
    let folder = tempfile::tempdir().expect("a folder");
    for (patterns, name, outcome) in [
        (&["a-*.log"][..], "a-1.log", Ok(())),
        (&["a-*.log"], "a-.log", Ok(())),
        (&["day/*.log"], "day/1.log", Ok(())),
        (&["a-*.log"], "b.log", Err("`files = [\"b.log\"]` under `[grants.NAME]`")),
        (&["a-*.log"], "a-x/y.log", Err("`files = [\"a-x/y.log\"]` under `[grants.NAME]`")),
        (&["*"], "../x", Err("\"../x\" is no file name that can be granted")),
        (&["*/*"], "a/../x", Err("\"a/../x\" is no file name that can be granted")),
        (&["*"], "/etc/x", Err("\"/etc/x\" is no file name that can be granted")),
        (&["*"], ".hidden", Err("\".hidden\" is no file name that can be granted")),
        (&["*"], "", Err("\"\" is no file name that can be granted")),
        (&[], "x", Err("`files = [\"x\"]` under `[grants.NAME]`")),
    ] {
        let send = format!("|alerts, cap| cap.file.append({name:?}, \"line\")");
        match (attempt(&send, files(patterns), folder.path()), outcome) {
            (Outcome::Delivered { note: None }, Ok(())) => {}
            (Outcome::Rejected { why }, Err(end)) if why.ends_with(end) => {}
            (other, _) => panic!("{patterns:?} {name}: {other:?}"),
        }
        if outcome.is_ok() {
            assert_eq!(read(folder.path(), name), "line\n");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().expect("a"), tempfile::tempdir().expect("b"));
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("out")).expect("a link");
    let target = elsewhere.path().join("t");
    std::os::unix::fs::symlink(&target, folder.path().join("x")).expect("a link");
    for name in ["x", "out/y"] {
        let send = format!("|alerts, cap| cap.file.append({name:?}, \"line\")");
        let outcome = attempt(&send, files(&["*", "*/*"]), folder.path());
        assert!(
            matches!(&outcome, Outcome::Rejected { why } if why.contains("is a link")),
            "{outcome:?}"
        );
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("a folder").count(), 0);
}

#[test]
fn a_full_file_is_refused_before_it_grows() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = std::fs::File::create(folder.path().join("x")).expect("a file");
    let send = "|alerts, cap| cap.file.append(\"x\", \"12345\")";
    file.set_len(100 * 1024 * 1024 - 6).expect("a sparse file");
    let outcome = attempt(send, files(&["x"]), folder.path());
    assert_eq!(outcome, Outcome::Delivered { note: None });
    let outcome = attempt(send, files(&["x"]), folder.path());
    assert_eq!(outcome, Outcome::Rejected { why: "x is full: 104857600 bytes".into() });
}

#[test]
fn a_script_error_is_a_fault_and_a_returned_text_is_a_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |send: &str| attempt(send, Granted::default(), folder.path());
    assert_eq!(
        run("|alerts, cap| `took ${alerts.len()}`"),
        Outcome::Delivered { note: Some("took 2".into()) }
    );
    assert_eq!(run("|| 1"), Outcome::Delivered { note: None });
    for (send, fault) in [
        ("|alerts, cap| alerts[9].text", "sink `s`: array index 9 out of bounds"),
        ("|alerts, cap| { throw \"no\" }", "sink `s`: no (rules/test.rhai:1:"),
        ("|alerts, cap| loop { }", "sink `s`: the script does not come to an end"),
        ("|alerts, cap| rule(\"x\")", "sink `s`: there is no `rule`"),
        ("|alerts, cap| sleep(1)", "sink `s`: there is no `sleep`"),
    ] {
        let outcome = run(send);
        assert!(
            matches!(&outcome, Outcome::Faulted(f) if f.what.starts_with(fault)),
            "{outcome:?}"
        );
    }
}

#[test]
fn secrets_are_used_and_never_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets = [(Arc::from("TOKEN"), Secret::new("hunter2"))].into_iter().collect();
    let granted = Granted { secrets, ..Granted::default() };
    for seen in [
        "`${cap.secret(\"TOKEN\")}`",
        "cap.secret(\"TOKEN\").to_string()",
        "(\"a\" + cap.secret(\"TOKEN\")).to_string()",
        "#{ x: cap.secret(\"TOKEN\") }.to_json()",
        "[cap.secret(\"TOKEN\")].to_string()",
    ] {
        let outcome = attempt(&format!("|alerts, cap| {seen}"), granted.clone(), folder.path());
        let Outcome::Delivered { note: Some(note) } = outcome else {
            panic!("{seen}: {outcome:?}")
        };
        assert!(note.contains("***") && !note.contains("hunter2"), "{seen} {note}");
    }
    let caught = "|alerts, cap| {
        try { cap.secret(\"OTHER\"); } catch (e) { return `${e.status} ${e.message}`; }
    }";
    let outcome = attempt(caught, granted.clone(), folder.path());
    let cure = granted.cure(&Request::Secret("OTHER".into()));
    let note = format!("0 the secret is not granted; {cure}");
    assert_eq!(outcome, Outcome::Delivered { note: Some(note) });
    let outcome = attempt("|alerts, cap| cap.secret(\"OTHER\")", granted, folder.path());
    assert_eq!(outcome, Outcome::Rejected { why: format!("the secret is not granted; {cure}") });
}

#[test]
fn the_largest_batch_fits() {
    let send = "|alerts, cap| {
        let lines = alerts.map(|a| a.to_json());
        `${lines.len()} ${alerts.filter(|a| a.kind == `fired`).len()}`
    }";
    let loaded = load_good(&format!("sink(\"s\").batch(10000, \"1s\").send({send});"));
    let folder = tempfile::tempdir().expect("a folder");
    let (granted, settings) = (Granted::default(), serde_json::Value::Null);
    let env = SinkEnv { granted, folder: folder.path().to_owned(), settings };
    let mut sink = loaded.sinks[0].opener.open(&env).expect("it opens");
    let event = Arc::new(super::texts::event());
    let events = vec![event; loaded.sinks[0].batching.max];
    let outcome = deliver(&mut *sink, &events);
    assert_eq!(outcome, Outcome::Delivered { note: Some("10000 10000".into()) });
}
