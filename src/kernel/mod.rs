//! The pure kernel: bytes to events, with no clock, I/O, thread, randomness or hash-map order.
//!
//! Modules stand in reading order; each may use those above it and no other.

#![deny(clippy::disallowed_types)]

pub mod model;

pub mod event;

pub mod decode;
pub mod rule;
pub mod shard;

pub mod window;

pub mod expr;

pub mod alert;

pub mod sequence;

pub mod engine;
pub mod merge;

pub mod machine;

pub mod delivery;
