//! Code we host: Rhai scripts and Wasm components, and what they may do.
//!
//! A guest is a stranger: limits, grants, a closed list of faults. Never decides what is judged or
//! delivered when; the kernel and the shell do.

pub mod changes;
pub mod finding;
pub mod grant;
pub mod http;
pub mod sink;

pub mod probe;
pub mod sample_sink;
pub mod source;

pub mod rhai;
pub mod wasm;
