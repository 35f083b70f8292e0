//! An app that shows what a test puts into it and remembers what it was told to do.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration as StdDuration;

use crate::guest::changes::PluginEvent;
use crate::kernel::event::Fingerprint;
use crate::kernel::model::{
    Defect, Duration, EventTime, Labels, Level, Now, Refusal, RefusalCounts, Version,
};
use crate::kernel::rule::Origin;
use crate::shell::api::*;
use crate::shell::metrics::Exposition;
use crate::shell::sample_sinks::status::SampleSinkStatus;

#[derive(Default)]
pub struct FakeApp {
    pub not_ready: Mutex<Option<String>>,
    pub components: Mutex<Vec<ComponentHealth>>,
    pub rules: Mutex<Vec<RuleStatus>>,
    pub alerts: Mutex<Vec<AlertStatus>>,
    /// The outcome of the next reload; adopted when not set.
    pub outcome: Mutex<Option<ReloadOutcome>>,
    /// What was ingested.
    pub bodies: Mutex<Vec<(Format, String)>>,
    pub forgotten: Mutex<Vec<String>>,
    /// When set, an ingest says that it began and then waits to be let go.
    pub gate: Mutex<Option<(SyncSender<()>, Receiver<()>)>>,
}

pub const AT: Now = Now::from_nanos(1_700_000_000_000_000_000);
pub const EVENT_AT: EventTime = EventTime::from_nanos(1_700_000_000_500_000_000);

pub fn rule(name: &str) -> RuleStatus {
    RuleStatus {
        name: name.into(),
        origin: Origin { file: "rules/web/disk.rhai".into(), line: 7 },
        version: Version(0xBEEF),
        selector: "disk.used_pct".to_owned(),
        view: "by host when v > 90".to_owned(),
        state: RuleState::Firing,
        health: RuleHealth::Ok,
        last_error: None,
        groups: 3,
        last_evaluation: Some(EVENT_AT),
        shadow: false,
        labels: Labels::new([("team", "core")]),
        annotations: vec![("text".into(), "disk ${a.value}".to_owned())],
        soak: Duration::from_secs(120),
        cool: Duration::from_secs(300),
    }
}

pub fn alert(rule: &str, state: AlertState) -> AlertStatus {
    AlertStatus {
        rule: rule.into(),
        key: Labels::new([("host", "db1")]),
        labels: Labels::new([("team", "core")]),
        state,
        level: Level::Critical,
        value: Some(91.5),
        since: EVENT_AT,
        fired_at: Some(EVENT_AT),
        annotations: vec![("text".into(), "disk 91.5".to_owned())],
        fingerprint: Fingerprint(0xF00),
        shadow: false,
    }
}

impl FakeApp {
    fn report(&self) -> ReloadReport {
        let finding = FindingReport {
            severity: "error",
            line: 3,
            column: 9,
            message: "`soka` is no word here".to_owned(),
            source: Some("    .soka(\"2m\")".to_owned()),
            hint: Some("did you mean `soak`?".to_owned()),
        };
        let why = "the conditions changed".to_owned();
        ReloadReport {
            id: 4,
            at: AT,
            trigger: ReloadTrigger::Command,
            outcome: self.outcome.lock().expect("a test").unwrap_or(ReloadOutcome::Adopted),
            version: Version(9),
            files: vec![FileReport { file: "rules/a.rhai".into(), findings: vec![finding] }],
            rules: vec![RuleChange { rule: "disk-full".into(), change: Carried::Kept, why }],
            duration: Duration::from_millis(31),
            pause: Duration::from_millis(1),
        }
    }
}

impl Facts for FakeApp {
    fn ready(&self) -> Result<(), String> {
        self.not_ready.lock().expect("a test").clone().map_or(Ok(()), Err)
    }

    fn rules(&self) -> Vec<RuleStatus> {
        self.rules.lock().expect("a test").clone()
    }

    fn alerts(&self) -> Vec<AlertStatus> {
        self.alerts.lock().expect("a test").clone()
    }

    fn reloads(&self) -> Vec<ReloadReport> {
        vec![self.report()]
    }

