//! Reloads under load: what is edited while samples stream in loses nothing and repeats nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::guests::{drop_into, guest, rebuilt};
use crate::instance::{Instance, Site, free_port};
use crate::loopback::{Receiver, get, post, wait_for};

/// Samples a second.
const PACE: u64 = 20_000;
/// Eight seconds of them at least; and a run in which something hangs ends all the same.
const SENT_MIN: u64 = PACE * 8;
const SENT_MAX: u64 = PACE * 60;
const SWITCHES: u64 = 20;

const COUNT_ALL: &str = r#"rule("all-counted").on("count").by().window("1h").every("1s")
    .when(|w| w.count >= LIMIT.0 && w.increase >= INCREASE.0);
rule("more-than-all").on("count").by().window("1h").every("1s")
    .when(|w| w.count > LIMIT.0 || w.increase > INCREASE.0);"#;

/// What was sent in the end.
#[derive(Debug, Default)]
struct Sent {
    all: u64,
    counts: u64,
    switches: u64,
}

/// Sends at the pace until told to stop, and then until every switch is off again.
fn generate(port: u16, stop: Arc<AtomicBool>) -> JoinHandle<Sent> {
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        let (mut sent, begun) = (Sent::default(), Instant::now());
        let whole = 100 * SWITCHES * 2;
        let enough = |sent: &Sent| match sent.all {
            0..SENT_MIN => false,
            SENT_MIN..SENT_MAX => stop.load(Ordering::Relaxed),
            _ => true,
        };
        while sent.all % whole != 0 || !enough(&sent) {
            let mut lines = String::new();
            for _ in 0..200 {
                line(&mut lines, &mut sent);
            }
            stream.write_all(lines.as_bytes()).expect("it reads");
            let due = Duration::from_micros(sent.all * 1_000_000 / PACE);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        sent
    })
}

