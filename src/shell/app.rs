//! The whole program: starts the parts from right to left, stops them from left to right.
//!
//! Order of the start: state and rules are read, then sinks, the engine, the reloading thread,
//! sources, and the API last. A part that cannot start tears down those before it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use crossbeam::channel::unbounded;
use tokio::runtime::Handle;

use crate::config::catalog::Catalog;
use crate::config::settings::{self, Settings};
use crate::guest::changes::Reader;
use crate::guest::wasm::{WasmHost, WasmLimits};
use crate::kernel::event::Event;
use crate::kernel::rule::ruleset::Ruleset;

use super::api::{Api, ApiOptions, Commands, Facts, Format, IngestError, IngestReport};
use super::board::{Board, Teller};
use super::bus::{Bus, BusOptions, Filter, HandlerGuard, Received};
use super::clock::{Clock, SystemClock};
use super::data_folder::DataFolder;
use super::decoders::Decoders;
use super::facts::{Office, POSTED};
use super::inlet::{Gate, SourceKind};
use super::judge::Judge;
use super::pipeline::Pipeline;
use super::places;
use super::probes::ProbeHub;
use super::reload::{self, Guests, Reloader};
use super::sample_sinks::{SampleHub, SampleHubEnv};
use super::sink::{HubEnv, SinkHub, SinkStatus};
use super::source::decode::decoder;
use super::source::{Feed, Surroundings};
use super::sources::{self, Source};
use super::state::{self, Fresh};

/// What a stop leaves to sinks that still have something to deliver.
const STOP_GRACE: StdDuration = StdDuration::from_secs(10);

/// A running Watchfire. Dropping it without [`Watchfire::stop`] loses the state.
pub struct Watchfire {
    office: Arc<Office>,
    bus: Bus,
    api: Api,
    sources: Vec<Source>,
    probes: Arc<ProbeHub>,
    wasm: Arc<WasmHost>,
    watchdog: Option<tokio::task::JoinHandle<()>>,
    threads: Vec<JoinHandle<()>>,
    settings: Settings,
    folder: DataFolder,
}

/// Why it could not start, and what had been started before and was torn down again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError {
    pub part: &'static str,
    pub what: String,
    pub torn_down: Vec<&'static str>,
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot start {}: {}", self.part, self.what)?;
        match self.torn_down.is_empty() {
            true => Ok(()),
            false => write!(out, " (stopped again: {})", self.torn_down.join(", ")),
        }
    }
}

impl std::error::Error for StartError {}

/// The parts that run already while the others start.
struct Begun {
    judge: Judge,
    reloader: Reloader,
    hub: Arc<SinkHub>,
    guests: Guests,
    wasm: Arc<WasmHost>,
    board: Arc<Board>,
    bus: Bus,
    around: Surroundings,
    threads: Vec<JoinHandle<()>>,
    data_error: Option<String>,
}

