//! What the system says of a process: its memory and the CPU it used.

use std::process::{Command, ExitCode};
use std::time::Duration;

/// The peak only rises, so what is missed is what it rises after the last look.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Linux reports times to programs in hundredths of a second, whatever its own clock.
const TICKS_A_SECOND: f64 = 100.0;

/// Runs a command to its end and writes its peak resident memory in KiB to a file. Waits and looks
/// only, so that whoever measures this process and its child measures the child.
pub fn peak(words: &[String]) -> Result<ExitCode, String> {
    let [file, program, arguments @ ..] = words else { return Err("a command is missing".into()) };
    let spawned = Command::new(program).args(arguments).spawn();
    let mut child = spawned.map_err(|error| format!("{program}: {error}"))?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = status_kib(child.id(), "VmHWM").unwrap_or(0).max(peak_kib);
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    std::fs::write(file, peak_kib.to_string()).map_err(|error| format!("{file}: {error}"))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, Into::into))
}

/// What a process holds now, in MiB. `None` once it has ended.
pub fn resident_mib(process: u32) -> Option<f64> {
    Some(status_kib(process, "VmRSS")? as f64 / 1024.0)
}

fn status_kib(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// User and system time of all threads so far, in seconds.
pub fn cpu_seconds(process: u32) -> Option<f64> {
    cpu_of(&std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The 14th and 15th field; the second is the program's name, which may hold anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    Some((fields.next()?? + fields.next()??) as f64 / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_any_name() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 90 0 0 0 150 25 8 9 20 0 1 0 5";
        assert_eq!(cpu_of(stat), Some(1.75));
        assert_eq!(cpu_of("7 (a"), None);
    }

    #[test]
    fn this_process_holds_memory() {
        let own = std::process::id();
        assert!(resident_mib(own).is_some_and(|mib| mib > 0.5));
        assert!(cpu_seconds(own).is_some());
        assert_eq!(resident_mib(u32::MAX), None);
    }
}
