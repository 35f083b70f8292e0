//! Runs a plan over columns, a few hundred rows at a time, with the widest lanes that the machine
//! has.
//!
//! The same source is compiled twice, for the baseline and for AVX2; neither fuses or reorders
//! floating-point operations, so both give the same bits.

use super::ops::{self, OverOne, OverTwo};
use super::plan::{Operand, Plan, Step, Work};

/// Rows of one pass over the steps: at 2 KiB a buffer, a dozen of them lie in the nearest cache.
const ROWS: usize = 256;

/// Which copy of the code to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Only ever true on a machine that has it.
    avx2: bool,
}

impl Lanes {
    pub const BASELINE: Lanes = Lanes { avx2: false };

    /// `None` where the machine has no AVX2.
    pub fn avx2() -> Option<Lanes> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Some(Lanes { avx2: true });
        }
        None
    }

    pub fn best() -> Lanes {
        Lanes::avx2().unwrap_or(Lanes::BASELINE)
    }
}

/// The rows that a plan runs over.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub rows: usize,
    pub numbers: &'a [&'a [f64]],
    /// One for each row; may be empty when the plan has none.
    pub facts: &'a [u64],
}

/// Buffers for one plan. They grow to the longest pass seen and are then used again.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Vec<u64>>);

/// The lanes of one pass.
pub enum Column<'a> {
    Each(&'a [u64]),
    All(u64),
}

impl Column<'_> {
    pub fn lane(&self, row: usize) -> u64 {
        match self {
            Column::Each(lanes) => lanes[row],
            Column::All(lane) => *lane,
        }
    }
}

impl Buffers {
    /// Runs the plan; `each` is handed the first row, the number of rows, the values and the traps
    /// of each pass.
    pub fn run(
        &mut self,
        plan: &Plan,
        lanes: Lanes,
        table: &Table<'_>,
        mut each: impl FnMut(usize, usize, Column<'_>, Column<'_>),
    ) {
        self.0.resize_with(plan.buffers, Vec::new);
        let longest = table.rows.min(ROWS);
        for buffer in self.0.iter_mut().filter(|buffer| buffer.len() < longest) {
            buffer.resize(longest.next_power_of_two(), 0);
        }
        for start in (0..table.rows).step_by(ROWS) {
            let rows = ROWS.min(table.rows - start);
            let pass = Pass { table, start, rows };
            self.pass(&plan.steps, lanes, &pass);
            each(start, rows, self.column(plan.value, rows), self.column(plan.trap, rows));
        }
    }

    fn column(&self, operand: Operand, rows: usize) -> Column<'_> {
        match operand {
            Operand::Buffer(at) => Column::Each(&self.0[at as usize][..rows]),
            Operand::Constant(lane) => Column::All(lane),
        }
    }

    fn pass(&mut self, steps: &[Step], lanes: Lanes, pass: &Pass<'_>) {
        #[cfg(target_arch = "x86_64")]
        if lanes.avx2 {
            #[allow(unsafe_code, reason = "the one way to enter code for a chosen machine")]
            // SAFETY: `Lanes` is private to this file but for `BASELINE` and `avx2`, and `avx2`
            // gives this value only after it has seen that the machine has the instructions. The
            // function is safe in all else.
            return unsafe { with_avx2(steps, &mut self.0, pass) };
        }
        let _ = lanes;
        run_steps(steps, &mut self.0, pass);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(steps: &[Step], buffers: &mut [Vec<u64>], pass: &Pass<'_>) {
    run_steps(steps, buffers, pass);
}

#[derive(Clone, Copy)]
struct Pass<'a> {
    table: &'a Table<'a>,
    start: usize,
    rows: usize,
}

