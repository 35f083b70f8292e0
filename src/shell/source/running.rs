//! A source at work, and how it is asked to stop.

use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// A source at work. Dropping it asks the source to stop without waiting for that.
pub struct Running {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// The source's end of the request to stop.
#[derive(Clone)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Running {
    /// Where it listens, for sources that do.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Asks the source to stop and waits until it has delivered what it has read. That can take as
    /// long as the budget is full; closing the gate ends it at once.
    pub async fn stop(self) {
        self.stop.send(true).ok();
        self.ended().await;
    }

    /// Waits for the source's own end: that of its file or of standard input, say. A panic in the
    /// source goes on here.
    pub async fn ended(self) {
        passed_on(self.task.await);
    }

    pub(super) fn spawn<F>(address: Option<SocketAddr>, work: impl FnOnce(Stop) -> F) -> Running
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, asked) = watch::channel(false);
        Running { address, stop, task: tokio::spawn(work(Stop(asked))) }
    }
}

impl Stop {
    #[cfg(test)]
    pub(super) fn new(asked: watch::Receiver<bool>) -> Stop {
        Stop(asked)
    }

    /// Returns once the source shall stop, now and at every later call.
    pub(super) async fn asked(&mut self) {
        // An error means that the handle was dropped, which asks for the same.
        self.0.wait_for(|stop| *stop).await.ok();
    }
}

/// What a task gave; its panic goes on here. `None` when it was cancelled, which happens only while
/// the runtime itself is shut down.
pub(super) fn passed_on<T>(ended: Result<T, JoinError>) -> Option<T> {
    match ended {
        Ok(gave) => Some(gave),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}
