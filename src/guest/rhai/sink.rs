//! Sinks written in Rhai: one call of the closure is one attempt.
//!
//! A script may wait for the network, so it runs on a thread of its own and never on the
//! executor's. It ends by itself, by its operations, or at its deadline; a dropped delivery leaves
//! it to that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use rhai::{Dynamic, EvalAltResult};

use super::call::Closure;
use super::cap::{Cap, Ends, Failure};
use super::{alert, errors, host};
use crate::guest::grant::Granted;
use crate::guest::http::HttpGate;
use crate::guest::sink::{Deliver, Delivery, Opener, Outcome, SinkEnv};
use crate::kernel::event::Event;
use crate::kernel::rule::program::Fault;

/// One attempt, its requests included.
const ATTEMPT_MAX: StdDuration = StdDuration::from_secs(30);
/// Characters of what a script returns that are kept as the attempt's note.
const NOTE_MAX: usize = 200;

#[derive(Debug)]
pub struct ScriptOpener {
    name: Arc<str>,
    send: Arc<Closure>,
}

impl ScriptOpener {
    pub fn new(name: Arc<str>, send: Arc<Closure>) -> ScriptOpener {
        ScriptOpener { name, send }
    }
}

impl Opener for ScriptOpener {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Deliver>, Fault> {
        Ok(Box::new(ScriptSink {
            name: self.name.clone(),
            send: self.send.clone(),
            // Kept open, so that attempts share its connections.
            gate: HttpGate::new(env.granted.clone()),
            granted: env.granted.clone(),
            folder: env.folder.clone(),
        }))
    }
}

#[derive(Clone)]
struct ScriptSink {
    name: Arc<str>,
    send: Arc<Closure>,
    gate: HttpGate,
    granted: Granted,
    folder: PathBuf,
}

impl Deliver for ScriptSink {
    fn deliver<'a>(&'a mut self, _key: &'a str, events: &'a [Arc<Event>]) -> Delivery<'a> {
        let (sink, events) = (self.clone(), events.to_vec());
        Box::pin(async move {
            let runtime = tokio::runtime::Handle::current();
            let attempt = tokio::task::spawn_blocking(move || sink.attempt(&events, runtime));
            attempt.await.unwrap_or_else(|error| {
                Outcome::Faulted(Fault::new(format!("the attempt did not end: {error}")))
            })
        })
    }
}

impl ScriptSink {
    fn attempt(&self, events: &[Arc<Event>], runtime: tokio::runtime::Handle) -> Outcome {
        let deadline = Instant::now() + ATTEMPT_MAX;
        let (gate, granted) = (self.gate.clone(), self.granted.clone());
        let cap = Cap::new(gate, granted, &self.folder, runtime, deadline);
        let alerts = events.iter().map(|event| Dynamic::from_map(alert::to_map(event, None)));
        let alerts = Dynamic::from_array(alerts.collect());
        let mut caller = self.send.caller();
        let arguments = [alerts, Dynamic::from(cap.clone())];
        for (index, argument) in arguments.into_iter().enumerate().take(self.send.params().len()) {
            *caller.param(index) = argument;
        }
        let result = host::with_deadline(deadline, || caller.call(None));
        match result {
            Ok(value) => match cap.sync() {
                Ok(()) => Outcome::Delivered { note: note(&value) },
                Err(error) => Outcome::Retry { after: None, why: error.to_string() },
            },
            Err(error) => self.ended(&error),
        }
    }

    fn ended(&self, error: &EvalAltResult) -> Outcome {
        match failure(error) {
            Some(Failure { what, ends: Ends::Retried { after }, .. }) => {
                Outcome::Retry { after, why: what }
            }
            Some(Failure { what, ends: Ends::Rejected, .. }) => Outcome::Rejected { why: what },
            None => {
                let what = errors::fault_text(&self.send.script.source, error);
                Outcome::Faulted(Fault::new(format!("sink `{}`: {what}", self.name)))
            }
        }
    }
}

/// What `cap` threw, when that is what ended the script.
pub fn failure(error: &EvalAltResult) -> Option<Failure> {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => failure(inner),
        EvalAltResult::ErrorRuntime(value, _) => value.clone().try_cast::<Failure>(),
        _ => None,
    }
}

fn note(value: &Dynamic) -> Option<String> {
    let text = value.clone().into_string().ok()?;
    Some(text.chars().take(NOTE_MAX).collect())
}
