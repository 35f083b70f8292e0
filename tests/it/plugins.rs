//! What people see of plugins in a running instance, and what outlives it.

use serde_json::Value;
use watchfire::guest::grant::digest_of;

use crate::guests::{drop_into, guest, rebuilt};
use crate::instance::{Instance, Site};
use crate::loopback::{Receiver, get, post, wait_for};

/// Dies of the value 666.
const DEADLY: &str = "act = \"panic\"\nvalue = 666.0\n";

fn plugin(instance: &Instance, name: &str) -> Value {
    let page = get(instance.address, "/api/v1/plugins").json();
    let plugins = page["plugins"].as_array().expect("a list").clone();
    plugins.into_iter().find(|plugin| plugin["name"] == name).unwrap_or(Value::Null)
}

/// What happened to a plugin so far, by name.
fn changes(instance: &Instance, plugin: &str) -> Vec<Value> {
    let page = get(instance.address, "/api/v1/plugins/changes").json();
    let changes = page["changes"].as_array().expect("a list").iter();
    changes.filter(|change| change["plugin"] == plugin).cloned().collect()
}

fn names(changes: &[Value]) -> Vec<&str> {
    changes.iter().filter_map(|change| change["change"].as_str()).collect()
}

/// Waits until so many things happened to a plugin.
#[track_caller]
fn wait_changes(instance: &Instance, plugin: &str, expected: &[&str]) -> Vec<Value> {
    wait_for(&format!("{expected:?}"), || {
        let changes = changes(instance, plugin);
        let names = names(&changes);
        assert!(expected.starts_with(&names[..names.len().min(expected.len())]), "{changes:#?}");
        (names.len() >= expected.len()).then_some(())
    });
    let changes = changes(instance, plugin);
    assert_eq!(names(&changes), expected, "{changes:#?}");
    changes
}

fn send(instance: &Instance, value: f64) {
    let line = format!("{{\"name\":\"load\",\"labels\":{{\"host\":\"a\"}},\"value\":{value}}}\n");
    assert_eq!(post(instance.address, "/ingest", line.as_bytes()).status(), 200);
    instance.flush();
}

fn reload(instance: &Instance) {
    post(instance.address, "/api/v1/reload", b"");
}

fn health(instance: &Instance) -> Value {
    let health = get(instance.address, "/health").json();
    let parts = health["components"].as_array().expect("a list").clone();
    parts.into_iter().find(|part| part["name"] == "plugins").expect("plugins have a place")
}

#[test]
fn a_plugins_life_is_told_once_and_in_order() {
    let site = Site::new();
    drop_into(&site.path("plugins"), "evil", &guest("evil"), DEADLY);
    let instance = site.start("[reload]\nremove_after = \"100ms\"\n");
    let mut told = vec!["loaded"];
    wait_changes(&instance, "evil", &told);
    send(&instance, 666.0);
    // Of the batch, and of its second try.
    told.extend(["struck", "struck", "quarantined", "released"]);
    let changes = wait_changes(&instance, "evil", &told);
    let struck = &changes[2];
    assert_eq!(
        (&struck["trap"], &struck["strikes"]),
        (&"unreachable_code_reached".into(), &2.into())
    );
    let held = &changes[3];
    assert_eq!((&held["backoff"], &held["rules"]), (&"1s".into(), &serde_json::json!(["evil"])));
    assert!(held["until"].as_str() > held["at"].as_str(), "{held}");

    let broken = &guest("evil")[..100];
    drop_into(&instance.site.path("plugins"), "evil", broken, DEADLY);
    told.push("refused");
    let changes = wait_changes(&instance, "evil", &told);
    let why = changes[5]["why"].as_str().expect("words");
    assert!(why.starts_with("the file ends too early"), "{why}");
    reload(&instance);

    let second = rebuilt(guest("evil"), "second");
    drop_into(&instance.site.path("plugins"), "evil", &second, "act = \"behave\"\n");
    told.push("swapped");
    let changes = wait_changes(&instance, "evil", &told);
    assert_eq!(changes[6]["from"], changes[0]["digest"]);
    assert_eq!(changes[6]["to"], plugin(&instance, "evil")["digest"]);

    // A version that dies before it is old is taken back, perhaps after it was held for a moment.
    drop_into(&instance.site.path("plugins"), "evil", &guest("evil"), DEADLY);
    told.push("swapped");
    wait_changes(&instance, "evil", &told);
    send(&instance, 666.0);
    let back = wait_for("the version before", || {
        self::changes(&instance, "evil").into_iter().find(|one| one["change"] == "rolled_back")
    });
    assert_eq!((&back["from"], &back["to"]), (&changes[0]["digest"], &changes[6]["to"]));
    std::fs::remove_file(instance.site.path("plugins/evil.wasm")).expect("it is there");
    instance.site.write("plugins/other.rhai", "rule(\"other\").on(\"x\").when(|v| v > 1.0);");
    wait_for("its end", || {
        let changes = self::changes(&instance, "evil");
        (changes.last()?["change"] == "removed").then_some(())
    });
    let page = get(instance.address, "/api/v1/plugins/changes").json();
    let seqs =
        page["changes"].as_array().expect("a list").iter().map(|change| change["seq"].as_u64());
    let seqs: Vec<u64> = seqs.map(|seq| seq.expect("a number")).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<u64>>());
    let swaps = r#"watchfire_plugin_changes_total{plugin="evil",change="swapped"}"#;
    assert_eq!(instance.metric(swaps), Some(2.0));
    let log = instance.site.read("log");
    assert!(log.contains("plugin evil is rolled back from "), "{log}");
}

