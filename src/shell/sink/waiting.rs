//! What a sink's task waits for.

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// How a task ended; never, when there is none.
pub async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

pub async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
