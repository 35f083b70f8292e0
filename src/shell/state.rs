//! The state that a clean stop writes and the next start reads.
//!
//! Format of `state.bin`: the eight bytes `WFSTATE4`, the xxh3-64 of the rest (little endian), then
//! the snapshot in postcard. Written to a temporary name, synced and renamed, so it is whole or
//! absent. Anything else is refused: a start without the past is better than one with a wrong one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::guest::changes::{Changes, PluginChange};
use crate::kernel::engine;
use crate::kernel::machine::{Machine, Snapshot};
use crate::kernel::model::{EventTime, Limits};
use crate::kernel::rule::ruleset::Ruleset;
use crate::kernel::sequence::sequencer::Arrived;

const MAGIC: &[u8; 8] = b"WFSTATE4";
const NAME: &str = "state.bin";

/// What a machine is made of, whether or not there is a state.
pub struct Fresh {
    pub limits: Limits,
    pub shards: u32,
    pub ruleset: Arc<Ruleset>,
    /// Since when it listens.
    pub from: EventTime,
}

/// The kernel as the last stop left it, or a new one, with what is wrong with its state.
pub fn machine(data: &Path, fresh: Fresh, changes: &Changes) -> (Machine, Option<String>) {
    let Fresh { limits, shards, ruleset, from } = fresh;
    let error = match load(data) {
        Ok(Some(snapshot)) => {
            tell_lost(&snapshot.engine, shards, changes);
            let machine = Machine::restored(limits, shards, ruleset, snapshot, from);
            return (machine, None);
        }
        Ok(None) => None,
        Err(error) => {
            tracing::error!("{error}");
            set_aside(data);
            Some(error)
        }
    };
    let mut machine = Machine::new(limits, shards, from);
    machine.step(Arrived::Swap(ruleset));
    (machine, error)
}

/// What a component saved for one shard is of no use to another.
fn tell_lost(engine: &engine::snapshot::Snapshot, shards: u32, changes: &Changes) {
    if engine.shards == shards {
        return;
    }
    let plugins: BTreeSet<&str> = engine.plugins.iter().map(|(_, name, _)| &**name).collect();
    for plugin in plugins {
        let why = format!("it was saved by {} shards, and there are {shards} now", engine.shards);
        changes.publish(plugin, PluginChange::StateLost { why });
    }
}

pub fn save(data: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let body = postcard::to_stdvec(snapshot).map_err(io::Error::other)?;
    let (temporary, path) = (data.join("state.bin.new"), data.join(NAME));
    let mut file = File::create(&temporary)?;
    file.write_all(MAGIC)?;
    file.write_all(&xxh3_64(&body).to_le_bytes())?;
    file.write_all(&body)?;
    file.sync_all()?;
    std::fs::rename(&temporary, &path)?;
    File::open(data)?.sync_all()
}

/// `None` when there is none yet. The error says what is wrong with the one that is there.
pub fn load(data: &Path) -> Result<Option<Snapshot>, String> {
    let path = data.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let wrong = |what: &str| {
        format!("{} {what}; starting without it (it is kept as state.bin.bad)", path.display())
    };
    let body = bytes
        .strip_prefix(MAGIC.as_slice())
        .and_then(|rest| rest.split_first_chunk::<8>())
        .filter(|(sum, body)| u64::from_le_bytes(**sum) == xxh3_64(body))
        .map(|(_, body)| body)
        .ok_or_else(|| wrong("is damaged or was written by another version"))?;
    postcard::from_bytes(body).map(Some).map_err(|error| wrong(&format!("does not fit: {error}")))
}

/// Puts a state that could not be used aside, so that the next stop does not write over it.
fn set_aside(data: &Path) {
    // Nothing is lost when this fails: the file is written anew at the next stop.
    let _ = std::fs::rename(data.join(NAME), data.join("state.bin.bad"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(load(folder.path()), Ok(None));
        let mut snapshot = Snapshot::default();
        snapshot.sequencer.position = 7;
        save(folder.path(), &snapshot).expect("it is written");
        assert_eq!(load(folder.path()), Ok(Some(snapshot)));
        let path = folder.path().join(NAME);
        let mut bytes = std::fs::read(&path).expect("it is there");
        *bytes.last_mut().expect("it is not empty") ^= 1;
        std::fs::write(&path, bytes).expect("it is written");
        assert!(load(folder.path()).is_err());
        set_aside(folder.path());
        assert_eq!(load(folder.path()), Ok(None));
    }
}