#[test]
fn what_is_blocked_is_shown_until_it_is_granted() {
    let receiver = Receiver::start(|_, _| (200, "", "{}"));
    let site = Site::new();
    let host = format!("http://{}", receiver.address);
    let settings = format!("urls = [\"{host}/\"]\nevery = \"100ms\"\n");
    drop_into(&site.path("plugins"), "http-check", &guest("http_check"), &settings);
    drop_into(&site.path("plugins"), "graphite", &guest("graphite"), "");
    let script = format!(
        "probe(\"depth\").every(\"1h\").needs(\"http:{host}\").collect(|cap| []);\n\
         sink(\"chat\").needs(\"http:{host}\").send(|alerts, cap| ());\n"
    );
    site.write("plugins/script.rhai", &script);
    site.write("grants.toml", "[grants.graphite]\nsha256 = \"00\"\n");
    let instance = site.start("");
    for (name, world, language) in [
        ("http-check", "probe", "wasm"),
        ("depth", "probe", "rhai"),
        ("chat", "sink", "rhai"),
        ("graphite", "source", "wasm"),
    ] {
        let shown = plugin(&instance, name);
        assert_eq!(shown["state"], "blocked", "{shown}");
        assert_eq!((&shown["world"], &shown["language"]), (&world.into(), &language.into()));
        let cure = shown["blocked"]["cure"].as_str().expect("the lines to add");
        assert!(cure.starts_with(&format!("[grants.{name}]\n")), "{cure}");
        let changes = changes(&instance, name);
        assert_eq!(changes.last().expect("it was told")["change"], "blocked", "{changes:?}");
        let blocked = format!("watchfire_plugin_blocked{{plugin=\"{name}\"}}");
        assert_eq!(instance.metric(&blocked), Some(1.0));
    }
    let shown = plugin(&instance, "http-check");
    assert_eq!(shown["missing"], serde_json::json!([format!("http:{host}")]), "{shown}");
    let part = health(&instance);
    assert_eq!(part["state"], "degraded", "{part}");
    let log = instance.site.read("log");
    assert!(log.contains("plugin depth is blocked: it asks for http:"), "{log}");

    let answer = post(instance.address, "/ingest?source=graphite", b"a 1");
    assert_eq!(answer.status(), 503, "{}", answer.text());
    assert!(answer.text().contains("is not the file that its grant pins"), "{}", answer.text());

    let digest = plugin(&instance, "graphite")["digest"].clone();
    let grant = |name: &str| format!("[grants.{name}]\nhttp = [\"{host}\"]\n");
    let grants = [grant("http-check"), grant("depth"), grant("chat")].concat();
    let pinned = format!("{grants}[grants.graphite]\nsha256 = {digest}\n");
    instance.site.write("grants.toml", &pinned);
    reload(&instance);
    for (name, told) in [
        ("http-check", &["loaded", "blocked", "unblocked"][..]),
        ("graphite", &["loaded", "blocked", "unblocked"]),
        ("depth", &["blocked", "unblocked"]),
        ("chat", &["blocked", "unblocked"]),
    ] {
        wait_changes(&instance, name, told);
        assert_eq!(plugin(&instance, name)["state"], "running");
    }
    assert_eq!(health(&instance)["state"], "ok");
    let shown = plugin(&instance, "http-check");
    assert_eq!(shown["granted"], serde_json::json!([format!("http:{host}")]), "{shown}");
    wait_for("a measurement", || {
        (plugin(&instance, "http-check")["probe"]["measured"].as_u64()? > 0).then_some(())
    });
}

