//! Windows: samples to views, for one group of one input of one rule.
//!
//! The engine owns groups, rules and the watermark. It folds each sample into its group's
//! [`GroupWindow`], closes the window at each end that the watermark has passed, and reads the
//! reductions that the rule's conditions want. Where a rule reads counts, sums and means alone, the
//! windows of all its groups are kept together ([`dense`]) and answer alike.
//!
//! Never keeps samples (but for `last(n)`), never reads a clock, never knows a rule's condition.
//!
//! Invariants:
//! - A view is the same as one recounted from all samples: exactly for counts, min, max, first and
//!   last, up to rounding for sums, up to 1 % for quantiles, and up to a HyperLogLog's error for
//!   more than 512 distinct members.
//! - It is a function of the calls alone, so the same on every machine; nothing here uses functions
//!   of the standard library that may round differently elsewhere.
//! - The cost of a sample does not grow with the window's length; memory is bounded by panes. A
//!   pane keeps what its rule reads and nothing else: for a mean 24 bytes, and 72 for the window.
//! - Nothing that is a sum of floats is ever subtracted, so no error creeps in over a long run.

pub mod across;
pub mod baseline;
pub mod dense;
pub mod every;

mod buckets;
mod distinct;
mod ewma;
mod last;
mod pane;
mod parts;
mod record;
mod ring;
mod session;
mod sketch;
mod sliding;
mod spec;
mod stacks;
mod store;
mod sum;
mod trend;

pub use distinct::{hash_of_label, hash_of_value};
pub use pane::{Folded, Placed};
pub use ring::Work;
pub use spec::WindowSpec;
pub use store::{GroupWindow, Judged};

#[cfg(test)]
mod tests;