impl Watchfire {
    /// Starts everything that the settings name. Must be called within a tokio runtime.
    pub async fn start(settings: Settings) -> Result<Watchfire, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let folder = DataFolder::claim(&settings.paths.data).map_err(|what| StartError {
            part: "in the data folder",
            what,
            torn_down: Vec::new(),
        })?;
        let begun = begin(&settings, clock).await?;
        let (sources, failed) = sources::start(&settings, &begun.around, &begun.guests.decoders);
        if let Some(what) = failed {
            return Err(begun.tear_down("a source", what, sources).await);
        }
        let office = Arc::new(office(&begun));
        let options = api_options(&settings);
        let facts: Arc<dyn Facts> = office.clone();
        let commands: Arc<dyn Commands> = office.clone();
        let api = match Api::start(options, facts, commands, begun.bus.clone()).await {
            Ok(api) => api,
            Err(error) => {
                drop(office);
                return Err(begun.tear_down("the HTTP API", error.to_string(), sources).await);
            }
        };
        let notify: Vec<Arc<str>> =
            settings.watchdog.notify.iter().map(|name| name.as_str().into()).collect();
        let every = settings.watchdog.every.to_std();
        let watchdog = (!notify.is_empty()).then(|| begun.hub.watch(notify, every));
        let Begun { bus, guests: Guests { probes, .. }, wasm, threads, .. } = begun;
        Ok(Watchfire {
            office,
            bus,
            api,
            sources,
            probes,
            wasm,
            watchdog,
            threads,
            settings,
            folder,
        })
    }

    /// Where the API listens.
    pub fn address(&self) -> std::net::SocketAddr {
        self.api.address()
    }

    /// What feeds it besides the API, and where that listens, in words.
    pub fn sources(&self) -> Vec<String> {
        self.sources.iter().map(Source::words).collect()
    }

    /// The sinks by name, blocked ones too.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.office.hub.status()
    }

    /// The rules that are live.
    pub fn ruleset(&self) -> Option<Arc<Ruleset>> {
        self.office.reloader.live().ruleset
    }

    /// Takes samples from the embedding program, in any of the text formats. Blocks for decoding
    /// only; a full pipeline is [`IngestError::Full`].
    pub fn ingest(&self, format: Format, body: Vec<u8>) -> Result<IngestReport, IngestError> {
        self.office.ingest(format, body)
    }

    /// Calls `handler` for every event that the filter takes, on a thread of its own, until the
    /// guard is dropped.
    pub fn subscribe(
        &self,
        filter: Filter,
        mut handler: impl FnMut(Arc<Event>) + Send + 'static,
    ) -> std::io::Result<HandlerGuard> {
        self.bus.subscribe_with(filter, move |received| match received {
            Received::Event(entry) => handler(entry.event),
            Received::Lagged(count) => tracing::warn!(count, "a subscriber missed events"),
        })
    }

    /// Reads what happens to plugins, from the start on; for an audit log, say.
    pub fn plugin_changes(&self) -> Reader {
        self.wasm.changes().read(0)
    }

    /// Waits until all that was ingested is judged and its events are with the sinks.
    pub async fn flush(&self) {
        let office = self.office.clone();
        let judged = tokio::task::spawn_blocking(move || office.judge.flush()).await;
        if judged.is_ok() {
            tokio::join!(self.office.hub.flush(), self.office.samples.flush());
        }
    }

    /// Looks at the rule folders soon, as SIGHUP does.
    pub fn reload(&self) {
        self.office.reloader.nudge();
    }

    /// Stops taking samples, judges what came, lets sinks deliver for a grace period, and writes
    /// the state that the next start reads.
    pub async fn stop(self) -> Result<(), String> {
        // The folder is held until the state is written.
        let Watchfire { office, bus, api, sources, probes, wasm, watchdog, threads, .. } = self;
        let (settings, _folder) = (self.settings, self.folder);
        for source in sources {
            source.running.stop().await;
        }
        api.stop().await;
        office.reloader.stop();
        let judge = office.judge.clone();
        let snapshot = tokio::task::spawn_blocking(move || {
            probes.stop();
            judge.stop()
        })
        .await;
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        office.gate.close();
        tokio::join!(office.hub.stop(STOP_GRACE), office.samples.stop(STOP_GRACE));
        bus.close();
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok())
        });
        let all_ended = joined.await.unwrap_or(false);
        wasm.flush_states();
        let Ok(Some(snapshot)) = snapshot else {
            return Err("the engine had ended before; its state is lost".into());
        };
        let data = &settings.paths.data;
        state::save(data, &snapshot).map_err(|error| {
            format!("the state could not be written to {}: {error}", data.display())
        })?;
        if all_ended { Ok(()) } else { Err("a thread ended by an internal error".into()) }
    }
}

impl Begun {
    /// Stops what runs already, because another part cannot start.
    async fn tear_down(self, part: &'static str, what: String, sources: Vec<Source>) -> StartError {
        let mut torn_down = vec!["sinks", "the engine", "reloading"];
        if !sources.is_empty() {
            torn_down.push("sources");
        }
        for source in sources {
            source.running.stop().await;
        }
        self.reloader.stop();
        // Its state is that of the file still; nothing was judged yet.
        let (judge, probes) = (self.judge.clone(), self.guests.probes.clone());
        let ended = tokio::task::spawn_blocking(move || (probes.stop(), judge.stop()));
        let _ = ended.await;
        let grace = StdDuration::from_secs(1);
        tokio::join!(self.hub.stop(grace), self.guests.samples.stop(grace));
        self.bus.close();
        StartError { part, what, torn_down }
    }
}

