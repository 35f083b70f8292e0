//! The machine Watchfire runs on: processor, memory, disks, network and Watchfire itself, read
//! every second. Every sample carries the label `host` and is stamped on arrival.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use sysinfo::{
    DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, Networks, Pid, ProcessRefreshKind,
    ProcessesToUpdate, System,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::kernel::model::{Batch, Duration as Lateness, Limits};
use crate::shell::clock::Clock;
use crate::shell::inlet::{Inlet, SourceKind, Stopped};

use super::readings::Slots;
use super::running::{Stop, passed_on};
use super::{Running, StartError, Surroundings};

#[derive(Clone, Debug)]
pub struct Host {
    pub name: Arc<str>,
    /// At least 200 ms, the shortest time over which the processor's use can be told.
    pub interval: Duration,
}

/// How often disks are read: they fill slowly, and reading them can be slow.
const DISK_PERIOD: Duration = Duration::from_secs(10);
/// What a reading is charged in the budget, near enough: some hundred samples.
const READING_BYTES: usize = 4096;

/// Must be called within a tokio runtime.
pub fn start(around: &Surroundings, settings: Host) -> Result<Running, StartError> {
    let failed = |error: String| StartError {
        place: "the machine's own metrics".to_owned(),
        what: format!("cannot be read: {error}"),
        cure: "leave them out with [sources.host] enabled = false".to_owned(),
    };
    let vitals = Vitals::new().map_err(|error| failed(error.to_string()))?;
    let disks = watch_disks().map_err(|error| failed(error.to_string()))?;
    let inlet = around.gate.open(&settings.name, SourceKind::Host, Some(Lateness::ZERO));
    inlet.listening(true);
    let work = Work { inlet, clock: Arc::clone(&around.clock), vitals, disks };
    let interval = settings.interval.max(MINIMUM_CPU_UPDATE_INTERVAL);
    Ok(Running::spawn(None, |stop| work.run(interval, stop)))
}

/// One measured value, before it has a series.
struct Reading {
    name: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

struct Work {
    inlet: Inlet,
    clock: Arc<dyn Clock>,
    vitals: Vitals,
    disks: DiskWatch,
}

impl Work {
    async fn run(self, interval: Duration, mut stop: Stop) {
        let Work { inlet, clock, mut vitals, disks } = self;
        let host = System::host_name().unwrap_or_else(|_| "localhost".to_owned());
        let mut slots = Slots::default();
        // The processor's use is told from two readings; the first was taken at the start.
        let mut ticks = interval_at(Instant::now() + MINIMUM_CPU_UPDATE_INTERVAL, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.asked() => break,
                permit = async { ticks.tick().await; inlet.reserve(READING_BYTES).await } => permit,
            };
            let Ok(permit) = permit else { break };
            let read = move || {
                let readings = vitals.read();
                (vitals, readings)
            };
            let read = passed_on(tokio::task::spawn_blocking(read).await);
            let Some((back, mut readings)) = read else { break };
            vitals = back;
            readings.extend(disks.newest.try_iter().flatten());
            let mut batch = batch(&mut slots, &host, inlet.limits(), readings);
            (batch.arrival, batch.bytes) = (Some(clock.now()), permit.bytes());
            if let Err(Stopped) = inlet.deliver(batch, permit) {
                break;
            }
        }
        inlet.listening(false);
    }
}

fn batch(slots: &mut Slots, host: &str, limits: &Limits, readings: Vec<Reading>) -> Batch {
    let mut batch = slots.begin();
    for Reading { name, labels, value } in readings {
        let labels = labels.iter().map(|(label, value)| (*label, value.as_str()));
        let series = (name, labels.chain(std::iter::once(("host", host))));
        slots.push(&mut batch, limits, series, None, value);
    }
    batch
}

/// All that is quick to read.
struct Vitals {
    system: System,
    networks: Networks,
    process: Pid,
}

impl Vitals {
    fn new() -> Result<Vitals, sysinfo::Error> {
        let mut system = System::new()?;
        system.refresh_cpu_usage();
        let networks = Networks::new_with_refreshed_list()?;
        Ok(Vitals { system, networks, process: sysinfo::get_current_pid()? })
    }

    fn read(&mut self) -> Vec<Reading> {
        let mut readings = Vec::with_capacity(64);
        self.processor(&mut readings);
        self.memory(&mut readings);
        self.network(&mut readings);
        self.own_process(&mut readings);
        readings
    }

