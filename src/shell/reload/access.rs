//! What the guests of a look may reach by the grants as they are now.

use std::sync::Arc;

use crate::config::catalog::{LiveSource, Scan};
use crate::guest::grant::{Grants, Request};
use crate::shell::plugins::{self, Access, Accesses, Entry};
use crate::shell::probes::DeclaredProbe;
use crate::shell::sink::{Declared, Standing};

/// Everything of a look that is neither a rule nor a file.
pub struct Offer {
    pub sinks: Vec<Declared>,
    pub probes: Vec<DeclaredProbe>,
    /// Without those that are blocked.
    pub sources: Vec<LiveSource>,
    pub entries: Vec<Entry>,
}

/// Decides once for each guest; `built_in` sinks are granted already.
pub fn offer(scan: &Scan, grants: &Grants, built_in: &[Declared]) -> Offer {
    let mut accesses = Accesses::new();
    let mut decide = |world, name: &Arc<str>, needs: &[Request], digest: Option<&str>| {
        let effective = grants.effective(name, needs, digest);
        accesses.insert((world, name.clone()), Access::of(needs, &effective));
        effective
    };
    let mut sinks = built_in.to_vec();
    for live in &scan.sinks {
        let (sink, settings) = (live.sink.clone(), live.settings.clone());
        let effective = decide("sink", &sink.name, &sink.needs, live.digest.as_deref());
        sinks.push(Declared { sink, standing: Standing::of(effective, settings) });
    }
    let mut probes = Vec::new();
    for live in &scan.probes {
        let (probe, settings) = (live.probe.clone(), live.settings.clone());
        let effective = decide("probe", &probe.name, &probe.needs, live.digest.as_deref());
        probes.push(DeclaredProbe { probe, standing: Standing::of(effective, settings) });
    }
    let mut sources = scan.sources.clone();
    // A source reaches nothing; its file may be pinned all the same.
    sources.retain(|live| {
        decide("source", &live.source.name, &[], Some(live.digest.as_str())).is_ok()
    });
    let entries = plugins::entries(scan, &accesses);
    Offer { sinks, probes, sources, entries }
}
