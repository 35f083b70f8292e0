//! One rule on one shard: its groups, its members, its agenda.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use crate::kernel::event::Cause;
use crate::kernel::model::index::Index;
use crate::kernel::model::{Duration, EventTime, Labels, Memo, Series, SourceId};
use crate::kernel::rule::program::{Evaluator, Fault};
use crate::kernel::rule::view::{Column, Reduction};
use crate::kernel::rule::{Judge, Rule, Shape};
use crate::kernel::sequence::Rows;
use crate::kernel::shard::{OVERFLOW, group_key, overflow_key};
use crate::kernel::window::WindowSpec;
use crate::kernel::window::baseline::BaselineSpec;
use crate::kernel::window::dense::Dense;

use super::due::Due;
use super::group::Group;
use super::member::{Member, NO_GROUP, Waiting};
use super::output::{FaultNote, Signal, Trouble};
use super::programs::{Programs, Table};
use super::slab::Slab;
use super::{Context, Phase, emit};

/// Faults in a row after which a group is no longer judged until its rule is edited.
const SUSPEND_AFTER: u32 = 5;
/// A guest without a window hears of the time once in so much of it.
const TICK: Duration = Duration::from_secs(1);

pub struct RuleRun {
    pub rule: Arc<Rule>,
    pub delay: Duration,
    /// How often the rule judges without a sample: its panes, or a guest's ticks.
    pub every: Option<Duration>,
    /// [`Rule::remembers`], which every sample asks for.
    pub remembers: Duration,
    pub programs: Box<Programs>,
    /// One for each input of a rule with a window.
    pub specs: Vec<WindowSpec>,
    pub base_spec: Option<BaselineSpec>,
    /// All windows of the rule, where they are kept together; groups then have none of their own.
    pub dense: Option<Box<Dense>>,
    /// With windows kept together: which groups are at rest.
    pub resting: Vec<bool>,
    pub share: Option<Box<dyn Evaluator>>,
    pub groups: Slab<Group>,
    /// Groups by key.
    pub by_key: Index,
    pub members: Slab<Member>,
    /// See [`RuleRun::follows_records`].
    pub follows: bool,
    /// The group of each member, by member number; [`NO_GROUP`] once it was dropped.
    pub group_of: Vec<u32>,
    /// The earliest first; void when the group's `wake` says otherwise.
    pub timers: BinaryHeap<Reverse<Due>>,
    /// Groups that take part in the closing of panes.
    pub awake: Vec<u32>,
    /// The end of the newest pane that was closed.
    pub closed: EventTime,
    /// Rows of the segment at hand: (row, member).
    pub inbox: Vec<(u32, u32)>,
    /// Members from a snapshot or an older ruleset, until their series is introduced.
    pub waiting: BTreeMap<(u8, Series), Waiting>,
    pub stats: Stats,
    /// Rows of groups at rest that a component is to judge: (row, member).
    pub passing: Vec<(u32, u32)>,
    /// See [`RuleRun::is_plain`].
    pub plain: bool,
    /// How many groups are at rest.
    pub at_rest: usize,
    /// See [`RuleRun::asks_guest`].
    pub guest: bool,
    /// Some group has, or had, several series.
    pub crowds: bool,
    /// All rows of some groups of several series are to be handed over.
    pub crowded: bool,
    /// Rows that were counted as leaving their group at rest and were handed over after all.
    pub counted_twice: u64,
    pub quarantined: bool,
    /// Scratch for the rows at hand.
    pub table: Table,
}

/// What a rule did, for status pages and quarantine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    pub samples: u64,
    pub evaluations: u64,
    pub faults: u64,
    pub late: BTreeMap<SourceId, u64>,
    pub last_fault: Option<(EventTime, Labels, Fault)>,
    pub last_judged: Option<EventTime>,
    pub suspended: u64,
}

impl RuleRun {
    pub fn new(rule: Arc<Rule>, delay: Duration) -> RuleRun {
        let specs = WindowSpec::all(&rule);
        let base_spec = rule.baseline.map(|baseline| {
            BaselineSpec::new(rule.shape, baseline.span).expect("the loader checked the baseline")
        });
        let apart = rule.across.is_some() || rule.baseline.is_some() || rule.inputs.len() > 1;
        let dense = specs.first().filter(|_| !apart).and_then(Dense::new).map(Box::new);
        let mut run = RuleRun {
            programs: Box::new(Programs::new(&rule)),
            every: every(&rule),
            remembers: rule.remembers(),
            share: rule.declared.share.as_ref().map(|share| share.evaluator()),
            rule,
            delay,
            specs,
            base_spec,
            dense,
            resting: Vec::new(),
            groups: Slab::default(),
            by_key: Index::default(),
            members: Slab::default(),
            follows: false,
            group_of: Vec::new(),
            timers: BinaryHeap::new(),
            awake: Vec::new(),
            closed: EventTime::MIN,
            inbox: Vec::new(),
            waiting: BTreeMap::new(),
            stats: Stats::default(),
            passing: Vec::new(),
            plain: false,
            at_rest: 0,
            guest: false,
            crowds: false,
            crowded: false,
            counted_twice: 0,
            quarantined: false,
            table: Table::default(),
        };
        (run.plain, run.guest) = (RuleRun::is_plain(&run.rule), run.asks_guest());
        run.follows = run.follows_records();
        run
    }

