//! Which text a rule, ruleset or plugin was made from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The hash of what the rule was made from: its file's text, and the plugin's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

/// Sixteen hexadecimal digits.
impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}
