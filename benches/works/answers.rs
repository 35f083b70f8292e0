//! The known answers: what each work must tell, recounted slowly and plainly from its definition.
//!
//! Shares nothing with the program that is measured, and keeps nothing from one judgement to the
//! next that could go wrong the same way: a window is summed or sorted anew at every judgement.

use super::data::{Data, METRICS, SERVICES, host_name, service, service_name};

/// An alert fires or resolves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub rule: String,
    /// The value of the one label that the rule groups by.
    pub key: String,
    pub at_ms: i64,
    pub fires: bool,
}

/// One of the four works; `benches/works/NAME/` holds its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A threshold with a soak of 30 s on every series.
    T1,
    /// The mean of a series' last 60 s, judged every second.
    W1,
    /// The 99th percentile of a service's last 60 s, judged every 10 s.
    W2,
    /// T1 as a thousand rules, five of which meet each sample.
    R1,
}

const SOAK_MS: i64 = 30_000;
const WINDOW_MS: i64 = 60_000;
const TICK_MS: i64 = 10_000;
/// R1's severities with their limits in hundredths.
const SEVERITIES: [(&str, i32); 5] =
    [("info", 6_500), ("minor", 7_000), ("major", 7_500), ("critical", 8_000), ("page", 10_000)];

impl Work {
    pub const ALL: [Work; 4] = [Work::T1, Work::W1, Work::W2, Work::R1];

    pub fn name(self) -> &'static str {
        match self {
            Work::T1 => "t1",
            Work::W1 => "w1",
            Work::W2 => "w2",
            Work::R1 => "r1",
        }
    }

    pub fn parse(name: &str) -> Result<Work, String> {
        let known = Work::ALL.into_iter().find(|work| work.name() == name);
        known.ok_or_else(|| format!("`{name}` is none of t1, w1, w2, r1"))
    }

    /// How far an edge may be off: a quantile may err by 1 %, so W2 may cross its limit one
    /// judgement early or late. All else is exact.
    pub fn tolerance_ms(self) -> i64 {
        match self {
            Work::T1 | Work::W1 | Work::R1 => 0,
            Work::W2 => TICK_MS,
        }
    }

    /// Every edge of the work over the data, rule by rule.
    pub fn answers(self, data: &Data) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (metric, name) in METRICS.iter().enumerate() {
            if self == Work::W2 {
                for number in 0..SERVICES {
                    let samples = samples_of_service(data, number, metric);
                    let flips = quantile_flips(&samples, 8_000);
                    push(&mut edges, name, &service_name(number), flips);
                }
                continue;
            }
            for host in 0..data.extent().hosts {
                let (samples, key) = (samples(data, host, metric), host_name(host));
                match self {
                    Work::T1 => push(&mut edges, name, &key, soaked_flips(&samples, 8_000)),
                    Work::W1 => push(&mut edges, name, &key, mean_flips(&samples, 7_000)),
                    Work::R1 => {
                        for (severity, limit) in SEVERITIES {
                            let service = service_name(service(host));
                            let rule = format!("{name}/{service}/{severity}");
                            push(&mut edges, &rule, &key, soaked_flips(&samples, limit));
                        }
                    }
                    Work::W2 => unreachable!("taken above"),
                }
            }
        }
        edges.sort();
        edges
    }
}

/// A time in milliseconds and a value in hundredths.
type Sample = (i64, i32);
/// When a verdict turned, and to what.
type Flip = (i64, bool);

fn push(edges: &mut Vec<Edge>, rule: &str, key: &str, flips: Vec<Flip>) {
    let edge = |(at_ms, fires)| Edge { rule: rule.into(), key: key.into(), at_ms, fires };
    edges.extend(flips.into_iter().map(edge));
}

fn samples(data: &Data, host: usize, metric: usize) -> Vec<Sample> {
    let ticks = 0..data.extent().ticks;
    ticks.map(|tick| (data.time_ms(tick), data.value(host, metric, tick))).collect()
}

/// In order of time.
fn samples_of_service(data: &Data, number: usize, metric: usize) -> Vec<Sample> {
    let hosts = (number..data.extent().hosts).step_by(SERVICES);
    let mut all: Vec<Sample> = hosts.flat_map(|host| samples(data, host, metric)).collect();
    all.sort_unstable();
    all
}

/// Fires at the first sample that comes 30 s or more after the first of an unbroken run above the
/// limit; resolves at the first that is not above it.
fn soaked_flips(samples: &[Sample], limit: i32) -> Vec<Flip> {
    let (mut since, mut is_firing, mut flips) = (None, false, Vec::new());
    for (at, value) in samples {
        let run = if *value > limit { Some(*since.get_or_insert(*at)) } else { None };
        since = run;
        let fires = run.is_some_and(|since| is_firing || at - since >= SOAK_MS);
        if fires != is_firing {
            is_firing = fires;
            flips.push((*at, fires));
        }
    }
    flips
}

