//! The house rules that a program can judge, as tests over the tree itself.
//!
//! Each rule is a function from text to what is wrong with it, one test that runs it over every
//! file, and one that plants what it must catch.

mod imports;
mod rust;
mod sizes;
mod tree;
mod words;
