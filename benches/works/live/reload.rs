//! What a reload of many rules costs while many groups live, and how long shards stand still.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::super::figures::median;
use super::super::options::Options;
use super::super::web::{buckets, sum};
use super::Instance;

const RULES: usize = 10_000;
/// A file may use up only so much while it loads.
const RULES_A_FILE: usize = 500;
const SERIES_A_RULE: usize = 10;

/// Edits every rule again and again; prints CPU and time per reload, and the histogram of pauses.
/// The target is five milliseconds.
pub fn measure(options: &Options) -> Result<(), String> {
    let reloads = options.number("reloads", 10)?;
    let instance = Instance::start(options.given("watchfire")?, &files(90))?;
    let begun = Instant::now();
    let mut stream = instance.connect()?;
    stream.write_all(samples()?.as_bytes()).map_err(|error| error.to_string())?;
    while sum(&instance.metrics()?, "watchfire_samples_total") < (RULES * SERIES_A_RULE) as f64 {
        if begun.elapsed() > super::PATIENCE {
            return Err("the samples were not taken".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let groups = sum(&instance.metrics()?, "watchfire_rule_groups");
    let (mut cpu_s, mut wall_s) = (Vec::new(), Vec::new());
    for number in 0..reloads {
        // The watcher's own look is part of what an edit costs, so it may come first.
        let (cpu, begun) = (instance.cpu_seconds(), Instant::now());
        for (file, text) in files(91 + number) {
            instance.replace_rules(&file, &text)?;
        }
        instance.reload()?;
        cpu_s.push(instance.cpu_seconds() - cpu);
        wall_s.push(begun.elapsed().as_secs_f64());
    }
    let page = instance.metrics()?;
    let pauses = buckets(&page, "watchfire_reload_pause_seconds");
    let pauses = pauses.iter().filter(|(_, count)| *count > 0);
    let pauses: Vec<String> = pauses.map(|(bound, count)| format!("{bound}:{count}")).collect();
    cpu_s.sort_unstable_by(f64::total_cmp);
    wall_s.sort_unstable_by(f64::total_cmp);
    println!(
        "reload rules={RULES} groups={groups} reloads={reloads} cpu_s={:.2} wall_s={:.2} \
         pauses_up_to_s={} target_pause_s=0.005",
        median(&cpu_s),
        median(&wall_s),
        if pauses.is_empty() { "none".to_owned() } else { pauses.join(",") },
    );
    Ok(())
}

/// All rules, each on a metric of its own.
fn files(limit: i64) -> Vec<(String, String)> {
    let file = |number: usize| {
        let first = number * RULES_A_FILE;
        let text = format!(
            "for n in {first}..{} {{\n    rule(`r-${{n}}`).on(`m-${{n}}`).when(|v| v > {limit}.0)\
             .soak(\"30s\");\n}}\n",
            first + RULES_A_FILE
        );
        (format!("rules-{number}.rhai"), text)
    };
    (0..RULES / RULES_A_FILE).map(file).collect()
}

/// One sample of every series that the rules take.
fn samples() -> Result<String, String> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = since_epoch.map_err(|error| error.to_string())?.as_millis();
    let mut lines = String::new();
    for number in 0..RULES * SERIES_A_RULE {
        let (rule, host) = (number / SERIES_A_RULE, number % SERIES_A_RULE);
        lines.push_str(&format!(
            "{{\"name\":\"m-{rule}\",\"labels\":{{\"host\":\"{host}\"}},\"ts\":{now_ms},\"value\":50}}\n"
        ));
    }
    Ok(lines)
}
