//! Groups at rest: nothing is wrong with them, so a sample that is no breach changes nothing but
//! what its series said last, which is kept once for all rules.
//!
//! A group at rest is not touched by such samples. What it would have noted lies in its series'
//! [`Latest`](super::latest::Latest) records and is brought over before anything looks at it.
//! Everything that does more than judge a sample that is no breach must rouse the group first.

use smallvec::SmallVec;

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::model::EventTime;
use crate::kernel::rule::{Judge, Rule, Shape};

use super::figures::main_column;
use super::latest::{LatestTable, PLACES};
use super::member::Member;
use super::run::RuleRun;

impl RuleRun {
    /// Whether samples that are no breach leave nothing behind in this rule: it judges each sample
    /// by itself and keeps nothing but the alert.
    pub fn is_plain(rule: &Rule) -> bool {
        matches!(rule.shape, Shape::Each)
            && matches!(rule.judge, Judge::Levels(_) | Judge::Absent(_))
            && rule.inputs.len() == 1
            && rule.state.is_none()
            && rule.record.is_none()
            && rule.flapping.is_none()
    }

    /// Whether a component judges the rule's samples one by one. Its groups may be at rest too when
    /// they have one series: of several each must be seen in its turn.
    pub fn asks_guest(&self) -> bool {
        matches!(self.rule.judge, Judge::Guest(_))
            && matches!(self.rule.shape, Shape::Each)
            && self.rule.inputs.len() == 1
            && self.rule.flapping.is_none()
    }

    /// Whether the ends of panes leave nothing behind in groups whose windows are kept together
    /// and are no breach.
    pub fn closes_at_rest(&self) -> bool {
        let rule = &self.rule;
        self.dense.is_some()
            && matches!(rule.judge, Judge::Levels(_) | Judge::Guest(_))
            && rule.state.is_none()
            && rule.record.is_none()
            && rule.flapping.is_none()
            && rule.during.is_none()
    }

    /// Brings a group at rest up to what its series said since; it stays at rest.
    pub fn sync(&mut self, latest: &LatestTable, number: u32) {
        if self.follows {
            return self.sync_members(latest, number);
        }
        if self.groups.get(number).is_none_or(|group| !group.at_rest) {
            return;
        }
        let judged_value = match (&self.dense, &self.rule.judge) {
            (Some(_), _) => {
                let column = main_column(&self.programs.columns);
                column.and_then(|at| self.read(number, &self.programs.columns[at], &[]))
            }
            // An absent rule judges that a sample came, not what it said.
            (None, Judge::Absent(_)) => None,
            (None, Judge::Levels(_) | Judge::Guest(_) | Judge::Never) => {
                let records = self.groups[number].members().iter();
                let records = records.map(|member| &latest[self.members[*member].id]);
                let newest = records.rev().max_by_key(|known| known.at);
                newest.map(|known| known.value)
            }
        };
        let recent = &mut self.groups[number].now.recent;
        recent.value = judged_value;
        let mut newest = EventTime::MIN;
        for member in self.groups[number].members().to_vec() {
            let member = &mut self.members[member];
            let known = &latest[member.id];
            (member.recent.last, member.recent.heard) =
                (Some((known.at, known.value)), known.heard);
            let recent = &mut self.groups[number].now.recent;
            recent.heard = recent.heard.max(known.heard);
            let judged = if self.dense.is_some() { self.closed } else { known.at };
            recent.judged = recent.judged.max(judged);
            if newest < known.at {
                (newest, recent.source) = (known.at, known.source().or(recent.source));
            }
        }
    }

    /// Leaves what the group's samples said to their series' records, if it is at rest.
    pub fn slim(&mut self, number: u32) {
        let Some(group) = self.groups.get_mut(number).filter(|group| group.at_rest) else { return };
        group.slim();
        for member in group.members() {
            self.members[*member].recent.clear();
        }
    }

    /// From here on the group sees each of its samples, until it [rests](RuleRun::rest) again.
    pub fn rouse(&mut self, latest: &mut LatestTable, number: u32) {
        if !self.groups.get(number).is_some_and(|group| group.at_rest) {
            return;
        }
        self.sync(latest, number);
        if let Some(group) = self.groups.get_mut(number) {
            group.at_rest = false;
            self.at_rest -= 1;
            if let Some(resting) = self.resting.get_mut(number as usize) {
                *resting = false;
            }
            for member in group.members() {
                let member = &self.members[*member];
                latest[member.id].busy |= 1 << member.place;
            }
            if self.dense.is_some() {
                // The ends of panes pass a group at rest by, and now must not.
                self.wake(number);
            }
        }
    }

    pub fn rouse_all(&mut self, latest: &mut LatestTable) {
        for number in self.groups.numbers() {
            self.sync(latest, number);
            self.rouse(latest, number);
        }
    }

    /// [Rests](RuleRun::rest) what it can of the groups of these members.
    pub fn rest_all(&mut self, latest: &mut LatestTable, members: impl Iterator<Item = u32>) {
        let mut groups: SmallVec<[u32; 8]> =
            members.map(|member| self.group_of[member as usize]).collect();
        groups.sort_unstable();
        groups.dedup();
        for number in groups {
            self.rest(latest, number);
        }
    }

    /// Lays the group to rest if nothing is going on in it.
    pub fn rest(&mut self, latest: &mut LatestTable, number: u32) {
        if !self.is_calm(latest, number) {
            return;
        }
        let group = &mut self.groups[number];
        if !std::mem::replace(&mut group.at_rest, true) {
            self.at_rest += 1;
        }
        if let Some(resting) = self.resting.get_mut(number as usize) {
            *resting = true;
        }
        for member in group.members() {
            let member = &self.members[*member];
            latest[member.id].busy &= !(1 << member.place);
        }
        self.slim(number);
    }

    fn is_calm(&mut self, latest: &LatestTable, number: u32) -> bool {
        let Some(group) = self.groups.get(number) else { return false };
        let may = self.plain || self.guest && group.members().len() == 1 || self.closes_at_rest();
        may && !self.quarantined
            && group.now.alert.ignores_clear()
            && group.verdict == Verdict::Clear
            && group.now.more.quiet.is_none()
            && group.now.more.late.is_none()
            && group.now.more.faults_in_row == 0
            && group.wake != EventTime::MAX
            && !group.members().is_empty()
            && self.all_calm(latest, number)
    }
}

impl Member {
    /// Nothing is going on in it that its series' record does not tell.
    pub fn is_calm(&self, latest: &LatestTable) -> bool {
        // A series that began anew has not said yet what its record says.
        let heard_all = self.recent.last.is_some_and(|(at, _)| latest[self.id].at <= at);
        self.is_live() && self.verdict.is_none() && heard_all && usize::from(self.place) < PLACES
    }
}
