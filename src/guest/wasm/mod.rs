//! WebAssembly components: rules that judge samples, sinks that carry alerts or samples.
//!
//! A component comes in as bytes through [`load`] and leaves as the same [`Rule`]s and [`Sink`]s
//! that scripts make. A rule runs synchronously on its shard's thread, one store for each plugin
//! and shard; a sink has one store and runs each attempt on a blocking thread.
//!
//! Never trusts a guest: its memory, time, log, state and answers have limits ([`limits`]), and an
//! answer that breaks a promise is a fault and not a verdict. A trap or a missed deadline ends the
//! whole store; no call into a guest is ever ended by dropping a future. Never loads compiled code
//! from outside: a component is compiled here, from its bytes, and what was compiled is kept in a
//! private folder of our own.
//!
//! [`Rule`]: crate::kernel::rule::Rule
//! [`Sink`]: crate::guest::sink::Sink

pub mod component;
pub mod counters;
pub mod engine;
pub mod error;
pub mod inspect;
pub mod limits;
pub mod manifest;
mod moment;
pub mod strikes;

mod answer;
mod apart;
mod attempts;
mod cache;
mod declared;
mod declared_windows;
mod instance;
mod judge;
mod probe;
mod rule;
mod sample_sink;
mod saved;
mod shard;
mod sink;
mod source;
mod store;
mod tail;
mod template;
mod v0_1;

pub use component::{Component, Loaded, load};
pub use counters::Counters;
pub use engine::WasmHost;
pub use error::LoadError;
pub use limits::{Limits, WasmLimits};

#[cfg(test)]
mod tests;
