//! The folder for state, which is one instance's at a time.
//!
//! Two that wrote to it would overwrite one another's state and deliver one another's events. The
//! lock is the system's, on a file that is always there: it goes with its process, however that
//! ends.

use std::fs::{File, TryLockError};
use std::path::Path;

/// Holds the folder until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    _lock: Option<File>,
}

impl DataFolder {
    /// Makes the folder if there is none. The error says what to do.
    pub fn claim(folder: &Path) -> Result<DataFolder, String> {
        let shown = folder.display();
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{shown} cannot be made: {error}"))?;
        let path = folder.join("lock");
        let lock = File::options().write(true).create(true).truncate(false).open(&path);
        let lock =
            lock.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataFolder { _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{shown} is in use by another instance; give this one a folder of its own \
                 (--data), or stop that one"
            )),
            Err(TryLockError::Error(error)) => {
                // Some network file systems know no locks.
                tracing::warn!(folder = %shown, %error, "the data folder cannot be locked");
                Ok(DataFolder { _lock: None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_instances_until_that_ends() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = place.path().join("new/data");
        let first = DataFolder::claim(&folder).expect("nobody has it");
        let refused = DataFolder::claim(&folder).expect_err("it is taken");
        assert!(refused.contains("data is in use by another instance; give"), "{refused}");
        drop(first);
        DataFolder::claim(&folder).expect("it is free again");
    }
}
