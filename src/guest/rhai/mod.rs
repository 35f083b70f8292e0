//! rhai
