//! shell

pub mod metrics;

pub mod bus;

pub mod api;
pub mod sink;
pub mod source;