    /// The reductions that have a baseline, in the order of a group's `bases`.
    pub fn bases_among(columns: &[Column]) -> Vec<(u8, Reduction)> {
        let mut bases: Vec<(u8, Reduction)> = columns
            .iter()
            .filter_map(|column| match column {
                Column::Base { input, reduction, .. } => Some((*input, *reduction)),
                Column::Value { .. } | Column::Reduced { .. } | Column::Label(_) => None,
            })
            .collect();
        bases.dedup();
        bases
    }

    pub fn takes_overflow(&self) -> bool {
        let plain = |column: &Column| {
            matches!(
                column,
                Column::Reduced {
                    reduction: Reduction::Count
                        | Reduction::Sum
                        | Reduction::Mean
                        | Reduction::Min
                        | Reduction::Max,
                    ..
                }
            )
        };
        !self.specs.is_empty()
            && self.rule.across.is_none()
            && self.rule.inputs.len() == 1
            && self.programs.read_only(plain)
    }

    /// A sample came for a member: who heard it when. `None` when the group no longer wants it.
    /// Gives the series' previous sample if this one is newer.
    pub fn hear(
        &mut self,
        context: &mut Context<'_>,
        member: u32,
        at: EventTime,
        value: f64,
    ) -> Option<(EventTime, f64)> {
        self.stats.samples += 1;
        let heard = at.max(context.watermark);
        if self.group_of[member as usize] == NO_GROUP {
            let Member { id, input, .. } = self.members[member];
            let key = match self.members[member].overflows() {
                true => overflow_key(),
                false => {
                    let series = context.latest.series(id);
                    group_key(&self.rule, input, series, &mut Memo::of_nothing())
                }
            };
            let group = match self.group_of(&key) {
                Some(group) => group,
                None => self.open_group(context, key),
            };
            self.enter_member(context.latest, member, group);
        }
        let known = &mut self.members[member];
        let previous = known.recent.last;
        known.recent.heard = known.recent.heard.max(heard);
        let woke = !known.is_live();
        known.set_live(true);
        if previous.is_none_or(|(last, _)| last <= at) {
            known.recent.last = Some((at, value));
        }
        let number = self.group_of[member as usize];
        let group = &mut self.groups[number];
        group.now.recent.heard = group.now.recent.heard.max(heard);
        let before = group.now.recent.source;
        group.now.recent.source = context.source.or(before);
        let (listening, source) = (context.listening, group.now.recent.source);
        if source != before && listening.since(source) != listening.since(before) {
            // Its series expire by what this source was listened to: to be looked at with the next
            // step, and not on each sample where sources take turns.
            let now = context.watermark - self.delay;
            self.put_on_agenda(number, now);
        }
        if woke {
            self.relist(context.latest, member, None);
            // From now on it can expire, which may be before anything else is due.
            self.schedule_for(context, number, Some(member));
        }
        // A series that was silent for so long would have been forgotten; whether it was must not
        // depend on when somebody looked.
        previous.filter(|(last, _)| *last < at && at.since(*last) <= self.remembers)
    }

    /// Counts samples that left their groups at rest.
    pub fn count_rested(&mut self, samples: u64, last: Option<EventTime>) {
        self.stats.samples += samples;
        self.stats.evaluations += samples;
        self.stats.last_judged = self.stats.last_judged.max(last);
    }

    /// Counts a sample that came too late to be judged.
    pub fn late(&mut self, context: &mut Context<'_>, group: u32, at: EventTime) {
        let source = context.source.unwrap_or(SourceId(u16::MAX));
        *self.stats.late.entry(source).or_default() += 1;
        let watermark = context.watermark.max(at);
        let group = &mut self.groups[group];
        let late = group.now.more.late.get_or_insert(super::group::Late {
            since: watermark,
            source,
            signalled: false,
        });
        if !late.signalled && watermark.since(late.since) >= Duration::from_secs(60) {
            late.signalled = true;
            let what = Trouble::DataLate { rule: self.rule.name.clone(), source: late.source };
            self.signal(context, what, 1);
        }
    }

