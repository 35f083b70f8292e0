//! What a restart needs of a shard: groups by rule name and key, never by number.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::model::{EventTime, Labels, Level, Series, SourceId};
use crate::kernel::rule::State;
use crate::kernel::shard::{OVERFLOW, shard_of};
use crate::kernel::window::GroupWindow;
use crate::kernel::window::WindowSpec;
use crate::kernel::window::baseline::Baseline;
use crate::kernel::window::dense::PanePart;

use super::group::{Alert, Late, More, Quiet};
use super::join::Pendings;
use super::latest::LatestTable;
use super::member::{Member, Waiting};
use super::output::{Output, Trouble};
use super::run::RuleRun;
use super::spare::Spare;
use super::{Engine, RuleIndex};

/// One shard's state, or that of many put together: it can be restored under another number of
/// shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    pub watermark: EventTime,
    pub position: u64,
    pub rules: Vec<RuleSnapshot>,
    /// Components' own state by plugin name; taken only when the shards are as many as before.
    pub plugins: Vec<(u32, String, Vec<u8>)>,
    pub shards: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleSnapshot {
    pub name: Arc<str>,
    pub closed: EventTime,
    pub quarantined: bool,
    /// What the windows were kept for; they go on only under specs that continue these.
    specs: Vec<WindowSpec>,
    groups: Vec<GroupSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct GroupSnapshot {
    key: Labels,
    alert: Alert,
    heard: EventTime,
    judged: EventTime,
    verdict: Verdict,
    value: Option<f64>,
    quiet: Option<Quiet>,
    stale: bool,
    late: Option<Late>,
    windows: Vec<GroupWindow>,
    /// In place of windows, where the rule keeps those of all groups together.
    panes: Vec<PanePart>,
    bases: Vec<Baseline>,
    state: Option<Box<State>>,
    join: Option<Box<Pendings>>,
    awake: bool,
    source: Option<SourceId>,
    faults_in_row: u32,
    message: Option<Box<str>>,
    members: Vec<MemberSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MemberSnapshot {
    series: Series,
    input: u8,
    last: Option<(EventTime, f64)>,
    heard: EventTime,
    live: bool,
    verdict: Option<Level>,
    took_part: bool,
    window: Option<Box<GroupWindow>>,
    state: Option<Box<State>>,
}

impl Snapshot {
    /// Puts another shard's state of the same moment with this one's.
    pub fn merge(&mut self, other: Snapshot) {
        self.watermark = self.watermark.max(other.watermark);
        self.position = self.position.max(other.position);
        self.shards = self.shards.max(other.shards);
        self.plugins.extend(other.plugins);
        for rule in other.rules {
            match self.rules.iter_mut().find(|known| known.name == rule.name) {
                Some(known) => {
                    // A shard without groups that are awake does not keep up.
                    known.closed = known.closed.max(rule.closed);
                    known.groups.extend(rule.groups);
                }
                None => self.rules.push(rule),
            }
        }
    }
}

impl Engine {
    /// The shard's state between two inputs.
    pub fn snapshot(&mut self) -> Snapshot {
        let shard = self.shard;
        let saved = self.plugins.save().into_iter();
        let Engine { runs, latest, .. } = self;
        let rules = runs.iter_mut().map(|run| run.snapshot(latest)).collect();
        Snapshot {
            watermark: self.watermark,
            position: self.position,
            rules,
            plugins: saved.map(|(name, state)| (shard, name, state)).collect(),
            shards: self.shards,
        }
    }

    /// Takes this shard's part of a snapshot: after the first swap, before any series is
    /// introduced. Sources count as listened to since `from`. A rule that is gone is left out.
    /// What stands, such as a quarantine, is told in `out`.
    pub fn restore(&mut self, snapshot: &Snapshot, from: EventTime, out: &mut Output) {
        assert!(self.latest.is_empty());
        self.watermark = snapshot.watermark;
        self.layer_marks.fill(snapshot.watermark);
        self.position = snapshot.position;
        self.listening.from = from;
        self.restored = true;
        for rule in &snapshot.rules {
            let Some(index) = self.ruleset.find(&rule.name) else { continue };
            self.restore_rule(index, rule, out);
        }
    }

    /// Gives components their saved state, once their series were introduced and groups restored.
    pub fn restore_plugins(&mut self, snapshot: &Snapshot) -> Vec<(String, String)> {
        let mut refused = Vec::new();
        for (shard, name, state) in &snapshot.plugins {
            if *shard != self.shard || snapshot.shards != self.shards {
                continue;
            }
            self.announce_groups(name);
            if let Err(fault) = self.plugins.restore(name, state) {
                refused.push((name.clone(), fault.to_string()));
            }
        }
        refused
    }

    fn restore_rule(&mut self, index: RuleIndex, saved: &RuleSnapshot, out: &mut Output) {
        let (shard, shards) = (self.shard, self.shards);
        self.with_rule(index.0, None, out, |run, context| {
            run.closed = saved.closed;
            run.realign();
            run.quarantined = saved.quarantined;
            if run.quarantined && shard == 0 {
                run.signal(context, run.unhealthy(), 1);
            }
            let continues = run.specs.len() == saved.specs.len()
                && run.specs.iter().zip(&saved.specs).all(|(new, old)| new.continues(old));
            for group in &saved.groups {
                if shard_of(&group.key, shards) == shard {
                    run.restore_group(context, group, continues);
                }
            }
        });
    }
}

impl RuleRun {
    fn snapshot(&mut self, latest: &LatestTable) -> RuleSnapshot {
        let groups = self.groups.numbers().into_iter().map(|number| {
            self.sync(latest, number);
            let saved = self.save(latest, number);
            self.slim(number);
            saved
        });
        let groups = groups.collect();
        RuleSnapshot {
            name: self.rule.name.clone(),
            closed: self.closed,
            quarantined: self.quarantined,
            specs: self.specs.clone(),
            groups,
        }
    }

    fn save(&self, latest: &LatestTable, number: u32) -> GroupSnapshot {
        let group = &self.groups[number];
        let bound = group.members().iter().map(|member| &self.members[*member]);
        let bound = bound.map(|member| (latest.series(member.id), member));
        let waiting = self.waiting.iter().filter(|(_, waiting)| waiting.group == number);
        let waiting = waiting.map(|((_, series), waiting)| (series, &waiting.member));
        GroupSnapshot {
            key: group.key.clone(),
            alert: (*group.now.alert).clone(),
            heard: group.now.recent.heard,
            judged: group.now.recent.judged,
            verdict: group.verdict,
            value: group.now.recent.value,
            quiet: group.now.more.quiet,
            stale: group.stale,
            late: group.now.more.late,
            windows: group.now.recent.windows.clone(),
            panes: self.dense.as_ref().map_or(Vec::new(), |dense| dense.take_out(number)),
            bases: group.now.more.bases.clone(),
            state: group.now.more.state.clone(),
            join: group.now.more.join.clone(),
            awake: group.awake,
            source: group.now.recent.source,
            faults_in_row: group.now.more.faults_in_row,
            message: group.now.more.message.clone(),
            members: bound
                .chain(waiting)
                .map(|(series, it)| MemberSnapshot::of(series, it))
                .collect(),
        }
    }

    fn restore_group(
        &mut self,
        context: &mut super::Context<'_>,
        saved: &GroupSnapshot,
        continues: bool,
    ) {
        let number = match self.group_of(&saved.key) {
            Some(number) => number,
            None => self.open_group(context, saved.key.clone()),
        };
        let flapping = self.rule.flapping.is_some();
        let group = &mut self.groups[number];
        group.now.alert = Spare::new(saved.alert.clone());
        if group.now.alert.history.is_some() != flapping {
            group.now.alert.history = flapping.then(Default::default);
        }
        group.now.recent.heard = saved.heard;
        group.now.recent.judged = saved.judged;
        group.verdict = saved.verdict;
        group.now.recent.value = saved.value;
        group.stale = saved.stale || !continues;
        group.now.recent.source = saved.source;
        let more = More {
            quiet: saved.quiet,
            late: saved.late,
            faults_in_row: saved.faults_in_row,
            message: saved.message.clone(),
            ..(*group.now.more).clone()
        };
        group.now.more = Spare::new(more);
        if saved.state.is_some() && group.now.more.state.is_some() {
            group.now.more.state = saved.state.clone();
        }
        if let Some((own, saved)) = group.now.more.join.as_mut().zip(saved.join.as_ref())
            && own.continues(saved)
        {
            *own = saved.clone();
        }
        if let Some(dense) = self.dense.as_mut().filter(|_| continues) {
            dense.put_back(number, self.closed, &saved.panes);
        }
        if continues && group.now.recent.windows.len() == saved.windows.len() {
            group.now.recent.windows = saved.windows.clone();
        }
        if continues && group.now.more.bases.len() == saved.bases.len() {
            group.now.more.bases = saved.bases.clone();
        }
        if let Some(late) = saved.late.filter(|late| late.signalled) {
            let what = Trouble::DataLate { rule: self.rule.name.clone(), source: late.source };
            self.signal(context, what, 1);
        }
        for member in &saved.members {
            let own = self.restore_member(context, number, member, continues);
            let waiting = Waiting { member: own, group: number };
            self.waiting.insert((member.input, member.series.clone()), waiting);
        }
        if (saved.awake || !saved.panes.is_empty()) && self.every.is_some() {
            self.wake(number);
        }
        self.schedule(context, number);
    }

    fn restore_member(
        &self,
        context: &super::Context<'_>,
        group: u32,
        saved: &MemberSnapshot,
        continues: bool,
    ) -> Member {
        let id = crate::kernel::model::SeriesId(u32::MAX);
        let overflows = self.groups[group].key.get(OVERFLOW).is_some();
        let mut member = Member::new(id, saved.input, overflows);
        member.recent.last = saved.last;
        member.recent.heard = saved.heard;
        member.set_live(saved.live);
        member.verdict = saved.verdict;
        member.set_took_part(saved.took_part);
        self.renew_parts(context, &mut member);
        if continues && member.recent.window.is_some() && saved.window.is_some() {
            member.recent.window = saved.window.clone();
        }
        if member.recent.state.is_some() && saved.state.is_some() {
            member.recent.state = saved.state.clone();
        }
        member
    }
}

impl MemberSnapshot {
    fn of(series: &Series, member: &Member) -> MemberSnapshot {
        MemberSnapshot {
            series: series.clone(),
            input: member.input,
            last: member.recent.last,
            heard: member.recent.heard,
            live: member.is_live(),
            verdict: member.verdict,
            took_part: member.took_part(),
            window: member.recent.window.clone(),
            state: member.recent.state.clone(),
        }
    }
}
