//! The metrics of plugins, by `plugin`. All but those of changes begin anew with each version.

use std::sync::Arc;

use crate::shell::api::{ComponentStatus, PluginState, PluginStatus};
use crate::shell::metrics::Exposition;

/// `changes` are those of all plugins, of which some may be gone or were never taken.
pub fn write(
    out: &mut Exposition,
    plugins: &[PluginStatus],
    changes: &[(Arc<str>, &'static str, u64)],
) {
    for (plugin, change, count) in changes {
        out.counter("watchfire_plugin_changes_total", "What happened to a plugin.")
            .count(&[("plugin", plugin), ("change", change)], *count);
    }
    for plugin in plugins {
        let name: &[(&str, &str)] = &[("plugin", plugin.name.as_ref())];
        let is = |state: PluginState| f64::from(u8::from(plugin.state == state));
        out.gauge("watchfire_plugin_blocked", "1 while it lacks a grant.")
            .set(name, is(PluginState::Blocked));
        out.gauge("watchfire_plugin_quarantined", "1 while it or a rule of it is out of service.")
            .set(name, is(PluginState::Quarantined));
        if let Some(probe) = &plugin.probe {
            out.counter("watchfire_probe_measured_total", "Measurements that were taken.")
                .count(&[("probe", plugin.name.as_ref())], probe.measured);
            out.counter("watchfire_probe_failed_total", "Measurements that failed.")
                .count(&[("probe", plugin.name.as_ref())], probe.failed);
        }
        if let Some(component) = &plugin.component {
            info(out, plugin, component);
            work(out, name, component);
            trouble(out, &plugin.name, component);
        }
    }
}

fn info(out: &mut Exposition, plugin: &PluginStatus, component: &ComponentStatus) {
    let labels = &[
        ("plugin", plugin.name.as_ref()),
        ("world", plugin.world),
        ("interface", component.interface.as_str()),
        ("digest", component.digest.as_str()),
    ];
    out.gauge("watchfire_plugin_info", "1 for each component that is there.").set(labels, 1.0);
}

fn work(out: &mut Exposition, name: &[(&'static str, &str)], component: &ComponentStatus) {
    out.counter("watchfire_plugin_calls_total", "Calls into a component.")
        .count(name, component.calls);
    out.counter("watchfire_plugin_rows_total", "Samples, windows or alerts it was given.")
        .count(name, component.rows);
    out.counter("watchfire_plugin_cpu_seconds_total", "Time inside its calls.")
        .set(name, component.cpu_seconds);
    out.gauge("watchfire_plugin_memory_bytes", "Memory of all its instances.")
        .set(name, component.memory_bytes as f64);
    out.gauge("watchfire_plugin_memory_peak_bytes", "The most that it ever was.")
        .set(name, component.memory_peak_bytes as f64);
    out.gauge("watchfire_plugin_state_bytes", "What its instances saved last.")
        .set(name, component.state_bytes as f64);
    if let Some(age) = component.checkpoint_age {
        out.gauge("watchfire_plugin_checkpoint_age_seconds", "Since it last saved.")
            .set(name, age.as_secs_f64());
    }
}

fn trouble(out: &mut Exposition, plugin: &str, component: &ComponentStatus) {
    let name: &[(&str, &str)] = &[("plugin", plugin)];
    out.counter("watchfire_plugin_deaths_total", "Instances that trapped or ran too long.")
        .count(name, component.deaths);
    for (code, count) in &component.traps {
        out.counter("watchfire_plugin_traps_total", "Deaths, by what ended the instance.")
            .count(&[("plugin", plugin), ("code", code)], *count);
    }
    out.gauge("watchfire_plugin_strikes", "Deaths in the last minute.")
        .set(name, component.strikes as f64);
    out.counter("watchfire_plugin_faults_total", "Failures and broken promises.")
        .count(name, component.faults);
    out.counter("watchfire_plugin_states_lost_total", "Instances that began without their state.")
        .count(name, component.states_lost);
    out.counter("watchfire_plugin_denied_growths_total", "Memory that it did not get.")
        .count(name, component.growths_denied);
    out.counter("watchfire_plugin_denied_requests_total", "Requests that were not granted.")
        .count(name, component.requests_denied);
    for (host, count) in &component.denied_hosts {
        out.counter("watchfire_plugin_denied_hosts_total", "Requests not granted, by host.")
            .count(&[("plugin", plugin), ("host", host)], *count);
    }
}
