//! Hands what files declare to those who run it, each with what it is granted now.

use std::sync::Arc;

use super::{Running, UNPOISONED};
use crate::config::catalog::{LiveProbe, LiveSampleSink, Scan};
use crate::guest::grant::Grants;
use crate::shell::probes::DeclaredProbe;
use crate::shell::sample_sinks::DeclaredSampleSink;
use crate::shell::sink::hub::Change;
use crate::shell::sink::{Declared, Standing};

impl Running {
    /// Takes over what a look found that is neither a rule nor waits for its grants.
    pub(super) fn declare(&mut self, scan: &Scan) {
        (self.work.sinks, self.work.probes) = (scan.sinks.clone(), scan.probes.clone());
        self.work.sample_sinks = scan.sample_sinks.clone();
        self.guests.decoders.apply(scan.sources.clone());
    }

    /// Gives the hubs all sinks and probes with what they are granted now, and says what that
    /// changed for sinks.
    pub(super) fn apply_sinks(&mut self) -> Vec<(Arc<str>, Change)> {
        let grants = self.grants();
        let mut declared = self.work.places.built_in.clone();
        for live in &self.work.sinks {
            let (sink, settings) = (live.sink.clone(), live.settings.clone());
            let effective = grants.effective(&sink.name, &sink.needs, live.digest.as_deref());
            declared.push(Declared { sink, standing: Standing::of(effective, settings) });
        }
        let probe = |live: &LiveProbe| {
            let (probe, settings) = (live.probe.clone(), live.settings.clone());
            let effective = grants.effective(&probe.name, &probe.needs, live.digest.as_deref());
            DeclaredProbe { probe, standing: Standing::of(effective, settings) }
        };
        self.guests.probes.apply(self.work.probes.iter().map(probe).collect());
        let sample_sink = |live: &LiveSampleSink| {
            let (sink, settings) = (live.sink.clone(), live.settings.clone());
            let effective = grants.effective(&sink.name, &sink.needs, live.digest.as_deref());
            DeclaredSampleSink { sink, standing: Standing::of(effective, settings) }
        };
        let declared_samples = self.work.sample_sinks.iter().map(sample_sink).collect();
        if let Some(wants) = self.guests.samples.apply(declared_samples) {
            let samples = self.guests.samples.clone();
            self.judge.tap(wants, Arc::new(move |tapped| samples.offer(tapped)));
        }
        self.hub.apply(declared)
    }

    /// Those of the main config and of the grants file as it is now.
    fn grants(&mut self) -> Grants {
        let text = std::fs::read_to_string(&self.work.places.grants).unwrap_or_default();
        let parsed = Grants::parse(&text);
        let mut live = self.work.live.lock().expect(UNPOISONED);
        live.grants_error = parsed.as_ref().err().cloned();
        drop(live);
        if let Err(error) = &parsed
            && self.work.grants.as_ref() != Some(&text)
        {
            let file = self.work.places.grants.display().to_string();
            tracing::error!(file, error, "grants cannot be read; none of them count");
        }
        self.work.grants = Some(text);
        self.work.places.own_grants.clone().with(parsed.unwrap_or_default())
    }
}
