//! The sources that the settings name, one after the other.

use std::sync::Arc;

use crate::config::settings::{self, Settings};
use crate::kernel::model::{Duration, Limits};

use super::decoders::Decoders;
use super::decoders::socket::Socket;
use super::inlet::SourceKind;
use super::source::decode::decoder;
use super::source::lines_tcp::{self, Framing, LinesTcp};
use super::source::statsd_udp::{self, StatsdUdp};
use super::source::stream::{self, Stream};
use super::source::{Running, StartError, Surroundings, host};

/// A source at work, under the name that metrics and API give it.
pub struct Source {
    pub name: String,
    pub running: Running,
}

impl Source {
    /// Its name, and where it listens.
    pub fn words(&self) -> String {
        match self.running.address() {
            Some(address) => format!("{} on {address}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Every source that the settings name; and why one could not start.
pub fn start(
    settings: &Settings,
    around: &Surroundings,
    decoders: &Arc<Decoders>,
) -> (Vec<Source>, Option<String>) {
    let mut sources = Vec::new();
    let of_plugins = settings.sources.plugin.iter().flat_map(|source| of_plugin(source, decoders));
    for (name, start) in wanted(settings).into_iter().chain(of_plugins) {
        match start(around) {
            Ok(running) => sources.push(Source { name, running }),
            Err(error) => return (sources, Some(error.to_string())),
        }
    }
    (sources, None)
}

type Start = Box<dyn FnOnce(&Surroundings) -> Result<Running, StartError>>;

fn wanted(settings: &Settings) -> Vec<(String, Start)> {
    let (sources, limits) = (&settings.sources, settings.limits.clone());
    let mut all: Vec<(String, Start)> = Vec::new();
    if sources.host.enabled {
        let host = host::Host { name: "host".into(), interval: sources.host.interval.to_std() };
        all.push(("host".into(), Box::new(move |around| host::start(around, host))));
    }
    if let Some(listen) = sources.statsd.udp {
        let setting = "[sources.statsd] udp".to_owned();
        let lateness = Some(Duration::ZERO);
        let udp = StatsdUdp { name: "statsd-udp".into(), listen, setting, lateness };
        let decoder = decoder(settings::Format::Statsd, &limits);
        let start: Start = Box::new(move |around| statsd_udp::start(around, udp, decoder));
        all.push(("statsd-udp".into(), start));
    }
    if let Some(listen) = sources.statsd.tcp {
        let setting = "[sources.statsd] tcp".to_owned();
        let kind = SourceKind::StatsdTcp;
        let name = "statsd-tcp".to_owned();
        let tcp = (name.clone(), kind, listen, setting, None, settings::Format::Statsd);
        all.push((name, tcp_source(tcp, &limits)));
    }
    for source in &sources.tcp {
        let name = source.name.clone().unwrap_or_else(|| format!("tcp:{}", source.listen));
        let setting = "[[sources.tcp]] listen".to_owned();
        let kind = SourceKind::LinesTcp;
        let tcp = (name.clone(), kind, source.listen, setting, source.lateness, source.format);
        all.push((name, tcp_source(tcp, &limits)));
    }
    for source in &sources.file {
        let path = source.path.clone();
        let name = format!("file:{}", path.display());
        let from = match source.follow {
            true => stream::Origin::Followed(path),
            false => stream::Origin::File(path),
        };
        let decoder = decoder(source.format, &limits);
        let file = Stream { name: name.as_str().into(), from, lateness: None };
        all.push((name, Box::new(move |around| stream::start(around, file, decoder))));
    }
    if let Some(stdin) = &sources.stdin {
        let decoder = decoder(stdin.format, &limits);
        let from = Stream { name: "stdin".into(), from: stream::Origin::Stdin, lateness: None };
        let start: Start = Box::new(move |around| stream::start(around, from, decoder));
        all.push(("stdin".into(), start));
    }
    all
}

/// The sockets of one plugin.
fn of_plugin(source: &settings::PluginSource, decoders: &Arc<Decoders>) -> Vec<(String, Start)> {
    let mut sockets: Vec<(String, Start)> = Vec::new();
    if let Some(listen) = source.udp {
        let name = format!("{}-udp", source.name());
        let (socket, setting) = (opens(source, &name, decoders), "[[sources.plugin]] udp");
        let start = move |_: &Surroundings| statsd_udp::listen(listen, setting, socket);
        sockets.push((name, Box::new(start)));
    }
    if let Some(listen) = source.tcp {
        let name = format!("{}-tcp", source.name());
        let tcp = LinesTcp {
            name: name.as_str().into(),
            kind: SourceKind::Plugin,
            listen,
            setting: "[[sources.plugin]] tcp".to_owned(),
            lateness: source.lateness,
            framing: match source.framing {
                settings::Framing::Lines => Framing::Lines,
                settings::Framing::Length => Framing::Length,
            },
            connections_max: lines_tcp::CONNECTIONS_MAX,
        };
        let socket = opens(source, &name, decoders);
        sockets.push((name, Box::new(move |_: &Surroundings| lines_tcp::listen(&tcp, socket))));
    }
    sockets
}

/// What opens the way from a socket to its plugin.
fn opens(
    source: &settings::PluginSource,
    name: &str,
    decoders: &Arc<Decoders>,
) -> impl FnOnce() -> std::io::Result<Socket> + use<> {
    let (plugin, name, lateness) = (source.plugin.clone(), name.to_owned(), source.lateness);
    let decoders = decoders.clone();
    move || decoders.open_socket(&plugin, &name, lateness)
}

type Tcp = (String, SourceKind, std::net::SocketAddr, String, Option<Duration>, settings::Format);

fn tcp_source(tcp: Tcp, limits: &Limits) -> Start {
    let (name, kind, listen, setting, lateness, format) = tcp;
    let decoder = decoder(format, limits);
    let connections_max = lines_tcp::CONNECTIONS_MAX;
    let name = name.into();
    let framing = Framing::Lines;
    let lines = LinesTcp { name, kind, listen, setting, lateness, framing, connections_max };
    Box::new(move |around| lines_tcp::start(around, lines, decoder))
}
