//! What people are shown of a shard: rules with their health and counts, alerts with their state.

use std::sync::Arc;

use crate::kernel::model::{EventTime, Labels, Level, SourceId};
use crate::kernel::rule::program::Fault;

use super::group::{Group, Silence};
use super::output::DisputeNote;
use super::run::RuleRun;
use super::{Context, Engine};

/// One rule on one shard; those of several shards are added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleReport {
    pub name: Arc<str>,
    pub groups: u64,
    pub series: u64,
    pub pending: u64,
    pub firing: u64,
    pub no_data: u64,
    pub samples: u64,
    pub evaluations: u64,
    pub faults: u64,
    /// Rows on which a native condition differed from the interpreter.
    pub disputed: u64,
    pub suspended: u64,
    pub late: Vec<(SourceId, u64)>,
    pub quarantined: bool,
    pub last_fault: Option<(EventTime, Labels, Fault)>,
    pub last_judged: Option<EventTime>,
}

/// One alert that is not inactive, or a group that has no data or is suspended.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertReport {
    pub rule: Arc<str>,
    pub key: Labels,
    /// "inactive", "pending", "firing", "cooling"; "flapping" is told apart.
    pub state: &'static str,
    pub flapping: bool,
    pub level: Option<Level>,
    pub value: Option<f64>,
    pub since: EventTime,
    pub fired_at: Option<EventTime>,
    pub judged: EventTime,
    /// Why there is no data, in words.
    pub no_data: Option<String>,
    pub suspended: bool,
}

impl RuleReport {
    pub fn merge(&mut self, other: RuleReport) {
        self.groups += other.groups;
        self.series += other.series;
        self.pending += other.pending;
        self.firing += other.firing;
        self.no_data += other.no_data;
        self.samples += other.samples;
        self.evaluations += other.evaluations;
        self.faults += other.faults;
        self.disputed += other.disputed;
        self.suspended += other.suspended;
        self.quarantined |= other.quarantined;
        self.last_judged = self.last_judged.max(other.last_judged);
        if other.last_fault.as_ref().map(|fault| fault.0)
            > self.last_fault.as_ref().map(|fault| fault.0)
        {
            self.last_fault = other.last_fault;
        }
        for (source, count) in other.late {
            match self.late.iter_mut().find(|(known, _)| *known == source) {
                Some((_, known)) => *known += count,
                None => self.late.push((source, count)),
            }
        }
    }
}

impl Engine {
    pub fn rule_reports(&mut self) -> Vec<RuleReport> {
        self.tell_counts();
        self.runs.iter().map(|run| run.report()).collect()
    }

    /// Each rule's evaluations and faults so far; cheap enough to ask often.
    pub fn fault_counts(&mut self) -> Vec<(Arc<str>, u64, u64)> {
        self.tell_counts();
        let counts =
            |run: &RuleRun| (run.rule.name.clone(), run.stats.evaluations, run.stats.faults);
        self.runs.iter().map(|run| counts(run)).collect()
    }

    /// Alerts that do something, and groups in trouble; by rule, then key.
    pub fn alert_reports(&self) -> Vec<AlertReport> {
        let mut alerts: Vec<AlertReport> =
            self.runs.iter().flat_map(|run| self.alerts_of(run)).collect();
        alerts.sort_by(|a, b| (&a.rule, &a.key).cmp(&(&b.rule, &b.key)));
        alerts
    }

    fn alerts_of<'a>(&'a self, run: &'a RuleRun) -> impl Iterator<Item = AlertReport> + 'a {
        run.groups
            .iter()
            .filter(|(_, group)| {
                !group.now.alert.is_idle()
                    || group.now.more.quiet.is_some()
                    || group.now.more.faults_in_row >= 5
            })
            .map(|(number, group)| AlertReport {
                rule: run.rule.name.clone(),
                key: group.key.clone(),
                state: group.now.alert.state.name(),
                flapping: group.now.alert.is_flapping(),
                level: group.now.alert.state.firing_level().or(group.verdict.level()),
                value: group.now.recent.value,
                since: group.now.alert.since,
                fired_at: match group.now.alert.state {
                    crate::kernel::alert::lifecycle::State::Firing { fired_at, .. } => {
                        Some(fired_at)
                    }
                    _ => None,
                },
                judged: group.now.recent.judged,
                no_data: self.why_no_data(run, group),
                suspended: run.is_suspended(number),
            })
    }

    fn why_no_data(&self, run: &RuleRun, group: &Group) -> Option<String> {
        let quiet = group.now.more.quiet?;
        if self.listening.since(group.now.recent.source).is_none() {
            return Some("source disconnected".into());
        }
        if group.now.more.late.is_some() {
            return Some("late".into());
        }
        if run.quarantined {
            return Some("rule faulted".into());
        }
        Some(match quiet.why {
            Silence::Expired => format!("no sample for {}", run.rule.timing.expire),
            Silence::Empty => "the window is empty".into(),
            Silence::Absent => "absent".into(),
        })
    }
}

impl RuleRun {
    /// Counts rows that were judged, and passes on what their programs were at odds about.
    pub fn count_judged(&mut self, context: &mut Context<'_>, rows: usize) {
        self.stats.evaluations += rows as u64;
        context.out.disputes.extend(self.disputes());
    }

    /// What the rule's native conditions got wrong since this was last asked.
    pub fn disputes(&mut self) -> impl Iterator<Item = DisputeNote> + use<> {
        let rule = self.rule.name.clone();
        let disputes = self.programs.take_disputes().into_iter();
        disputes.map(move |dispute| DisputeNote { rule: rule.clone(), dispute })
    }

    fn report(&self) -> RuleReport {
        let state = |wanted: &[&str]| {
            let is = |group: &Group| wanted.contains(&group.now.alert.state.name());
            self.groups.iter().filter(|(_, group)| is(group)).count() as u64
        };
        RuleReport {
            name: self.rule.name.clone(),
            groups: self.groups.len() as u64,
            series: self.members.len() as u64,
            pending: state(&["pending"]),
            firing: state(&["firing", "cooling"]),
            no_data: self.groups.iter().filter(|(_, group)| group.now.more.quiet.is_some()).count()
                as u64,
            samples: self.stats.samples,
            evaluations: self.stats.evaluations,
            faults: self.stats.faults,
            disputed: self.programs.disputed,
            suspended: self.stats.suspended,
            late: self.stats.late.iter().map(|(source, count)| (*source, *count)).collect(),
            quarantined: self.quarantined,
            last_fault: self.stats.last_fault.clone(),
            last_judged: self.stats.last_judged,
        }
    }
}