    fn sample_sinks(&self) -> Vec<SampleSinkStatus> {
        Vec::new()
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        vec![SinkStatus {
            name: "ops-chat".into(),
            kind: "rhai",
            version: Version(5),
            state: SinkState::Disconnected,
            pending: 2,
            delivered: 10,
            attempts: 13,
            failed_attempts: 3,
            dead: 1,
            last_error: Some("connection refused".to_owned()),
            last_delivery: Some(AT),
            next_attempt: None,
        }]
    }

    fn sources(&self) -> Vec<SourceStatus> {
        vec![SourceStatus {
            name: "http".into(),
            kind: "http",
            state: SourceState::CatchingUp,
            samples: 100,
            bytes: 9_000,
            refused: [("future", 2)].into(),
            defects: 1,
            late: 0,
            watermark: Some(EVENT_AT),
            last_batch: Some(AT),
            last_error: None,
        }]
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        Vec::new()
    }

    fn plugin_changes(&self, _after: u64) -> Vec<Arc<PluginEvent>> {
        Vec::new()
    }

    fn components(&self) -> Vec<ComponentHealth> {
        self.components.lock().expect("a test").clone()
    }

    fn metrics(&self, out: &mut Exposition) {
        out.counter("watchfire_samples_total", "Samples accepted.").count(&[("source", "udp")], 7);
    }
}

impl Commands for FakeApp {
    /// Each line is a sample, but `bad` is a defect and `nan` is refused; `full` and `panic` speak
    /// for themselves.
    fn ingest(&self, format: Format, body: Vec<u8>) -> Result<IngestReport, IngestError> {
        if let Some((began, let_go)) = self.gate.lock().expect("a test").take() {
            began.send(()).expect("the test listens");
            let_go.recv().expect("the test lets go");
        }
        let text = String::from_utf8(body).expect("tests send text");
        let (mut report, mut refused) = (IngestReport::default(), RefusalCounts::default());
        for (at, line) in text.lines().enumerate() {
            match line {
                "full" => {
                    return Err(IngestError::Full { retry_after: StdDuration::from_millis(1_001) });
                }
                "panic" => panic!("a bug in the decoder"),
                "nan" => refused.add(Refusal::NotFinite, 1),
                "bad" => {
                    report.defects.push(Defect::new(at as u64 + 1, "not an object", b"bad"));
                    report.defect_count += 1;
                }
                _ => report.accepted += 1,
            }
        }
        report.refused = refused;
        self.bodies.lock().expect("a test").push((format, text));
        Ok(report)
    }

    fn ingest_by(
        &self,
        source: &str,
        kind: &str,
        _body: Vec<u8>,
    ) -> Result<IngestReport, IngestError> {
        match (source, kind) {
            ("acme", "" | "application/x-acme") => {
                Ok(IngestReport { accepted: 1, ..IngestReport::default() })
            }
            ("acme", _) => {
                Err(IngestError::ContentType { takes: vec!["application/x-acme".into()] })
            }
            _ => Err(IngestError::UnknownSource { known: vec!["acme".into()] }),
        }
    }

    fn test_sink(&self, name: &str) -> Result<SinkTest, CommandError> {
        let took = Duration::from_millis(12);
        match name {
            "ops-chat" => Ok(SinkTest { delivered: true, said: "200 OK".to_owned(), took }),
            "broken" => Ok(SinkTest { delivered: false, said: "refused".to_owned(), took }),
            _ => Err(CommandError::NotFound {
                what: format!("There is no sink `{name}`."),
                hint: "The sinks are ops-chat and broken.".to_owned(),
            }),
        }
    }

    fn flush(&self) -> Result<(), CommandError> {
        Ok(())
    }

    fn reload(&self) -> Result<ReloadReport, CommandError> {
        Ok(self.report())
    }

    fn accept_empty(&self) -> Result<ReloadReport, CommandError> {
        Err(CommandError::Refused {
            why: "The rule folder is there and has rules.".to_owned(),
            hint: "There is nothing to accept.".to_owned(),
        })
    }

    fn forget(&self, rule: &str, key: &Labels) -> Result<Forgotten, CommandError> {
        self.forgotten.lock().expect("a test").push(format!("{rule}{key}"));
        Ok(Forgotten { resolved: true })
    }
}
