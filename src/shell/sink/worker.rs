//! One sink's worker: a task that does what the sink's outbox says.
//!
//! The outbox stands on a desk behind a lock that is held for one step at a time, so whoever has an
//! event puts it straight into the outbox: there is no second queue that could fill. The task picks
//! up what the steps ask for, opens and delivers in tasks of their own (a guest that blocks or
//! panics takes nothing else with it), and brings the answers back.

mod hands;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use hands::Hands;

use super::dead_letters::DeadLetters;
use super::status::{SinkState, SinkStatus};
use super::steady::Steady;
use crate::guest::sink::{Outcome, Sink, SinkEnv};
use crate::kernel::delivery::connection::Link;
use crate::kernel::delivery::{Action, End, Input, Outbox, Policy, Settled};
use crate::kernel::event::{Event, EventId};
use crate::kernel::model::{Duration, Now};

/// Settled batches whose letters wait to be written. Only a disk that hangs lets them pile up; past
/// this they are counted as lost.
const LETTERS_MAX: usize = 10_000;

/// How often the log is told of undelivered events, for each sink.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// Whether a worker may work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    Running,
    Blocked { why: String, cure: String },
    Removed,
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The sink was tried, and this came back.
    Tried(Outcome),
    /// It was never sent: why.
    Unsent(String),
}

#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    time: Steady,
    desk: Mutex<Desk>,
    wake: Notify,
}

#[derive(Debug)]
struct Desk {
    sink: Sink,
    env: SinkEnv,
    duty: Duty,
    outbox: Outbox,
    todo: Vec<Action>,
    letters: Vec<Settled>,
    letters_lost: u64,
    complained: Option<Now>,
    /// Undelivered events since the last complaint.
    unsaid: u64,
    in_flight: Arc<[Arc<Event>]>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Flushes that are over; those who wait are told once the letters are written.
    flushed: Vec<oneshot::Sender<()>>,
    probes: Vec<(EventId, oneshot::Sender<Answer>)>,
    closing: bool,
}

/// What a desk has for its dead-letter log, and who waits for it.
struct Paper {
    letters: Vec<Settled>,
    flushed: Vec<oneshot::Sender<()>>,
}

impl Worker {
    pub fn start(
        runtime: &Handle,
        time: Steady,
        seed: u64,
        letters: &Path,
        sink: Sink,
        env: SinkEnv,
        duty: Duty,
    ) -> Worker {
        let mut outbox = Outbox::new(&sink.name, policy_of(&sink), seed, time.now());
        if duty != Duty::Running {
            outbox.step(time.now(), Input::Park);
        }
        let letters = DeadLetters::new(letters, &sink.name);
        let desk = Desk {
            sink,
            env,
            duty,
            outbox,
            todo: Vec::new(),
            letters: Vec::new(),
            letters_lost: 0,
            complained: None,
            unsaid: 0,
            in_flight: Arc::from([]),
            flushes: Vec::new(),
            flushed: Vec::new(),
            probes: Vec::new(),
            closing: false,
        };
        let shared = Arc::new(Shared { time, desk: Mutex::new(desk), wake: Notify::new() });
        shared.step(Input::Tick);
        let task = runtime.spawn(Hands::new(shared.clone(), letters).work());
        Worker { shared, task: Mutex::new(Some(task)) }
    }

    pub fn offer(&self, event: Arc<Event>) {
        self.shared.step(Input::Offer(event));
    }

    /// Whether the worker already runs just this.
    pub fn is(&self, sink: &Sink, env: &SinkEnv, duty: &Duty) -> bool {
        let desk = self.shared.desk();
        let same_code = desk.sink.version == sink.version
            && desk.sink.kind == sink.kind
            && desk.sink.origin == sink.origin
            && policy_of(&desk.sink) == policy_of(sink);
        let same_env = desk.env.granted == env.granted
            && desk.env.settings == env.settings
            && desk.env.folder == env.folder;
        same_code && same_env && desk.duty == *duty
    }

    pub fn replace(&self, sink: Sink, env: SinkEnv, duty: Duty) {
        let mut desk = self.shared.desk();
        let policy = policy_of(&sink);
        (desk.sink, desk.env) = (sink, env);
        let running = duty == Duty::Running;
        desk.duty = duty;
        let input = if running { Input::Swap(policy) } else { Input::Park };
        desk.step(self.shared.time.now(), input);
        drop(desk);
        self.shared.wake.notify_one();
    }

    pub fn remove(&self) {
        self.shared.desk().duty = Duty::Removed;
        self.shared.step(Input::Park);
    }

