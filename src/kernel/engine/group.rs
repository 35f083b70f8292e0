//! What the engine knows of one group of one rule, and of the series in it.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::kernel::alert::flapping::History;
use crate::kernel::alert::lifecycle::{self, Verdict};
use crate::kernel::event::Kind;
use crate::kernel::model::{EventTime, Labels, Level, Series, SeriesId, SourceId};
use crate::kernel::rule::State;
use crate::kernel::window::GroupWindow;
use crate::kernel::window::baseline::Baseline;

use super::join::Pendings;
use super::spare::{Plain, Spare};

/// A group number that stands for no group.
pub const NO_GROUP: u32 = u32::MAX;

/// One series within one group, for one input.
#[derive(Clone, Debug)]
pub struct Member {
    /// The series' present number.
    pub id: SeriesId,
    pub series: Series,
    pub recent: Spare<MemberRecent>,
    /// The rule had no room for its own group when it was bound.
    pub overflows: bool,
    pub input: u8,
    /// Which binding of its series' class it is, as far as a number fits.
    pub place: u8,
    pub group: u32,
    /// Had a sample within `expire`.
    pub live: bool,
    /// Its own last verdict, in rules without a window.
    pub verdict: Option<Level>,
    /// Was in breach during the alert's present episode, so resets apply to it.
    pub took_part: bool,
}

/// What a member's samples leave behind. While its group is at rest the series' record tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberRecent {
    /// The newest accepted sample.
    pub last: Option<(EventTime, f64)>,
    /// When the last sample came: the watermark then, or its event time if that was later.
    pub heard: EventTime,
    /// What its series had said by this time it did not hear.
    pub since: EventTime,
    /// Its own window, in rules that fold across series.
    pub window: Option<Box<GroupWindow>>,
    /// Its own `this`, in rules without a window.
    pub state: Option<Box<State>>,
}

/// Most groups are at rest most of the time, so what only others have takes one word.
#[derive(Clone, Debug)]
pub struct Group {
    pub key: Labels,
    pub members: SmallVec<[u32; 2]>,
    pub alert: Spare<Alert>,
    pub more: Spare<More>,
    pub recent: Spare<Recent>,
    /// When its next timer is due; later entries of the agenda are void.
    pub wake: EventTime,
    pub verdict: Verdict,
    /// Must be judged anew although nothing entered or left its window.
    pub stale: bool,
    /// Takes part in the closing of panes.
    pub awake: bool,
    /// Samples that are no breach pass it by (`rest.rs`).
    pub at_rest: bool,
}

/// What a group's samples leave behind. While it is at rest its series' records tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recent {
    /// One for each input, in rules with a window and without `across`.
    pub windows: Vec<GroupWindow>,
    /// As [`MemberRecent::heard`], over all members.
    pub heard: EventTime,
    /// The newest judged time.
    pub judged: EventTime,
    /// The value that the last verdict was about.
    pub value: Option<f64>,
    pub source: Option<SourceId>,
    /// The stretch of rows in which all of its rows must be seen.
    pub seen_in: u32,
}

impl Plain for Recent {
    const PLAIN: &'static Recent = &Recent {
        windows: Vec::new(),
        heard: EventTime::MIN,
        judged: EventTime::MIN,
        value: None,
        source: None,
        seen_in: 0,
    };
}

impl Plain for MemberRecent {
    const PLAIN: &'static MemberRecent = &MemberRecent {
        last: None,
        heard: EventTime::MIN,
        since: EventTime::MIN,
        window: None,
        state: None,
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

impl Member {
    /// Tells it apart within its group, on any shard and after a restart.
    pub fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.series.bytes())
    }

    pub fn new(id: SeriesId, series: Series, input: u8, group: u32) -> Member {
        Member {
            id,
            recent: Spare::default(),
            overflows: false,
            series,
            input,
            place: u8::MAX,
            group,
            live: false,
            verdict: None,
            took_part: false,
        }
    }
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
        if self.more.faults_in_row > 0 {
            self.more.faults_in_row = 0;
        }
    }

    pub fn new(key: Labels, flapping: bool) -> Group {
        Group {
            key,
            members: SmallVec::new(),
            alert: Spare::new(Alert::new(flapping)),
            more: Spare::default(),
            recent: Spare::default(),
            wake: EventTime::MAX,
            verdict: Verdict::Clear,
            stale: true,
            awake: false,
            at_rest: false,
        }
    }
}
