//! What every kind of guest can do wrong.

use std::hint::black_box;

use watchfire_plugin::host::{self, LogLevel};

/// Runs for ever.
pub fn spin() {
    loop {
        black_box(0);
    }
}

/// Takes memory until there is none.
pub fn allocate() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1u8; 1 << 20]);
        black_box(&hoard);
    }
}

/// Calls itself until the stack ends.
pub fn recurse() {
    black_box(deeper(0));
}

#[expect(unconditional_recursion, reason = "that is its act")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    deeper(frame[0] + 1) + frame[1]
}

/// Holds its thread without using it.
pub fn sleep() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

/// Far more lines than may pass, each far longer than may be.
pub fn log_flood() {
    let line = "x".repeat(4096);
    (0..10_000).for_each(|_| host::log(LogLevel::Info, &line));
}
