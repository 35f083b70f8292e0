//! Series that come and go: memory must not follow all that were ever seen.
//!
//! A tenth of the hosts is replaced every minute of event time. A replay is fed through a pipe, and
//! its memory is read once it has used no CPU for a while, which means that it judged all it got.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::data::{METRICS, START_MS, splitmix};
use super::super::format::{Format, Line};
use super::super::options::Options;
use super::super::process::{cpu_seconds, resident_mib};

/// Seconds of event time between two samples of a series.
const CADENCE_S: i64 = 10;
/// What a series and its group may outlive its last sample by.
const RULES: &str = "\
for name in [\"cpu_user\", \"mem_used\", \"disk_util\", \"net_rx\", \"net_tx\", \"load1\",
             \"http_lat\", \"http_err\", \"gc_pause\", \"queue_len\"] {
    rule(name).on(name).by(\"host\").when(|v| v > 80.0).soak(\"30s\").expire(\"2m\").forget(\"2m\");
}
";

/// Prints memory minute by minute, and how the last compares with the one after which nothing may
/// grow: by then the first series to leave have expired.
pub fn measure(options: &Options) -> Result<(), String> {
    let (hosts, minutes) = (options.number("hosts", 10_000)?, options.number("minutes", 10)?);
    let steady = options.number("steady-after", 5)?;
    let folder = std::env::temp_dir().join(format!("watchfire-churn-{}", std::process::id()));
    let file = folder.join("churn.rhai");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(file, RULES));
    written.map_err(|error| error.to_string())?;
    let mut child = Command::new(options.given("watchfire")?)
        .args(["replay", "--shards", "1", "--rules"])
        .arg(&folder)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let memory = feed(&mut child, hosts, minutes);
    // Its input ended, so it ends.
    let ended = child.wait();
    let _ = std::fs::remove_dir_all(&folder);
    ended.map_err(|error| error.to_string())?;
    let memory = memory?;
    let each: Vec<String> = memory.iter().map(|mib| format!("{mib:.0}")).collect();
    let growth = match (memory.get(steady as usize - 1), memory.last()) {
        (Some(then), Some(last)) => (last / then - 1.0) * 100.0,
        _ => f64::NAN,
    };
    println!(
        "churn series={} minutes={minutes} new_percent_a_minute=10 resident_mib_by_minute={} \
         growth_after_minute_{steady}_percent={growth:.1} target_percent=5",
        hosts * METRICS.len() as i64,
        each.join(","),
    );
    Ok(())
}

/// What the process held after each minute of event time, in MiB.
fn feed(child: &mut Child, hosts: i64, minutes: i64) -> Result<Vec<f64>, String> {
    let mut input = child.stdin.take().expect("it was piped");
    let (mut memory, mut text) = (Vec::new(), Vec::new());
    for minute in 0..minutes {
        // The oldest tenth of the hosts leaves, and as many new ones come.
        let first = minute * hosts / 10;
        for second in (0..60).step_by(CADENCE_S as usize) {
            let at_ms = START_MS + (minute * 60 + second) * 1000;
            for host in first..first + hosts {
                for metric in 0..METRICS.len() {
                    let noise = splitmix(at_ms as u64 ^ (host * 16) as u64 ^ metric as u64);
                    let line = Line::new(Format::Json, host as usize, metric);
                    line.write(at_ms, 4_000 + (noise % 2_001) as i32, &mut text);
                }
                input.write_all(&text).map_err(|error| error.to_string())?;
                text.clear();
            }
        }
        await_rest(child.id());
        memory.push(resident_mib(child.id()).ok_or("it ended early")?);
    }
    Ok(memory)
}

/// Returns once the process has used no CPU for half a second.
fn await_rest(process: u32) {
    let (mut before, mut quiet) = (None, 0);
    while quiet < 5 {
        std::thread::sleep(Duration::from_millis(100));
        let now = cpu_seconds(process);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
}