/// Inlined into each copy, so that its loops are compiled for that copy's machine.
#[inline(always)]
fn run_steps(steps: &[Step], buffers: &mut [Vec<u64>], pass: &Pass<'_>) {
    let (start, end) = (pass.start, pass.start + pass.rows);
    for step in steps {
        // Taken out, so that it can be written while others are read; nothing is allocated.
        let mut taken = std::mem::take(&mut buffers[step.into as usize]);
        let out = &mut taken[..pass.rows];
        let read = |operand: Operand| match operand {
            Operand::Buffer(at) => Column::Each(&buffers[at as usize][..pass.rows]),
            Operand::Constant(lane) => Column::All(lane),
        };
        match step.work {
            Work::Column(index) => {
                let column = &pass.table.numbers[index as usize][start..end];
                out.iter_mut().zip(column).for_each(|(out, number)| *out = number.to_bits());
            }
            Work::Count(index) => {
                let column = &pass.table.numbers[index as usize][start..end];
                out.iter_mut().zip(column).for_each(|(out, number)| *out = *number as i64 as u64);
            }
            Work::Fact(bit) => {
                let facts = &pass.table.facts[start..end];
                let spread = |facts: &u64| 0u64.wrapping_sub((facts >> bit) & 1);
                out.iter_mut().zip(facts).for_each(|(out, facts)| *out = spread(facts));
            }
            Work::Unary(op, a) => {
                ops::unary(op, One { out, a: read(a) });
            }
            Work::Binary(op, a, b) => {
                ops::binary(op, Two { out, a: read(a), b: read(b) });
            }
            Work::Select(condition, yes, no) => {
                select(out, &read(condition), &read(yes), &read(no));
            }
        }
        buffers[step.into as usize] = taken;
    }
}

struct One<'a> {
    out: &'a mut [u64],
    a: Column<'a>,
}

impl OverOne for One<'_> {
    type Out = ();

    #[inline(always)]
    fn apply(self, function: impl Fn(u64) -> u64) {
        match self.a {
            Column::Each(a) => {
                self.out.iter_mut().zip(a).for_each(|(out, a)| *out = function(*a));
            }
            Column::All(a) => self.out.fill(function(a)),
        }
    }
}

struct Two<'a> {
    out: &'a mut [u64],
    a: Column<'a>,
    b: Column<'a>,
}

impl OverTwo for Two<'_> {
    type Out = ();

    #[inline(always)]
    fn apply(self, function: impl Fn(u64, u64) -> u64) {
        let out = self.out.iter_mut();
        match (self.a, self.b) {
            (Column::Each(a), Column::Each(b)) => {
                out.zip(a).zip(b).for_each(|((out, a), b)| *out = function(*a, *b));
            }
            (Column::Each(a), Column::All(b)) => {
                out.zip(a).for_each(|(out, a)| *out = function(*a, b));
            }
            (Column::All(a), Column::Each(b)) => {
                out.zip(b).for_each(|(out, b)| *out = function(a, *b));
            }
            (Column::All(a), Column::All(b)) => self.out.fill(function(a, b)),
        }
    }
}

#[inline(always)]
fn select(out: &mut [u64], condition: &Column<'_>, yes: &Column<'_>, no: &Column<'_>) {
    let Column::Each(condition) = condition else {
        unreachable!("a choice that is known at load is made there");
    };
    let out = out.iter_mut().zip(*condition);
    match (yes, no) {
        (Column::Each(yes), Column::Each(no)) => {
            out.zip(*yes).zip(*no).for_each(|(((out, c), a), b)| *out = ops::select(*c, *a, *b));
        }
        (Column::Each(yes), Column::All(no)) => {
            out.zip(*yes).for_each(|((out, c), a)| *out = ops::select(*c, *a, *no));
        }
        (Column::All(yes), Column::Each(no)) => {
            out.zip(*no).for_each(|((out, c), b)| *out = ops::select(*c, *yes, *b));
        }
        (Column::All(yes), Column::All(no)) => {
            out.for_each(|(out, c)| *out = ops::select(*c, *yes, *no));
        }
    }
}
