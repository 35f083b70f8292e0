//! The worker's task: does what the desk's steps ask for, and brings the answers back.

use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};

use super::{Paper, Shared};
use crate::guest::sink::{Deliver, Opener, Outcome, SinkEnv};
use crate::kernel::delivery::{Action, Input, Settled};
use crate::kernel::rule::program::Fault;
use crate::shell::sink::dead_letters::DeadLetters;
use crate::shell::sink::waiting::{ended, sleep_until};

type Instance = Box<dyn Deliver>;

/// The task's own side: what it holds and what it waits for.
pub(super) struct Hands {
    shared: Arc<Shared>,
    letters: Option<DeadLetters>,
    instance: Option<Instance>,
    opening: Option<JoinHandle<Result<Instance, Fault>>>,
    delivering: Option<JoinHandle<(Instance, Outcome)>>,
}

impl Hands {
    pub(super) fn new(shared: Arc<Shared>, letters: DeadLetters) -> Hands {
        Hands { shared, letters: Some(letters), instance: None, opening: None, delivering: None }
    }

    pub(super) async fn work(mut self) {
        let shared = self.shared.clone();
        loop {
            let (todo, paper, wake, closing) = {
                let mut desk = shared.desk();
                let wake = desk.outbox.next_wake().map(|(at, _)| shared.time.instant(at));
                (std::mem::take(&mut desk.todo), desk.paper(), wake, desk.closing)
            };
            for action in todo {
                self.act(action);
            }
            self.file(paper).await;
            if closing {
                return self.cut_off().await;
            }
            tokio::select! {
                () = shared.wake.notified() => {}
                opened = ended(&mut self.opening) => self.opened(opened),
                delivered = ended(&mut self.delivering) => self.delivered(delivered),
                () = sleep_until(wake) => shared.step(Input::Tick),
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Open => {
                let (opener, env) = {
                    let desk = self.shared.desk();
                    (desk.sink.opener.clone(), desk.env.clone())
                };
                self.opening = Some(tokio::task::spawn_blocking(move || open(&*opener, &env)));
            }
            Action::Close => self.instance = None,
            Action::Attempt { key, events } => {
                self.shared.desk().in_flight = events.clone();
                let mut instance = self.instance.take().expect("attempts follow an opening");
                self.delivering = Some(tokio::spawn(async move {
                    let outcome = instance.deliver(&key, &events).await;
                    (instance, outcome)
                }));
            }
            // The desk deals with these as they come.
            Action::Settled(_) | Action::Flushed => {}
        }
    }

    fn opened(&mut self, opened: Result<Result<Instance, Fault>, JoinError>) {
        self.opening = None;
        let result = opened.unwrap_or_else(|error| Err(panicked(&error)));
        let result = result.map(|instance| self.instance = Some(instance));
        self.shared.step(Input::Opened(result));
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
        self.shared.step(Input::Attempted(outcome));
    }

    /// The end: an attempt that is still in flight may or may not arrive, and its letter says so.
    async fn cut_off(mut self) {
        if self.delivering.as_ref().is_some_and(JoinHandle::is_finished) {
            let delivered = ended(&mut self.delivering).await;
            self.delivered(delivered);
        }
        if let Some(delivering) = self.delivering.take() {
            delivering.abort();
            let why = "cut off by the shutdown while in flight; it may have arrived".to_owned();
            self.shared.step(Input::Attempted(Outcome::Retry { after: None, why: why.clone() }));
            self.shared.step(Input::Discard { why });
        }
        let paper = self.shared.desk().paper();
        self.file(paper).await;
    }

    /// Writes the letters, then tells those who waited for it.
    async fn file(&mut self, paper: Paper) {
        if !paper.letters.is_empty() {
            self.write(paper.letters).await;
        }
        for flush in paper.flushed {
            // Whoever asked may have stopped waiting.
            let _ = flush.send(());
        }
    }

    async fn write(&mut self, letters: Vec<Settled>) {
        let mut log = self.letters.take().expect("it is put back after each writing");
        let now = self.shared.time.now();
        let count: usize = letters.iter().map(|settled| settled.events.len()).sum();
        let writing = tokio::task::spawn_blocking(move || {
            let written = log.write(now, &letters);
            (log, written)
        });
        let (log, written) = writing.await.expect("writing letters does not panic");
        self.letters = Some(log);
        if let Err(error) = written {
            let mut desk = self.shared.desk();
            desk.letters_lost += count as u64;
            tracing::error!(sink = %desk.sink.name, %error, "dead letters could not be written");
        }
    }
}

fn open(opener: &dyn Opener, env: &SinkEnv) -> Result<Instance, Fault> {
    std::fs::create_dir_all(&env.folder)
        .map_err(|error| Fault::new(format!("cannot make {}: {error}", env.folder.display())))?;
    opener.open(env)
}

fn panicked(error: &JoinError) -> Fault {
    Fault::new(format!("the sink's code panicked: {error}"))
}
