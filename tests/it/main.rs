//! The program from outside: the binary and the library as their users meet them.

mod command;
mod differential;
mod guests;
mod instance;
mod live;
mod loopback;
mod random;
mod recording;
