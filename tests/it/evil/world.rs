//! A clean instance and one that lives through every case, with a server that both post to.

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::cases::{Case, Told};
use crate::guests::{drop_into, guest};
use crate::instance::{Instance, Site};
use crate::loopback::{Message, Receiver, get, post, seen_soon};

/// The neighbours: a threshold and a count of samples in Rhai, and a rule for the bad sink.
const RULES: &str = r#"
rule("hot").on("load").when(|v| v > 90.0).notify("events", "hook");
rule("lately").on("load").last(5).when(|w| w.mean > 80.0).notify("events", "hook");
rule("for-bad").on("load").only("host=trigger").when(|v| v > 90.0).notify("bad");
"#;

/// And two components.
const LIMIT: &str = "name = \"limit\"\nmetric = \"load\"\nlimit = 85.0\nnotify = [\"hook\"]\n";
const ODD: &str = "name = \"odd\"\nmetric = \"load\"\nalpha = 0.1\nk = 3.0\nwarmup = 5\n";

/// Rules whose events are compared.
const NEIGHBOURS: [&str; 4] = ["hot", "lately", "limit", "odd"];

const SETTINGS: &str = "\
[reload]
remove_after = \"0s\"
mode = \"poll\"
poll = \"1h\"
quiet = \"1ms\"
";

/// Batches of a case; the bad guest does its worst from the second on.
const BATCHES: u64 = 3;
const HOSTS: u64 = 12;
const SAMPLES_A_HOST: u64 = 15;

/// What one instance may need more than another for all that its guests did, in MiB.
const EXTRA_MIB_MAX: u64 = 160;

pub struct World {
    clean: Lived,
    bad: Lived,
    cases: u64,
}

/// An instance, the server that its well-behaved sink posts to, and how far both were read.
struct Lived {
    instance: Instance,
    hook: Receiver,
    events_read: usize,
}

impl Lived {
    fn new() -> Lived {
        let hook = Receiver::start(|_, _| (200, "", "taken"));
        let site = Site::new();
        let plugins = site.path("plugins");
        drop_into(&plugins, "limit", &guest("threshold"), LIMIT);
        drop_into(&plugins, "odd", &guest("ewma_anomaly"), ODD);
        let settings = format!("url = \"http://{}/hook\"\nage = \"10ms\"\n", hook.address);
        drop_into(&plugins, "hook", &guest("webhook"), &settings);
        site.write("rules/rules.rhai", RULES).write("grants.toml", &grants(&hook, ""));
        Lived { instance: site.start(SETTINGS), hook, events_read: 0 }
    }

    fn feed(&self, samples: &str) {
        let answer = post(self.instance.address, "/ingest", samples.as_bytes());
        let lines = samples.lines().count();
        let report = answer.json();
        assert_eq!((answer.status(), &report["accepted"]), (200, &lines.into()), "{report}");
        self.instance.flush();
    }

    /// What the neighbours said since the last time, as the file sink has it.
    fn events(&mut self) -> Vec<String> {
        let text = self.instance.site.read("events");
        let fresh: Vec<&str> = text.lines().skip(self.events_read).collect();
        self.events_read += fresh.len();
        let neighbours = fresh.into_iter().filter(|line| {
            let event: Value = serde_json::from_str(line).expect("events are JSON");
            event["rule"].as_str().is_some_and(|rule| NEIGHBOURS.contains(&rule))
        });
        neighbours.map(str::to_owned).collect()
    }

    /// The identities of all events that the neighbours' sink posted, in order.
    fn posted(&self) -> Vec<String> {
        let ids = |(request, _): (Message, u16)| -> Vec<String> {
            let body = request.json();
            let alerts = body["alerts"].as_array().expect("a list").iter();
            alerts.map(|alert| alert["id"].to_string()).collect()
        };
        let posts = self.hook.got().into_iter().filter(|(request, _)| request.path() == "/hook");
        posts.flat_map(ids).collect()
    }
}

/// A guest's time for a call: long enough for a loaded machine, short enough to wait for.
const CALL_MS: u32 = 300;

/// What every guest here is granted, and one more line for the bad one.
fn grants(hook: &Receiver, line: &str) -> String {
    format!(
        "[grants.hook]\nhttp = [\"{}\"]\n[grants.bad]\n{line}\n[grants.bad.limits]\n\
         call_ms = {CALL_MS}\n[grants.limit.limits]\ncall_ms = 5000\n\
         [grants.odd.limits]\ncall_ms = 5000\n[secrets]\nTOKEN = \"s3cret-token\"\n",
        hook.address
    )
}

impl World {
    pub fn new() -> World {
        World { clean: Lived::new(), bad: Lived::new(), cases: 0 }
    }

    /// Where the well-behaved sink of the instance under trial posts to.
    pub fn hook(&self) -> &Receiver {
        &self.bad.hook
    }

