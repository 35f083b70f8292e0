//! What the engine knows of one series within one group of one rule.

use crate::kernel::model::{EventTime, Level, SeriesId};
use crate::kernel::rule::State;
use crate::kernel::window::GroupWindow;

use super::spare::{Plain, Spare};

/// A group number that stands for no group.
pub const NO_GROUP: u32 = u32::MAX;

/// One series within one group, for one input. Its group is in [`RuleRun::group_of`], since most
/// samples ask for that alone, and its series' text with its [record](LatestTable::series).
///
/// [`RuleRun::group_of`]: super::run::RuleRun::group_of
/// [`LatestTable::series`]: super::latest::LatestTable::series
#[derive(Clone, Debug)]
pub struct Member {
    /// The series' present number.
    pub id: SeriesId,
    pub input: u8,
    /// Which binding of its series' class it is, as far as a number fits.
    pub place: u8,
    /// Its own last verdict, in rules without a window.
    pub verdict: Option<Level>,
    marks: u8,
    pub recent: Spare<MemberRecent>,
}

/// Had a sample within `expire`.
const LIVE: u8 = 1;
/// Was in breach during the alert's present episode, so resets apply to it.
const TOOK_PART: u8 = 2;
/// The rule had no room for its own group when it was bound.
const OVERFLOWS: u8 = 4;

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
    pub fn new(id: SeriesId, input: u8, overflows: bool) -> Member {
        let marks = if overflows { OVERFLOWS } else { 0 };
        Member { id, input, place: u8::MAX, verdict: None, marks, recent: Spare::default() }
    }

    pub fn is_live(&self) -> bool {
        self.marks & LIVE != 0
    }

    pub fn took_part(&self) -> bool {
        self.marks & TOOK_PART != 0
    }

    pub fn overflows(&self) -> bool {
        self.marks & OVERFLOWS != 0
    }

    pub fn set_live(&mut self, live: bool) {
        self.mark(LIVE, live);
    }

    pub fn set_took_part(&mut self, took_part: bool) {
        self.mark(TOOK_PART, took_part);
    }

    fn mark(&mut self, mark: u8, is: bool) {
        self.marks = if is { self.marks | mark } else { self.marks & !mark };
    }
}

/// A member that waits for its series to be bound, and its group: after a restart or a new
/// selector.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub member: Member,
    pub group: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_as_small_as_it_can_be_and_its_marks_are_apart() {
        assert_eq!(size_of::<Option<Member>>(), 16);
        let mut member = Member::new(SeriesId(1), 0, true);
        let marks = |member: &Member| (member.is_live(), member.took_part(), member.overflows());
        assert_eq!(marks(&member), (false, false, true));
        member.set_live(true);
        member.set_took_part(true);
        assert_eq!(marks(&member), (true, true, true));
        member.set_live(false);
        assert_eq!(marks(&member), (false, true, true));
    }
}
