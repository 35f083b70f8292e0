//! shell

pub mod api;
pub mod sink;
pub mod source;
