//! Hands what files declare to those who run it, each with what it is granted now.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Running, UNPOISONED, Work};
use crate::config::catalog::Scan;
use crate::guest::grant::{Grants, Request};
use crate::shell::plugins::{self, Access, Accesses, Entry, Lock};
use crate::shell::probes::DeclaredProbe;
use crate::shell::sample_sinks::DeclaredSampleSink;
use crate::shell::sink::hub::Change;
use crate::shell::sink::{Declared, Standing};

/// Decides once for each guest what it may reach, and keeps it to be shown.
struct Granting {
    grants: Grants,
    accesses: Accesses,
}

impl Granting {
    fn decide(
        &mut self,
        world: &'static str,
        name: &Arc<str>,
        (needs, digest): (&[Request], Option<&str>),
        settings: &serde_json::Value,
    ) -> Standing {
        let effective = self.grants.effective(name, needs, digest);
        self.accesses.insert((world, name.clone()), Access::of(needs, &effective));
        Standing::of(effective, settings.clone())
    }
}

impl Running {
    /// Gives the hubs all that a look found with what it is granted now, tells what happened to
    /// plugins, and says what that changed for sinks.
    pub(super) fn apply(&mut self, scan: &Scan, grants: Grants) -> Vec<(Arc<str>, Change)> {
        let mut granting = Granting { grants, accesses: Accesses::new() };
        let mut sinks = self.work.places.built_in.clone();
        for live in &scan.sinks {
            let (sink, digest) = (live.sink.clone(), live.digest.as_deref());
            let asked = (sink.needs.as_slice(), digest);
            let standing = granting.decide("sink", &sink.name, asked, &live.settings);
            sinks.push(Declared { sink, standing });
        }
        let mut samples = Vec::new();
        for live in &scan.sample_sinks {
            let (sink, digest) = (live.sink.clone(), live.digest.as_deref());
            let asked = (sink.needs.as_slice(), digest);
            let standing = granting.decide("sample-sink", &sink.name, asked, &live.settings);
            samples.push(DeclaredSampleSink { sink, standing });
        }
        let mut probes = Vec::new();
        for live in &scan.probes {
            let (probe, digest) = (live.probe.clone(), live.digest.as_deref());
            let asked = (probe.needs.as_slice(), digest);
            let standing = granting.decide("probe", &probe.name, asked, &live.settings);
            probes.push(DeclaredProbe { probe, standing });
        }
        let (mut sources, mut blocked) = (Vec::new(), BTreeMap::new());
        for live in &scan.sources {
            // A source reaches nothing; its file may be pinned all the same.
            let (name, asked) = (&live.source.name, (&[][..], live.digest.as_deref()));
            match granting.decide("source", name, asked, &live.settings) {
                Standing::Granted { .. } => sources.push(live.clone()),
                Standing::Blocked { why, cure } => {
                    blocked.insert(name.clone(), Lock { why, cure });
                }
            }
        }
        // First, since another version may be opened at once, and is not held back for the one
        // before.
        self.tell(plugins::entries(scan, &granting.accesses), scan);
        self.guests.decoders.apply(sources, &blocked);
        self.guests.probes.apply(probes);
        if let Some(wants) = self.guests.samples.apply(samples) {
            let samples = self.guests.samples.clone();
            self.judge.tap(wants, Arc::new(move |tapped| samples.offer(tapped)));
        }
        self.hub.apply(sinks)
    }

    /// Tells what happened to plugins since the last look.
    fn tell(&mut self, entries: Vec<Entry>, scan: &Scan) {
        let strikes = self.work.catalog.strikes();
        for (plugin, change) in plugins::tell(&mut self.work.told, &entries, scan) {
            let is_another = change.is_version();
            strikes.changes().publish(&plugin, change);
            if is_another {
                strikes.release(&plugin);
            }
        }
        self.judge.settle();
        self.work.live.lock().expect(UNPOISONED).plugins = entries;
    }
}

impl Work {
    /// Those of the main config and of the grants file as it is now; one that cannot be read grants
    /// nothing, and takes nobody's limits and pins away.
    pub(super) fn grants(&mut self) -> Grants {
        let file = &self.places.grants;
        let read = match self.places.refused(file) {
            Some(why) => Err(why),
            None => text_of(file).and_then(|text| Grants::parse(&text)),
        };
        let error = read.as_ref().err().cloned();
        let known = &mut self.live.lock().expect(UNPOISONED).grants_error;
        let before = std::mem::replace(known, error.clone());
        if let Some(error) = &error
            && before.as_ref() != Some(error)
        {
            let file = file.display().to_string();
            tracing::error!(file, error, "grants cannot be read; none of them count");
        }
        let grants = self.places.own_grants.clone().with(read.unwrap_or_default());
        if error.is_none() {
            self.grants = grants.clone();
        }
        grants
    }
}

/// No file grants nothing.
fn text_of(file: &Path) -> Result<String, String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| format!("it cannot be read ({error})")),
    }
}
