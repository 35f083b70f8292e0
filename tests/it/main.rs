//! Everything that is tested from outside: one program, so that it links once.

mod tidy;

mod backpressure;
mod command;
mod components;
mod differential;
mod e2e;
mod evil;
mod fuzz;
mod guests;
mod http_gate;
mod instance;
mod kit;
mod live;
mod loopback;
mod plugin_sources;
mod plugins;
mod random;
mod recording;
mod samples;
mod swaps;
mod works;
