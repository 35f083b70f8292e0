//! Where everything that is reloaded comes from, and where some of it goes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::guest::grant::Grants;
use crate::shell::decoders::Decoders;
use crate::shell::probes::ProbeHub;
use crate::shell::sample_sinks::SampleHub;
use crate::shell::sink::Declared;

/// Where rules, sinks and grants come from.
pub struct Places {
    pub rules: PathBuf,
    pub plugins: PathBuf,
    pub grants: PathBuf,
    /// Grants and secrets of the main config.
    pub own_grants: Grants,
    /// Sinks of the main config; always granted.
    pub built_in: Vec<Declared>,
}

/// Who takes what is neither a rule nor a sink.
#[derive(Clone)]
pub struct Guests {
    pub probes: Arc<ProbeHub>,
    pub decoders: Arc<Decoders>,
    pub samples: Arc<SampleHub>,
}
