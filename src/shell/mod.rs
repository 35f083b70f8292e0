//! shell

pub mod api;
pub mod pipeline;
pub mod sink;
pub mod source;
