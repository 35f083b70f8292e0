//! Groups of several series: what the group as a whole says, without a walk over all of its series
//! on each of their samples, whether one of them burns or all.

use crate::kernel::alert::lifecycle::Verdict;
use crate::kernel::model::Level;

use super::group::Crowd;
use super::latest::LatestTable;
use super::member::Member;
use super::run::RuleRun;

impl Member {
    /// Its own verdict, as far as it counts for the group's.
    fn level(&self) -> Option<Level> {
        self.verdict.filter(|_| self.is_live())
    }
}

impl RuleRun {
    /// A member has come into its group, which perhaps had one other.
    pub fn crowd_entered(&mut self, latest: &LatestTable, number: u32, member: u32) {
        let members = &self.groups[number].members();
        let (alone, pair) = (members.len() == 1, members.len() == 2);
        if alone {
            return;
        }
        self.crowds = true;
        let newcomers = if pair { members.to_vec() } else { vec![member] };
        for member in newcomers {
            self.relist(latest, member, None);
            if self.members[member].took_part() {
                self.crowd(number).parts.push(member);
            }
        }
    }

    /// A member leaves its group.
    pub fn crowd_left(&mut self, latest: &LatestTable, number: u32, member: u32) {
        let Some(group) = self.groups.get_mut(number) else { return };
        group.leave(member);
        let alone = group.members().len() < 2;
        if group.now.more.restless.is_some() {
            group.now.more.restless = None;
        }
        if alone && group.now.more.crowd.is_some() {
            group.now.more.crowd = None;
        }
        if let Some(level) = self.members[member].level() {
            self.unlist(latest, member, level);
        }
        self.tidy_parts(number, |_, other| other != member);
    }

    /// Gives a member its own verdict, and whether it takes part in the alert's episode from now
    /// on.
    pub fn involve(
        &mut self,
        latest: &LatestTable,
        member: u32,
        (verdict, takes_part): (Option<Level>, bool),
    ) {
        let known = &mut self.members[member];
        let before = known.level();
        known.verdict = verdict;
        let joins = takes_part && !known.took_part();
        if joins {
            known.set_took_part(true);
        }
        let number = self.group_of[member as usize];
        self.relist(latest, member, before);
        if joins && self.groups[number].members().len() > 1 {
            self.crowd(number).parts.push(member);
        }
    }

    /// A member that breached at `before`, as far as it counted, may do so at another level now.
    pub fn relist(&mut self, latest: &LatestTable, member: u32, before: Option<Level>) {
        let (number, now) = (self.group_of[member as usize], self.members[member].level());
        if before == now || self.groups[number].members().len() < 2 {
            return;
        }
        if let Some(level) = before {
            self.unlist(latest, member, level);
        }
        if let Some(level) = now {
            let series = latest.series(self.members[member].id).clone();
            self.crowd(number).breaching[level.index()].insert(series, member);
        }
    }

    fn unlist(&mut self, latest: &LatestTable, member: u32, level: Level) {
        let group = &mut self.groups[self.group_of[member as usize]];
        if let Some(crowd) = &mut group.now.more.crowd {
            crowd.breaching[level.index()].remove(latest.series(self.members[member].id));
            if *crowd.as_ref() == Crowd::default() {
                group.now.more.crowd = None;
            }
        }
    }

    fn crowd(&mut self, number: u32) -> &mut Crowd {
        self.groups[number].now.more.crowd.get_or_insert_default()
    }

    /// The episode is over: nobody took part in the next one yet.
    pub fn end_parts(&mut self, number: u32) {
        let group = &mut self.groups[number];
        if let [only] = group.members()[..] {
            self.members[only].set_took_part(false);
            return;
        }
        let Some(crowd) = &mut group.now.more.crowd else { return };
        for member in crowd.parts.drain(..) {
            self.members[member].set_took_part(false);
        }
        if *crowd.as_ref() == Crowd::default() {
            group.now.more.crowd = None;
        }
    }