/// Judged at every sample over the half-open window that ends with it.
fn mean_flips(samples: &[Sample], limit: i32) -> Vec<Flip> {
    let judged = samples.iter().enumerate().map(|(last, (at, _))| {
        let window = samples[..=last].iter().rev().take_while(|(time, _)| *time > at - WINDOW_MS);
        let (mut sum, mut count) = (0i64, 0i64);
        for (_, value) in window {
            sum += i64::from(*value);
            count += 1;
        }
        (*at, sum > i64::from(limit) * count)
    });
    flips(judged)
}

/// Judged at every multiple of 10 s up to the last sample, which is when the last pane closes.
fn quantile_flips(samples: &[Sample], limit: i32) -> Vec<Flip> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Vec::new() };
    let ends = (first.0.div_euclid(TICK_MS)..=last.0.div_euclid(TICK_MS)).map(|at| at * TICK_MS);
    let judged = ends.filter_map(|end| {
        let from = samples.partition_point(|(at, _)| *at <= end - WINDOW_MS);
        let to = samples.partition_point(|(at, _)| *at <= end);
        let mut values: Vec<i32> = samples[from..to].iter().map(|(_, value)| *value).collect();
        values.sort_unstable();
        let is_above = p99(&values)? > f64::from(limit);
        Some((end, is_above))
    });
    flips(judged)
}

/// By linear interpolation between the two nearest ranks.
fn p99(sorted: &[i32]) -> Option<f64> {
    let rank = 0.99 * sorted.len().checked_sub(1)? as f64;
    let below = f64::from(sorted[rank as usize]);
    let above = f64::from(sorted[rank.ceil() as usize]);
    Some(below + (above - below) * rank.fract())
}

fn flips(judged: impl Iterator<Item = Flip>) -> Vec<Flip> {
    let (mut is_firing, mut flips) = (false, Vec::new());
    for (at, fires) in judged {
        if fires != is_firing {
            is_firing = fires;
            flips.push((at, fires));
        }
    }
    flips
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in whole units, one a second from 0; `x8` is eight times.
    fn every_second(script: &str) -> Vec<Sample> {
        let values = script.split_whitespace().flat_map(|word| {
            let (value, times) = word.split_once('x').unwrap_or((word, "1"));
            let value = value.parse::<i32>().expect("a number") * 100;
            vec![value; times.parse().expect("a number")]
        });
        values.enumerate().map(|(second, value)| (second as i64 * 1000, value)).collect()
    }

    #[test]
    fn a_soak_is_inclusive_and_a_run_must_not_break() {
        let check = |script: &str, expected: &[Flip]| {
            assert_eq!(soaked_flips(&every_second(script), 8_000), expected, "{script}");
        };
        check("50x5 90x30 50", &[]);
        check("50x5 90x31 50", &[(35_000, true), (36_000, false)]);
        // At the limit is not above it.
        check("90x20 80 90x40", &[(51_000, true)]);
        check("90x31 80 90x31", &[(30_000, true), (31_000, false), (62_000, true)]);
    }

    #[test]
    fn a_mean_is_over_what_there_is_and_forgets_after_a_minute() {
        let check = |script: &str, expected: &[Flip]| {
            assert_eq!(mean_flips(&every_second(script), 7_000), expected, "{script}");
        };
        check("70x100", &[]);
        check("71 50", &[(0, true), (1_000, false)]);
        // After k of 90 over a full window of 50: 50 + 40 k / 60 > 70 from k = 31 on.
        check("50x60 90x31", &[(90_000, true)]);
        check("50x60 90x60 50x29", &[(90_000, true)]);
        check("50x60 90x60 50x30", &[(90_000, true), (149_000, false)]);
    }

    #[test]
    fn a_percentile_is_judged_on_the_tens_with_the_end_inside() {
        let check = |script: &str, expected: &[Flip]| {
            assert_eq!(quantile_flips(&every_second(script), 8_000), expected, "{script}");
        };
        // Of 60 samples two must be above the limit: with one, p99 is 50 + 0.41 * 40.
        check("50x59 90x2 50x9", &[(60_000, true)]);
        check("50x60 90x2 50x7", &[]);
        check("50x60 90x2 50x70", &[(70_000, true), (120_000, false)]);
        assert_eq!(p99(&[1, 2]), Some(1.99));
        assert_eq!(p99(&[7]), Some(7.0));
        assert_eq!(p99(&[]), None);
    }
}
