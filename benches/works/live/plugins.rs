//! Works on components in a program that runs: bad ones, replaced ones, and very many.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::data::{METRICS, splitmix};
use super::super::format::{Format, Line};
use super::super::options::Options;
use super::super::web::{buckets, sum};
use super::Instance;
use super::latency::{Load, drive, rules};

/// What `plugins/evil` can do wrong while samples come; the first two are nothing and no guest.
const ACTS: [&str; 12] = [
    "none",
    "behave",
    "spin",
    "allocate",
    "recurse",
    "panic",
    "sleep",
    "fail",
    "storm",
    "twice",
    "huge_message",
    "log_flood",
];

/// Ticks of ten thousand series; in every fiftieth there is a value that the guest minds.
const TICKS: i64 = 300;
const TICK_MS: i64 = 100;
const BAD_EVERY: i64 = 50;
const SERIES: usize = 10_000;

/// For each act: the program's CPU and how fast it takes samples that are sent as fast as it takes
/// them, beside ten rules that it must not disturb. Their alerts must be as many each time.
pub fn evil(options: &Options) -> Result<(), String> {
    let (program, bytes) = (options.given("watchfire")?, guest(options, "evil")?);
    let mut expected = None;
    for act in ACTS {
        let settings = format!("act = \"{act}\"\nmetric = \"load1\"\nvalue = 90.0\n");
        let plugins = [
            ("evil.wasm".to_owned(), bytes.clone()),
            ("evil.toml".to_owned(), settings.into_bytes()),
        ];
        let plugins = if act == "none" { &[] } else { &plugins[..] };
        let mut instance = Instance::start_with(program, &rules(), plugins)?;
        let told = listen(instance.alerts());
        let (cpu_s, begun) = (instance.cpu_seconds(), Instant::now());
        let samples = flood(instance.connect()?)?;
        while sum(&instance.metrics()?, "watchfire_samples_total") < samples as f64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        instance.flush()?;
        let (wall_s, cpu_s) = (begun.elapsed().as_secs_f64(), instance.cpu_seconds() - cpu_s);
        let (page, resident_mib) = (instance.metrics()?, instance.resident_mib());
        let [deaths, faults] =
            ["deaths", "faults"].map(|what| sum(&page, &format!("watchfire_plugin_{what}_total")));
        drop(instance);
        let told = told.join().map_err(|_| "the reader of alerts died")?;
        let alerts: usize = told
            .iter()
            .filter(|(alert, _)| !alert.starts_with("evil{"))
            .map(|(_, events)| events.len())
            .sum();
        println!(
            "evil act={act} samples={samples} cpu_s_per_M={:.3} samples_per_s={:.0} \
             resident_mib={resident_mib:.0} deaths={deaths} faults={faults} \
             neighbours_alerts={alerts}",
            cpu_s / samples as f64 * 1e6,
            samples as f64 / wall_s,
        );
        if alerts != *expected.get_or_insert(alerts) {
            return Err(format!("{act}: the neighbours told {alerts} alerts"));
        }
    }
    Ok(())
}

/// Sends all ticks, as fast as they are read.
fn flood(mut stream: impl Write) -> Result<usize, String> {
    let line = |series| Line::new(Format::Json, series / METRICS.len(), series % METRICS.len());
    let lines: Vec<Line> = (0..SERIES).map(line).collect();
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = since_epoch.map_err(|error| error.to_string())?.as_millis() as i64;
    for tick in 0..TICKS {
        let mut text = Vec::new();
        let bad = tick % BAD_EVERY == BAD_EVERY - 1;
        for (series, line) in lines.iter().enumerate() {
            let noise = (splitmix(tick as u64 * SERIES as u64 + series as u64) % 2_001) as i32;
            let is_bad = bad && series < METRICS.len();
            let value = if is_bad { 9_000 } else { 4_000 + noise };
            line.write(now_ms + (tick - TICKS) * TICK_MS, value, &mut text);
        }
        stream.write_all(&text).map_err(|error| error.to_string())?;
    }
    Ok(SERIES * TICKS as usize)
}

/// Replaces a rule that keeps state again and again under a steady load, and compares all that is
/// told with what is told when nothing is replaced.
pub fn swap(options: &Options) -> Result<(), String> {
    let swaps = options.number("swaps", 100)? as usize;
    let load = Load {
        rate: options.number("rate", 50_000)? as usize,
        seconds: options.number("seconds", 60)? as usize,
        breaches: 0,
    };
    let (expected, _) = swapped(options, &load, 0)?;
    let (told, line) = swapped(options, &load, swaps)?;
    let count = |told: &Told| told.values().map(Vec::len).sum::<usize>();
    let wrong: Vec<&String> =
        expected.keys().filter(|alert| expected.get(*alert) != told.get(*alert)).collect();
    println!(
        "{line} events={} expected={} alerts_that_differ={}",
        count(&told),
        count(&expected),
        wrong.len()
    );
    if wrong.is_empty() && told.len() == expected.len() && !expected.is_empty() {
        return Ok(());
    }
    let alert = wrong.first().ok_or("alerts that nothing called for, or none at all")?;
    Err(format!("{alert}: {:?} and not {:?}", told.get(*alert), expected.get(*alert)))
}

