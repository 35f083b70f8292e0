//! Watchfire: a WebAssembly-extensible rule engine for metric streams.

pub mod kernel;

pub mod guest;

pub mod config;

pub mod shell;

pub mod cli;
