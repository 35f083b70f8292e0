//! A sink's task: empties the inbox into the outbox, and does what the outbox says.
//!
//! It is the only one that turns the outbox's crank. Guests are opened and called in tasks of their
//! own, so the inbox is emptied while an attempt is in flight.

use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use super::inbox::{Inbox, Message, Swap};
use super::status::Figures;
use crate::guest::sample_sink::{DeliverSamples, Named, OpenedSamples, SampleAttempt};
use crate::guest::sink::Outcome;
use crate::kernel::delivery::{SampleAction, SampleInput, SampleOutbox};
use crate::kernel::model::{Duration, Now};
use crate::kernel::rule::program::Fault;
use crate::shell::sink::steady::Steady;
use crate::shell::sink::waiting::{ended, sleep_until};

/// How often the log is told of samples that were refused or are dead, for each sink.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

type Instance = Box<dyn DeliverSamples>;

/// What the task shares with those who hold the sink.
pub struct Shared {
    pub inbox: Inbox,
    pub figures: Mutex<Figures>,
}

pub struct Actor {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedReceiver<Message>,
    time: Steady,
    current: Swap,
    outbox: SampleOutbox,
    instance: Option<Instance>,
    opening: Option<JoinHandle<Result<OpenedSamples, Fault>>>,
    delivering: Option<JoinHandle<(Instance, Outcome)>>,
    flushes: Vec<oneshot::Sender<()>>,
    /// Flushes that are over; those who wait are told once the figures say so too.
    flushed: Vec<oneshot::Sender<()>>,
    complained: Option<Now>,
    /// Rows refused or dead that the log was told of.
    told: u64,
}

impl Actor {
    /// A parked one opens nothing until it is swapped.
    pub fn new(
        shared: Arc<Shared>,
        messages: mpsc::UnboundedReceiver<Message>,
        current: Swap,
        parked: bool,
        time: Steady,
        seed: u64,
    ) -> Actor {
        let wants = current.sink.wants.clone();
        let mut outbox = SampleOutbox::new(current.policy, wants, seed, time.now());
        if parked {
            outbox.step(time.now(), SampleInput::Park);
        }
        Actor {
            shared,
            messages,
            outbox,
            time,
            current,
            instance: None,
            opening: None,
            delivering: None,
            flushes: Vec::new(),
            flushed: Vec::new(),
            complained: None,
            told: 0,
        }
    }

    pub async fn work(mut self) {
        let mut open = true;
        while open {
            let wake = self.outbox.next_wake().map(|at| self.time.instant(at));
            tokio::select! {
                message = self.messages.recv() => {
                    open = message.is_some_and(|message| self.take(message));
                }
                opened = ended(&mut self.opening) => self.opened(opened),
                delivered = ended(&mut self.delivering) => self.delivered(delivered),
                () = sleep_until(wake) => self.step(SampleInput::Tick),
            }
            self.tell();
        }
        self.end().await;
    }

    /// False when it was the last message.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Rows(tapped) => {
                self.shared.inbox.taken(tapped.rows());
                self.step(SampleInput::Offer(&tapped));
            }
            Message::Swap(swap) => {
                self.current = *swap;
                let wants = self.current.sink.wants.clone();
                self.step(SampleInput::Swap(self.current.policy, wants));
            }
            Message::Park => self.step(SampleInput::Park),
            Message::Flush(done) => {
                self.flushes.push(done);
                self.step(SampleInput::Flush);
            }
            Message::Close => return false,
        }
        true
    }

    fn step(&mut self, input: SampleInput<'_>) {
        for action in self.outbox.step(self.time.now(), input) {
            match action {
                SampleAction::Open { known } => self.open(known),
                SampleAction::Close => self.instance = None,
                SampleAction::Attempt { batch, added, removed } => {
                    let attempt = SampleAttempt { batch, added, removed };
                    let mut instance = self.instance.take().expect("attempts follow an opening");
                    self.delivering = Some(tokio::spawn(async move {
                        let outcome = instance.deliver(attempt).await;
                        (instance, outcome)
                    }));
                }
                SampleAction::Flushed => self.flushed.append(&mut self.flushes),
            }
        }
    }

    fn open(&mut self, known: Vec<Named>) {
        let (opener, env) = (self.current.sink.opener.clone(), self.current.env.clone());
        self.opening = Some(tokio::task::spawn_blocking(move || opener.open(&env, &known)));
    }

    fn opened(&mut self, opened: Result<Result<OpenedSamples, Fault>, JoinError>) {
        self.opening = None;
        let result = opened.unwrap_or_else(|error| Err(panicked(&error)));
        let result = result.map(|opened| {
            self.instance = Some(opened.sink);
            opened.announced
        });
        self.step(SampleInput::Opened(result));
    }

    fn delivered(&mut self, delivered: Result<(Instance, Outcome), JoinError>) {
        self.delivering = None;
        let outcome = match delivered {
            Ok((instance, outcome)) => {
                self.instance = Some(instance);
                outcome
            }
            Err(error) => Outcome::Faulted(panicked(&error)),
        };
        self.step(SampleInput::Attempted(outcome));
    }

    /// What is in flight may or may not arrive; the rest does not.
    async fn end(mut self) {
        self.step(SampleInput::Park);
        if self.delivering.as_ref().is_some_and(JoinHandle::is_finished) {
            let delivered = ended(&mut self.delivering).await;
            self.delivered(delivered);
        } else if let Some(delivering) = self.delivering.take() {
            delivering.abort();
            let why = "cut off by the shutdown while in flight; they may have arrived".to_owned();
            self.step(SampleInput::Attempted(Outcome::Retry { after: None, why }));
        }
        self.step(SampleInput::Discard);
        self.tell();
    }

    /// Shows how it stands, and complains at most once a minute.
    fn tell(&mut self) {
        let counts = self.outbox.counts();
        *self.shared.figures.lock().expect("a copy is all that is done under it") = Figures {
            link: Some(self.outbox.link()),
            waiting: self.outbox.waiting(),
            bytes: self.outbox.bytes(),
            counts,
            last_error: self.outbox.last_error().cloned(),
            last_delivered: self.outbox.last_delivered(),
        };
        for flush in self.flushed.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = flush.send(());
        }
        let (refused, now) = (counts.refused + self.shared.inbox.refused(), self.time.now());
        let lost = refused + counts.dead;
        if lost > self.told && self.complained.is_none_or(|at| at + COMPLAINT_EVERY <= now) {
            let (sink, dead) = (&self.current.sink.name, counts.dead);
            let error = self.outbox.last_error().map_or("", |(_, why)| why);
            tracing::warn!(%sink, refused, dead, %error, "samples are not delivered");
            (self.complained, self.told) = (Some(now), lost);
        }
    }
}

fn panicked(error: &JoinError) -> Fault {
    Fault::new(format!("the sink's code panicked: {error}"))
}