    fn processor(&mut self, out: &mut Vec<Reading>) {
        self.system.refresh_cpu_usage();
        out.push(bare("cpu.usage", f64::from(self.system.global_cpu_usage())));
        out.push(bare("cpu.cores", self.system.cpus().len() as f64));
        for (core, cpu) in self.system.cpus().iter().enumerate() {
            let labels = vec![("core", core.to_string())];
            out.push(Reading { name: "cpu.core_usage", labels, value: f64::from(cpu.usage()) });
        }
        if let Ok(load) = System::load_average() {
            out.push(bare("load.avg1", load.one));
            out.push(bare("load.avg5", load.five));
            out.push(bare("load.avg15", load.fifteen));
        }
        if let Ok(seconds) = System::uptime() {
            out.push(bare("host.uptime_seconds", seconds as f64));
        }
    }

    fn memory(&mut self, out: &mut Vec<Reading>) {
        self.system.refresh_memory();
        let (total, available) = (self.system.total_memory(), self.system.available_memory());
        out.push(bare("mem.total_bytes", total as f64));
        out.push(bare("mem.available_bytes", available as f64));
        out.push(bare("mem.used_bytes", self.system.used_memory() as f64));
        // Used is what cannot be had, so that caches do not look like a leak.
        out.extend(
            percent(total.saturating_sub(available), total).map(|v| bare("mem.used_pct", v)),
        );
        let (total, used) = (self.system.total_swap(), self.system.used_swap());
        out.push(bare("swap.used_bytes", used as f64));
        out.extend(percent(used, total).map(|value| bare("swap.used_pct", value)));
    }

    /// Totals since the machine started: counters, for `rate` and `increase`.
    fn network(&mut self, out: &mut Vec<Reading>) {
        self.networks.refresh(true);
        for (interface, data) in &self.networks {
            let interface = interface.to_string_lossy();
            for (name, total) in [
                ("net.received_bytes", data.total_received()),
                ("net.sent_bytes", data.total_transmitted()),
                ("net.received_packets", data.total_packets_received()),
                ("net.sent_packets", data.total_packets_transmitted()),
                ("net.received_errors", data.total_errors_on_received()),
                ("net.sent_errors", data.total_errors_on_transmitted()),
            ] {
                let labels = vec![("interface", interface.to_string())];
                out.push(Reading { name, labels, value: total as f64 });
            }
        }
    }

    fn own_process(&mut self, out: &mut Vec<Reading>) {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        let processes = ProcessesToUpdate::Some(&[self.process]);
        self.system.refresh_processes_specifics(processes, false, what);
        let Some(process) = self.system.process(self.process) else { return };
        for (name, value) in [
            // Of one core, so it may exceed 100.
            ("process.cpu_pct", f64::from(process.cpu_usage())),
            ("process.memory_bytes", process.memory() as f64),
        ] {
            let labels = vec![("process", "watchfire".to_owned())];
            out.push(Reading { name, labels, value });
        }
    }
}

/// Disks are read on a thread of their own: a network mount whose server is gone holds whoever
/// asks for its size, for ever, and must not blind everything else. Dropping this ends the thread.
struct DiskWatch {
    newest: Receiver<Vec<Reading>>,
    _keep_on: Sender<()>,
}

fn watch_disks() -> std::io::Result<DiskWatch> {
    let (out, newest) = sync_channel(1);
    let (keep_on, asked_to_end) = channel();
    let work = move || read_disks(&out, &asked_to_end);
    std::thread::Builder::new().name("watchfire-disks".to_owned()).spawn(work)?;
    Ok(DiskWatch { newest, _keep_on: keep_on })
}

fn read_disks(out: &SyncSender<Vec<Reading>>, asked_to_end: &Receiver<()>) {
    let what = DiskRefreshKind::nothing().with_storage().with_io_usage();
    let Ok(mut disks) = Disks::new() else {
        tracing::warn!("disks cannot be read; there will be no disk metrics");
        return;
    };
    loop {
        disks.refresh_specifics(true, what);
        let end = out.send(disk_readings(&disks)).is_err();
        if end || asked_to_end.recv_timeout(DISK_PERIOD) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn disk_readings(disks: &Disks) -> Vec<Reading> {
    let mut readings = Vec::new();
    for disk in disks {
        let (total, free, usage) = (disk.total_space(), disk.available_space(), disk.usage());
        // Pseudo file systems have no size.
        let Some(used_pct) = percent(total.saturating_sub(free), total) else { continue };
        let mount = disk.mount_point().to_string_lossy();
        let device = disk.name().to_string_lossy();
        for (name, value) in [
            ("disk.used_pct", used_pct),
            ("disk.free_bytes", free as f64),
            ("disk.total_bytes", total as f64),
            // Totals since the machine started.
            ("disk.read_bytes", usage.total_read_bytes as f64),
            ("disk.written_bytes", usage.total_written_bytes as f64),
        ] {
            let labels = vec![("mount", mount.to_string()), ("device", device.to_string())];
            readings.push(Reading { name, labels, value });
        }
    }
    readings
}

fn bare(name: &'static str, value: f64) -> Reading {
    Reading { name, labels: Vec::new(), value }
}

/// `None` of nothing: a machine without swap has not used 0 % of it.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
