//! Plugins as people see them: what is there, what it may reach, how it stands, and what happened
//! to it since the last look.
//!
//! An [`Entry`] is one component, or one sink or probe of a script, which are granted what they
//! reach in the same way. Never decides anything: what is live is the catalog's business, what is
//! granted the operator's, what is out of service that of strikes and faults.

mod figures;
mod status;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use figures::write;
pub use status::{Seen, health, status};
pub use told::{Told, tell};

use crate::config::catalog::{ComponentInfo, Scan};
use crate::guest::grant::{Blocked, Granted, Request};

/// One plugin of the last look.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Arc<str>,
    /// `rule`, `sink`, `probe` ..
    pub world: &'static str,
    pub file: Arc<str>,
    /// `None` for what a script declares.
    pub component: Option<Arc<ComponentInfo>>,
    pub access: Access,
}

/// What a plugin asked for, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// As a guest's `needs` write them.
    pub given: Vec<String>,
    pub missing: Vec<String>,
    pub blocked: Option<Lock>,
}

/// Why a plugin does not run, and the lines that `grants.toml` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub why: String,
    pub cure: String,
}

impl Access {
    /// Of what was asked for; a plugin that lacks one thing gets nothing, so `given` is then what
    /// it would get.
    pub fn of(needs: &[Request], effective: &Result<Granted, Blocked>) -> Access {
        match effective {
            Ok(granted) => Access { given: given(granted), ..Access::default() },
            Err(Blocked { missing, why, cure, .. }) => {
                let is_given = |need: &&Request| !missing.is_empty() && !missing.contains(need);
                let text = |needs: Vec<&Request>| needs.iter().map(ToString::to_string).collect();
                Access {
                    given: text(needs.iter().filter(is_given).collect()),
                    missing: text(missing.iter().collect()),
                    blocked: Some(Lock { why: why.clone(), cure: cure.clone() }),
                }
            }
        }
    }
}

fn given(granted: &Granted) -> Vec<String> {
    let http = granted.http.iter().map(|host| Request::Http(host.clone()));
    let secrets = granted.secrets.keys().map(|name| Request::Secret(name.clone()));
    let files = granted.files.iter().map(|pattern| Request::File(pattern.clone()));
    let mut given: Vec<String> =
        http.chain(secrets).chain(files).map(|request| request.to_string()).collect();
    if granted.private_addresses {
        given.push("private_addresses".to_owned());
    }
    given
}

/// What plugins of a look may reach, by world and name.
pub type Accesses = BTreeMap<(&'static str, Arc<str>), Access>;

/// Every plugin of a look, by name.
pub fn entries(scan: &Scan, accesses: &Accesses) -> Vec<Entry> {
    let entry = |name: &Arc<str>, world, file: &Arc<str>, component| {
        let access = accesses.get(&(world, name.clone())).cloned().unwrap_or_default();
        Entry { name: name.clone(), world, file: file.clone(), component, access }
    };
    let components = scan.components.iter().map(|component| {
        let ComponentInfo { name, kind, file, .. } = component.as_ref();
        entry(name, kind.name(), file, Some(component.clone()))
    });
    let sinks = scan.sinks.iter().filter(|live| live.digest.is_none());
    let sinks = sinks.map(|live| entry(&live.sink.name, "sink", &live.sink.origin.file, None));
    let probes = scan.probes.iter().filter(|live| live.digest.is_none());
    let probes = probes.map(|live| entry(&live.probe.name, "probe", &live.probe.origin.file, None));
    let mut entries: Vec<Entry> = components.chain(sinks).chain(probes).collect();
    entries.sort_by(|a, b| (&a.name, a.world).cmp(&(&b.name, b.world)));
    entries
}
