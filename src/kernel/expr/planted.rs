//! Faults that tests put into a plan, to see that the differential test notices each of them.

use super::ops::{self, Binary, FALSE};
use super::plan::{Operand, Plan, Work};

/// Wrong operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// Less by a relative tolerance, as stock Rhai compares.
    RelativeLess,
    /// A NaN wins or loses by its place.
    OrderedMax,
    /// Rounds towards the lesser number.
    FloorDivide,
}

/// What can be wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    RelativeLess,
    OrderedMax,
    FloorDivide,
    TrapLost,
    OneUlp,
    ThroughSingle,
    FactsSwapped,
    SignOfZeroLost,
}

pub const MISTAKES: [Mistake; 8] = [
    Mistake::RelativeLess,
    Mistake::OrderedMax,
    Mistake::FloorDivide,
    Mistake::TrapLost,
    Mistake::OneUlp,
    Mistake::ThroughSingle,
    Mistake::FactsSwapped,
    Mistake::SignOfZeroLost,
];

impl Planted {
    pub fn apply(self, a: u64, b: u64) -> u64 {
        let (x, y) = (f64::from_bits(a), f64::from_bits(b));
        match self {
            Planted::RelativeLess => {
                let scale = if x * y == 0.0 { 1.0 } else { x.abs().max(y.abs()) };
                ops::truth((y - x) / scale > f64::EPSILON)
            }
            Planted::OrderedMax => (if x >= y { x } else { y }).to_bits(),
            Planted::FloorDivide => (a as i64).checked_div_euclid(b as i64).unwrap_or(0) as u64,
        }
    }
}

impl Plan {
    /// The plan with a mistake, or `None` where it has no place for it.
    pub fn with_mistake(&self, mistake: Mistake) -> Option<Plan> {
        let mut plan = self.clone();
        match mistake {
            Mistake::RelativeLess => plan.replace(Binary::FloatLess, Planted::RelativeLess),
            Mistake::OrderedMax => plan.replace(Binary::FloatMax, Planted::OrderedMax),
            Mistake::FloorDivide => plan.replace(Binary::IntDivide, Planted::FloorDivide),
            Mistake::TrapLost => plan.trap = Operand::Constant(FALSE),
            Mistake::OneUlp => plan.constants(Binary::FloatLess, |lane| lane + 1),
            Mistake::ThroughSingle => {
                plan.constants(Binary::IntLess, |lane| lane as i64 as f32 as i64 as u64);
            }
            Mistake::FactsSwapped => plan.steps.iter_mut().for_each(|step| {
                if let Work::Fact(bit) = &mut step.work {
                    *bit ^= 1;
                }
            }),
            Mistake::SignOfZeroLost => plan.steps.iter_mut().for_each(|step| {
                if let Work::Unary(ops::Unary::FloatNegate, a) = step.work {
                    let zero = Operand::Constant(0.0f64.to_bits());
                    step.work = Work::Binary(Binary::FloatSubtract, zero, a);
                }
            }),
        }
        (plan.steps != self.steps || plan.trap != self.trap).then_some(plan)
    }

    fn replace(&mut self, op: Binary, planted: Planted) {
        for step in &mut self.steps {
            if let Work::Binary(found, ..) = &mut step.work
                && *found == op
            {
                *found = Binary::Planted(planted);
            }
        }
    }

    fn constants(&mut self, op: Binary, change: impl Fn(u64) -> u64) {
        for step in &mut self.steps {
            if let Work::Binary(found, a, b) = &mut step.work
                && *found == op
            {
                for operand in [a, b] {
                    if let Operand::Constant(lane) = operand {
                        *lane = change(*lane);
                    }
                }
            }
        }
    }
}
