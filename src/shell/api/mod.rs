//! The HTTP API: health, metrics, ingest, and what rules, alerts, events and sinks are doing.
//!
//! Behind it are two traits, [`Facts`] for what is shown and [`Commands`] for what is done, and
//! the bus; the API itself decides nothing and keeps nothing but counts. `/api/v1/rules` and
//! `/api/v1/alerts` have Prometheus' own shape.
//!
//! Invariants: every error is RFC 9457 problem JSON with a hint; no request is looked at before
//! the guard let it in; every body, header, connection and stream has a limit; a stop ends event
//! streams at once and gives other requests a short grace.

mod body;
mod commands;
mod events;
mod facts;
mod guard;
mod ingest;
mod plugins;
mod problem;
mod prometheus;
mod query;
mod routes;
mod serve;
mod stats;
mod times;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

pub use commands::{
    CommandError, Commands, Forgotten, Format, IngestError, IngestReport, SinkTest,
};
pub use facts::{
    AlertState, AlertStatus, Carried, ComponentHealth, ComponentState, Facts, FileReport,
    FindingReport, ReloadOutcome, ReloadReport, ReloadTrigger, RuleChange, RuleHealth, RuleState,
    RuleStatus, SinkState, SinkStatus, SourceState, SourceStatus,
};
pub use guard::GuardError;
pub use plugins::{
    BlockedStatus, ComponentStatus, MeasuredStatus, PluginState, PluginStatus, QuarantineStatus,
};
pub use serve::{Api, StartError};

use crate::kernel::model::Limits;
use crate::shell::bus::Bus;
use problem::{Problem, Trouble};
use stats::Stats;

#[derive(Clone, Debug)]
pub struct ApiOptions {
    pub listen: SocketAddr,
    /// Further names that `Host` may have, without port.
    pub names: Vec<String>,
    /// Needed unless `listen` is on loopback. The file holds one word.
    pub token_file: Option<PathBuf>,
    /// Bytes of one request's body, after it was unpacked.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that are being read or decoded.
    pub bodies_bytes_max: usize,
    /// Further ones wait in the system's backlog. Each costs some 100 kB at most, bodies apart.
    pub connections_max: usize,
    /// Event streams; fewer than connections, so that probes always get through.
    pub streams_max: usize,
    /// For a request's headers, and for the next request on an open connection.
    pub header_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// Silence on an event stream is broken by a comment this often, or proxies cut it.
    pub heartbeat: Duration,
    /// What a stop leaves to requests that are being answered.
    pub stop_grace: Duration,
}

impl ApiOptions {
    pub fn new(listen: SocketAddr, limits: &Limits) -> ApiOptions {
        ApiOptions {
            listen,
            names: Vec::new(),
            token_file: None,
            // One that never fits must not be told to come back.
            body_bytes_max: limits.batch_bytes_max.min(limits.in_flight_bytes_max),
            bodies_bytes_max: limits.in_flight_bytes_max,
            connections_max: 512,
            streams_max: 128,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// What every handler has at hand.
struct Shared {
    options: ApiOptions,
    facts: Arc<dyn Facts>,
    commands: Arc<dyn Commands>,
    bus: Bus,
    streams: Arc<Semaphore>,
    bodies: Arc<body::Budget>,
    /// Turns true, or is closed, when the API stops.
    stopping: watch::Receiver<bool>,
    stats: Stats,
}

impl Shared {
    /// Asks the app on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Facts) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let facts = self.facts.clone();
        blocking(move || question(facts.as_ref())).await
    }

    /// Lets the app do something on a thread that may block.
    async fn tell<T: Send + 'static>(
        &self,
        order: impl FnOnce(&dyn Commands) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let commands = self.commands.clone();
        blocking(move || order(commands.as_ref())).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        let detail = "The answer could not be made: a part of Watchfire panicked.";
        Problem::new(Trouble::Internal, detail, "This is a bug; the log has the place.")
    })
}

#[cfg(test)]
mod tests;
