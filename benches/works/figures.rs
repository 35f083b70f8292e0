//! Runs to figures, figures to a line for machines and a table for people.

use std::collections::BTreeMap;

/// What one run of the program cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// User and system time of all threads, start and end included.
    pub cpu_s: f64,
    pub wall_s: f64,
    pub peak_kib: f64,
}

/// What was run, and that its alerts were right.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    pub work: String,
    pub format: String,
    /// `native` for rules in Rhai, `wasm` for the same rules in a component.
    pub kind: String,
    pub shards: i64,
    pub samples: i64,
    pub alerts: i64,
    /// The farthest that an alert was from its due time.
    pub worst_ms: i64,
}

impl Run {
    /// `USER SYSTEM WALL PEAK_KIB`, in seconds as bash's `time` gives them.
    pub fn parse(line: &str) -> Result<Run, String> {
        let numbers: Vec<f64> =
            line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [user_s, system_s, wall_s, peak_kib] = numbers[..] else {
            return Err(format!("no run: `{line}`"));
        };
        Ok(Run { cpu_s: user_s + system_s, wall_s, peak_kib })
    }
}

impl Subject {
    /// `work=t1 format=json … cpu_s_per_M=0.1234 …`. The spread is that between the cheapest and
    /// the dearest run, in percent of the median.
    pub fn figures(&self, runs: &[Run]) -> Result<String, String> {
        let cpu_s = sorted(runs.iter().map(|run| run.cpu_s));
        let wall_s = sorted(runs.iter().map(|run| run.wall_s));
        let (Some(least), Some(most)) = (cpu_s.first(), cpu_s.last()) else {
            return Err("there was no run".into());
        };
        let millions = self.samples as f64 / 1e6;
        let peak_mib = runs.iter().map(|run| run.peak_kib).fold(0.0, f64::max) / 1024.0;
        let spread = (most - least) / median(&cpu_s) * 100.0;
        let Subject { work, format, kind, shards, samples, alerts, worst_ms } = self;
        Ok(format!(
            "work={work} format={format} kind={kind} shards={shards} samples={samples} \
             runs={} cpu_s_per_M={:.4} least={:.4} most={:.4} spread_percent={spread:.1} \
             wall_s={:.3} peak_mib={peak_mib:.0} alerts={alerts} \
             worst_ms={worst_ms} alerts_are=right",
            runs.len(),
            median(&cpu_s) / millions,
            least / millions,
            most / millions,
            median(&wall_s),
        ))
    }
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers
}

/// Of numbers that are sorted; between the middle two when there is no middle one.
pub fn median(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted.len().saturating_sub(1) / 2, sorted.len() / 2);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// The number that a share of `sorted` does not exceed, by nearest rank.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Lines of figures as a Markdown table. The limit's and the ratio's columns are left for whoever
/// measured the limit on the same machine in the same hour.
pub fn table(lines: &str) -> Result<String, String> {
    let mut table = "| Work | Format | Rules | CPU-s per million | Spread | Samples per CPU-s | \
                     Peak MiB | Alerts | Limit | Times the limit |\n\
                     |---|---|---|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for line in lines.lines().filter(|line| line.starts_with("work=")) {
        let fields: BTreeMap<&str, &str> =
            line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let field = |name: &str| {
            fields.get(name).copied().ok_or_else(|| format!("no `{name}` in `{line}`"))
        };
        let cpu_s = field("cpu_s_per_M")?;
        let number: f64 = cpu_s.parse().map_err(|_| format!("`{cpu_s}` is no number"))?;
        table.push_str(&format!(
            "| {} | {} | {} | {cpu_s} | {} % | {:.0} k | {} | {}, right | | |\n",
            field("work")?.to_uppercase(),
            field("format")?,
            field("kind")?,
            field("spread_percent")?,
            1e3 / number,
            field("peak_mib")?,
            field("alerts")?,
        ));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_become_a_line_and_a_row() {
        let runs: Vec<Run> = ["0.9 0.3 1.1 2048", "1.0 0.0 1.5 1024", "0.7 0.2 1.3 1024"]
            .map(|line| Run::parse(line).expect("a run"))
            .to_vec();
        let subject = Subject {
            work: "t1".into(),
            format: "json".into(),
            kind: "native".into(),
            shards: 1,
            samples: 2_000_000,
            alerts: 242,
            worst_ms: 0,
        };
        let line = subject.figures(&runs).expect("figures");
        assert_eq!(
            line,
            "work=t1 format=json kind=native shards=1 samples=2000000 runs=3 cpu_s_per_M=0.5000 \
             least=0.4500 most=0.6000 spread_percent=30.0 wall_s=1.300 peak_mib=2 alerts=242 \
             worst_ms=0 alerts_are=right"
        );
        let table = table(&format!("{line}\nlive p50_ms=1\n")).expect("a table");
        let row = "| T1 | json | native | 0.5000 | 30.0 % | 2000 k | 2 | 242, right | | |";
        assert_eq!(table.lines().nth(2), Some(row));
        assert_eq!(table.lines().count(), 3);
        assert!(subject.figures(&[]).is_err());
        assert!(Run::parse("1 2 x").is_err());
    }

    #[test]
    fn middles_and_ranks() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0]), 1.5);
        assert!(median(&[]).is_nan());
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (share, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            assert_eq!(quantile(&hundred, share), expected);
        }
    }
}
