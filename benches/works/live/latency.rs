//! How long from a breaching sample to its alert, while samples come at a steady rate.
//!
//! The clock starts just before the write that hands the sample to the kernel's socket and stops
//! when the alert's line has been read from the program's standard output. Samples are sent in
//! slices of a millisecond, so that none waits long in the driver.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::data::{METRICS, host_name, splitmix};
use super::super::figures::quantile;
use super::super::format::{Format, Line};
use super::super::options::Options;
use super::super::web::sum;
use super::Instance;

const SERIES: usize = 10_000;
const BREACH_MS: i64 = 3_000;
/// No breach begins so shortly after the start or before the end.
const MARGIN_MS: i64 = 5_000;
/// The series of breach i is i times this, modulo [`SERIES`], with which it shares no divisor.
const STRIDE: usize = 7_919;
const SLICES_A_SECOND: usize = 1_000;

/// A rule's name and a host's.
pub type Alert = (String, String);

pub struct Load {
    pub rate: usize,
    pub seconds: usize,
    pub breaches: usize,
}

/// Prints one line: `live rate=… p50_ms=… p99_ms=… max_ms=…`.
pub fn measure(options: &Options) -> Result<(), String> {
    let load = Load {
        rate: options.number("rate", 50_000)? as usize,
        seconds: options.number("seconds", 60)? as usize,
        breaches: options.number("breaches", 200)? as usize,
    };
    let mut instance = Instance::start(options.given("watchfire")?, &rules())?;
    let told = listen(instance.alerts());
    let before_s = instance.cpu_seconds();
    let (sent, samples, lag) = drive(&load, instance.connect()?)?;
    instance.flush()?;
    let cpu_s = instance.cpu_seconds() - before_s;
    let page = instance.metrics()?;
    let lost = samples as f64 - sum(&page, "watchfire_samples_total");
    let refused = sum(&page, "watchfire_refused_samples_total");
    let defects = sum(&page, "watchfire_source_defects_total");
    let resident_mib = instance.resident_mib();
    // Its end is the end of what can be read from it.
    drop(instance);
    let (latencies, unexpected) = latencies(&sent, told);
    let at = |share| quantile(&latencies, share);
    println!(
        "live rate={} seconds={} samples={samples} lost={lost} refused={refused} \
         defects={defects} alerts={}/{} unexpected={unexpected} p50_ms={:.2} p99_ms={:.2} \
         max_ms={:.2} cpu_s_per_M={:.4} resident_mib={resident_mib:.0} driver_lag_ms={:.1}",
        load.rate,
        load.seconds,
        latencies.len(),
        load.breaches,
        at(0.5),
        at(0.99),
        at(1.0),
        cpu_s / samples as f64 * 1e6,
        lag.as_secs_f64() * 1e3,
    );
    match lost == 0.0 && unexpected == 0 && latencies.len() == load.breaches {
        true => Ok(()),
        false => Err("samples or alerts are missing, or there are too many".into()),
    }
}

/// Each alert's latency in milliseconds, sorted, and how many alerts came that nothing called for:
/// those of calm series, and any second one.
fn latencies(
    sent: &BTreeMap<Alert, Instant>,
    told: impl IntoIterator<Item = (Alert, Instant)>,
) -> (Vec<f64>, usize) {
    let (mut due, mut unexpected, mut latencies) = (sent.clone(), 0, Vec::new());
    for (alert, at) in told {
        match due.remove(&alert) {
            Some(sent) => latencies.push(at.duration_since(sent).as_secs_f64() * 1e3),
            None => unexpected += 1,
        }
    }
    latencies.sort_unstable_by(f64::total_cmp);
    (latencies, unexpected)
}

pub fn rules() -> [(String, String); 1] {
    let rule = |name| format!("rule(\"{name}\").on(\"{name}\").by(\"host\").when(|v| v > 80.0);\n");
    [("live.rhai".to_owned(), METRICS.map(rule).concat())]
}

