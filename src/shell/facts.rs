//! What the API shows and does, answered from the running parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use tokio::runtime::Handle;

use crate::config::{describe, settings};
use crate::guest::changes::PluginEvent;
use crate::guest::sink::Outcome;
use crate::guest::wasm::strikes::Strikes;
use crate::kernel::decode::Decoder;
use crate::kernel::engine::status::{AlertReport, RuleReport};
use crate::kernel::event::{Event, Fingerprint};
use crate::kernel::model::{Duration, Labels, Level};
use crate::kernel::rule::Rule;

use super::api::{
    AlertState, AlertStatus, CommandError, Commands, ComponentHealth, Facts, Forgotten, Format,
    IngestError, IngestReport, PluginStatus, ReloadReport, RuleHealth, RuleState, RuleStatus,
    SinkStatus, SinkTest, SourceStatus,
};
use super::board::Board;
use super::clock::Clock;
use super::decoders::Decoders;
use super::health;
use super::inlet::Gate;
use super::judge::{Judge, Overview};
use super::metrics::Exposition;
use super::plugins::{self, Seen};
use super::probes::ProbeHub;
use super::reload::{Live, Reloader};
use super::sample_sinks::SampleHub;
use super::sample_sinks::status::SampleSinkStatus;
use super::shown::{sink_status, source_status};
use super::sink::SinkHub;
use super::sink::hub::TestError;
use super::source::Feed;

/// How long a sink test may take: the sink's own first attempt.
const SINK_TEST_PATIENCE: StdDuration = StdDuration::from_secs(15);
/// How long a flush over the API waits for sinks.
const FLUSH_PATIENCE: StdDuration = StdDuration::from_secs(30);

/// The running parts, as the API and the library reach them.
pub struct Office {
    pub judge: Judge,
    pub board: Arc<Board>,
    pub hub: Arc<SinkHub>,
    pub gate: Gate,
    pub decoders: Arc<Decoders>,
    pub probes: Arc<ProbeHub>,
    pub strikes: Arc<Strikes>,
    pub samples: Arc<SampleHub>,
    pub clock: Arc<dyn Clock>,
    pub reloader: Reloader,
    pub runtime: Handle,
    /// One decoder for each format that may be posted.
    pub feeds: BTreeMap<&'static str, Feed<Decoder>>,
    pub data_error: Option<String>,
}

impl Facts for Office {
    fn ready(&self) -> Result<(), String> {
        match self.reloader.live().ruleset {
            Some(_) => Ok(()),
            None => Err("rules are not loaded yet".into()),
        }
    }

    fn rules(&self) -> Vec<RuleStatus> {
        let Some(ruleset) = self.reloader.live().ruleset else { return Vec::new() };
        let overview = self.judge.look();
        let reports: BTreeMap<&str, &RuleReport> =
            overview.look.rules.iter().map(|report| (report.name.as_ref(), report)).collect();
        let nothing = RuleReport::default();
        let status = |rule: &Arc<Rule>| {
            rule_status(rule, reports.get(rule.name.as_ref()).copied().unwrap_or(&nothing))
        };
        ruleset.rules().iter().map(status).collect()
    }

    fn alerts(&self) -> Vec<AlertStatus> {
        let live = self.reloader.live();
        let overview = self.judge.look();
        let known = |report: &AlertReport| {
            let ruleset = live.ruleset.as_ref()?;
            let rule = ruleset.rule(ruleset.find(&report.rule)?);
            self.alert_status(report, rule)
        };
        let own = self.board.own_alerts().into_iter().map(|event| own_status(&event));
        overview.look.alerts.iter().filter_map(known).chain(own).collect()
    }

    fn reloads(&self) -> Vec<ReloadReport> {
        self.reloader.live().reports.into()
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        self.hub.status().iter().map(sink_status).collect()
    }

    fn sample_sinks(&self) -> Vec<SampleSinkStatus> {
        self.samples.status()
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let overview = self.judge.look();
        self.gate.sources().iter().map(|source| source_status(source, &overview)).collect()
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        self.plugin_status(&self.judge.look(), &self.reloader.live())
    }

    fn plugin_changes(&self, after: u64) -> Vec<Arc<PluginEvent>> {
        self.strikes.changes().after(after)
    }

