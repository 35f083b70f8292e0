//! A recording that has everything rules look for, and its text in each format.

use std::fmt::Write;

use crate::random::Random;

/// The start, in seconds since the epoch.
const START: i64 = 1_700_000_000;
const SECONDS: i64 = 1_500;

pub struct Sample {
    pub name: &'static str,
    pub labels: Vec<(&'static str, String)>,
    /// Milliseconds since the epoch.
    pub at: i64,
    pub value: f64,
}

/// Hosts, services and queues over 25 minutes, in an order that samples could arrive in: some late,
/// some twice, some far too late.
pub fn recording(seed: u64) -> Vec<Sample> {
    let mut random = Random::new(seed);
    let mut told: Vec<(i64, Sample)> = Vec::new();
    for second in 0..SECONDS {
        for sample in second_of(second, &mut random) {
            let delay = match random.below(200) {
                0 => 40_000,
                1..=20 => random.below(8_000) as i64,
                _ => 0,
            };
            if random.below(100) == 0 {
                told.push((sample.at + delay, Sample { labels: sample.labels.clone(), ..sample }));
            }
            told.push((sample.at + delay, sample));
        }
    }
    // Stable: what is not delayed stays in its order.
    told.sort_by_key(|(arrival, _)| *arrival);
    told.into_iter().map(|(_, sample)| sample).collect()
}

fn second_of(second: i64, random: &mut Random) -> Vec<Sample> {
    let at = (START + second) * 1_000;
    let mut samples = Vec::new();
    let mut add = |name, labels: &[(&'static str, String)], value: f64| {
        // Three digits, so that every format writes the same number.
        let value = (value * 1_000.0).round() / 1_000.0;
        samples.push(Sample { name, labels: labels.to_vec(), at, value });
    };
    let wave = |length: f64, shift: f64| (second as f64 / length + shift).sin();
    if second % 2 == 0 {
        for host in 0..4u32 {
            let host_label = ("host", format!("h{host}"));
            let usage = 70.0 + 30.0 * wave(90.0, f64::from(host)) + 10.0 * (random.unit() - 0.5);
            add("cpu_usage", &[host_label.clone(), ("core", "0".into())], usage);
            let silent = host == 3 && (300..700).contains(&second);
            if !silent {
                add("heartbeat", &[host_label], 1.0);
            }
        }
    }
    for service in 0..2u32 {
        let label = ("service", format!("s{service}"));
        let slow = if (500..650).contains(&second) { 8.0 } else { 1.0 };
        add("latency", std::slice::from_ref(&label), slow * -(random.unit().max(1e-9)).ln() / 10.0);
        // Counters that start again after 20 minutes.
        let since = if second < 1_200 { second } else { second - 1_200 } as f64;
        let burst = (since - 400.0).clamp(0.0, 120.0);
        add("requests", std::slice::from_ref(&label), (10.0 * since).floor());
        add("errors", &[label], (0.01 * since + 2.0 * burst).floor());
    }
    if second % 5 == 0 {
        add("queue_depth", &[("queue", "orders".into())], 65.0 + 25.0 * wave(60.0, 0.0));
        add(
            "link_up",
            &[("host", "h0".into())],
            (second / 5 % if second < 700 { 2 } else { 9 }) as f64,
        );
    }
    if second % 100 < 20 {
        add("job_bytes", &[("queue", "batch".into())], (second % 100) as f64 * random.unit());
    }
    samples
}

/// Text of `samples` in a format, by its name.
pub fn written(samples: &[Sample], format: &str) -> String {
    let mut text = String::new();
    if format == "csv" {
        text += "name,value,ts,host,core,service,queue\n";
    }
    for sample in samples {
        let line = match format {
            "json" => json(sample),
            "influx" => influx(sample),
            "prom" => prom(sample),
            "statsd" => statsd(sample),
            "csv" => csv(sample),
            other => panic!("there is no format {other}"),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn joined(sample: &Sample, one: impl Fn(&str, &str) -> String) -> String {
    let labels: Vec<String> = sample.labels.iter().map(|(name, value)| one(name, value)).collect();
    labels.join(",")
}

fn json(sample: &Sample) -> String {
    let labels = joined(sample, |name, value| format!(r#""{name}":"{value}""#));
    let Sample { name, at, value, .. } = sample;
    format!(r#"{{"name":"{name}","labels":{{{labels}}},"ts":{at},"value":{value}}}"#)
}

fn influx(sample: &Sample) -> String {
    let labels = joined(sample, |name, value| format!("{name}={value}"));
    format!("{},{labels} value={} {}", sample.name, sample.value, sample.at * 1_000_000)
}

fn prom(sample: &Sample) -> String {
    let labels = joined(sample, |name, value| format!(r#"{name}="{value}""#));
    format!("{}{{{labels}}} {} {}", sample.name, sample.value, sample.at)
}

/// Its times are whole seconds, as all times here are.
fn statsd(sample: &Sample) -> String {
    let labels = joined(sample, |name, value| format!("{name}:{value}"));
    format!("{}:{}|g|#{labels}|T{}", sample.name, sample.value, sample.at / 1_000)
}

fn csv(sample: &Sample) -> String {
    let of = |label| {
        let found = sample.labels.iter().find(|(name, _)| *name == label);
        found.map_or("", |(_, value)| value)
    };
    let labels = ["host", "core", "service", "queue"].map(of).join(",");
    format!("{},{},{},{labels}", sample.name, sample.value, sample.at)
}
