//! One alert's life: verdicts in, changes out.
//!
//! Never looks at samples, labels or rules' code. Invariants: every decision about pending, firing,
//! cooling, levels and flapping is made here, for live runs, stories and replays alike; a state
//! holds just the times that mean something in it.

pub mod flapping;
pub mod lifecycle;
