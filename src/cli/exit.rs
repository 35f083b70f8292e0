//! How a command ends.

use std::fmt;
use std::process::ExitCode;

use super::output::printable;
use crate::config::error::ConfigError;

/// Scripts depend on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// Findings, failed stories, or an answer that was no.
    Findings = 1,
    /// A flag, a variable or a settings file is wrong.
    Usage = 2,
    /// What the command needs could not be opened or reached.
    NotStarted = 3,
    /// Our own mistake.
    Internal = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command did not do what it was asked, with the next thing to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub exit: Exit,
    pub what: String,
    pub help: Option<String>,
    /// Where a mistake of the user's stands, and how it is shown.
    place: Option<Box<ConfigError>>,
}

impl Failure {
    pub fn new(exit: Exit, what: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { help: Some(help.into()), ..Failure::bare(exit, what) }
    }

    /// One for which nobody knows a cure.
    pub fn bare(exit: Exit, what: impl Into<String>) -> Failure {
        Failure { exit, what: what.into(), help: None, place: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(error) = &self.place {
            return error.fmt(out);
        }
        write!(out, "error: {}", printable(&self.what))?;
        match &self.help {
            Some(help) => write!(out, "\n  = help: {}", printable(help)),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let place = Some(Box::new(error.clone()));
        Failure { exit: Exit::Usage, what: error.what, help: error.help, place }
    }
}

/// A reader that went away (`| head`) is no failure of ours, but there is nothing left to do.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        let exit = match error.kind() {
            std::io::ErrorKind::BrokenPipe => Exit::Ok,
            _ => Exit::Internal,
        };
        Failure::bare(exit, format!("cannot print: {error}"))
    }
}