    /// Leaves those in the list who took part in the episode and are to be kept.
    pub fn tidy_parts(&mut self, number: u32, keep: impl Fn(&Member, u32) -> bool) {
        let (members, group) = (&self.members, &mut self.groups[number]);
        if let Some(crowd) = &mut group.now.more.crowd {
            crowd.parts.retain(|at| members[*at].took_part() && keep(&members[*at], *at));
            if *crowd.as_ref() == Crowd::default() {
                group.now.more.crowd = None;
            }
        }
    }

    /// The verdict of a group without a window: the highest of its live series.
    pub fn group_verdict(&self, number: u32) -> Verdict {
        let group = &self.groups[number];
        if let [only] = group.members()[..] {
            return Verdict::of(self.members[only].level());
        }
        let crowd = group.now.more.crowd.as_ref();
        let breaching =
            |level: &Level| crowd.is_some_and(|crowd| !crowd.breaching[level.index()].is_empty());
        Verdict::of(Level::ALL.into_iter().rev().find(breaching))
    }

    /// The value of the series that decided the group's verdict; of several the first by name.
    pub fn worst_value(
        &self,
        latest: &LatestTable,
        (number, judged): (u32, u32),
        verdict: Verdict,
    ) -> Option<f64> {
        let value = |member: u32| self.members[member].recent.last.map(|(_, value)| value);
        let decides = |member: u32| {
            let member = &self.members[member];
            member.is_live() && member.verdict == verdict.level()
        };
        if decides(judged) {
            return value(judged);
        }
        let group = &self.groups[number];
        let first = match verdict.level() {
            Some(level) => {
                let crowd = group.now.more.crowd.as_ref()?;
                crowd.breaching[level.index()].first_key_value().map(|(_, member)| *member)
            }
            // Asked for by a component alone, of a series that is silent.
            None => {
                let deciding = group.members().iter().copied().filter(|member| decides(*member));
                deciding.min_by_key(|member| latest.series(self.members[*member].id))
            }
        };
        first.and_then(value)
    }

    /// Whether every member is live, clear, and heard all that its series said. The one that is
    /// not is asked first the next time.
    pub fn all_calm(&mut self, latest: &LatestTable, number: u32) -> bool {
        let group = &self.groups[number];
        let is_calm = |member: &u32| self.members.get(*member).is_some_and(|it| it.is_calm(latest));
        let restless = group.now.more.restless.filter(|known| !is_calm(known));
        let restless = restless.or_else(|| group.members().iter().copied().find(|at| !is_calm(at)));
        if group.now.more.restless != restless {
            self.groups[number].now.more.restless = restless;
        }
        restless.is_none()
    }
}

#[cfg(test)]
impl RuleRun {
    /// That what is kept of a group agrees with a walk over all of its members.
    pub fn check_groups(
        &self,
        latest: &LatestTable,
        listening: &crate::kernel::sequence::listening::Listening,
    ) {
        for (number, group) in self.groups.iter() {
            let name = (&self.rule.name, &group.key);
            let due = self.next_deadline(listening, number);
            let told = due.is_none_or(|(due, _)| group.wake <= due);
            assert!(told || group.at_rest, "{name:?}: {due:?} {group:?}");
            let mut crowd = Crowd::default();
            for at in group.members().iter().filter(|_| group.members().len() > 1) {
                let member = &self.members[*at];
                if let Some(level) = member.level() {
                    let series = latest.series(member.id).clone();
                    crowd.breaching[level.index()].insert(series, *at);
                }
                crowd.parts.extend(member.took_part().then_some(*at));
            }
            let mut known = group.now.more.crowd.as_deref().cloned();
            if let Some(known) = &mut known {
                known.parts.sort_unstable();
            }
            crowd.parts.sort_unstable();
            let expected = Some(crowd).filter(|crowd| *crowd != Crowd::default());
            assert_eq!(known, expected, "{name:?}");
        }
    }
}
