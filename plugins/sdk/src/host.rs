//! What every plugin may ask of the host: its log, counters and stream time.

use crate::Timestamp;
use crate::bindings::base::watchfire::plugin::host;

pub use host::Level as LogLevel;

/// Writes a line to the host's log under the plugin's name. The host cuts lines at 1 KiB and takes
/// 100 of them in a second.
pub fn log(level: LogLevel, message: &str) {
    host::log(level, message, &[]);
}

/// As [`log`], with named values beside the message.
pub fn log_with(level: LogLevel, message: &str, fields: &[(&str, String)]) {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    host::log(level, message, &fields);
}

/// Adds to one of the plugin's own counters.
pub fn counter_add(name: &str, delta: f64) {
    host::counter_add(name, delta);
}

/// Stream time: in a rule the time of the last tick, in a sink the newest judged time among the
/// alerts at hand.
pub fn now() -> Timestamp {
    host::now()
}

/// Sends the text of a panic to the host's log before the instance ends; without it the text
/// would be lost.
#[doc(hidden)]
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log(LogLevel::Error, &panic.to_string())));
}
