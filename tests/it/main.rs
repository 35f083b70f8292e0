//! The program from outside: the binary and the library as their users meet them.

mod command;
mod differential;
mod guests;
mod random;
mod recording;