fn line(lines: &mut String, sent: &mut Sent) {
    let number = sent.all;
    sent.all += 1;
    let (name, label, value) = match (number % 100, number % 1_000) {
        (0, _) => {
            let turn = number / 100;
            sent.switches += 1;
            ("switch", turn % SWITCHES, 100 * (1 - turn / SWITCHES % 2))
        }
        (_, 1) => ("temp", 0, 95),
        (_, 2) => ("spare", 0, 95),
        _ => {
            sent.counts += 1;
            ("count", sent.counts % 8, (sent.counts - 1) / 8)
        }
    };
    let _ = writeln!(lines, r#"{{"name":"{name}","labels":{{"k":"{label}"}},"value":{value}}}"#);
}

fn counting(limit: u64, increase: u64) -> String {
    COUNT_ALL.replace("LIMIT", &limit.to_string()).replace("INCREASE", &increase.to_string())
}

fn config_map(site: &Site, version: &str, text: &str) {
    std::fs::create_dir(site.path(&format!("rules/..{version}"))).expect("a folder");
    site.write(&format!("rules/..{version}/mapped.rhai"), text);
    let fresh = site.path("rules/..data_new");
    std::os::unix::fs::symlink(format!("..{version}"), &fresh).expect("a link");
    std::fs::rename(fresh, site.path("rules/..data")).expect("it takes the place of the old one");
}

/// The first report after `seen` others that tells of `rule` or of a file that ends so.
fn report(instance: &Instance, seen: usize, about: &str) -> Value {
    wait_for(&format!("a report about {about}"), || {
        let reports = instance.reloads();
        let fresh = reports.into_iter().skip(seen);
        let mut about_it = fresh.filter(|report| report.to_string().contains(about));
        about_it.next()
    })
}

fn changes(report: &Value) -> Vec<String> {
    let rules = report["rules"].as_array().expect("a list");
    rules
        .iter()
        .map(|rule| format!("{} {}", rule["change"], rule["rule"]).replace('"', ""))
        .collect()
}

/// Makes a change and checks what its report says.
#[track_caller]
fn step(
    instance: &Instance,
    about: &str,
    outcome: &str,
    told: &[&str],
    change: impl FnOnce(&Site),
) {
    let seen = instance.reloads().len();
    change(&instance.site);
    let report = report(instance, seen, about);
    assert_eq!(report["outcome"], outcome, "{about}: {report}");
    assert_eq!(changes(&report), told, "{about}: {report}");
}

fn hook_settings(receiver: &Receiver, batch: u32) -> String {
    format!("url = \"http://{}/hook\"\nbatch = {batch}\nage = \"50ms\"\n", receiver.address)
}

fn under_load(port: u16, receiver: &Receiver, record: Option<&str>) -> Instance {
    let site = Site::new();
    site.write("rules/hot.rhai", "rule(\"hot\").on(\"temp\").when(|v| v > 90.0);")
        .write("rules/steady.rhai", "rule(\"steady\").on(\"temp\").when(|v| v > 90.0);")
        .write("rules/spare.rhai", "rule(\"spare\").on(\"spare\").when(|v| v > 90.0);")
        .write(
            "rules/switch.rhai",
            "rule(\"switch\").on(\"switch\").by(\"k\").when(|v| v > 50.0)\n\
             .notify(\"hook\", \"events\");",
        )
        .write("rules/untouched.rhai", "rule(\"untouched\").on(\"count\").when(|v| v < 0.0);")
        .write("rules/count.rhai", &counting(1_000_000_000, 1_000_000_000));
    if let Some(record) = record {
        site.write("rules/record.rhai", record);
    }
    config_map(&site, "one", "rule(\"mapped\").on(\"temp\").when(|v| v > 90.0);");
    std::os::unix::fs::symlink("..data/mapped.rhai", site.path("rules/mapped.rhai"))
        .expect("a link");
    let settings = hook_settings(receiver, 20);
    drop_into(&site.path("plugins"), "hook", &guest("webhook"), &settings);
    site.write(
        "grants.toml",
        &format!("[grants.hook]\nhttp = [\"http://{}\"]\n", receiver.address),
    );
    let settings = format!(
        "[[sources.tcp]]\nname = \"load\"\nformat = \"json\"\nlisten = \"127.0.0.1:{port}\"\n\
         [reload]\nremove_after = \"300ms\"\n[limits]\nidle_min = \"3s\"\n"
    );
    site.start(&settings)
}

#[test]
fn nothing_is_lost_or_repeated_by_reloads_under_load() {
    reloads_under_load(None);
}

/// With a rule that records, shards run in step and a sample may be followed by another.
#[test]
fn nor_is_it_while_rules_record() {
    let record = "rule(\"record\").on(\"switch\").by(\"k\").record(\"echoed\", |v| v);\n\
                  rule(\"echo\").on(\"echoed\").by(\"k\").when(|v| v > 50.0);";
    reloads_under_load(Some(record));
}

fn reloads_under_load(record: Option<&str>) {
    // Now and then the receiver is out of order, so that some deliveries are in flight for long.
    let receiver = Receiver::start(|_, number| match number % 7 {
        3 => (503, "", "not now"),
        _ => (200, "", "ok"),
    });
    let port = free_port();
    let instance = under_load(port, &receiver, record);
    assert_ne!(instance.sink("hook")["state"], "blocked", "{}", instance.sink("hook"));
    let stop = Arc::new(AtomicBool::new(false));
    let generator = generate(port, stop.clone());
    let firing = |rule: &str| {
        let metric = format!(r#"watchfire_alerts{{rule="{rule}",state="firing"}}"#);
        instance.metric(&metric).filter(|count| *count > 0.0)
    };
    for rule in ["hot", "steady", "spare", "mapped"] {
        wait_for(rule, || firing(rule));
    }
    edits(&instance, &receiver);
    stop.store(true, Ordering::Relaxed);
    let sent = generator.join().expect("the generator ends well");
    let accepted = || instance.metric("watchfire_samples_total").filter(|n| *n >= sent.all as f64);
    wait_for("all samples", accepted);
    instance.flush();
    assert_eq!(instance.metric("watchfire_samples_total"), Some(sent.all as f64));
    let of_untouched = instance.metric(r#"watchfire_rule_samples_total{rule="untouched"}"#);
    assert_eq!(of_untouched, Some(sent.counts as f64));
    // Each of the 8 counters begins at 0, and its first sample is no increase.
    let text = counting(sent.counts, sent.counts - 8);
    step(
        &instance,
        "all-counted",
        "adopted",
        &["kept all-counted", "kept more-than-all"],
        |site| {
            site.write("rules/count.rhai", &text);
        },
    );
    wait_for("the count of all samples", || firing("all-counted"));
    instance.flush();
    let switching = if record.is_some() { &["switch", "echo"][..] } else { &["switch"] };
    check_events(&instance, &sent, switching);
    check_deliveries(&receiver, &sent);
    let reports = instance.reloads();
    let pauses: Vec<&str> = reports.iter().filter_map(|report| report["pause"].as_str()).collect();
    println!("{} samples; pauses: {}", sent.all, pauses.join(" "));
}

/// Everything that people do to folders while an instance runs.
fn edits(instance: &Instance, receiver: &Receiver) {
    step(instance, "hot.rhai", "adopted", &["kept hot"], |site| {
        site.write("rules/hot.rhai", "rule(\"hot\").on(\"temp\").when(|v| v > 80.0);");
    });
    step(instance, "switch.rhai", "failed", &[], |site| {
        site.write("rules/switch.rhai", "rule(\"switch\").on(\"switch\").by(\"k\").when(|v| v >");
    });
    step(instance, "switch.rhai", "adopted", &["kept switch"], |site| {
        let text = "rule(\"switch\").on(\"switch\").by(\"k\").when(|v| v > 40.0)\
                    .notify(\"hook\", \"events\");";
        site.write("rules/switch.rhai", text);
    });
    step(instance, "new.rhai", "adopted", &["added new"], |site| {
        site.write("rules/new.rhai", "rule(\"new\").on(\"count\").when(|v| v < 0.0);");
    });
    step(instance, "steadier.rhai", "adopted", &[], |site| {
        let (from, to) = (site.path("rules/steady.rhai"), site.path("rules/steadier.rhai"));
        std::fs::rename(from, to).expect("it is renamed");
    });
    step(instance, "\"spare\"", "adopted", &["removed spare"], |site| {
        std::fs::remove_file(site.path("rules/spare.rhai")).expect("it is removed");
    });
    step(instance, "mapped", "adopted", &["kept mapped"], |site| {
        config_map(site, "two", "rule(\"mapped\").on(\"temp\").when(|v| v > 85.0);");
    });
    let version = |instance: &Instance| instance.sink("hook")["version"].clone();
    let first = version(instance);
    step(instance, "hook.wasm", "adopted", &[], |site| {
        let bytes = rebuilt(guest("webhook"), "second");
        drop_into(&site.path("plugins"), "hook", &bytes, &hook_settings(receiver, 5));
    });
    wait_for("the new sink", || (version(instance) != first).then_some(()));
    let delivered = |instance: &Instance| instance.sink("hook")["delivered"].as_u64();
    let before = delivered(instance);
    wait_for("deliveries by the new sink", || (delivered(instance) > before).then_some(()));
}

fn check_events(instance: &Instance, sent: &Sent, switching: &[&str]) {
    let mut of_rules: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in instance.events() {
        let rule = event["rule"].as_str().expect("a name").to_owned();
        of_rules.entry(rule).or_default().push(event);
    }
    for rule in switching {
        check_switches(&of_rules.remove(*rule).expect("they were switched"), sent);
    }
    let told: Vec<String> = of_rules
        .values()
        .flatten()
        .map(|event| format!("{} {} {}", event["rule"], event["kind"], event["cause"]))
        .map(|line| line.replace('"', ""))
        .collect();
    let expected = [
        "all-counted fired breach",
        "hot fired breach",
        "mapped fired breach",
        "spare fired breach",
        "spare resolved rule_removed",
        "steady fired breach",
    ];
    assert_eq!(told, expected);
}

/// An event for every switch, on and off in turn.
fn check_switches(switches: &[Value], sent: &Sent) {
    assert_eq!(switches.len() as u64, sent.switches);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for event in switches {
        let seq = seen.entry(event["key"].to_string()).or_default();
        *seq += 1;
        let kind = if *seq % 2 == 1 { "fired" } else { "resolved" };
        assert_eq!((&event["seq"], &event["kind"]), (&(*seq).into(), &kind.into()), "{event}");
    }
}

/// Every event of the switches was taken by the receiver, and those of one alert in their order.
fn check_deliveries(receiver: &Receiver, sent: &Sent) {
    let (mut seen, mut twice): (BTreeMap<String, u64>, u64) = Default::default();
    for (request, status) in receiver.got() {
        if status != 200 {
            continue;
        }
        for alert in request.json()["alerts"].as_array().expect("a list") {
            let last = seen.entry(alert["key"].to_string()).or_default();
            let seq = alert["seq"].as_u64().expect("a number");
            assert!(seq <= *last + 1, "{} came after {last}: {alert}", seq);
            twice += u64::from(seq <= *last);
            *last = seq.max(*last);
        }
    }
    assert_eq!(seen.values().sum::<u64>(), sent.switches);
    assert_eq!(seen.len() as u64, SWITCHES);
    println!("delivered more than once: {twice}");
}

#[test]
fn the_pause_of_a_reload_with_ten_thousand_groups_is_told() {
    let site = Site::new();
    let text = |limit: &str| {
        format!(
            "rule(\"plain\").on(\"load\").by(\"k\").when(|v| v > {limit}).soak(\"1m\");\n\
             rule(\"mean\").on(\"load\").by(\"k\").window(\"5m\").every(\"10s\")\n\
             .when(|w| w.mean > {limit});"
        )
    };
    site.write("rules/groups.rhai", &text("90.0"));
    let instance = site.start("");
    for value in 0..3 {
        let mut lines = String::new();
        for group in 0..10_000 {
            let _ =
                writeln!(lines, r#"{{"name":"load","labels":{{"k":"{group}"}},"value":{value}}}"#);
        }
        assert_eq!(post(instance.address, "/ingest", lines.as_bytes()).status(), 200);
    }
    instance.flush();
    assert_eq!(instance.metric(r#"watchfire_rule_groups{rule="plain"}"#), Some(10_000.0));
    for limit in ["80.0", "70.0", "60.0"] {
        step(&instance, "groups.rhai", "adopted", &["kept mean", "kept plain"], |site| {
            site.write("rules/groups.rhai", &text(limit));
        });
    }
    assert_eq!(get(instance.address, "/-/ready").status(), 200);
    for report in instance.reloads() {
        println!(
            "10,000 groups in two rules: pause {}, all in all {}",
            report["pause"], report["duration"]
        );
    }
}