    fn components(&self) -> Vec<ComponentHealth> {
        let live = self.reloader.live();
        vec![
            health::rules(&live, &self.judge.look().look),
            health::sources(&self.gate.sources()),
            health::sinks(&live, &self.hub.status(), &self.samples.status()),
            plugins::health(&live.plugins, &self.strikes),
            health::state(self.data_error.as_ref()),
        ]
    }

    fn metrics(&self, out: &mut Exposition) {
        let overview = self.judge.look();
        super::figures::write(out, &overview, self, &self.reloader.live());
    }
}

impl Office {
    pub fn plugin_status(&self, overview: &Overview, live: &Live) -> Vec<PluginStatus> {
        let probes = self.probes.status();
        let (ruleset, strikes) = (live.ruleset.as_deref(), &self.strikes);
        plugins::status(&live.plugins, &Seen { overview, ruleset, strikes, probes: &probes })
    }

    fn alert_status(&self, report: &AlertReport, rule: &Rule) -> Option<AlertStatus> {
        let state = match report.state {
            _ if report.flapping => AlertState::Flapping,
            "pending" => AlertState::Pending,
            "firing" => AlertState::Firing,
            "cooling" => AlertState::Cooling,
            _ => return None,
        };
        let last = self.board.last_event(&report.rule, &report.key);
        let mut annotations = last.as_ref().map_or(Vec::new(), |last| last.annotations.clone());
        if let Some(last) = &last {
            annotations.push(("text".into(), last.text.clone()));
        }
        Some(AlertStatus {
            rule: report.rule.clone(),
            key: report.key.clone(),
            labels: rule.labels.clone(),
            state,
            level: report.level.unwrap_or(Level::Info),
            value: report.value,
            since: report.since,
            fired_at: report.fired_at,
            annotations,
            fingerprint: Fingerprint::of(&rule.name, &report.key, &rule.labels),
            shadow: rule.shadow,
        })
    }
}

fn rule_status(rule: &Rule, report: &RuleReport) -> RuleStatus {
    let state = match (report.firing > 0, report.pending > 0) {
        (true, _) => RuleState::Firing,
        (false, true) => RuleState::Pending,
        (false, false) => RuleState::Inactive,
    };
    let health = if report.quarantined {
        RuleHealth::Quarantined
    } else if report.suspended > 0 {
        RuleHealth::Faulting
    } else {
        RuleHealth::Ok
    };
    let last_error =
        report.last_fault.as_ref().map(|(at, key, fault)| format!("{at} {key}: {fault}"));
    RuleStatus {
        name: rule.name.clone(),
        origin: rule.origin.clone(),
        version: rule.version,
        selector: describe::selector(rule),
        view: describe::view(rule),
        state,
        health,
        last_error,
        groups: report.groups,
        last_evaluation: report.last_judged,
        shadow: rule.shadow,
        labels: rule.labels.clone(),
        annotations: rule
            .annotations
            .iter()
            .map(|(name, _)| (name.clone(), String::new()))
            .collect(),
        soak: rule.timing.soak,
        cool: rule.timing.cool,
    }
}

fn own_status(event: &Event) -> AlertStatus {
    AlertStatus {
        rule: event.rule.clone(),
        key: event.key.clone(),
        labels: event.labels.clone(),
        state: AlertState::Firing,
        level: event.level,
        value: event.value,
        since: event.since,
        fired_at: event.fired_at,
        annotations: vec![("text".into(), event.text.clone())],
        fingerprint: event.fingerprint,
        shadow: false,
    }
}

impl Commands for Office {
    fn ingest(&self, format: Format, body: Vec<u8>) -> Result<IngestReport, IngestError> {
        let feed = &self.feeds[format.name()];
        let full = |_| IngestError::Full { retry_after: StdDuration::from_secs(1) };
        let permit = feed.inlet().admit(body.len()).map_err(full)?;
        let passed = feed.pass(permit, feed.now(), |decoder| decoder.decode(&body));
        let taken = passed.map_err(|_| IngestError::Closed)?;
        Ok(IngestReport {
            accepted: taken.samples,
            refused: taken.refused,
            defects: taken.defects,
            defect_count: taken.defect_count,
        })
    }

