//! An entry of a rule's agenda.

use crate::kernel::model::EventTime;

/// When a group's next timer is due, earliest first: twelve bytes, where a time and a number side
/// by side would take sixteen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    high: i32,
    low: u32,
    pub group: u32,
}

impl Due {
    pub fn new(at: EventTime, group: u32) -> Due {
        let nanos = at.nanos();
        Due { high: (nanos >> 32) as i32, low: nanos as u32, group }
    }

    pub fn at(self) -> EventTime {
        EventTime::from_nanos(i64::from(self.high) << 32 | i64::from(self.low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_kept_to_the_nanosecond_and_in_order() {
        let times = [i64::MIN, -(1 << 32) - 1, -1, 0, 1, (1 << 31) + 5, 1 << 32, i64::MAX];
        let times = times.map(EventTime::from_nanos);
        let dues: Vec<Due> =
            times.iter().flat_map(|at| [Due::new(*at, 0), Due::new(*at, 7)]).collect();
        assert!(dues.is_sorted());
        assert!(times.iter().zip(dues.chunks(2)).all(|(at, dues)| dues[0].at() == *at));
        assert_eq!(size_of::<Due>(), 12);
    }
}
