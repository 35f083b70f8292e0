//! Everything that is tested from outside: one program, so that it links once.

mod tidy;

mod command;
mod differential;
mod e2e;
mod guests;
mod random;