    /// A sample that was not late: the group is heard again.
    pub fn on_time(&mut self, context: &mut Context<'_>, group: u32) {
        let Some(late) = self.groups[group].now.more.late else { return };
        self.groups[group].now.more.late = None;
        if late.signalled {
            let what = Trouble::DataLate { rule: self.rule.name.clone(), source: late.source };
            self.signal(context, what, -1);
        }
    }

    pub fn unhealthy(&self) -> Trouble {
        Trouble::RuleUnhealthy { rule: self.rule.name.clone() }
    }

    pub fn signal(&self, context: &mut Context<'_>, what: Trouble, delta: i32) {
        let (position, at) = (context.position, context.seen);
        context.out.signals.push(Signal { position, at, what, delta });
    }

    /// A fault leaves the group as it is; enough of them in a row suspend it.
    pub fn fault(&mut self, context: &mut Context<'_>, group: u32, at: EventTime, fault: Fault) {
        let group = &mut self.groups[group];
        group.now.more.faults_in_row += 1;
        self.stats.faults += 1;
        if group.now.more.faults_in_row == SUSPEND_AFTER {
            self.stats.suspended += 1;
        }
        self.stats.last_fault = Some((at, group.key.clone(), fault.clone()));
        let (rule, key) = (self.rule.name.clone(), group.key.clone());
        context.out.faults.push(FaultNote { rule, key, at, fault });
    }

    pub fn is_suspended(&self, group: u32) -> bool {
        self.groups[group].now.more.faults_in_row >= SUSPEND_AFTER
    }

    /// The newest pane end that the watermark has passed.
    pub fn catch_up(&mut self, watermark: EventTime) {
        let Some(every) = self.every else { return };
        if watermark == EventTime::MIN {
            return;
        }
        // Strictly past: a pane that ends at the watermark is still open.
        let before = EventTime::from_nanos((watermark - self.delay).nanos().saturating_sub(1));
        self.closed = self.closed.max(before.floor(every));
    }

    /// Makes a group take part in the closing of panes.
    pub fn wake(&mut self, group: u32) {
        if !self.groups[group].awake {
            self.groups[group].awake = true;
            self.awake.push(group);
        }
    }

    pub fn end_group(
        &mut self,
        context: &mut Context<'_>,
        group: u32,
        at: EventTime,
        cause: Cause,
    ) {
        emit::end(&self.rule, &mut self.groups[group], context, at, cause);
        self.on_time(context, group);
    }

    /// Drops a group; its series stay bound and open it anew with their next sample.
    pub fn drop_group(&mut self, context: &mut Context<'_>, number: u32) {
        if let Some(dense) = &mut self.dense {
            dense.clear(number);
            self.resting[number as usize] = false;
        }
        let group = self.groups.remove(number);
        self.at_rest -= usize::from(group.at_rest);
        if let Some(guest) = self.rule.guest_of_windows() {
            context.plugins.forget_group(&guest.plugin, guest.index, number);
        }
        for number in group.members() {
            let mut member = self.members[*number].clone();
            self.begin_anew(context, &mut member);
            self.members[*number] = member;
            self.group_of[*number as usize] = NO_GROUP;
        }
        self.by_key.remove(group.key.digest(), number);
        if group.awake {
            self.awake.retain(|other| *other != number);
        }
        if group.key.get(OVERFLOW).is_some() {
            self.signal(context, Trouble::SeriesLimit { rule: self.rule.name.clone() }, -1);
        }
    }

    /// Hands the rule its rows of a segment. The inbox is in row order.
    pub fn rows(&mut self, context: &mut Context<'_>, rows: &Rows) {
        let inbox = std::mem::take(&mut self.inbox);
        // What recording rules emit is due work of a watermark step, not a sample of a source.
        context.phase = if rows.source.is_some() { Phase::Sample } else { Phase::Due };
        match (&self.rule.judge, self.rule.shape) {
            (Judge::Guest(_), Shape::Each) => self.guest_rows(context, rows, &inbox),
            (_, Shape::Sliding { .. } | Shape::Session { .. }) => {
                self.window_rows(context, rows, &inbox);
            }
            (_, Shape::Count { .. }) => self.count_rows(context, rows, &inbox),
            (_, Shape::Latest { .. }) => self.latest_rows(context, rows, &inbox),
            (_, Shape::Each) if self.rule.inputs.len() > 1 => {
                self.join_rows(context, rows, &inbox);
            }
            (_, Shape::Each) => self.each_rows(context, rows, &inbox),
        }
        self.inbox = inbox;
        self.inbox.clear();
    }
}

/// See [`RuleRun::every`].
pub fn every(rule: &Rule) -> Option<Duration> {
    match rule.shape {
        Shape::Sliding { every, .. } | Shape::Latest { every } => Some(every),
        // Each session has times of its own, which are timers of its group.
        Shape::Session { .. } | Shape::Count { .. } => None,
        Shape::Each => rule.guest_of_samples().map(|_| TICK),
    }
}
