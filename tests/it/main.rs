//! The program from outside, as its users meet it.

mod e2e;