#[test]
fn pinned_rules_are_replaced_by_the_file_that_their_grant_names_and_no_other() {
    let (first, second) = (guest("evil").to_vec(), rebuilt(guest("evil"), "second"));
    let pin = |bytes| format!("[grants.evil]\nsha256 = \"{}\"\n", digest_of(bytes));
    let site = Site::new();
    site.write("grants.toml", &pin(&first));
    drop_into(&site.path("plugins"), "evil", &first, "act = \"behave\"\n");
    let instance = site.start("");
    send(&instance, 1.0);
    drop_into(&instance.site.path("plugins"), "evil", &second, "act = \"behave\"\n");
    let mut told = vec!["loaded", "refused"];
    let changes = wait_changes(&instance, "evil", &told);
    let why = changes[1]["why"].as_str().expect("words");
    assert!(why.starts_with("it is not the file that its grant pins; "), "{why}");
    assert!(why.ends_with(&pin(&second)["[grants.evil]\n".len()..].trim_end()), "{why}");

    instance.site.write("grants.toml", "[grants.");
    reload(&instance);
    assert_eq!(plugin(&instance, "evil")["digest"], digest_of(&first), "nothing is unpinned");
    std::fs::remove_file(instance.site.path("grants.toml")).expect("it is ours");
    std::fs::create_dir(instance.site.path("grants.toml")).expect("what cannot be read");
    reload(&instance);
    assert_eq!(plugin(&instance, "evil")["digest"], digest_of(&first), "nor now");
    assert!(instance.site.read("log").contains("grants cannot be read; none of them count"));
    std::fs::remove_dir(instance.site.path("grants.toml")).expect("it is empty");
    instance.site.write("grants.toml", &pin(&second));
    reload(&instance);
    told.push("swapped");
    wait_changes(&instance, "evil", &told);
    assert_eq!(plugin(&instance, "evil")["digest"], digest_of(&second));

    let limits = format!("{}[grants.evil.limits]\nmemory_mib = 20\n", pin(&second));
    instance.site.write("grants.toml", &limits);
    reload(&instance);
    told.push("swapped");
    wait_changes(&instance, "evil", &told);
    let shown = plugin(&instance, "evil");
    assert_eq!(shown["memory_limit_bytes"], 20 << 20, "{shown}");
    send(&instance, 1.0);
    let alerts = get(instance.address, "/api/v1/alerts").json();
    assert_eq!(alerts["data"]["alerts"][0]["value"], "2", "the state went along: {alerts}");
}

#[test]
fn a_probe_that_dies_too_often_is_held_back() {
    let site = Site::new();
    drop_into(&site.path("plugins"), "tally", &guest("tally"), "every = \"100ms\"\ndie = true\n");
    let instance = site.start("");
    let told = [
        "loaded",
        "struck",
        "struck",
        "struck",
        "quarantined",
        "released",
        "struck",
        "quarantined",
    ];
    wait_for("its second quarantine", || {
        let changes = changes(&instance, "tally");
        let names = names(&changes);
        assert!(names.iter().zip(told).all(|(name, told)| *name == told), "{changes:#?}");
        (names.len() >= told.len()).then_some(())
    });
    let shown = plugin(&instance, "tally");
    assert!(shown["traps"]["unreachable_code_reached"].as_u64() >= Some(4), "{shown}");
    let traps = r#"watchfire_plugin_traps_total{plugin="tally",code="unreachable_code_reached"}"#;
    assert!(instance.metric(traps) >= Some(4.0));
    drop_into(&instance.site.path("plugins"), "tally", &guest("tally"), "every = \"100ms\"\n");
    wait_for("another version", || {
        (plugin(&instance, "tally")["probe"]["measured"].as_u64()? > 0).then_some(())
    });
    let shown = plugin(&instance, "tally");
    assert_eq!((&shown["state"], &shown["deaths"]), (&"running".into(), &0.into()), "{shown}");
}

#[test]
fn a_denied_host_is_counted_by_name() {
    let receiver = Receiver::start(|_, _| (302, "location: http://127.0.0.1:9/\r\n", ""));
    let site = Site::new();
    let host = format!("http://{}", receiver.address);
    let settings = format!("urls = [\"{host}/a\"]\nevery = \"100ms\"\n");
    drop_into(&site.path("plugins"), "http-check", &guest("http_check"), &settings);
    site.write("grants.toml", &format!("[grants.http-check]\nhttp = [\"{host}\"]\n"));
    let instance = site.start("");
    let shown = wait_for("a denied request", || {
        let shown = plugin(&instance, "http-check");
        (shown["requests_denied"].as_u64()? > 0).then_some(shown)
    });
    assert!(shown["denied_hosts"][&host].as_u64() >= Some(1), "{shown}");
}

/// The newest count of the probe, from the alerts of a rule that fires on each of them.
fn counts(instance: &Instance) -> Vec<f64> {
    let events = instance.events().into_iter();
    let counts = events.filter(|event| event["rule"] == "counted");
    counts.filter_map(|event| event["value"].as_f64()).collect()
}

fn tally_site(settings: &str) -> Site {
    let site = Site::new();
    drop_into(&site.path("plugins"), "tally", &guest("tally"), settings);
    drop_into(&site.path("plugins"), "tally-sink", &guest("tally_sink"), "");
    let rule = "rule(\"counted\").on(\"tally.count\").repeat(\"100ms\").when(|v| v > 0.0);\n";
    site.write("rules/counted.rhai", rule);
    site
}

