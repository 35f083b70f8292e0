//! Probes written in Rhai: one call of the closure is one measurement.
//!
//! As with sinks a script may wait for the network, so it runs on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use rhai::{Array, Dynamic, EvalAltResult};
use tokio::runtime::Handle;

use super::call::Closure;
use super::cap::Cap;
use super::sink::failure;
use super::{errors, host};
use crate::guest::grant::Granted;
use crate::guest::http::HttpGate;
use crate::guest::probe::{Collect, Collected, Failed, ProbeOpener, Reading};
use crate::guest::sink::SinkEnv;
use crate::kernel::model::Now;
use crate::kernel::rule::program::Fault;

/// One measurement, its requests included.
const MEASUREMENT_MAX: StdDuration = StdDuration::from_secs(10);

#[derive(Debug)]
pub struct ScriptProbes {
    name: Arc<str>,
    collect: Arc<Closure>,
}

impl ScriptProbes {
    pub fn new(name: Arc<str>, collect: Arc<Closure>) -> ScriptProbes {
        ScriptProbes { name, collect }
    }
}

impl ProbeOpener for ScriptProbes {
    fn open(&self, env: &SinkEnv) -> Result<Box<dyn Collect>, Fault> {
        Ok(Box::new(ScriptProbe {
            name: self.name.clone(),
            collect: self.collect.clone(),
            gate: HttpGate::new(env.granted.clone()),
            granted: env.granted.clone(),
            folder: env.folder.clone(),
        }))
    }
}

#[derive(Clone)]
struct ScriptProbe {
    name: Arc<str>,
    collect: Arc<Closure>,
    gate: HttpGate,
    granted: Granted,
    folder: PathBuf,
}

impl Collect for ScriptProbe {
    fn collect(&mut self, _now: Now) -> Collected<'_> {
        let probe = self.clone();
        Box::pin(async move {
            let runtime = Handle::current();
            let failed = |what| Failed { fault: Fault::new(what), over: false };
            match tokio::task::spawn_blocking(move || probe.measure(runtime)).await {
                Ok(answer) => answer.map_err(failed),
                Err(error) => Err(failed(format!("the measurement did not end: {error}"))),
            }
        })
    }
}

impl ScriptProbe {
    fn measure(&self, runtime: Handle) -> Result<Vec<Reading>, String> {
        let deadline = Instant::now() + MEASUREMENT_MAX;
        let (gate, granted) = (self.gate.clone(), self.granted.clone());
        let cap = Cap::new(gate, granted, &self.folder, runtime, deadline);
        let mut caller = self.collect.caller();
        if !self.collect.params().is_empty() {
            *caller.param(0) = Dynamic::from(cap.clone());
        }
        let value = host::with_deadline(deadline, || caller.call(None))
            .map_err(|error| self.words(&error))?;
        cap.sync().map_err(|error| error.to_string())?;
        readings(value).map_err(|what| format!("probe `{}`: {what}", self.name))
    }

    fn words(&self, error: &EvalAltResult) -> String {
        if let Some(failure) = failure(error) {
            return failure.what;
        }
        let what = errors::fault_text(&self.collect.script.source, error);
        format!("probe `{}`: {what}", self.name)
    }
}

/// What `collect` gave: a list of readings, or one.
fn readings(value: Dynamic) -> Result<Vec<Reading>, String> {
    let values = match value.try_cast_result::<Array>() {
        Ok(values) => values,
        Err(value) => vec![value],
    };
    let one = |value: Dynamic| {
        let kind = value.type_name();
        value.try_cast::<Reading>().ok_or_else(|| {
            format!("`collect` gives readings, not {kind}; write reading(name, labels, value)")
        })
    };
    values.into_iter().map(one).collect()
}
