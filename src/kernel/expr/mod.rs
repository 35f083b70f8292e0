//! Conditions as typed expressions over columns, evaluated a few hundred rows at a time.
//!
//! ```text
//!  a front end ─▶ graph ─▶ plan ─▶ lanes          rows that trap ─▶ the reference's evaluator
//!                 typed    steps   AVX2 or not
//!                          facts ─▶ once for each group
//! ```
//!
//! A front end builds a graph from a program whose meaning an interpreter defines. Never raises an
//! error of its own, never allocates for a row that does not trap, never knows a language.
//!
//! Invariants: a row's value does not depend on the rows beside it or on the machine; wherever the
//! interpreter might give an error or another value, the row traps and the interpreter decides.

mod graph;
mod lanes;
mod native;
mod ops;
mod plan;
#[cfg(test)]
pub mod planted;
#[cfg(test)]
mod tests;
mod text;

pub use graph::{Graph, Kind, Node};
pub use lanes::Lanes;
pub use native::Native;
pub use ops::{Binary, Unary, float_max, float_min};
pub use plan::{FACTS_MAX, Plan, TooManyFacts};
pub use text::{Relation, Text, TextTest};
