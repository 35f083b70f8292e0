//! Series enter and leave the groups of a rule; groups open.

use crate::kernel::model::{Labels, Series, SeriesId};
use crate::kernel::rule::{Shape, State};
use crate::kernel::shard::OVERFLOW;
use crate::kernel::window::GroupWindow;
use crate::kernel::window::baseline::Baseline;

use super::Context;
use super::group::{Group, More};
use super::latest::LatestTable;
use super::member::{Member, NO_GROUP, Waiting};
use super::output::Trouble;
use super::run::RuleRun;
use super::spare::Spare;

impl RuleRun {
    /// Enters a series into its group. `None` when the rule has no use for it: the overflow group
    /// runs only windows whose figures mean something over a mix of series.
    pub fn bind(
        &mut self,
        context: &mut Context<'_>,
        (id, series): (SeriesId, &Series),
        input: u8,
        key: Labels,
    ) -> Option<u32> {
        let group = self.group_of(&key);
        if !self.waiting.is_empty() {
            let place = (input, series.clone());
            let known = self.waiting.get(&place).map(|known| known.group);
            if known.is_some() && known == group {
                let Waiting { member: mut known, group } =
                    self.waiting.remove(&place).expect("it was just seen");
                known.id = id;
                context.latest.learn(id, known.recent.last, known.recent.heard);
                return Some(self.join_group(context, known, group));
            }
        }
        let overflows = key.get(OVERFLOW).is_some();
        if overflows && !self.takes_overflow() {
            return None;
        }
        let group = match group {
            Some(group) => group,
            None => {
                let group = self.open_group(context, key);
                self.groups[group].now.recent.heard = context.seen;
                group
            }
        };
        let mut member = Member::new(id, input, overflows);
        self.begin_anew(context, &mut member);
        Some(self.join_group(context, member, group))
    }

    fn join_group(&mut self, context: &mut Context<'_>, member: Member, group: u32) -> u32 {
        self.rouse(context.latest, group);
        let number = self.members.insert(member);
        self.enter_member(context.latest, number, group);
        self.schedule_for(context, group, Some(number));
        number
    }

    /// Puts a member into a group.
    pub fn enter_member(&mut self, latest: &LatestTable, member: u32, group: u32) {
        let known = self.group_of.len().max(member as usize + 1);
        self.group_of.resize(known, NO_GROUP);
        self.group_of[member as usize] = group;
        self.groups[group].enter(member);
        self.crowd_entered(latest, group, member);
    }

    /// Gives a series an empty window and a first `this`, and forgets what it said before.
    pub fn begin_anew(&self, context: &Context<'_>, member: &mut Member) {
        member.recent.clear();
        self.renew_parts(context, member);
        if self.follows {
            member.recent.since = context.latest.said(member.id);
        }
        member.verdict = None;
        member.set_live(false);
        member.set_took_part(false);
    }

    /// An empty window and a first `this`, where the rule keeps them for each series.
    pub fn renew_parts(&self, context: &Context<'_>, member: &mut Member) {
        let window = || Box::new(self.new_window(context, member.input));
        let window = (!self.specs.is_empty() && self.rule.across.is_some()).then(window);
        let state = self.first_state().filter(|_| !self.judges_groups());
        if window != member.recent.window || state != member.recent.state {
            (member.recent.window, member.recent.state) = (window, state);
        }
    }

    pub fn first_state(&self) -> Option<Box<State>> {
        self.rule.state.clone().map(Box::new)
    }

    /// Whether a verdict is about the group as a whole, and so is `this`; else about one series.
    pub fn judges_groups(&self) -> bool {
        !matches!(self.rule.shape, Shape::Each) || self.rule.inputs.len() > 1
    }

    /// Puts the last pane end on the rule's own grid, which an edit may have changed.
    pub fn realign(&mut self) {
        if let Some(every) = self.every {
            self.closed = self.closed.floor(every);
        }
    }

    /// Takes a retired series out of its group.
    pub fn unbind(&mut self, latest: &mut LatestTable, member: u32) {
        let group = self.group_of[member as usize];
        if group != NO_GROUP {
            self.rouse(latest, group);
        }
        self.crowd_left(latest, group, member);
        self.members.remove(member);
    }

    /// The binding of a member's series that it stands for.
    pub fn move_to_place(&mut self, member: u32, place: usize) {
        self.members[member].place = u8::try_from(place).unwrap_or(u8::MAX);
    }

    pub fn open_group(&mut self, context: &mut Context<'_>, key: Labels) -> u32 {
        let overflows = key.get(OVERFLOW).is_some();
        let mut group = Group::new(key, self.rule.flapping.is_some());
        if !self.specs.is_empty() {
            if self.rule.across.is_none() && self.dense.is_none() {
                let inputs = 0..self.specs.len() as u8;
                group.now.recent.windows =
                    inputs.map(|input| self.new_window(context, input)).collect();
            }
            let bases =
                vec![Baseline::default(); RuleRun::bases_among(&self.programs.columns).len()];
            group.now.more = Spare::new(More { bases, ..More::default() });
        } else if self.rule.inputs.len() > 1 {
            group.now.more.join = Some(Box::new(self.new_pendings()));
        }
        if self.judges_groups() && self.rule.state.is_some() {
            group.now.more.state = self.first_state();
        }
        if overflows {
            self.signal(context, Trouble::SeriesLimit { rule: self.rule.name.clone() }, 1);
        }
        self.enter_group(group)
    }

    pub fn enter_group(&mut self, group: Group) -> u32 {
        let number = self.groups.insert(group);
        if let Some(dense) = &mut self.dense {
            dense.make_room(number);
            self.resting.resize(self.resting.len().max(number as usize + 1), false);
        }
        self.programs.forget_group(number);
        let groups = &self.groups;
        self.by_key.insert(number, |number| groups[number].key.digest());
        number
    }

    pub fn group_of(&self, key: &Labels) -> Option<u32> {
        self.by_key.find(key.digest(), |number| self.groups[number].key == *key)
    }

    /// A window none of whose panes is judged yet that the watermark has not passed.
    pub fn new_window(&self, context: &Context<'_>, input: u8) -> GroupWindow {
        let watermark = context.watermark - self.delay;
        GroupWindow::new(&self.specs[input as usize], watermark)
    }
}