    /// Done when all that waits now is settled, or cannot be because the sink is not running.
    pub fn flush(&self) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        let mut desk = self.shared.desk();
        desk.flushes.push(done);
        desk.step(self.shared.time.now(), Input::Flush);
        drop(desk);
        self.shared.wake.notify_one();
        receiver
    }

    /// Sends `event` at once, and tells what came of its first attempt.
    pub fn probe(&self, event: Arc<Event>) -> oneshot::Receiver<Answer> {
        let (answer, receiver) = oneshot::channel();
        self.shared.desk().probes.push((event.id, answer));
        self.shared.step(Input::Offer(event));
        self.shared.step(Input::Flush);
        receiver
    }

    /// Ends the task; what is not delivered by now goes to the dead letters.
    pub async fn close(&self, why: &str) {
        let task = self.task.lock().expect("nothing panics under this lock").take();
        self.shared.step(Input::Park);
        self.shared.step(Input::Discard { why: why.to_owned() });
        self.shared.desk().closing = true;
        self.shared.wake.notify_one();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a sink's worker ended badly");
        }
    }

    /// Events that wait or are in flight.
    pub fn waiting(&self) -> u64 {
        let desk = self.shared.desk();
        (desk.outbox.queued() + desk.outbox.in_flight()) as u64
    }

    /// Removed, and nothing is left to keep it for.
    pub fn is_spent(&self) -> bool {
        let idle = self.waiting() == 0;
        let desk = self.shared.desk();
        idle && desk.duty == Duty::Removed && desk.letters.is_empty()
    }

    pub fn duty(&self) -> Duty {
        self.shared.desk().duty.clone()
    }

    pub fn status(&self, default: bool) -> SinkStatus {
        self.shared.desk().status(default)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Ok(task) = self.task.get_mut()
            && let Some(task) = task
        {
            task.abort();
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("a step of an outbox does not panic")
    }

    fn step(&self, input: Input) {
        self.desk().step(self.time.now(), input);
        self.wake.notify_one();
    }
}

impl Desk {
    fn step(&mut self, now: Now, input: Input) {
        if let Input::Attempted(outcome) = &input {
            let flown = std::mem::replace(&mut self.in_flight, Arc::from([]));
            self.answer(&flown, &Answer::Tried(outcome.clone()));
        }
        for action in self.outbox.step(now, input) {
            match action {
                Action::Flushed => self.flushed.append(&mut self.flushes),
                Action::Settled(settled) => self.settle(now, settled),
                Action::Attempt { .. } | Action::Open | Action::Close => self.todo.push(action),
            }
        }
    }

    fn settle(&mut self, now: Now, settled: Settled) {
        let why = match &settled.end {
            End::Delivered { .. } => return,
            End::Dead { why } => why.clone(),
            End::Withheld => "withheld by the sink's rate limit".to_owned(),
        };
        self.complain(now, settled.events.len(), &why);
        self.answer(&settled.events.clone(), &Answer::Unsent(why));
        if self.letters.len() < LETTERS_MAX {
            self.letters.push(settled);
        } else {
            self.letters_lost += settled.events.len() as u64;
        }
    }

    /// At most one line a minute; it counts those that were not written.
    fn complain(&mut self, now: Now, events: usize, why: &str) {
        self.unsaid += events as u64;
        if self.complained.is_none_or(|at| at + COMPLAINT_EVERY <= now) {
            let (sink, events) = (&self.sink.name, self.unsaid);
            tracing::warn!(%sink, events, %why, "not delivered; see the dead letters");
            self.complained = Some(now);
            self.unsaid = 0;
        }
    }

    fn paper(&mut self) -> Paper {
        let letters = std::mem::take(&mut self.letters);
        Paper { letters, flushed: std::mem::take(&mut self.flushed) }
    }

    fn answer(&mut self, events: &[Arc<Event>], answer: &Answer) {
        let asked = |id: &EventId| events.iter().any(|event| event.id == *id);
        while let Some(at) = self.probes.iter().position(|(id, _)| asked(id)) {
            let _ = self.probes.swap_remove(at).1.send(answer.clone());
        }
    }

    fn status(&self, default: bool) -> SinkStatus {
        let counts = self.outbox.counts();
        let link = self.outbox.link();
        let state = match (&self.duty, link) {
            (Duty::Removed, _) => SinkState::Removed,
            (Duty::Blocked { why, cure }, _) => {
                SinkState::Blocked { why: why.clone(), cure: cure.clone() }
            }
            (Duty::Running, Link::Disconnected { .. } | Link::Parked) => SinkState::Disconnected,
            (Duty::Running, Link::Connecting) => SinkState::Connecting,
            (Duty::Running, Link::Streaming) => SinkState::Streaming,
            (Duty::Running, Link::Throttled { .. }) => SinkState::Throttled,
        };
        let error = self.outbox.last_error();
        SinkStatus {
            name: self.sink.name.clone(),
            kind: self.sink.kind,
            version: self.sink.version,
            origin: self.sink.origin.clone(),
            default,
            state,
            queued: self.outbox.queued() as u64,
            in_flight: self.outbox.in_flight() as u64,
            delivered: counts.delivered,
            dead: counts.dead,
            shed: counts.shed,
            withheld: counts.withheld,
            attempts: counts.attempts,
            retries: counts.retries,
            faults: counts.faults,
            letters_lost: self.letters_lost,
            last_error: error.map(|(_, why)| why.clone()),
            last_error_at: error.map(|(at, _)| *at),
            last_delivered_at: self.outbox.last_delivered(),
            next_attempt_at: match link {
                Link::Disconnected { until } | Link::Throttled { until, .. } => Some(until),
                Link::Connecting | Link::Streaming | Link::Parked => None,
            },
        }
    }
}

fn policy_of(sink: &Sink) -> Policy {
    let Sink { batching, retry, rate, .. } = *sink;
    Policy { batching, retry, rate, ..Policy::default() }
}
