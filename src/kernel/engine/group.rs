//! What the engine knows of one group of one rule.

use std::collections::BTreeMap;

use crate::kernel::alert::flapping::History;
use crate::kernel::alert::lifecycle::{self, Verdict};
use crate::kernel::event::Kind;
use crate::kernel::model::{EventTime, Labels, Level, Series, SourceId};
use crate::kernel::rule::State;
use crate::kernel::window::GroupWindow;
use crate::kernel::window::baseline::Baseline;

use super::join::Pendings;
use super::spare::{Plain, Spare};

/// Most groups have one series and are at rest most of the time, so what only others have takes
/// one word: 32 bytes in all.
#[derive(Clone, Debug)]
pub struct Group {
    pub key: Labels,
    pub now: Spare<Ongoing>,
    /// When its next timer is due; later entries of the agenda are void.
    pub wake: EventTime,
    /// The member of a group of one, else [`SEVERAL`].
    only: u32,
    pub verdict: Verdict,
    /// Must be judged anew although nothing entered or left its window.
    pub stale: bool,
    /// Takes part in the closing of panes.
    pub awake: bool,
    /// Samples that are no breach pass it by (`rest.rs`).
    pub at_rest: bool,
}

/// [`Group::only`] of a group of none or of several.
const SEVERAL: u32 = u32::MAX;

/// What is going on in a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Ongoing {
    pub alert: Spare<Alert>,
    pub more: Spare<More>,
    pub recent: Recent,
    /// The members of a group of several.
    several: Vec<u32>,
}

/// What a group's samples leave behind. While it is at rest its series' records tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recent {
    /// One for each input, in rules with a window and without `across`.
    pub windows: Vec<GroupWindow>,
    /// When the last sample of any member came: the watermark then, or its event time if later.
    pub heard: EventTime,
    /// The newest judged time.
    pub judged: EventTime,
    /// The value that the last verdict was about.
    pub value: Option<f64>,
    pub source: Option<SourceId>,
    /// The stretch of rows in which all of its rows must be seen.
    pub seen_in: u32,
}

impl Recent {
    pub const NOTHING: Recent = Recent {
        windows: Vec::new(),
        heard: EventTime::MIN,
        judged: EventTime::MIN,
        value: None,
        source: None,
        seen_in: 0,
    };
}

impl Plain for Ongoing {
    const PLAIN: &'static Ongoing = &Ongoing {
        alert: Spare::NOTHING,
        more: Spare::NOTHING,
        recent: Recent::NOTHING,
        several: Vec::new(),
    };
}

/// What only some groups have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct More {
    pub quiet: Option<Quiet>,
    pub bases: Vec<Baseline>,
    /// `this` of rules with a window.
    pub state: Option<Box<State>>,
    pub join: Option<Box<Pendings>>,
    pub faults_in_row: u32,
    /// Since when all of its samples have been late, and whether that was signalled.
    pub late: Option<Late>,
    /// What a guest said about its last verdict.
    pub message: Option<Box<str>>,
    pub crowd: Option<Box<Crowd>>,
    /// A member that kept the group from its rest.
    pub restless: Option<u32>,
}

impl Plain for More {
    const PLAIN: &'static More = &More {
        quiet: None,
        bases: Vec::new(),
        state: None,
        join: None,
        faults_in_row: 0,
        late: None,
        message: None,
        crowd: None,
        restless: None,
    };
}

/// What is out of the ordinary among the members of a group of several. A group of one has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Crowd {
    /// By level, the live members that breach at it. By name, for members' own order depends on
    /// the run's history.
    pub breaching: [BTreeMap<Series, u32>; 3],
    /// Members that took part in the alert's present episode.
    pub parts: Vec<u32>,
}

/// A stretch without data.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Quiet {
    pub since: EventTime,
    pub why: Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Silence {
    /// No series had a sample within `expire`.
    Expired,
    /// The window is empty, or what the condition reads is undefined in it.
    Empty,
    /// `absent` spoke.
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Late {
    pub since: EventTime,
    pub source: SourceId,
    pub signalled: bool,
}

/// One alert's life and what the world was told of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Alert {
    pub state: lifecycle::State,
    /// When the episode's pending began.
    pub since: EventTime,
    /// Events so far.
    pub seq: u64,
    /// The time of the last event but for reminders, and how many had it.
    pub last_event: (EventTime, u32),
    /// The level the world believes it fires at.
    pub told: Option<Level>,
    pub reminders: u32,
    pub history: Option<Flaps>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Flaps {
    pub history: History,
    pub flapping: bool,
}

impl Plain for Alert {
    const PLAIN: &'static Alert = &Alert {
        state: lifecycle::State::Inactive,
        since: EventTime::MIN,
        seq: 0,
        last_event: (EventTime::MIN, 0),
        told: None,
        reminders: 0,
        history: None,
    };
}