fn swapped(options: &Options, load: &Load, swaps: usize) -> Result<(Told, String), String> {
    let bytes = guest(options, "ewma_anomaly")?;
    let settings = "metric = \"cpu_user\"\nalpha = 0.1\nk = 1.7\nwarmup = 5\n";
    let plugins = [
        ("odd.wasm".to_owned(), marked(&bytes, "0")),
        ("odd.toml".to_owned(), settings.as_bytes().to_vec()),
    ];
    let mut instance = Instance::start_with(options.given("watchfire")?, &rules(), &plugins)?;
    let told = listen(instance.alerts());
    let (cpu_s, stream) = (instance.cpu_seconds(), instance.connect()?);
    let every = Duration::from_secs(load.seconds as u64) / (swaps.max(1) as u32 + 1);
    let replace = || -> Result<Duration, String> {
        let begun = Instant::now();
        let mut longest = Duration::ZERO;
        for turn in 1..=swaps {
            std::thread::sleep((every * turn as u32).saturating_sub(begun.elapsed()));
            let asked = Instant::now();
            instance.replace_plugin("odd.wasm", &marked(&bytes, &(turn % 2).to_string()))?;
            instance.reload()?;
            longest = longest.max(asked.elapsed());
        }
        Ok(longest)
    };
    let (sent, longest) = std::thread::scope(|scope| {
        let replacing = scope.spawn(replace);
        (drive(load, stream), replacing.join())
    });
    let ((_, samples, lag), longest) = (sent?, longest.map_err(|_| "a swap died")??);
    instance.flush()?;
    let (cpu_s, page) = (instance.cpu_seconds() - cpu_s, instance.metrics()?);
    let lost = samples as f64 - sum(&page, "watchfire_samples_total");
    let pauses = buckets(&page, "watchfire_reload_pause_seconds");
    let pauses = pauses.iter().filter(|(_, count)| *count > 0);
    let pauses: Vec<String> = pauses.map(|(bound, count)| format!("{bound}:{count}")).collect();
    drop(instance);
    let line = format!(
        "swap rate={} seconds={} swaps={swaps} samples={samples} lost={lost} \
         longest_reload_ms={:.0} pauses_up_to_s={} cpu_s_per_M={:.4} driver_lag_ms={:.1}",
        load.rate,
        load.seconds,
        longest.as_secs_f64() * 1e3,
        if pauses.is_empty() { "none".to_owned() } else { pauses.join(",") },
        cpu_s / samples as f64 * 1e6,
        lag.as_secs_f64() * 1e3,
    );
    Ok((told.join().map_err(|_| "the reader of alerts died")?, line))
}

/// Starts with a thousand components, once when none is compiled and once when all are.
pub fn start(options: &Options) -> Result<(), String> {
    let (program, count) = (options.given("watchfire")?, options.number("plugins", 1_000)?);
    let idle = Instance::start(program, &[])?.cpu_seconds();
    let bytes = guest(options, "threshold")?;
    let mut plugins = Vec::new();
    for number in 0..count {
        let settings = format!("name = \"r-{number}\"\nmetric = \"m-{number}\"\nlimit = 1.0\n");
        plugins.push((format!("p-{number}.wasm"), marked(&bytes, &number.to_string())));
        plugins.push((format!("p-{number}.toml"), settings.into_bytes()));
    }
    let mut instance = Instance::start_with(program, &[], &plugins)?;
    let cold = instance.cpu_seconds();
    let begun = Instant::now();
    instance.restart(program)?;
    println!(
        "start plugins={count} cpu_s={:.2} wall_s={:.2} cpu_s_compiling={cold:.1} \
         cpu_s_without={idle:.2} resident_mib={:.0} target_cpu_s=2",
        instance.cpu_seconds() - idle,
        begun.elapsed().as_secs_f64(),
        instance.resident_mib(),
    );
    Ok(())
}

fn guest(options: &Options, name: &str) -> Result<Vec<u8>, String> {
    let file = Path::new(options.given("guests")?).join(format!("{name}.wasm"));
    std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The same component under another digest: a custom section that nobody reads is added.
fn marked(bytes: &[u8], mark: &str) -> Vec<u8> {
    let (name, mut marked) = (b"build", bytes.to_vec());
    // Less than 128, so one byte of length is enough.
    marked.extend([0, (1 + name.len() + mark.len()) as u8, name.len() as u8]);
    marked.extend(name);
    marked.extend(mark.as_bytes());
    marked
}

/// Events by alert, each without its time.
type Told = BTreeMap<String, Vec<String>>;

/// Reads all that the program prints to its end.
fn listen(alerts: impl Read + Send + 'static) -> JoinHandle<Told> {
    std::thread::spawn(move || {
        let mut told = Told::new();
        for line in BufReader::new(alerts).lines().map_while(Result::ok) {
            if let Some((alert, event)) = event_of(&line) {
                told.entry(alert).or_default().push(event);
            }
        }
        told
    })
}

/// `2023-11-14T22:13:20Z FIRED    warning  cpu_user{host="h0001"} 90  too much`
fn event_of(line: &str) -> Option<(String, String)> {
    let (_, event) = line.split_once(' ')?;
    let (before, labels) = event.split_once('{')?;
    let alert = format!("{}{{{}", before.rsplit(' ').next()?, labels.split('}').next()?);
    Some((alert, event.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_goes_by_its_alert_and_has_no_time() {
        let line = "2023-11-14T22:13:20Z FIRED    warning  odd{host=\"h1\"} 90  too {much}";
        let event = "FIRED    warning  odd{host=\"h1\"} 90  too {much}";
        assert_eq!(event_of(line), Some(("odd{host=\"h1\"".to_owned(), event.to_owned())));
        assert_eq!(event_of("no event"), None);
    }
}
