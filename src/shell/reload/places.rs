//! Where everything that is reloaded comes from, and where some of it goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::guest::grant::Grants;
use crate::shell::decoders::Decoders;
use crate::shell::folders;
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
    /// Takes nothing from where others may write. An instance that only this machine reaches may
    /// be a developer's: it warns, once.
    pub is_strict: bool,
}

impl Places {
    /// Looks once who may write where all this lies. The error says whose hands it is in.
    pub fn check(&self) -> Result<(), String> {
        for path in [&self.rules, &self.plugins, &self.grants] {
            let Some(why) = folders::open_to_others(path) else { continue };
            let shown = path.display();
            if self.is_strict {
                return Err(format!("{shown}: {why}"));
            }
            tracing::warn!(path = %shown, why, "others decide what is judged");
        }
        Ok(())
    }

    /// Why this one is not taken now.
    pub fn refused(&self, path: &Path) -> Option<String> {
        folders::open_to_others(path).filter(|_| self.is_strict)
    }
}

/// Who takes what is neither a rule nor a sink.
#[derive(Clone)]
pub struct Guests {
    pub probes: Arc<ProbeHub>,
    pub decoders: Arc<Decoders>,
    pub samples: Arc<SampleHub>,
}
