//! Settings of what plugins do: where their samples come in, and how samples go out to them.

use std::net::SocketAddr;

use serde::Deserialize;

use super::text;
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::model::Duration;

/// `[[sources.plugin]]`: sockets whose bytes a plugin reads; at least one of the two.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSource {
    /// The plugin's name: that of its file. It may come later.
    pub plugin: String,
    /// In metrics and messages, followed by `-udp` or `-tcp`; the plugin's when not given.
    #[serde(default)]
    pub name: Option<String>,
    /// Each datagram is a payload.
    #[serde(default, deserialize_with = "text::address_or_off")]
    pub udp: Option<SocketAddr>,
    #[serde(default, deserialize_with = "text::address_or_off")]
    pub tcp: Option<SocketAddr>,
    /// How the stream is cut into payloads.
    #[serde(default, deserialize_with = "text::framing")]
    pub framing: Framing,
    /// How long to wait for samples older than the newest; what the plugin asks for when not given.
    #[serde(default)]
    pub lateness: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Whole lines, as many as came together.
    #[default]
    Lines,
    /// Each payload comes after its length, four bytes with the highest first.
    Length,
}

impl PluginSource {
    /// What its sources are called, before `-udp` and `-tcp`.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.plugin)
    }
}

/// `[sinks.samples]`: of every sink of samples.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleSinks {
    /// A batch goes out when so many samples wait, or the oldest waited `batch_age`; for sinks that
    /// name no other. 1 to 65,536.
    #[serde(deserialize_with = "text::batch_rows")]
    pub batch_rows: usize,
    pub batch_age: Duration,
    /// Samples that wait for one sink; past it the oldest are refused.
    #[serde(deserialize_with = "text::bound")]
    pub queue_rows_max: usize,
    /// Bytes of them, at 24 for each.
    #[serde(deserialize_with = "text::bound")]
    pub queue_bytes_max: usize,
}

impl SampleSinks {
    pub const BATCH_ROWS_MAX: usize = 65_536;
}

impl Default for SampleSinks {
    fn default() -> SampleSinks {
        SampleSinks {
            batch_rows: SamplePolicy::BATCHING.max,
            batch_age: SamplePolicy::BATCHING.age,
            queue_rows_max: 1_000_000,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::{File, Overrides, Settings};

    fn parse(text: &str) -> Result<Settings, String> {
        let file = File { name: "watchfire.toml", text, folder: None };
        Settings::parse(file, &[], &Overrides::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_plugins_sockets_have_names_and_one_address_at_least() {
        let text = "[[sources.plugin]]\nplugin = \"graphite\"\nudp = \"127.0.0.1:2003\"\n\
                    [[sources.plugin]]\nplugin = \"graphite\"\nname = \"edge\"\n\
                    tcp = \"localhost:2003\"\nframing = \"length\"\nlateness = \"5s\"\n";
        let sources = parse(text).expect(text).sources.plugin;
        assert_eq!((sources[0].name(), sources[1].name()), ("graphite", "edge"));
        assert_eq!((sources[0].framing, sources[1].framing), (Framing::Lines, Framing::Length));
        assert_eq!((sources[0].tcp, sources[1].udp), (None, None));
        assert_eq!(sources[1].lateness, Some(Duration::from_secs(5)));
        for (text, says) in [
            ("[[sources.plugin]]\nplugin = \"a\"\n", "nothing comes in for `a`"),
            ("[[sources.plugin]]\nplugin = \"a\"\nudp = \"off\"\n", "nothing comes in for `a`"),
            (
                "[[sources.plugin]]\nplugin = \"a\"\nudp = \"127.0.0.1:1\"\n\
                 [[sources.plugin]]\nplugin = \"a\"\nudp = \"127.0.0.1:2\"\n",
                "two sources are named `a-udp`",
            ),
            (
                "[[sources.plugin]]\nplugin = \"statsd\"\ntcp = \"127.0.0.1:1\"\n",
                "two sources are named `statsd-tcp`",
            ),
            (
                "[[sources.tcp]]\nlisten = \"127.0.0.1:1\"\nformat = \"json\"\nname = \"a\"\n\
                 [[sources.tcp]]\nlisten = \"127.0.0.1:2\"\nformat = \"json\"\nname = \"a\"\n",
                "two sources are named `a`",
            ),
            ("[[sources.plugin]]\nplugin = \"a\"\nframing = \"line\"\n", "`line` is no framing"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_queue_of_nothing_is_refused() {
        let samples = parse("[sinks.samples]\nbatch_rows = 10\n").expect("good").sinks.samples;
        assert_eq!((samples.batch_rows, samples.queue_rows_max), (10, 1_000_000));
        for (key, says) in [
            ("batch_rows = 65537", "choose from 1 to 65536"),
            ("queue_rows_max = 0", "0 as a bound cannot be"),
            ("queue_bytes_max = -1", "-1 as a bound cannot be"),
        ] {
            let error = parse(&format!("[sinks.samples]\n{key}\n")).expect_err(key);
            assert!(error.contains(says), "{error}");
        }
    }
}