    fn ingest_by(
        &self,
        source: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<IngestReport, IngestError> {
        self.decoders.ingest(source, kind, &body)
    }

    fn test_sink(&self, name: &str) -> Result<SinkTest, CommandError> {
        let mut begun = std::time::Instant::now();
        let mut outcome = self.runtime.block_on(self.hub.test(name, SINK_TEST_PATIENCE));
        if let Err(TestError::Blocked { .. }) = outcome {
            // Whoever asks may have granted it a moment ago.
            self.reloader.reload().ok_or_else(stopping)?;
            begun = std::time::Instant::now();
            outcome = self.runtime.block_on(self.hub.test(name, SINK_TEST_PATIENCE));
        }
        let took = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let took = Duration::from_nanos(took);
        let (delivered, said) = match outcome {
            Ok(Outcome::Delivered { note }) => (true, note.unwrap_or_else(|| "delivered".into())),
            Ok(Outcome::Retry { why, .. } | Outcome::Rejected { why }) => (false, why),
            Ok(Outcome::Faulted(fault)) => (false, fault.to_string()),
            Err(error) => return Err(test_error(name, error)),
        };
        Ok(SinkTest { delivered, said, took })
    }

    fn flush(&self) -> Result<(), CommandError> {
        self.judge.flush();
        let all = async { tokio::join!(self.hub.flush(), self.samples.flush()) };
        let flush = async { tokio::time::timeout(FLUSH_PATIENCE, all).await };
        self.runtime.block_on(flush).map(drop).map_err(|_| CommandError::Failed {
            why: format!("some sink did not take everything in {} s", FLUSH_PATIENCE.as_secs()),
            hint: "see `watchfire sinks list` for what it says".into(),
        })
    }

    fn reload(&self) -> Result<ReloadReport, CommandError> {
        self.reloader.reload().ok_or_else(stopping)
    }

    fn accept_empty(&self) -> Result<ReloadReport, CommandError> {
        self.reloader.accept_empty().ok_or_else(stopping)
    }

    fn forget(&self, rule: &str, key: &Labels) -> Result<Forgotten, CommandError> {
        let not_found = |what: String| CommandError::NotFound {
            what,
            hint: "`watchfire rules list` and /api/v1/alerts name rules and keys".into(),
        };
        let live = self.reloader.live();
        if live.ruleset.is_none_or(|ruleset| ruleset.find(rule).is_none()) {
            return Err(not_found(format!("there is no rule `{rule}`")));
        }
        let overview = self.judge.look();
        let alert = overview
            .look
            .alerts
            .iter()
            .find(|alert| alert.rule.as_ref() == rule && alert.key == *key)
            .ok_or_else(|| not_found(format!("rule `{rule}` has no alert {key}")))?;
        let resolved = matches!(alert.state, "firing" | "cooling");
        self.judge.forget(rule, key);
        Ok(Forgotten { resolved })
    }
}

fn stopping() -> CommandError {
    CommandError::Failed { why: "we are stopping".into(), hint: "ask again after the start".into() }
}

fn test_error(name: &str, error: TestError) -> CommandError {
    match error {
        TestError::Unknown { known } => CommandError::NotFound {
            what: format!("there is no sink `{name}`"),
            hint: format!("sinks are: {}", known.join(", ")),
        },
        TestError::Blocked { why, cure } => CommandError::Refused { why, hint: cure },
        TestError::Removed => CommandError::Refused {
            why: format!("no file declares the sink `{name}` any more"),
            hint: "put its file back".into(),
        },
        TestError::Unsent { why } => {
            CommandError::Failed { why, hint: "see `watchfire sinks list`".into() }
        }
        TestError::NoAnswer { last_error } => CommandError::Failed {
            why: last_error.unwrap_or_else(|| "no answer in time".into()),
            hint: "see `watchfire sinks list`".into(),
        },
    }
}

/// The formats that may be posted, by the names that the API gives them.
pub const POSTED: [settings::Format; 5] = [
    settings::Format::Json,
    settings::Format::Influx,
    settings::Format::Prom,
    settings::Format::Statsd,
    settings::Format::Csv,
];
