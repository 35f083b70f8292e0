//! What a component may use.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use super::moment::{Moment, Ticks, thread_time};
use crate::guest::grant::GuestLimits;

const MIB: usize = 1024 * 1024;

/// How often a running guest is looked at; deadlines are this coarse.
pub const TICK: Duration = Duration::from_millis(10);

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

/// A call that takes longer than this is rare, and worth a look at the thread's own clock, which is
/// too dear for each call.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// The time of one call.
#[derive(Debug)]
pub struct Budget {
    call: Duration,
    wall: Duration,
    began: Moment,
    /// Spent inside host functions since `began`.
    outside: Ticks,
    /// At the first look: what was used until then, and what its thread had had of a processor.
    first: Option<(Duration, Duration)>,
}

impl Budget {
    pub fn new(limits: &Limits) -> Budget {
        let (call, wall) = (limits.call, limits.wall);
        Budget { call, wall, began: Moment::now(), outside: 0, first: None }
    }

    pub fn restart(&mut self) {
        self.began = Moment::now();
        self.outside = 0;
        self.first = None;
    }

    /// What the guest itself used since the call began.
    pub fn used(&self) -> Ticks {
        Moment::now().since(self.began).saturating_sub(self.outside)
    }

    /// How long after its start a call is first looked at.
    pub fn first_look(&self) -> Duration {
        self.call.min(FIRST_LOOK)
    }

    /// What is left of the guest's own time, as its thread looks at it. From the first look on that
    /// goes by what the system gave the thread of a processor: a machine that is busy with others
    /// takes nothing of it.
    pub fn left(&mut self) -> Duration {
        self.left_of(Moment::length(self.used()), thread_time())
    }

    fn left_of(&mut self, used: Duration, thread: Option<Duration>) -> Duration {
        let Some(thread) = thread else { return self.call.saturating_sub(used) };
        // Whoever runs is looked at within a tick: a later look means that it did not run.
        let at_most = self.first_look() + TICK;
        let (before, then) = *self.first.get_or_insert((used.min(at_most), thread));
        self.call.saturating_sub(used.min(before + thread.saturating_sub(then)))
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

    /// Each look as what the clock says since the start, what the thread had of a processor, and
    /// what is left of 50 ms.
    #[test]
    fn a_guest_pays_for_what_it_computes_and_not_for_a_busy_machine() {
        let millis = Duration::from_millis;
        let looks: [&[(u64, u64, u64)]; 5] = [
            // It runs all the time.
            &[(25, 1_000, 25), (51, 1_026, 0)],
            // It is kept waiting after the first look, and then runs on.
            &[(25, 1_000, 25), (200, 1_005, 20), (230, 1_024, 1), (260, 1_030, 0)],
            // It is kept waiting before the first look: it had run for 30 ms at most.
            &[(300, 1_000, 20), (400, 1_001, 19)],
            // What host functions did is no time of the guest's, whatever it cost the thread.
            &[(20, 1_000, 30), (25, 1_500, 25)],
            // It was moved to a thread that had less.
            &[(25, 1_000, 25), (45, 10, 25)],
        ];
        for looks in looks {
            let (call, wall) = (millis(50), millis(50));
            let mut budget = Budget { call, wall, began: Moment::now(), outside: 0, first: None };
            let left = looks
                .iter()
                .map(|(used, thread, _)| budget.left_of(millis(*used), Some(millis(*thread))));
            let expected = looks.iter().map(|look| millis(look.2));
            assert_eq!(left.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{looks:?}");
        }
        let limits = Limits { call: millis(50), ..WasmLimits::default().rule };
        assert_eq!(Budget::new(&limits).left_of(millis(60), None), Duration::ZERO, "no such clock");
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
