//! One sink as the hub holds it: its declaration, its inbox, and how its task stands.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::actor::{Actor, Shared};
use super::inbox::{Inbox, Message, Swap};
use super::status::{Duty, SampleSinkStatus, state_of};
use crate::guest::sample_sink::SampleSink;
use crate::guest::sink::SinkEnv;
use crate::kernel::delivery::SamplePolicy;
use crate::kernel::delivery::connection::Link;
use crate::kernel::rule::selector::Selector;
use crate::kernel::sequence::tap::Tapped;
use crate::shell::sink::steady::Steady;

pub struct Worker {
    shared: Arc<Shared>,
    declared: Mutex<Declared>,
    task: Mutex<Task>,
}

struct Declared {
    sink: SampleSink,
    env: SinkEnv,
    duty: Duty,
    policy: SamplePolicy,
}

enum Task {
    /// Not started, with what it will read.
    Waiting(mpsc::UnboundedReceiver<Message>),
    Running(JoinHandle<()>),
    Ended,
}

impl Worker {
    pub fn new(sink: SampleSink, env: SinkEnv, duty: Duty, policy: SamplePolicy) -> Worker {
        let (inbox, messages) = Inbox::new(policy.rows_max);
        Worker {
            shared: Arc::new(Shared { inbox, figures: Mutex::default() }),
            declared: Mutex::new(Declared { sink, env, duty, policy }),
            task: Mutex::new(Task::Waiting(messages)),
        }
    }

    /// Starts its task, once.
    pub fn start(&self, runtime: &Handle, time: Steady, seed: u64) {
        let mut task = self.task();
        let Task::Waiting(messages) = std::mem::replace(&mut *task, Task::Ended) else { return };
        let swap = {
            let Declared { sink, env, policy, .. } = &*self.declared();
            Swap { sink: sink.clone(), env: env.clone(), policy: *policy }
        };
        let parked = !self.is_running();
        let actor = Actor::new(self.shared.clone(), messages, swap, parked, time, seed);
        *task = Task::Running(runtime.spawn(actor.work()));
    }

    /// Whether it is already just this.
    pub fn is(&self, sink: &SampleSink, env: &SinkEnv, duty: &Duty) -> bool {
        let known = self.declared();
        known.sink.version == sink.version
            && known.sink.origin == sink.origin
            && known.env.granted == env.granted
            && known.env.settings == env.settings
            && known.duty == *duty
    }

    pub fn replace(&self, sink: SampleSink, env: SinkEnv, duty: Duty, policy: SamplePolicy) {
        let message = match &duty {
            Duty::Running => {
                let (sink, env) = (sink.clone(), env.clone());
                Message::Swap(Box::new(Swap { sink, env, policy }))
            }
            Duty::Blocked { .. } => Message::Park,
        };
        *self.declared() = Declared { sink, env, duty, policy };
        self.shared.inbox.owe_nothing();
        self.shared.inbox.send(message);
    }

    pub fn is_running(&self) -> bool {
        self.declared().duty == Duty::Running
    }

    pub fn wants(&self) -> Vec<Selector> {
        self.declared().sink.wants.clone()
    }

    pub fn offer(&self, tapped: &Arc<Tapped>) {
        if self.is_running() {
            self.shared.inbox.offer(tapped);
        }
    }

    pub fn flush(&self) -> oneshot::Receiver<()> {
        let (done, flushed) = oneshot::channel();
        self.shared.inbox.send(Message::Flush(done));
        flushed
    }

    /// Flushes for at most `grace`, then ends the task.
    pub async fn close(&self, grace: Duration) {
        let flushed = tokio::time::timeout(grace, self.flush()).await;
        if flushed.is_err() {
            let sink = self.declared().sink.name.clone();
            tracing::warn!(%sink, ?grace, "samples were not taken in time, and are lost");
        }
        self.shared.inbox.send(Message::Close);
        let task = std::mem::replace(&mut *self.task(), Task::Ended);
        if let Task::Running(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a sample sink's task ended badly");
        }
    }

    pub fn status(&self) -> SampleSinkStatus {
        let Declared { sink, duty, .. } = &*self.declared();
        let figures = self.shared.figures.lock().expect(UNPOISONED).clone();
        let link = figures.link.unwrap_or(Link::Connecting);
        SampleSinkStatus {
            name: sink.name.clone(),
            version: sink.version,
            origin: sink.origin.clone(),
            state: state_of(duty, link),
            wants: sink.wants.iter().map(ToString::to_string).collect(),
            waiting: figures.waiting as u64,
            waiting_bytes: figures.bytes as u64,
            refused: figures.counts.refused + self.shared.inbox.refused(),
            counts: figures.counts,
            last_error: figures.last_error.as_ref().map(|(_, why)| why.clone()),
            last_error_at: figures.last_error.map(|(at, _)| at),
            last_delivered_at: figures.last_delivered,
            next_attempt_at: match link {
                Link::Disconnected { until } | Link::Throttled { until, .. } => Some(until),
                Link::Connecting | Link::Streaming | Link::Parked => None,
            },
        }
    }

    fn declared(&self) -> MutexGuard<'_, Declared> {
        self.declared.lock().expect(UNPOISONED)
    }

    fn task(&self) -> MutexGuard<'_, Task> {
        self.task.lock().expect(UNPOISONED)
    }
}

const UNPOISONED: &str = "nothing panics under this lock";