/// How many alerts the sink was given, this test among them.
fn delivered(instance: &Instance) -> u64 {
    let answer = post(instance.address, "/api/v1/sinks/tally-sink/test", b"").json();
    let said = answer["said"].as_str().unwrap_or_else(|| panic!("{answer}"));
    said.parse().unwrap_or_else(|_| panic!("{answer}"))
}

/// Waits until what was saved is on disk: the newest state of both plugins.
fn wait_saved(instance: &Instance, sink: u64) {
    let file = instance.site.path("watchfire-data/plugin-state/tally-sink.sink.state");
    wait_for("the checkpoint", || {
        let bytes = std::fs::read(&file).ok()?;
        bytes.ends_with(&sink.to_le_bytes()).then_some(())
    });
}

#[test]
fn state_outlives_a_stop_and_a_kill() {
    let instance = tally_site("every = \"100ms\"\n").start("");
    assert_eq!([delivered(&instance), delivered(&instance)], [1, 2]);
    let first = wait_for("three measurements", || counts(&instance).pop().filter(|n| *n >= 3.0));
    let site = instance.stop();

    let instance = site.start("");
    assert_eq!(delivered(&instance), 3, "after SIGTERM");
    wait_saved(&instance, 3);
    let shown = plugin(&instance, "tally-sink");
    assert_eq!(shown["state_bytes"], 8, "{shown}");
    let site = instance.kill();

    let instance = site.start("");
    assert_eq!(delivered(&instance), 4, "after kill -9");
    let told = changes(&instance, "tally-sink");
    assert_eq!(names(&told), ["loaded"], "{told:?}");
    wait_for("the probe's count", || counts(&instance).pop().filter(|count| *count > first));
    assert!(!counts(&instance).windows(2).any(|pair| pair[1] < pair[0]), "it never began anew");
}

#[test]
fn state_that_is_refused_is_told_and_left() {
    let instance = tally_site("every = \"100ms\"\n").start("");
    wait_for("three measurements", || counts(&instance).pop().filter(|n| *n >= 3.0));
    let site = instance.stop();
    site.write("plugins/tally.toml", "every = \"100ms\"\nrefuse = true\n");
    std::fs::write(site.path("watchfire-data/plugin-state/tally-sink.sink.state"), "odd")
        .expect("it is ours");
    let instance = site.start("");
    assert_eq!(delivered(&instance), 1, "a damaged file is no state");
    let lost = |plugin: &str| {
        wait_for("its loss", || {
            let mut told = changes(&instance, plugin).into_iter();
            told.find(|change| change["change"] == "state_lost")
        })
    };
    let why = lost("tally")["why"].clone();
    assert_eq!(why, "restore failed (state): as it was told to");
    let why = lost("tally-sink")["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("is damaged")), "{why}");
    wait_for("a measurement", || {
        (plugin(&instance, "tally")["probe"]["measured"].as_u64()? > 0).then_some(())
    });
    assert_eq!(plugin(&instance, "tally")["states_lost"], 1);
}

#[test]
fn a_rules_state_outlives_a_stop() {
    let site = Site::new();
    drop_into(&site.path("plugins"), "evil", &guest("evil"), "act = \"behave\"\n");
    let instance = site.start("");
    send(&instance, 1.0);
    send(&instance, 1.0);
    let site = instance.stop();
    let instance = site.start("");
    // The guest's own count of its samples is the value of its alerts.
    send(&instance, 1.0);
    let alerts = get(instance.address, "/api/v1/alerts").json();
    assert_eq!(alerts["data"]["alerts"][0]["value"], "3", "{alerts}");
    assert_eq!(names(&changes(&instance, "evil")), ["loaded"]);
    let site = instance.kill();
    // A kill goes back to the last stop, as for every other state of a rule.
    let instance = site.start("");
    send(&instance, 1.0);
    let alerts = get(instance.address, "/api/v1/alerts").json();
    assert_eq!(alerts["data"]["alerts"][0]["value"], "3", "{alerts}");
}

#[test]
fn state_of_another_number_of_shards_is_told_to_be_lost() {
    let site = Site::new();
    drop_into(&site.path("plugins"), "evil", &guest("evil"), "act = \"behave\"\n");
    let instance = site.start("[engine]\nshards = 2\n");
    send(&instance, 1.0);
    let site = instance.stop();
    let instance = site.start("[engine]\nshards = 1\n");
    let told = changes(&instance, "evil");
    let lost = told.iter().find(|change| change["change"] == "state_lost").expect("it is told");
    assert_eq!(lost["why"], "it was saved by 2 shards, and there are 1 now");
}
