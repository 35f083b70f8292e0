//! How often a window is judged, and which windows make sense; errors are words for an author.

use crate::kernel::model::Duration;
use crate::kernel::rule::Shape;
use crate::kernel::rule::view::Reduction;

/// A window that keeps a sketch or a distinct count for each pane may have so many panes when its
/// author asks for it: the cost of a judgement does not depend on it, but memory does.
const SKETCH_PANES_MAX: i64 = 60;
/// Any other window may have so many.
const PANES_MAX: i64 = 10_000;
/// Samples that `last(n)` may hold.
const LAST_MAX: usize = 10_000;
/// The watermark moves in steps of this length; nothing can be judged more often.
pub(super) const EVERY_MIN: Duration = Duration::from_millis(10);

/// Without `every` a window is judged 60 times per length, or 12 to 16 times with sketches, ..
const PANES_WANTED: i64 = 60;
const SKETCH_PANES_WANTED: i64 = 12;
const SKETCH_PANES_DEFAULT_MAX: i64 = 16;
/// .. but no more often than this, and at least once a minute, ..
const DEFAULT_MIN: Duration = Duration::from_millis(100);
const DEFAULT_MAX: Duration = Duration::from_secs(60);
/// .. unless the minutes would make more panes than this (a day's), or too many for sketches.
const DEFAULT_PANES_MAX: i64 = 1_440;

/// Whether the panes must keep something large for it.
pub fn is_sketched(reduction: Reduction) -> bool {
    matches!(reduction, Reduction::Quantile(_) | Reduction::Distinct)
}

/// A window that slides by `every`. Without one it gets `length / 60` (`length / 12` when a
/// quantile or a distinct is read) clamped to 100 ms .. 60 s, and then longer where the minute
/// would make too many panes: a window with sketches keeps its `length / 12`, another one gets at
/// most some 1,440 panes. The number of panes is then the next one up that cuts the length into
/// whole seconds (or milliseconds), or failing that the next one down.
pub fn resolve_sliding(
    length: Duration,
    every: Option<Duration>,
    sketched: bool,
) -> Result<Shape, String> {
    let every = every.unwrap_or_else(|| default_every(length, sketched));
    check_sliding(length, every, sketched)?;
    Ok(Shape::Sliding { length, every })
}

/// A session is judged by default as often as a window of the length `gap` would be, so that its
/// end is seen no later than that.
pub fn resolve_session(gap: Duration, every: Option<Duration>) -> Result<Shape, String> {
    let every = every.unwrap_or_else(|| default_every(gap, false));
    check_session(gap, every)?;
    Ok(Shape::Session { gap, every })
}

/// Whether a window of this shape can give these reductions.
pub fn check(shape: Shape, reads: &[Reduction]) -> Result<(), String> {
    match shape {
        Shape::Each | Shape::Latest { .. } => Ok(()),
        Shape::Sliding { length, every } => {
            check_sliding(length, every, reads.iter().copied().any(is_sketched))
        }
        Shape::Session { gap, every } => check_session(gap, every),
        Shape::Count { count } => check_last(count, reads),
    }
}

fn check_sliding(length: Duration, every: Duration, sketched: bool) -> Result<(), String> {
    if length < EVERY_MIN {
        return Err(format!("a window of {length} is too short; {EVERY_MIN} is the shortest"));
    }
    if every < EVERY_MIN {
        return Err(format!("every {every} is too often; {EVERY_MIN} is the shortest"));
    }
    if every > length {
        return Err(format!(
            "a window of {length} judged every {every} would miss samples; \
             `every` is at most the window's length"
        ));
    }
    let panes = length.nanos() / every.nanos();
    let panes_max = if sketched { SKETCH_PANES_MAX } else { PANES_MAX };
    if length.nanos() % every.nanos() != 0 {
        let near = cut(length, panes.min(panes_max), panes_max);
        return Err(format!(
            "`every` must divide the window's length, and {every} does not divide {length}; \
             write for example .every(\"{near}\")"
        ));
    }
    if panes > panes_max {
        let near = cut_down(length, panes_max);
        let why = if sketched { " when a quantile or distinct is read" } else { "" };
        return Err(format!(
            "every {every} cuts a window of {length} into {panes} panes, and it keeps at most \
             {panes_max}{why}; write .every(\"{near}\") or longer"
        ));
    }
    Ok(())
}

fn check_session(gap: Duration, every: Duration) -> Result<(), String> {
    if every < EVERY_MIN {
        return Err(format!(
            "a session with a gap of {gap} judged every {every} is too fine; \
             {EVERY_MIN} is the shortest of both"
        ));
    }
    if every > gap {
        return Err(format!(
            "a session with a gap of {gap} must be judged at least that often, not every {every}"
        ));
    }
    Ok(())
}

fn check_last(count: usize, reads: &[Reduction]) -> Result<(), String> {
    if count == 0 || count > LAST_MAX {
        return Err(format!("last({count}) is out of range; write 1 to {LAST_MAX} samples"));
    }
    if reads.contains(&Reduction::Rate) {
        return Err(format!(
            "last({count}) has no length in time, so it has no `rate`; \
             read `increase`, or use .window(\"1m\")"
        ));
    }
    Ok(())
}

fn default_every(length: Duration, sketched: bool) -> Duration {
    let wanted = if sketched {
        (length.nanos() / SKETCH_PANES_WANTED).max(DEFAULT_MIN.nanos())
    } else {
        (length.nanos() / PANES_WANTED)
            .clamp(DEFAULT_MIN.nanos(), DEFAULT_MAX.nanos())
            .max(length.nanos() / DEFAULT_PANES_MAX)
    };
    let panes = (length.nanos() / wanted.max(1)).max(1);
    let panes_max = if sketched { SKETCH_PANES_DEFAULT_MAX } else { 2 * panes };
    cut(length, panes, panes_max)
}

