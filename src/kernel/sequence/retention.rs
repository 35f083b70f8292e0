//! For how long a series that says nothing keeps its number.

use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::ruleset::Ruleset;

use super::listening::Listening;
use super::table::Entry;

/// At least so long, whatever the rules say: as long as sources that send seldom usually take.
const SHORTEST: Duration = Duration::from_secs(120);
/// At least so long where more would be lost: what increments were added up to, and series whose
/// source was lost, so that their silence says nothing.
const SHORTEST_CAREFUL: Duration = Duration::from_secs(3_600);
/// How often silent series are looked for.
pub const SWEEP: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Retention {
    usual: Duration,
    careful: Duration,
}

impl Retention {
    /// Long enough that none of the rules still counts on a series when it goes.
    pub fn under(ruleset: &Ruleset) -> Retention {
        let rules = ruleset.remembers();
        Retention {
            usual: rules.max(SHORTEST) + SWEEP,
            careful: rules.max(SHORTEST_CAREFUL) + SWEEP,
        }
    }

    /// It was silent for long enough, while its source was listened to.
    pub fn is_over(&self, entry: &Entry, watermark: EventTime, listening: &Listening) -> bool {
        if entry.heard == EventTime::MIN {
            return false;
        }
        let silent = watermark.since(entry.heard);
        match listening.since(Some(entry.source)) {
            Some(since) if !entry.counts() => silent.min(watermark.since(since)) > self.usual,
            Some(_) | None => silent > self.careful,
        }
    }
}
