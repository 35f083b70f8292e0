//! Windows against stories, against a plain recount of all samples, and over long runs.

mod endurance;
mod random;
mod recount;
mod stories;

use super::pane::Folded;
use super::spec::WindowSpec;
use crate::kernel::model::{Duration, EventTime};
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

/// Every reduction there is; of the quantiles those at the ends and some between.
const ALL: [Reduction; 20] = [
    Reduction::Count,
    Reduction::Sum,
    Reduction::Mean,
    Reduction::Min,
    Reduction::Max,
    Reduction::First,
    Reduction::Last,
    Reduction::Delta,
    Reduction::Rate,
    Reduction::Increase,
    Reduction::Stddev,
    Reduction::Slope,
    Reduction::Quantile(0),
    Reduction::Quantile(500),
    Reduction::Quantile(990),
    Reduction::Quantile(999),
    Reduction::Quantile(1000),
    Reduction::Share,
    Reduction::Ewma,
    Reduction::Distinct,
];

const HALF_LIFE: Duration = Duration::from_secs(20);

/// A sample with a share hit when its value is above 50, counted as distinct by its value.
pub fn sample(at: EventTime, position: u64, member: u64, value: f64) -> Folded {
    let distinct_hash = super::distinct::hash_of_value(value);
    let (share_hit, previous) = (value > 50.0, None);
    Folded { at, position, member, value, share_hit, distinct_hash, previous }
}

fn spec(shape: Shape) -> WindowSpec {
    WindowSpec::of(shape, &ALL, Some(HALF_LIFE)).expect("the shape has a window")
}

/// Gives each sample the one before it of its series, as the engine does.
#[derive(Default)]
struct Newest(std::collections::BTreeMap<u64, (EventTime, f64)>);

impl Newest {
    /// `None` when the sample repeats its series' newest time, and would be refused.
    fn follow(&mut self, sample: Folded) -> Option<Folded> {
        let newest = self.0.get(&sample.member).copied();
        if newest.is_some_and(|(at, _)| at == sample.at) {
            return None;
        }
        let previous = newest.filter(|(at, _)| *at < sample.at);
        if newest.is_none() || previous.is_some() {
            self.0.insert(sample.member, (sample.at, sample.value));
        }
        Some(Folded { previous, ..sample })
    }
}