    /// Drops the guest, streams samples through both instances, looks at what is told of the
    /// guest, and takes it away again. Gives what is not as it should be.
    pub fn live_through(&mut self, case: &Case) -> Vec<String> {
        let site = &self.bad.instance.site;
        site.write("grants.toml", &grants(&self.bad.hook, &case.grant));
        if let Some(before) = case.before {
            drop_into(&site.path("plugins"), "bad", &case.bytes, before);
            self.reload();
            self.feed(BATCHES);
        }
        let site = &self.bad.instance.site;
        drop_into(&site.path("plugins"), "bad", &case.bytes, &case.settings);
        let logged = self.bad.instance.site.read("log").len();
        let report = self.reload();
        // What is not live can do nothing more, however long one waits.
        let loads = !matches!(case.told[..], [Told::Finding(_)]);
        for batch in 0..if loads { BATCHES } else { 1 } {
            self.feed(batch);
        }
        let told = case.told.iter().map(|told| self.check(told, &report, logged));
        let mut wrong: Vec<String> = told.filter_map(Result::err).collect();
        let (expected, told) = (self.clean.events(), self.bad.events());
        assert!(expected.len() > 10, "the neighbours say something");
        if told != expected {
            wrong.push(format!("the neighbours said {told:#?} and not {expected:#?}"));
        }
        for file in ["bad.wasm", "bad.toml"] {
            let path = self.bad.instance.site.path("plugins").join(file);
            std::fs::remove_file(path).expect("it is there");
        }
        self.reload();
        let (expected, posted) = (self.clean.posted(), self.bad.posted());
        if posted != expected {
            wrong.push(format!("the neighbours' sink posted {posted:?} and not {expected:?}"));
        }
        self.cases += 1;
        wrong.into_iter().map(|wrong| format!("{}: {wrong}", case.name)).collect()
    }

    fn feed(&self, batch: u64) {
        let samples = self.samples(batch);
        self.clean.feed(&samples);
        self.bad.feed(&samples);
    }

    fn reload(&self) -> Value {
        let answer = post(self.bad.instance.address, "/api/v1/reload", b"").json();
        // Where a file has findings the report comes inside of the problem.
        answer.get("report").unwrap_or(&answer).clone()
    }

    /// Load that goes up and down, on hosts that only this case has; the same for every instance.
    fn samples(&self, batch: u64) -> String {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let (ts, case) = (since_epoch.as_millis(), self.cases);
        let mut lines = String::new();
        let mut line = |host: &str, turn: u64, value: u64| {
            // Two samples of one time would be one sample.
            let ts = ts + u128::from(turn);
            let labels = format!("{{\"host\":\"{host}\",\"case\":\"{case}\"}}");
            let _ = write!(lines, r#"{{"name":"load","labels":{labels},"#);
            let _ = writeln!(lines, r#""ts":{ts},"value":{value}}}"#);
        };
        for turn in 0..SAMPLES_A_HOST {
            for host in 0..HOSTS {
                let step = batch * SAMPLES_A_HOST + turn;
                line(&format!("h{host}"), turn, 60 + (step * 7 + host * 11 + case) % 40);
            }
        }
        line("trigger", 0, if batch == 0 { 10 } else { 666 });
        lines
    }

    fn check(&self, told: &Told, report: &Value, logged: usize) -> Result<(), String> {
        let instance = &self.bad.instance;
        let right = |right: bool, seen: &dyn Display| {
            if right { Ok(()) } else { Err(format!("{told:?}, and not {seen}")) }
        };
        match told {
            Told::Finding(says) => {
                right(self.plugin().is_null(), &"live")?;
                let files = report["files"].as_array().expect("a list").iter();
                let findings = files.flat_map(|file| file["findings"].as_array().cloned());
                let mut words = findings.flatten().map(|finding| finding["message"].to_string());
                right(words.any(|words| words.contains(says)), report)
            }
            Told::Report(says) => right(report.to_string().contains(says), report),
            Told::Death(says) => {
                let death = || self.plugin()["last_death"].as_str().map(str::to_owned);
                let death = seen_soon(death).unwrap_or_default();
                right(death.starts_with(says), &death)?;
                let deaths = instance.metric("watchfire_plugin_deaths_total{plugin=\"bad\"}");
                right(deaths >= Some(1.0), &format!("{deaths:?}"))
            }
            Told::AtLeast(field, least) => {
                let value = || self.plugin()[field].as_f64().filter(|value| value >= least);
                right(seen_soon(value).is_some(), &self.plugin())
            }
            Told::RuleError(says) => {
                let page = get(instance.address, "/api/v1/rules").text();
                right(page.contains(says), &page)
            }
            Told::Sink(says) | Told::Blocked(says) => {
                let sink = instance.sink("bad");
                let error = sink["last_error"].as_str().unwrap_or_default();
                let blocked = sink["state"] == "blocked";
                right(error.contains(says) && blocked == matches!(told, Told::Blocked(_)), &sink)
            }
            Told::Delivered(least) => {
                let sink = instance.sink("bad");
                right(sink["delivered"].as_f64() >= Some(*least), &sink)
            }
            Told::Log(says) => {
                let fresh = || instance.site.read("log").split_off(logged);
                right(seen_soon(|| fresh().contains(says).then_some(())).is_some(), &fresh())
            }
        }
    }

    /// The bad guest as the API shows it; null while it is not live.
    fn plugin(&self) -> Value {
        let page = get(self.bad.instance.address, "/api/v1/plugins").json();
        let plugins = page["plugins"].as_array().expect("a list");
        plugins.iter().find(|plugin| plugin["name"] == "bad").cloned().unwrap_or_default()
    }

    /// The peak over all cases, against an instance that had none of them.
    #[track_caller]
    pub fn memory_is_bounded(&self) {
        let peaks = (self.clean.instance.peak_mib(), self.bad.instance.peak_mib());
        assert!(peaks.1 < peaks.0 + EXTRA_MIB_MAX, "peaks in MiB, clean and not: {peaks:?}");
    }
}