/// Sends all samples at the load's pace. Gives when each breach's first sample was handed over, how
/// many samples there were, and the longest that the driver was behind its pace.
pub fn drive(
    load: &Load,
    mut stream: impl Write,
) -> Result<(BTreeMap<Alert, Instant>, usize, Duration), String> {
    let cadence_ms = (SERIES * 1000 / load.rate).max(1) as i64;
    let breaches = breaches(load);
    let line = |series| Line::new(Format::Json, series / METRICS.len(), series % METRICS.len());
    let lines: Vec<Line> = (0..SERIES).map(line).collect();
    let slice = (load.rate / SLICES_A_SECOND).max(1);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let start_ms = since_epoch.map_err(|error| error.to_string())?.as_millis() as i64;
    let (begun, mut lag) = (Instant::now(), Duration::ZERO);
    let (mut sent, mut text, mut fresh) = (BTreeMap::new(), Vec::new(), Vec::new());
    let samples = load.rate * load.seconds;
    for number in 0..samples {
        let (series, elapsed_ms) = (number % SERIES, (number / SERIES) as i64 * cadence_ms);
        let since = breaches.get(&series).map(|start_ms| elapsed_ms - start_ms);
        let noise = (splitmix(number as u64) % 2_001) as i32;
        let is_breach = since.is_some_and(|since| (0..BREACH_MS).contains(&since));
        if is_breach {
            fresh.push(series);
        }
        // The time is that of the plan, so no series ever has two samples at one time.
        let value = if is_breach { 9_000 } else { 4_000 + noise };
        lines[series].write(start_ms + elapsed_ms, value, &mut text);
        if (number + 1) % slice != 0 && number + 1 < samples {
            continue;
        }
        let due = Duration::from_secs_f64((number + 1) as f64 / load.rate as f64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        lag = lag.max(begun.elapsed().saturating_sub(due));
        let now = Instant::now();
        stream.write_all(&text).map_err(|error| error.to_string())?;
        text.clear();
        for series in fresh.drain(..) {
            sent.entry(alert(series)).or_insert(now);
        }
    }
    Ok((sent, samples, lag))
}

/// The series that breach, and when: in milliseconds after the start, evenly spread.
fn breaches(load: &Load) -> BTreeMap<usize, i64> {
    let span_ms = load.seconds as i64 * 1000 - 2 * MARGIN_MS;
    let start = |number| MARGIN_MS + span_ms * number as i64 / load.breaches as i64;
    (0..load.breaches).map(|number| (number * STRIDE % SERIES, start(number))).collect()
}

fn alert(series: usize) -> Alert {
    (METRICS[series % METRICS.len()].to_owned(), host_name(series / METRICS.len()))
}

/// When each alert that fired was read.
fn listen(alerts: impl Read + Send + 'static) -> Receiver<(Alert, Instant)> {
    let (heard, told) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(alerts).lines().map_while(Result::ok) {
            let now = Instant::now();
            if let Some(alert) = fired(&line)
                && heard.send((alert, now)).is_err()
            {
                return;
            }
        }
    });
    told
}

/// `2023-11-14T22:13:20Z FIRED    warning  cpu_user{host="h0001"} 90`
fn fired(line: &str) -> Option<Alert> {
    let (_, rest) = line.split_once(" FIRED ")?;
    let (rule, rest) = rest.split_once("{host=\"")?;
    let rule = rule.rsplit(' ').next()?;
    Some((rule.to_owned(), rest.split_once('"')?.0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_read_from_the_terminal_line() {
        let line = "2023-11-14T22:13:20Z FIRED    warning  cpu_user{host=\"h0001\"} 90  too much";
        assert_eq!(fired(line), Some(("cpu_user".to_owned(), "h0001".to_owned())));
        assert_eq!(fired(&line.replace("FIRED", "RESOLVED")), None);
    }

    #[test]
    fn an_alert_counts_once_and_only_when_it_was_due() {
        let (now, alert) = (Instant::now(), |name: &str| (name.to_owned(), "h".to_owned()));
        let later = |millis| now + Duration::from_millis(millis);
        let sent = BTreeMap::from([(alert("a"), now), (alert("b"), now), (alert("c"), now)]);
        let told =
            [("b", 7), ("a", 2), ("a", 3), ("x", 1)].map(|(name, at)| (alert(name), later(at)));
        assert_eq!(latencies(&sent, told), (vec![2.0, 7.0], 2));
    }

    #[test]
    fn every_breach_has_a_series_of_its_own_and_is_sent_once() {
        let load = Load { rate: 1_000_000, seconds: 11, breaches: 200 };
        assert_eq!(breaches(&load).len(), 200);
        let starts: Vec<i64> = breaches(&load).into_values().collect();
        assert!(starts.iter().all(|start| (5_000..6_000).contains(start)), "{starts:?}");
        let load = Load { rate: 20_000, seconds: 0, breaches: 3 };
        let mut out = Vec::new();
        let (sent, samples, _) = drive(&load, &mut out).expect("a vector takes all");
        assert_eq!((sent.len(), samples, out.len()), (0, 0, 0), "no second, no sample");
    }
}
