//! The thin shell: everything that touches the world. It moves bytes, times and events to and from
//! the kernel and decides nothing that the kernel could decide.
//!
//! Modules stand in reading order; each may use those above it and no other.

pub mod clock;
mod data_folder;

pub mod inlet;

pub mod source;

pub mod sink;

pub mod probes;
pub mod sample_sinks;

pub mod metrics;

pub mod bus;

pub mod api;

pub mod decoders;
pub mod folders;
pub mod judge;
pub mod pipeline;
pub mod plugins;
pub mod state;
mod watch;

pub mod board;
pub mod facts;
pub mod figures;
mod health;
mod places;
pub mod reload;
mod shown;

mod sources;

pub mod app;

pub mod bench;
pub mod load;
pub mod replay;
