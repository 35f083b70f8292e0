//! Windows whose samples are folded past their members: what a series said last lies in its record,
//! and is brought over when somebody asks.
//!
//! So a sample touches its group and the group's window, and nothing of its own member.

use crate::kernel::model::{EventTime, SeriesId};
use crate::kernel::rule::Shape;
use crate::kernel::sequence::Rows;
use crate::kernel::window::{Folded, Placed, WindowSpec, Work};

use super::Context;
use super::latest::LatestTable;
use super::member::Member;
use super::run::RuleRun;
use super::windowed::AT_ONCE;

impl RuleRun {
    /// Whether a sample leaves nothing behind but in its group: what its series said last lies in
    /// the series' record, and [`RuleRun::sync`] brings it over when somebody asks.
    pub fn follows_records(&self) -> bool {
        let plain = |spec: &WindowSpec| !spec.reads_previous() && !spec.tells_members_apart();
        matches!(self.rule.shape, Shape::Sliding { .. })
            && self.dense.is_none()
            && self.specs.len() == 1
            && self.specs.iter().all(plain)
            && self.rule.across.is_none()
            && self.share.is_none()
            && self.rule.declared.distinct.is_none()
    }

    pub fn follow_rows(&mut self, context: &mut Context<'_>, rows: &Rows, inbox: &[(u32, u32)]) {
        for (at, (row, member)) in inbox.iter().enumerate() {
            if at % AT_ONCE == 0 {
                let next = inbox[at..].iter().take(AT_ONCE);
                self.warm(Work::Fold, next.map(|(_, member)| self.group_of[*member as usize]));
            }
            let number = self.group_of[*member as usize];
            let group = self.groups.get_mut(number);
            let Some(group) = group.filter(|group| group.awake && group.wake != EventTime::MAX)
            else {
                context.position = rows.position[*row as usize];
                self.fold_row(context, rows, (*row as usize, *member), None);
                continue;
            };
            let row = *row as usize;
            let sample = Folded {
                at: rows.at[row],
                position: rows.position[row],
                member: 0,
                value: rows.value[row],
                share_hit: false,
                distinct_hash: 0,
                previous: None,
            };
            group.now.recent.heard = group.now.recent.heard.max(sample.at).max(context.watermark);
            group.now.recent.source = context.source.or(group.now.recent.source);
            let placed = group.now.recent.windows[0].fold(&self.specs[0], &sample);
            self.stats.samples += 1;
            if placed != Placed::Open
                || group.now.more.late.is_some()
                || group.now.more.quiet.is_some()
            {
                context.position = sample.position;
                self.settle_fold(context, number, sample.at, placed);
            }
        }
    }

    /// What a sample's place in its window says of the group.
    pub fn settle_fold(
        &mut self,
        context: &mut Context<'_>,
        number: u32,
        at: EventTime,
        placed: Placed,
    ) {
        match placed {
            Placed::Open => {
                self.on_time(context, number);
                self.end_absence(context, number, at);
            }
            Placed::LateInWindow | Placed::LateGone => self.late(context, number, at),
        }
    }

    /// Reads a little of each group and its windows and makes nothing of it.
    pub fn warm(&self, work: Work, numbers: impl Iterator<Item = u32>) {
        let mut seen = 0;
        for number in numbers {
            if let Some(group) = self.groups.get(number) {
                seen ^= group.now.recent.heard.nanos().cast_unsigned()
                    ^ group.wake.nanos().cast_unsigned()
                    ^ u64::from(group.awake)
                    ^ u64::from(group.now.more.faults_in_row)
                    ^ group.now.recent.windows.first().map_or(0, |window| window.touch(work));
            }
        }
        std::hint::black_box(seen);
    }

    /// Looks anew at whether members follow their series' records.
    pub fn follow(&mut self, latest: &LatestTable) {
        self.follows = self.follows_records();
        if self.follows {
            let known: Vec<(u32, SeriesId)> =
                self.members.iter().map(|(number, member)| (number, member.id)).collect();
            for (number, id) in known {
                self.begin_after(number, latest.said(id));
            }
        }
    }

    /// What its series had said by a time a member did not hear, or knows already.
    pub fn begin_after(&mut self, member: u32, since: EventTime) {
        if self.follows {
            self.members[member].recent.since = since;
        }
    }

    /// Brings the members of a group up to what their series said since.
    pub fn sync_members(&mut self, latest: &LatestTable, number: u32) {
        let Some(group) = self.groups.get(number) else { return };
        for member in group.members() {
            self.members[*member].catch_up(latest);
        }
    }

    /// Brings one member up to what its series said since, if it follows its record.
    pub fn sync_followed(&mut self, latest: &LatestTable, member: u32) {
        if self.follows {
            self.members[member].catch_up(latest);
        }
    }
}

impl Member {
    /// Takes over from its series' record what it did not hear itself.
    fn catch_up(&mut self, latest: &LatestTable) {
        let known = &latest[self.id];
        if self.recent.since < known.at {
            self.recent.last = Some((known.at, known.value));
            self.set_live(true);
            self.recent.heard = self.recent.heard.max(known.heard);
        }
    }
}
