//! Files that change under a running instance.

use std::fs;

use serde_json::Value;

use super::instance::{Instance, Place, swap_link};

fn rule(name: &str, limit: f64) -> String {
    format!("rule(\"{name}\").on(\"load\").by(\"host\").when(|v| v > {limit:?});\n")
}

/// One rule that fires for host a.
fn firing() -> (Place, Instance) {
    let place = Place::new();
    place.write("rules/load.rhai", rule("load-high", 90.0));
    let instance = place.start();
    instance.load("a", 95.0);
    assert_eq!(instance.events(), ["fired load-high a (breach)"]);
    (place, instance)
}

/// Waits until the newest reload has such an outcome.
#[track_caller]
fn until_outcome(instance: &Instance, outcome: &str) -> Value {
    instance.until("/api/v1/reloads", |_, reloads| {
        let newest = reloads["reloads"].as_array()?.last()?;
        (newest["outcome"] == outcome).then(|| newest.clone())
    })
}

#[test]
fn a_broken_file_keeps_its_last_good_version_and_says_where_it_is_broken() {
    let (place, instance) = firing();
    place.write("rules/load.rhai", "rule(\"load-high\").on(\"load\")\n    .wen(|v| v > 50.0);\n");
    let reload = until_outcome(&instance, "failed");
    let finding = &reload["files"][0]["findings"][0];
    assert_eq!((&finding["line"], &finding["column"]), (&2.into(), &6.into()), "{finding:#}");
    assert_eq!(finding["source"], "    .wen(|v| v > 50.0);");
    assert!(finding["hint"].as_str().is_some_and(|hint| hint.contains("when")), "{finding:#}");
    instance.load("b", 60.0);
    instance.load("c", 99.0);
    let fired = ["fired load-high a (breach)", "fired load-high c (breach)"];
    assert_eq!(instance.events(), fired, "the last good version judges on");

    place.write("rules/load.rhai", rule("load-high", 50.0));
    until_outcome(&instance, "adopted");
    instance.load("b", 60.0);
    assert_eq!(instance.events().last().map(String::as_str), Some("fired load-high b (breach)"));
}

#[test]
fn a_link_that_is_swapped_is_a_change_and_a_rename_is_none() {
    let place = Place::new();
    // As a ConfigMap is mounted: the files are links into a hidden folder, itself a link.
    for (folder, limit) in [("..one", 90.0), ("..two", 50.0)] {
        fs::create_dir(place.path("rules").join(folder)).expect("a folder");
        place.write(&format!("rules/{folder}/load.rhai"), rule("load-high", limit));
    }
    let data = place.path("rules/..data");
    std::os::unix::fs::symlink("..one", &data).expect("a link");
    let file = place.path("rules/load.rhai");
    std::os::unix::fs::symlink("..data/load.rhai", &file).expect("a link");
    let instance = place.start();
    instance.load("a", 95.0);
    instance.load("b", 60.0);
    assert_eq!(instance.events(), ["fired load-high a (breach)"]);

    swap_link(&data, "..two");
    instance.until("/api/v1/reloads", |_, reloads| {
        (reloads["reloads"].as_array()?.len() == 2).then_some(())
    });
    instance.load("b", 60.0);
    let events = ["fired load-high a (breach)", "fired load-high b (breach)"];
    assert_eq!(instance.events(), events, "the alert that fired is the same one");

    fs::rename(&file, place.path("rules/renamed.rhai")).expect("a rename");
    instance.until("/api/v1/rules", |_, rules| {
        rules["data"]["groups"].to_string().contains("renamed.rhai").then_some(())
    });
    // Past the time after which the old name's file would count as removed.
    place.write("rules/more.rhai", rule("more", 1000.0));
    instance.until_rules(&["load-high", "more"]);
    fs::remove_file(place.path("rules/more.rhai")).expect("it is there");
    instance.until_rules(&["load-high"]);
    assert_eq!(instance.events(), events);
}

#[test]
fn a_removed_file_resolves_its_alerts_and_says_why() {
    let (place, instance) = firing();
    place.write("rules/other.rhai", rule("other", 1000.0));
    instance.until_rules(&["load-high", "other"]);
    fs::remove_file(place.path("rules/load.rhai")).expect("it is there");
    instance.until_rules(&["other"]);
    let events = ["fired load-high a (breach)", "resolved load-high a (rule_removed)"];
    assert_eq!(instance.events(), events);
}

#[test]
fn an_emptied_folder_changes_nothing_until_somebody_says_so() {
    let (place, instance) = firing();
    fs::remove_file(place.path("rules/load.rhai")).expect("it is there");
    instance.until("/health", |status, _| (status == 503).then_some(()));
    instance.load("b", 95.0);
    let events = ["fired load-high a (breach)", "fired load-high b (breach)"];
    assert_eq!(instance.events(), events, "the last rules judge on");

    assert_eq!(instance.post("/api/v1/rules/accept-empty", "").0, 200);
    instance.until_rules(&[]);
    instance.until("/health", |status, _| (status == 200).then_some(()));
    let resolved = instance.events();
    assert!(resolved[2..].iter().all(|event| event.ends_with("(rule_removed)")), "{resolved:?}");
    assert_eq!(resolved.len(), 4);
}

#[test]
fn a_library_below_the_folder_is_watched_once_somebody_imports_it() {
    let place = Place::new();
    fs::create_dir(place.path("rules/lib")).expect("a folder");
    place.write("rules/lib/limits.rhai", "fn high() { 90.0 }\n");
    let user = "import \"lib/limits\" as limits;\n\
                rule(\"load-high\").on(\"load\").by(\"host\").when(|v| v > limits::high());\n";
    place.write("rules/load.rhai", user);
    let instance = place.start();
    instance.load("a", 60.0);
    assert_eq!(instance.events().len(), 0);
    place.write("rules/lib/limits.rhai", "fn high() { 50.0 }\n");
    instance.until("/api/v1/reloads", |_, reloads| {
        (reloads["reloads"].as_array()?.len() == 2).then_some(())
    });
    instance.load("a", 60.0);
    assert_eq!(instance.events(), ["fired load-high a (breach)"]);
}
