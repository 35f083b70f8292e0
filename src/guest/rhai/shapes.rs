//! From a window's length to its shape: which `every` it gets when the rule names none.

use crate::kernel::model::{Duration, Limits};
use crate::kernel::rule::Shape;

const EVERY_MIN: Duration = Duration::from_millis(100);
const EVERY_MAX: Duration = Duration::from_secs(60);

/// The default is a sixtieth of the length, or a twelfth when a quantile or a distinct count is
/// read (they cost more a pane), within 100 ms to 60 s, made longer until it divides the length.
pub fn resolve_sliding(
    length: Duration,
    every: Option<Duration>,
    reads_quantile_or_distinct: bool,
) -> Result<Shape, String> {
    if length.is_zero() {
        return Err("a window of no length holds nothing".into());
    }
    let every = match every {
        Some(every) => every,
        None => default_every(length, if reads_quantile_or_distinct { 12 } else { 60 }),
    };
    if every.is_zero() || every > length || length.nanos() % every.nanos() != 0 {
        return Err(format!("`every` {every} does not divide the window's {length}"));
    }
    let panes = length.nanos() / every.nanos();
    let panes_max = Limits::default().panes_per_group_max;
    if usize::try_from(panes).map_or(true, |panes| panes > panes_max) {
        return Err(format!("{length} by {every} makes {panes} panes; {panes_max} are allowed"));
    }
    Ok(Shape::Sliding { length, every })
}

fn default_every(length: Duration, parts: i64) -> Duration {
    let wanted = (length.nanos() / parts).clamp(EVERY_MIN.nanos(), EVERY_MAX.nanos());
    if wanted >= length.nanos() {
        return length;
    }
    // The fewest panes that are no finer than wanted and divide the length.
    let most = length.nanos() / wanted;
    let panes = (1..=most).rev().find(|panes| length.nanos() % panes == 0).unwrap_or(1);
    Duration::from_nanos(length.nanos() / panes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(length: &str, every: Option<&str>, costly: bool, resolved: Option<&str>) {
        let parse = |text: &str| Duration::parse(text).expect(text);
        let length = parse(length);
        let expected = resolved.map(|every| Shape::Sliding { length, every: parse(every) });
        assert_eq!(resolve_sliding(length, every.map(parse), costly).ok(), expected);
    }

    #[test]
    fn every_has_a_default_that_divides_the_length() {
        check("5m", None, false, Some("5s"));
        check("5m", None, true, Some("25s"));
        check("1m", None, false, Some("1s"));
        check("1d", None, false, Some("60s"));
        check("1s", None, false, Some("100ms"));
        check("50ms", None, false, Some("50ms"));
        check("61s", None, false, Some("1s220ms"));
    }

    #[test]
    fn a_given_every_must_divide_the_length() {
        check("5m", Some("10s"), false, Some("10s"));
        check("5m", Some("7s"), false, None);
        check("5m", Some("10m"), false, None);
        check("5m", Some("0s"), false, None);
        check("0s", None, false, None);
        check("1d", Some("1s"), false, None);
    }
}
