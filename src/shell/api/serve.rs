//! Starting and stopping the server: the port, the connections and their limits.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use super::body::Budget;
use super::commands::Commands;
use super::facts::Facts;
use super::guard::{Guard, GuardError};
use super::routes::router;
use super::stats::Stats;
use super::{ApiOptions, Shared};
use crate::shell::bus::Bus;

/// A request's line and headers together; a few long query strings fit.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// After the system failed to give a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The running API. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// Why the API did not start; nothing is left running.
#[derive(Debug)]
pub enum StartError {
    Guard(GuardError),
    PortInUse { listen: SocketAddr },
    Bind { listen: SocketAddr, why: io::Error },
}

impl Api {
    /// Binds and begins to answer. Needs a tokio runtime.
    pub async fn start(
        options: ApiOptions,
        facts: Arc<dyn Facts>,
        commands: Arc<dyn Commands>,
        bus: Bus,
    ) -> Result<Api, StartError> {
        let listen = options.listen;
        let door = Guard::new(listen, &options.names, options.token_file.as_deref())
            .map_err(StartError::Guard)?;
        let listener = TcpListener::bind(listen).await.map_err(|why| match why.kind() {
            io::ErrorKind::AddrInUse => StartError::PortInUse { listen },
            _ => StartError::Bind { listen, why },
        })?;
        let address = listener.local_addr().map_err(|why| StartError::Bind { listen, why })?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            streams: Arc::new(Semaphore::new(options.streams_max)),
            bodies: Arc::new(Budget::new(options.bodies_bytes_max)),
            stats: Stats::new(),
            options,
            facts,
            commands,
            bus,
            stopping,
        });
        let server = tokio::spawn(accept(listener, router(shared.clone(), door), shared));
        Ok(Api { address, stop, server })
    }

    /// Where it listens: the port that the system gave when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, ends event streams, lets other requests finish within the grace
    /// and then cuts them off.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.server.await.expect("accepting connections does not panic");
    }
}

/// One task per connection, each holding a permit; the last one back ends the stop.
async fn accept(listener: TcpListener, router: Router, api: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(api.options.connections_max));
    let mut stopping = api.stopping.clone();
    loop {
        let next = next_connection(&listener, &permits, &api);
        let (stream, permit) = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = next => accepted,
        };
        tokio::spawn(connection(stream, permit, router.clone(), api.clone()));
    }
    drop(listener);
    let all = u32::try_from(api.options.connections_max).unwrap_or(u32::MAX);
    let _all_ended = permits.acquire_many(all).await.expect("the semaphore is never closed");
}

/// Waits for a free place first, so that those without one wait in the system's backlog.
async fn next_connection(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    api: &Shared,
) -> (TcpStream, OwnedSemaphorePermit) {
    if permits.available_permits() == 0 {
        api.stats.connections_full.fetch_add(1, Ordering::Relaxed);
    }
    let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                api.stats.accept_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the API could not take a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _permit: OwnedSemaphorePermit,
    router: Router,
    api: Arc<Shared>,
) {
    let _counted = Counted::new(&api);
    let mut stopping = api.stopping.clone();
    let mut serving = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(api.options.header_timeout)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let stopped = tokio::select! {
        // How a client's connection broke off is the client's affair.
        _ = serving.as_mut() => false,
        _ = stopping.wait_for(|stopping| *stopping) => true,
    };
    if stopped {
        serving.as_mut().graceful_shutdown();
        // Past the grace the connection is cut off by dropping it.
        let _finished = tokio::time::timeout(api.options.stop_grace, serving.as_mut()).await;
    }
}

/// Counts a connection as open until it is dropped, even by a panic.
struct Counted<'a>(&'a Shared);

impl Counted<'_> {
    fn new(api: &Shared) -> Counted<'_> {
        api.stats.connections.fetch_add(1, Ordering::Relaxed);
        Counted(api)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.stats.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Guard(error) => error.fmt(out),
            StartError::PortInUse { listen } => write!(
                out,
                "{listen} is in use; is another watchfire running? Stop it, or give --listen \
                 with another port"
            ),
            StartError::Bind { listen, why } => {
                write!(out, "cannot listen on {listen}: {why}; give another --listen")
            }
        }
    }
}

impl std::error::Error for StartError {}
