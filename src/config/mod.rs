//! Text to checked values: settings and stories.
//!
//! Never starts anything and never guesses: what cannot be read is an error with file, line,
//! column, the source line and a cure.
//!
//! Invariants: a [`settings::Settings`] that exists is valid; a [`story::Story`] that exists has
//! at least one rule and a bounded number of samples.

pub mod error;
pub mod suggest;

pub mod catalog;
pub mod describe;
pub mod forecast;
pub mod settings;
pub mod story;
