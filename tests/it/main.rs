//! The program from outside: the binary and the library as their users meet them.

mod backpressure;
mod command;
mod differential;
mod fuzz;
mod guests;
mod http_gate;
mod instance;
mod live;
mod loopback;
mod random;
mod recording;
