//! The program's own metrics, taken from the running parts at the moment of a scrape.

use super::facts::Office;
use super::judge::Overview;
use super::metrics::Exposition;
use super::plugins;
use super::reload::Live;

pub fn write(out: &mut Exposition, overview: &Overview, office: &Office, live: &Live) {
    out.gauge("watchfire_build_info", "The running version.")
        .set(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    stream(out, overview, office);
    sources(out, overview, office);
    rules(out, overview, live);
    reloads(out, office, live);
    sinks(out, office);
    sample_sinks(out, office);
    let changes = office.strikes.changes().counts();
    plugins::write(out, &office.plugin_status(overview, live), &changes);
    office.board.metrics(out);
}

fn stream(out: &mut Exposition, overview: &Overview, office: &Office) {
    out.counter("watchfire_samples_total", "Samples accepted.").count(&[], overview.accepted);
    out.gauge("watchfire_series", "Live series.").set(&[], overview.series as f64);
    out.gauge("watchfire_in_flight_bytes", "Bytes that were read and are not judged yet.")
        .set(&[], office.gate.in_flight_bytes() as f64);
    if let Some(watermark) = overview.watermark {
        let now = office.clock.now().as_arrival();
        out.gauge("watchfire_watermark_lag_seconds", "How far the watermark is behind the clock.")
            .set(&[], now.since(watermark).as_secs_f64());
    }
}

fn sources(out: &mut Exposition, overview: &Overview, office: &Office) {
    for source in office.gate.sources() {
        let tally = &source.tally;
        let name: &[(&str, &str)] = &[("source", source.name.as_ref())];
        out.counter("watchfire_source_batches_total", "Batches read.").count(name, tally.batches);
        out.counter("watchfire_source_bytes_total", "Bytes read.").count(name, tally.bytes);
        out.counter("watchfire_source_defects_total", "Lines that could not be read.")
            .count(name, tally.defects);
        out.counter("watchfire_source_lost_datagrams_total", "Datagrams the system threw away.")
            .count(name, tally.lost_datagrams);
        out.counter("watchfire_source_key_evictions_total", "Raw keys forgotten by a full cache.")
            .count(name, tally.evictions);
        let report = overview.sources.iter().find(|report| report.source == source.id);
        out.counter("watchfire_source_samples_total", "Samples accepted from a source.")
            .count(name, report.map_or(0, |report| report.accepted));
        for (reason, read) in tally.refused.iter() {
            let decided = report.map_or(0, |report| report.refused.get(reason));
            let labels: &[(&str, &str)] =
                &[("source", source.name.as_ref()), ("reason", reason.name())];
            out.counter("watchfire_refused_samples_total", "Samples left out, by reason.")
                .count(labels, read.max(decided));
        }
    }
}

fn rules(out: &mut Exposition, overview: &Overview, live: &Live) {
    for rule in &overview.look.rules {
        let name: &[(&str, &str)] = &[("rule", rule.name.as_ref())];
        out.gauge("watchfire_rule_groups", "Groups of a rule.").set(name, rule.groups as f64);
        out.counter("watchfire_rule_samples_total", "Samples that a rule took.")
            .count(name, rule.samples);
        out.counter("watchfire_rule_evaluations_total", "Conditions judged.")
            .count(name, rule.evaluations);
        out.counter("watchfire_rule_faults_total", "Conditions that failed.")
            .count(name, rule.faults);
        out.counter("watchfire_native_mismatch_total", "Rows a native condition was wrong about.")
            .count(name, rule.disputed);
        out.gauge("watchfire_rule_quarantined", "1 while a rule is quarantined.")
            .set(name, f64::from(u8::from(rule.quarantined)));
        let late = rule.late.iter().map(|(_, count)| count).sum();
        out.counter("watchfire_rule_late_samples_total", "Samples too late for a rule.")
            .count(name, late);
        for (state, count) in [("pending", rule.pending), ("firing", rule.firing)] {
            let labels: &[(&str, &str)] = &[("rule", rule.name.as_ref()), ("state", state)];
            out.gauge("watchfire_alerts", "Alerts that are pending or firing.")
                .set(labels, count as f64);
        }
    }
    out.gauge("watchfire_rules", "Rules that are live.")
        .set(&[], live.ruleset.as_ref().map_or(0, |ruleset| ruleset.rules().len()) as f64);
    out.gauge("watchfire_rules_held", "1 while a missing or empty folder's last rules are held.")
        .set(&[], f64::from(u8::from(!live.held.is_empty())));
}

fn reloads(out: &mut Exposition, office: &Office, live: &Live) {
    out.counter("watchfire_reloads_total", "Looks at the folders that found something new.")
        .count(&[], live.reloads);
    out.counter("watchfire_reload_failures_total", "Reloads in which a file was refused.")
        .count(&[], live.failures);
    let help = "How long a shard stood still for a reload.";
    out.histogram("watchfire_reload_pause_seconds", help).buckets(&[], office.reloader.pauses());
}

fn sinks(out: &mut Exposition, office: &Office) {
    for sink in office.hub.status() {
        let name: &[(&str, &str)] = &[("sink", sink.name.as_ref())];
        out.gauge("watchfire_sink_queue", "Events that wait for a sink.")
            .set(name, (sink.queued + sink.in_flight) as f64);
        out.counter("watchfire_sink_delivered_total", "Events delivered.")
            .count(name, sink.delivered);
        out.counter("watchfire_sink_dead_total", "Events given up.").count(name, sink.dead);
        out.counter("watchfire_sink_attempts_total", "Attempts.").count(name, sink.attempts);
        out.counter("watchfire_sink_retries_total", "Attempts that failed and are tried again.")
            .count(name, sink.retries);
        out.counter("watchfire_sink_faults_total", "Faults of a sink's code.")
            .count(name, sink.faults);
        out.counter("watchfire_sink_withheld_total", "Events held back by a rate limit.")
            .count(name, sink.withheld);
    }
    let routed = office.hub.routed();
    out.counter("watchfire_unrouted_total", "Names of sinks in rules that no sink answers to.")
        .count(&[], routed.unrouted);
    out.counter("watchfire_events_nowhere_total", "Events for which there was no sink at all.")
        .count(&[], routed.nowhere);
}

fn sample_sinks(out: &mut Exposition, office: &Office) {
    for sink in office.samples.status() {
        let (name, counts): (&[(&str, &str)], _) = (&[("sink", sink.name.as_ref())], sink.counts);
        out.gauge("watchfire_sample_sink_pending", "Samples that wait for a sink.")
            .set(name, sink.waiting as f64);
        out.gauge("watchfire_sample_sink_pending_bytes", "Bytes of samples that wait for a sink.")
            .set(name, sink.waiting_bytes as f64);
        out.counter("watchfire_sample_sink_delivered_total", "Samples delivered.")
            .count(name, counts.delivered);
        out.counter("watchfire_sample_sink_refused_total", "Samples left out of a full queue.")
            .count(name, sink.refused);
        out.counter("watchfire_sample_sink_dead_total", "Samples rejected or given up.")
            .count(name, counts.dead);
        out.counter("watchfire_sample_sink_attempts_total", "Attempts to deliver samples.")
            .count(name, counts.attempts);
        out.counter("watchfire_sample_sink_retries_total", "Attempts that are tried again.")
            .count(name, counts.retries);
        out.counter("watchfire_sample_sink_faults_total", "Faults of a sink's code.")
            .count(name, counts.faults);
    }
}
