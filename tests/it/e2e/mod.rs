//! The real binary in a folder of its own: what it delivers, what it survives, and what it says
//! when it cannot start.
//!
//! Nothing here waits for a time to pass: each wait is for something that can be seen, and fails
//! with what was seen instead.

mod deliver;
pub mod instance;
pub mod receiver;
mod refuse;
mod reload;
mod restart;
mod stories;
mod tls;
