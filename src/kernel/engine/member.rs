//! What the engine knows of one series within one group of one rule.

use crate::kernel::model::{EventTime, Level, Series, SeriesId};
use crate::kernel::rule::State;
use crate::kernel::window::GroupWindow;

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

impl Plain for MemberRecent {
    const PLAIN: &'static MemberRecent = &MemberRecent {
        last: None,
        heard: EventTime::MIN,
        since: EventTime::MIN,
        window: None,
        state: None,
    };
}

impl Member {
    /// Tells it apart within its group, on any shard and after a restart.
    pub fn hash(&self) -> u64 {
        self.series.digest()
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
