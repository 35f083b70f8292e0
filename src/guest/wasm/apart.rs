//! Guest code away from async runtimes.

use tokio::runtime::Handle;

/// Runs guest code on a thread without an async runtime. WASI's standard streams wait for their
/// writes, and waiting on a runtime's own worker thread would panic.
pub fn apart<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(answer) => answer,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
