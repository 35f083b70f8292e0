//! Sinks at work: a worker for each turns its outbox's crank, and the hub routes events to them.
//!
//! Never decides what is sent when (`kernel::delivery` does), nor what a sink may reach (its grant
//! does). Never makes the bus wait: publishing puts an event into outboxes and returns.
//!
//! Invariants:
//! - An event that names a sink which cannot take it goes to the default sinks and is counted.
//! - A sink's outbox outlives its versions, and the sink's removal: only a purge ends it.
//! - What was not delivered is in the sink's dead-letter log, with the reason.
//! - Time is steady: a wall clock that is set back stretches no wait.

pub mod dead_letters;
pub mod file;
pub mod hub;
pub mod rotating;
pub mod status;
pub mod steady;
pub mod template;
pub mod terminal;
pub mod waiting;
pub mod webhook;
mod worker;

pub use hub::{Declared, HubEnv, SinkHub, Standing};
pub use status::SinkStatus;