impl Alert {
    pub fn new(flapping: bool) -> Alert {
        Alert { history: flapping.then(Flaps::default), ..Alert::PLAIN.clone() }
    }

    pub fn is_flapping(&self) -> bool {
        self.history.is_some_and(|flaps| flaps.flapping)
    }

    /// Nothing would be lost by forgetting it.
    pub fn is_idle(&self) -> bool {
        self.state.is_inactive() && !self.is_flapping()
    }

    /// Nor does it count verdicts: another clear one tells it nothing.
    pub fn ignores_clear(&self) -> bool {
        self.is_idle() && self.history.is_none()
    }

    /// How many events had this time, counting one more.
    pub fn count_at(&mut self, at: EventTime, kind: Kind) -> u32 {
        let (time, count) = self.last_event;
        if kind == Kind::Reminded && at != time {
            // Reminders go by the watermark and may lie before or after the times that samples are
            // judged at, which alone never go back.
            return 0;
        }
        self.last_event = (at, if time == at { count + 1 } else { 0 });
        self.last_event.1
    }
}

impl Group {
    /// No fault since the last one.
    pub fn end_faults(&mut self) {
        if self.now.more.faults_in_row > 0 {
            self.now.more.faults_in_row = 0;
        }
    }

    /// Takes in a clear verdict that tells the alert nothing; false of any other.
    pub fn stays_clear(&mut self, verdict: Verdict, value: Option<f64>, at: EventTime) -> bool {
        let stays = verdict == Verdict::Clear && self.now.alert.ignores_clear();
        if stays {
            self.verdict = verdict;
            let recent = &mut self.now.recent;
            (recent.value, recent.judged) = (value, recent.judged.max(at));
        }
        stays
    }

    /// Keeps nothing of its samples.
    pub fn slim(&mut self) {
        if self.now != Spare::NOTHING {
            self.now.alert.tidy();
            self.now.more.tidy();
            self.now.recent = Recent::NOTHING;
            self.now.tidy();
        }
    }

    pub fn members(&self) -> &[u32] {
        if self.only == SEVERAL { &self.now.several } else { std::slice::from_ref(&self.only) }
    }

    pub fn take_members(&mut self) -> Vec<u32> {
        let members = self.members().to_vec();
        self.only = SEVERAL;
        if !self.now.several.is_empty() {
            self.now.several = Vec::new();
        }
        members
    }

    pub fn enter(&mut self, member: u32) {
        match self.members() {
            [] => self.only = member,
            [first] => {
                self.now.several = vec![*first, member];
                self.only = SEVERAL;
            }
            _ => self.now.several.push(member),
        }
    }

    pub fn leave(&mut self, member: u32) {
        if self.only == member {
            self.only = SEVERAL;
        } else if self.only == SEVERAL && !self.now.several.is_empty() {
            self.now.several.retain(|other| *other != member);
            if let [only] = self.now.several[..] {
                self.only = only;
                self.now.several = Vec::new();
            }
        }
    }

    pub fn new(key: Labels, flapping: bool) -> Group {
        let alert = Spare::new(Alert::new(flapping));
        Group {
            key,
            now: Spare::new(Ongoing { alert, ..Ongoing::PLAIN.clone() }),
            wake: EventTime::MAX,
            only: SEVERAL,
            verdict: Verdict::Clear,
            stale: true,
            awake: false,
            at_rest: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_one_at_rest_is_as_small_as_it_says() {
        let mut group = Group::new(Labels::empty(), false);
        group.enter(3);
        group.now.recent.heard = EventTime::from_nanos(1);
        group.slim();
        assert!(group.now == Spare::NOTHING && group.members() == [3]);
        assert_eq!(size_of::<Option<Group>>(), 32);
    }

    #[test]
    fn members_enter_and_leave_in_their_order() {
        let mut group = Group::new(Labels::empty(), false);
        let mut seen = Vec::new();
        for (enters, member) in
            [(true, 5), (true, 2), (true, 9), (false, 5), (false, 7), (false, 9), (false, 2)]
        {
            if enters {
                group.enter(member)
            } else {
                group.leave(member)
            }
            seen.push(group.members().to_vec());
        }
        let expected: [&[u32]; 7] = [&[5], &[5, 2], &[5, 2, 9], &[2, 9], &[2, 9], &[2], &[]];
        assert_eq!(seen, expected);
        group.enter(1);
        group.enter(4);
        group.slim();
        assert_eq!((group.take_members(), group.members()), (vec![1, 4], &[][..]));
    }
}