async fn begin(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Begun, StartError> {
    let failed = |part, what: String| StartError { part, what, torn_down: Vec::new() };
    let data = &settings.paths.data;
    let places = places::of(settings).map_err(|what| failed("sinks", what))?;
    places.check().map_err(|what| failed("the rules", what))?;
    let wasm =
        WasmHost::new(WasmLimits::default()).map_err(|what| failed("the Wasm host", what))?;
    let compiled = data.join("compiled");
    if let Err(error) = wasm.keep_compiled_in(&compiled) {
        tracing::warn!(folder = %compiled.display(), %error, "compiled plugins are not kept");
    }
    wasm.keep_states_in(&data.join("plugin-state"));
    let wasm = Arc::new(wasm);
    let catalog = Catalog::new(settings.reload.remove_after, wasm.clone());
    let (reload, at) = (settings.reload.clone(), clock.clone());
    // Compiling components takes long: not on the runtime's threads.
    let prepared =
        tokio::task::spawn_blocking(move || reload::prepare(places, reload, catalog, at))
            .await
            .map_err(|error| failed("the rules", error.to_string()))?;
    let started = clock.now();
    let bus = Bus::new(BusOptions {
        history_max: settings.bus.history,
        first_cursor: (started.nanos() / 1_000).unsigned_abs(),
    });
    let hub = Arc::new(SinkHub::new(HubEnv {
        data: data.clone(),
        started,
        seed: started.nanos().unsigned_abs(),
        defaults: settings.sinks.default.iter().map(|name| name.as_str().into()).collect(),
    }));
    let board = Arc::new(Board::new(bus.clone(), hub.clone()));
    let fresh = Fresh {
        limits: settings.limits.clone(),
        shards: settings.engine.shards as u32,
        ruleset: prepared.ruleset.clone(),
        from: started.as_arrival(),
    };
    let (machine, data_error) = state::machine(data, fresh, wasm.changes());
    let (adopted, adoptions) = unbounded();
    let mut teller = Teller::new(board.clone(), adopted);
    let pipeline = Pipeline::start(machine, move |merged| teller.tell(merged))
        .map_err(|error| failed("the engine", error.to_string()))?;
    let (queue, inbound) = unbounded();
    let gate = Gate::new(settings.limits.clone(), queue);
    let (judge, sequencing) =
        Judge::start(pipeline, inbound, clock.clone(), wasm.strikes().clone())
            .map_err(|error| failed("the engine", error.to_string()))?;
    let around = Surroundings { gate, clock };
    let guests = Guests {
        probes: Arc::new(ProbeHub::new(around.clone(), data.clone())),
        decoders: Arc::new(Decoders::new(around.clone())),
        samples: Arc::new(SampleHub::new(SampleHubEnv::of(settings, started))),
    };
    let (reloader, reloading) = prepared
        .start(judge.clone(), hub.clone(), guests.clone(), adoptions)
        .map_err(|error| failed("reloading", error.to_string()))?;
    let threads = vec![sequencing, reloading];
    Ok(Begun { judge, reloader, hub, guests, wasm, board, bus, around, threads, data_error })
}

fn office(begun: &Begun) -> Office {
    let limits = begun.around.gate.limits().clone();
    let feed = |format: &settings::Format| {
        let name = format!("http-{}", format.name());
        let decoder = decoder(*format, &limits);
        let feed = Feed::open(&begun.around, &name, SourceKind::Http, None, decoder);
        (format.name(), feed)
    };
    let feeds: BTreeMap<&'static str, _> = POSTED.iter().map(feed).collect();
    Office {
        judge: begun.judge.clone(),
        board: begun.board.clone(),
        hub: begun.hub.clone(),
        gate: begun.around.gate.clone(),
        decoders: begun.guests.decoders.clone(),
        probes: begun.guests.probes.clone(),
        strikes: begun.wasm.strikes().clone(),
        samples: begun.guests.samples.clone(),
        clock: begun.around.clock.clone(),
        reloader: begun.reloader.clone(),
        runtime: Handle::current(),
        feeds,
        data_error: begun.data_error.clone(),
    }
}

fn api_options(settings: &Settings) -> ApiOptions {
    let mut options = ApiOptions::new(settings.listen.http, &settings.limits);
    options.names = settings.listen.names.clone();
    options.token_file = settings.listen.token_file.clone();
    options
}
