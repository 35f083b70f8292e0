//! What a component may use.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use super::moment::{Moment, Ticks};
use crate::guest::grant::GuestLimits;

const MIB: usize = 1024 * 1024;

/// Limits of rules, and of all other components; each is a default that a guest's grant may change.
#[derive(Clone, Copy, Debug)]
pub struct WasmLimits {
    pub rule: Limits,
    pub sink: Limits,
}

/// Limits of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file. Compiling takes time in proportion.
    pub file_bytes: usize,
    /// Bytes of linear memory and tables, summed over a store.
    pub memory_bytes: usize,
    /// Time of one call, less what it spent inside host functions. Wall time, so a machine under
    /// load charges a guest for time it did not run: hence generous.
    pub call: Duration,
    /// Time of one call with all it waited for. Host functions that wait end in time for it.
    pub wall: Duration,
    /// Bytes that one call may hand to the host: verdicts, log lines, requests, state.
    pub hostcall_bytes: usize,
    /// Bytes of saved state.
    pub state_bytes: usize,
}

impl Default for WasmLimits {
    fn default() -> WasmLimits {
        let rule = Limits {
            file_bytes: 4 * MIB,
            memory_bytes: 16 * MIB,
            call: Duration::from_millis(50),
            wall: Duration::from_millis(50),
            hostcall_bytes: 8 * MIB,
            state_bytes: 4 * MIB,
        };
        let sink = Limits {
            file_bytes: 32 * MIB,
            memory_bytes: 64 * MIB,
            call: Duration::from_millis(250),
            wall: Duration::from_secs(10),
            hostcall_bytes: 8 * MIB,
            state_bytes: MIB,
        };
        WasmLimits { rule, sink }
    }
}

impl Limits {
    /// These limits with those that the operator set for one guest.
    pub fn with(mut self, own: GuestLimits) -> Limits {
        let millis = |value: u32| Duration::from_millis(u64::from(value));
        if let Some(mib) = own.memory_mib {
            self.memory_bytes = mib as usize * MIB;
        }
        self.call = own.call_ms.map_or(self.call, millis);
        self.wall = own.wall_ms.map_or(self.wall, millis).max(self.call);
        self
    }
}

/// Sums memory over a store and answers "no" past the limit. A guest in Rust aborts at a "no", an
/// interpreted one gets an exception; neither is our trap.
#[derive(Debug)]
pub struct MemoryLimit {
    bytes_max: usize,
    bytes: usize,
    /// The last growth that was allowed, to be taken back when the system could not give it.
    last: usize,
    pub denied: u64,
}

impl MemoryLimit {
    /// One table slot is a pointer and its type.
    const TABLE_SLOT_BYTES: usize = 16;

    pub fn new(bytes_max: usize) -> MemoryLimit {
        MemoryLimit { bytes_max, bytes: 0, last: 0, denied: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn grow(&mut self, by: usize) -> bool {
        if self.bytes.saturating_add(by) > self.bytes_max {
            self.denied += 1;
            return false;
        }
        self.bytes += by;
        self.last = by;
        true
    }

    fn take_back(&mut self) {
        self.bytes -= std::mem::take(&mut self.last);
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(MemoryLimit::TABLE_SLOT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}

/// The time of one call.
#[derive(Debug)]
pub struct Budget {
    call: Duration,
    wall: Duration,
    began: Moment,
    /// Spent inside host functions since `began`.
    outside: Ticks,
}

impl Budget {
    pub fn new(limits: &Limits) -> Budget {
        let (call, wall) = (limits.call, limits.wall);
        Budget { call, wall, began: Moment::now(), outside: 0 }
    }

    pub fn restart(&mut self) {
        self.began = Moment::now();
        self.outside = 0;
    }

    /// What the guest itself used since the call began.
    pub fn used(&self) -> Ticks {
        Moment::now().since(self.began).saturating_sub(self.outside)
    }

    pub fn left(&self) -> Duration {
        self.call.saturating_sub(Moment::length(self.used()))
    }

    /// What a host function may still wait for.
    pub fn wall_left(&self) -> Duration {
        self.wall.saturating_sub(Moment::length(Moment::now().since(self.began)))
    }

    /// Takes the time since `entered` off the guest's account.
    pub fn excuse(&mut self, entered: Moment) {
        self.outside += Moment::now().since(entered);
    }
}

/// Lets so many lines through in each second.
#[derive(Debug)]
pub struct LogLimit {
    lines_per_second: u32,
    second: Instant,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    /// Of a guest's own lines.
    pub const GUEST_LINES: u32 = 100;
    /// Of the host's lines about a guest that dies over and over.
    pub const HOST_LINES: u32 = 1;
    pub const LINE_BYTES_MAX: usize = 1024;

    pub fn new(lines_per_second: u32, now: Instant) -> LogLimit {
        LogLimit { lines_per_second, second: now, lines: 0, left_out: 0 }
    }

    /// Whether a line may pass at `now`, and how many were left out since the last one that did.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.lines) = (now, 0);
        }
        if self.lines >= self.lines_per_second {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

/// The start of a text in at most `bytes` bytes, with control characters made visible.
pub fn cut(text: &str, bytes: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes));
    for c in text.chars() {
        let escaped = c.is_control();
        let width = if escaped { c.escape_default().count() } else { c.len_utf8() };
        if out.len() + width > bytes {
            break;
        }
        if escaped { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed_over_a_store() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).expect("never an error"));
        assert!(!limit.memory_growing(0, 41, None).expect("never an error"));
        assert!(limit.memory_growing(60, 100, None).expect("never an error"));
        assert_eq!((limit.bytes(), limit.denied), (100, 1));
        limit.memory_grow_failed(wasmtime::Error::msg("no memory")).expect("never an error");
        assert_eq!(limit.bytes(), 60);
        assert!(!limit.table_growing(0, 3, None).expect("never an error"));
    }

    #[test]
    fn the_hundred_and_first_line_of_a_second_is_left_out() {
        let start = Instant::now();
        let mut limit = LogLimit::new(100, start);
        let passed = (0..150).filter(|_| limit.admit(start).is_some()).count();
        assert_eq!(passed, 100);
        let almost = start + Duration::from_nanos(999_999_999);
        assert_eq!(limit.admit(almost), None);
        assert_eq!(limit.admit(start + Duration::from_secs(1)), Some(51));
        assert_eq!(limit.admit(start + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_shows_controls() {
        for (text, bytes, expected) in
            [("abc", 2, "ab"), ("aü", 2, "a"), ("aü", 3, "aü"), ("a\x1b[0m", 99, "a\\u{1b}[0m")]
        {
            assert_eq!(cut(text, bytes), expected, "{text}");
        }
    }
}