/// The length of a pane when the window has `panes` of them, or the next number up to `panes_max`
/// that cuts it into whole seconds, or failing that into whole milliseconds, or failing that the
/// next number down.
fn cut(length: Duration, panes: i64, panes_max: i64) -> Duration {
    let up = |unit| (panes..=panes_max).find(|panes| is_whole(length, *panes, unit));
    let found = up(SECOND).or_else(|| up(finest_unit(length)));
    found.map_or_else(|| cut_down(length, panes), |panes| part(length, panes))
}

/// The shortest good length of a pane when there may be at most `panes` of them.
fn cut_down(length: Duration, panes: i64) -> Duration {
    let down =
        |least: i64, unit| (least..=panes).rev().find(|panes| is_whole(length, *panes, unit));
    let found = down(panes / 2 + 1, SECOND).or_else(|| down(1, finest_unit(length)));
    part(length, found.unwrap_or(1))
}

fn part(length: Duration, panes: i64) -> Duration {
    Duration::from_nanos(length.nanos() / panes)
}

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Milliseconds, unless the length itself is not made of them.
fn finest_unit(length: Duration) -> Duration {
    let whole = is_whole(length, 1, MILLISECOND);
    if whole { MILLISECOND } else { Duration::from_nanos(1) }
}

fn is_whole(length: Duration, panes: i64, unit: Duration) -> bool {
    let long_enough = part(length, panes) >= EVERY_MIN;
    long_enough && length.nanos() % unit.nanos().saturating_mul(panes) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Duration {
        Duration::parse(text).expect(text)
    }

    fn every(shape: Result<Shape, String>) -> String {
        match shape {
            Ok(Shape::Sliding { every, .. } | Shape::Session { every, .. }) => every.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_follows_the_length() {
        for (length, plain, sketched) in [
            ("10ms", "10ms", "10ms"),
            ("100ms", "100ms", "100ms"),
            ("1s", "100ms", "100ms"),
            ("10s", "125ms", "625ms"),
            ("30s", "500ms", "2s"),
            ("67s", "1s", "6s700ms"),
            ("1m", "1s", "5s"),
            ("5m", "5s", "25s"),
            ("1h", "1m", "5m"),
            ("1d", "1m", "2h"),
            ("7d", "7m", "14h"),
            ("1001ms", "91ms", "91ms"),
            // A prime number of milliseconds can't be cut at all.
            ("7919ms", "7s919ms", "7s919ms"),
        ] {
            let length = span(length);
            assert_eq!(every(resolve_sliding(length, None, false)), plain, "{length}");
            assert_eq!(every(resolve_sliding(length, None, true)), sketched, "{length}");
        }
        assert_eq!(every(resolve_session(span("5m"), None)), "5s");
        assert_eq!(every(resolve_session(span("5m"), Some(span("1m")))), "1m");
    }

    #[test]
    fn any_default_is_a_window_that_passes_the_checks() {
        for length_ms in (10..3_000).chain((3_000..100_000_000).step_by(77_777)) {
            for sketched in [false, true] {
                let shape = resolve_sliding(Duration::from_millis(length_ms), None, sketched);
                assert!(shape.is_ok(), "{length_ms} {shape:?}");
            }
        }
    }

    #[test]
    fn an_impossible_window_is_explained() {
        let sliding =
            |length: &str, every: &str| Shape::Sliding { length: span(length), every: span(every) };
        let session =
            |gap: &str, every: &str| Shape::Session { gap: span(gap), every: span(every) };
        let count = |count| Shape::Count { count };
        let median = Reduction::Quantile(500);
        for (shape, read, words) in [
            (sliding("5m", "10s"), median, ""),
            (sliding("5m", "5m"), Reduction::Rate, ""),
            (sliding("1d", "1m"), Reduction::Mean, ""),
            (sliding("1h", "1m"), median, ""),
            (sliding("10000s", "1s"), Reduction::Mean, ""),
            (sliding("1h", "7m"), Reduction::Mean, "write for example .every(\"7m30s\")"),
            (sliding("1m", "90s"), Reduction::Mean, "`every` is at most the window's length"),
            (sliding("1h", "59s"), median, "write for example .every(\"1m\")"),
            (sliding("1h", "30s"), median, "into 120 panes, and it keeps at most 60"),
            (sliding("1h", "30s"), Reduction::Distinct, "write .every(\"1m\") or longer"),
            (sliding("1d", "1s"), Reduction::Mean, "at most 10000; write .every(\"9s\")"),
            (sliding("1ms", "1ms"), Reduction::Mean, "10ms is the shortest"),
            (sliding("1s", "0s"), Reduction::Mean, "every 0s is too often"),
            (session("30s", "30s"), median, ""),
            (session("30s", "31s"), Reduction::Mean, "judged at least that often"),
            (session("5ms", "5ms"), Reduction::Mean, "10ms is the shortest"),
            (count(10_000), Reduction::Increase, ""),
            (count(0), Reduction::Mean, "write 1 to 10000 samples"),
            (count(10_001), Reduction::Mean, "write 1 to 10000 samples"),
            (count(5), Reduction::Rate, "has no length in time, so it has no `rate`"),
        ] {
            match check(shape, &[Reduction::Count, read]) {
                Ok(()) => assert_eq!(words, "", "{shape:?}"),
                Err(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            }
        }
    }
}
