//! Handlers: plain functions called with each event, for users of the library.
//!
//! A handler runs on a thread of its own, so it may block. Its panic ends neither the thread nor
//! anything else: it is logged and counted, and the next event is handed over as usual.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use super::mailbox::{Mailbox, Policy, Received, Taken};
use super::{Shared, Subscription};
use crate::kernel::model::text::escape_control;

/// Long enough for a burst of alerts, short enough that a stuck handler costs little memory.
pub(super) const POLICY: Policy = Policy::ShedOldest { capacity: 1_024 };

/// Keeps a handler subscribed. Dropping it unsubscribes; a call that is running then ends by
/// itself.
#[derive(Debug)]
pub struct HandlerGuard {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl HandlerGuard {
    pub(super) fn start(
        subscription: Subscription,
        handler: impl FnMut(Received) + Send + 'static,
    ) -> std::io::Result<HandlerGuard> {
        let mailbox = subscription.mailbox.clone();
        let thread = thread::Builder::new()
            .name("watchfire-handler".to_owned())
            .spawn(move || run(&subscription, handler))?;
        Ok(HandlerGuard { mailbox, thread: Some(thread) })
    }

    /// When this returns the handler is not running and will not be called again. Called by the
    /// handler itself, it returns at once.
    pub fn unsubscribe(mut self) {
        self.mailbox.abandon();
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() != thread::current().id() {
            thread.join().expect("a handler's panics are caught");
        }
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        self.mailbox.abandon();
    }
}

fn run(subscription: &Subscription, mut handler: impl FnMut(Received)) {
    while let Taken::Received(received) = subscription.mailbox.take_blocking(None) {
        // The handler alone sees its own broken state, should it leave any behind.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler(received))) {
            count_panic(&subscription.shared, panic.as_ref());
        }
    }
}

fn count_panic(shared: &Shared, panic: &(dyn Any + Send)) {
    shared.counts.handler_panics.fetch_add(1, Ordering::Relaxed);
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let text = escape_control(text.unwrap_or("without a message"));
    tracing::error!(panic = %text, "an event handler panicked; it keeps its subscription");
}
