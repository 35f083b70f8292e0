//! Groups of many series: what the group as a whole says, without a walk over all of its series on
//! each of their samples.
//!
//! Few series of a large group breach at a time. They, and those that took part in the alert's
//! episode, are listed ([`More::involved`](super::group::More::involved)); all others are clear.

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::model::Level;

use super::group::{Group, Member};
use super::latest::LatestTable;
use super::run::RuleRun;

impl Member {
    fn is_involved(&self) -> bool {
        self.verdict.is_some() || self.took_part
    }
}

impl Group {
    /// All members that breach or took part in the episode, and perhaps others.
    fn involved(&self) -> &[u32] {
        // Of one there is nothing to leave out, so no list is kept.
        if self.members.len() < 2 { &self.members } else { &self.more.involved }
    }
}

impl RuleRun {
    /// Lists the involved anew when a second member has come.
    pub fn list_entered(&mut self, number: u32, member: u32) {
        let members = &self.members;
        let group = &mut self.groups[number];
        match group.members.len() {
            0 | 1 => {}
            2 => {
                let involved = group.members.iter().filter(|at| members[**at].is_involved());
                let involved: Vec<u32> = involved.copied().collect();
                if group.more.involved != involved {
                    group.more.involved = involved;
                }
            }
            _ if members[member].is_involved() => group.more.involved.push(member),
            _ => {}
        }
    }

    /// Takes a member that leaves its group out of the group's lists.
    pub fn list_left(&mut self, number: u32, member: u32) {
        let Some(group) = self.groups.get_mut(number) else { return };
        group.members.retain(|other| *other != member);
        let alone = group.members.len() < 2;
        if !group.more.involved.is_empty() {
            group.more.involved.retain(|other| !alone && *other != member);
        }
        if group.more.restless.is_some() {
            group.more.restless = None;
        }
    }

    /// Gives a member its own verdict, and whether it takes part in the alert's episode from now
    /// on.
    pub fn involve(&mut self, member: u32, verdict: Option<Level>, takes_part: bool) {
        let known = &mut self.members[member];
        let before = known.is_involved();
        known.verdict = verdict;
        known.took_part |= takes_part;
        if !before && known.is_involved() {
            let group = &mut self.groups[known.group];
            if group.members.len() > 1 {
                group.more.involved.push(member);
            }
        }
    }

    /// The episode is over: nobody took part in the next one yet.
    pub fn end_parts(&mut self, number: u32) {
        for member in self.groups[number].involved() {
            self.members[*member].took_part = false;
        }
        self.unlist_clear(number);
    }

    /// Takes those out of the list that are no longer involved.
    pub fn unlist_clear(&mut self, number: u32) {
        let group = &mut self.groups[number];
        if !group.more.involved.is_empty() {
            let members = &self.members;
            group.more.involved.retain(|member| members[*member].is_involved());
        }
    }

    /// The verdict of a group without a window: the highest of its live series.
    pub fn group_verdict(&self, group: u32) -> Verdict {
        let levels = self.groups[group].involved().iter().map(|member| {
            let member = &self.members[*member];
            if member.live { member.verdict } else { None }
        });
        Verdict::of(levels.max().flatten())
    }

    /// The value of the series that decided the group's verdict.
    pub fn worst_value(&self, group: u32, judged: u32, verdict: Verdict) -> Option<f64> {
        let value = |member: u32| self.members[member].recent.last.map(|(_, value)| value);
        let decides = |member: u32| {
            let member = &self.members[member];
            member.live && member.verdict == verdict.level()
        };
        if decides(judged) {
            return value(judged);
        }
        let group = &self.groups[group];
        let among = if verdict == Verdict::Clear { &group.members } else { group.involved() };
        // Of several the first by name, for members' own order depends on the run's history.
        let deciding = among.iter().copied().filter(|member| decides(*member));
        let first = deciding.min_by(|a, b| self.members[*a].series.cmp(&self.members[*b].series));
        first.and_then(value)
    }

    /// Whether every member is live, clear, and heard all that its series said. The one that is
    /// not is asked first the next time.
    pub fn all_calm(&mut self, latest: &LatestTable, number: u32) -> bool {
        let group = &self.groups[number];
        let is_calm = |member: &u32| self.members.get(*member).is_some_and(|it| it.is_calm(latest));
        let restless = group.more.restless.filter(|known| !is_calm(known));
        let restless = restless.or_else(|| group.members.iter().copied().find(|at| !is_calm(at)));
        if group.more.restless != restless {
            self.groups[number].more.restless = restless;
        }
        restless.is_none()
    }
}

#[cfg(test)]
impl RuleRun {
    /// That what is kept of a group agrees with a walk over all of its members.
    pub fn check_groups(&self, listening: &super::Listening) {
        for (number, group) in self.groups.iter() {
            let name = (&self.rule.name, &group.key);
            let mut listed = group.involved().to_vec();
            listed.sort_unstable();
            listed.retain(|member| self.members[*member].is_involved());
            let is_involved = |member: &u32| self.members[*member].is_involved();
            let mut involved: Vec<u32> =
                group.members.iter().copied().filter(is_involved).collect();
            involved.sort_unstable();
            assert_eq!(listed, involved, "{name:?}");
            let due = self.next_deadline(listening, number);
            let told = due.is_none_or(|(due, _)| group.wake <= due);
            assert!(told || group.at_rest, "{name:?}: {due:?} {group:?}");
        }
    }
}
