//! The operator's side: who may reach what, as `grants.toml` or the main config says it.
//!
//! ```toml
//! [grants.ops-chat]
//! http = ["https://chat.example.net"]
//! secrets = ["CHAT_URL"]
//! files = ["alerts-*.jsonl"]
//! private_addresses = false
//! sha256 = "9f86d081…"        # optional: this very file and no other
//! [grants.ops-chat.limits]    # optional
//! memory_mib = 128
//!
//! [secrets]
//! CHAT_URL = { env = "CHAT_URL" }     # or { file = "/run/secrets/chat" }, or the text itself
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::hosts::HostPattern;
use super::{Granted, Request, Secret, files, key};

/// A secret in a file is a token or a URL, not a document.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Everything that the operator gave to any guest.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    guests: BTreeMap<String, Grant>,
    secrets: BTreeMap<String, SecretSource>,
}

/// What one guest was given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Grant {
    http: Vec<Arc<str>>,
    secrets: Vec<Arc<str>>,
    files: Vec<Arc<str>>,
    private_addresses: bool,
    sha256: Option<String>,
    limits: GuestLimits,
}

/// Limits of one guest where they differ from those of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestLimits {
    pub memory_mib: Option<u32>,
    /// CPU time of one call.
    pub call_ms: Option<u32>,
    /// Time of one call with all it waits for.
    pub wall_ms: Option<u32>,
}

/// What holds for a guest's file from its loading on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestTerms {
    pub limits: GuestLimits,
    /// The only file that may go under this name, by its digest.
    pub sha256: Option<String>,
}

impl GuestTerms {
    /// Whether a file of this digest may be loaded.
    pub fn take(&self, digest: &str) -> bool {
        self.sha256.as_ref().is_none_or(|pin| pin.eq_ignore_ascii_case(digest))
    }
}

/// Where a secret's value comes from. Read when a guest is opened, so a changed file counts from
/// the next reload on.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum SecretSource {
    Env { env: String },
    File { file: PathBuf },
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Tables {
    grants: BTreeMap<String, Grant>,
    secrets: BTreeMap<String, SecretSource>,
}

/// A guest that asks for more than it was given, or is not the file that was pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub guest: String,
    /// What it asks for and did not get; empty when another thing blocks it.
    pub missing: Vec<Request>,
    /// Why, in words.
    pub why: String,
    /// The lines that `grants.toml` must hold.
    pub cure: String,
}

impl Grants {
    /// Reads the text of `grants.toml`.
    pub fn parse(text: &str) -> Result<Grants, String> {
        // The error's own display would quote the line, which may hold a secret.
        let tables: Tables = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line}: {}", error.message())
        })?;
        Grants::checked(tables)
    }

    /// Takes the tables `[grants]` and `[secrets]` of the main config.
    pub fn from_tables(grants: toml::Table, secrets: toml::Table) -> Result<Grants, String> {
        let words = |table: &str, error: toml::de::Error| format!("[{table}]: {}", error.message());
        let grants = grants.try_into().map_err(|error| words("grants", error))?;
        let secrets = secrets.try_into().map_err(|error| words("secrets", error))?;
        Grants::checked(Tables { grants, secrets })
    }

    /// These grants with `others` laid over them, by guest and by secret.
    pub fn with(mut self, others: Grants) -> Grants {
        self.guests.extend(others.guests);
        self.secrets.extend(others.secrets);
        self
    }

    /// What is said of a guest besides what it reaches.
    pub fn terms(&self, guest: &str) -> GuestTerms {
        let of = |grant: &Grant| GuestTerms { limits: grant.limits, sha256: grant.sha256.clone() };
        self.guests.get(guest).map(of).unwrap_or_default()
    }

    /// What a guest gets of what it asks for. `digest` is the file's SHA-256 in hexadecimal, where
    /// there is a file that could be pinned.
    pub fn effective(
        &self,
        guest: &str,
        needs: &[Request],
        digest: Option<&str>,
    ) -> Result<Granted, Blocked> {
        let none = Grant::default();
        let grant = self.guests.get(guest).unwrap_or(&none);
        if let Some(digest) = digest.filter(|digest| !self.terms(guest).take(digest)) {
            return Err(Blocked {
                guest: guest.to_owned(),
                missing: Vec::new(),
                why: "it is not the file that its grant pins".to_owned(),
                cure: format!("[grants.{}]\nsha256 = \"{digest}\"\n", key(guest)),
            });
        }
        let missing: Vec<Request> =
            needs.iter().filter(|need| !grant.gives(need)).cloned().collect();
        if !missing.is_empty() {
            let cure = self.cure(guest, grant, &missing);
            let asked: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let why = format!("it asks for {}, which is not granted", asked.join(", "));
            return Err(Blocked { guest: guest.to_owned(), missing, why, cure });
        }
        let mut granted = Granted {
            guest: guest.into(),
            asked: needs.to_vec(),
            private_addresses: grant.private_addresses,
            ..Granted::default()
        };
        for need in needs {
            match need {
                Request::Http(asked) => granted.http.extend(grant.hosts_within(asked)),
                Request::File(asked) => granted.files.push(asked.clone()),
                Request::Secret(name) => {
                    granted.secrets.insert(name.clone(), self.secret(guest, name)?);
                }
            }
        }
        Ok(granted)
    }

    /// What the main config itself asks for needs no grant, but the secrets it names must be there.
    pub fn in_full(&self, needs: &[Request]) -> Result<Granted, Blocked> {
        let asked = needs.to_vec();
        let mut granted = Granted { asked, private_addresses: true, ..Granted::default() };
        for need in needs {
            match need {
                Request::Http(host) => granted.http.push(host.clone()),
                Request::File(pattern) => granted.files.push(pattern.clone()),
                Request::Secret(name) => {
                    granted.secrets.insert(name.clone(), self.secret("watchfire.toml", name)?);
                }
            }
        }
        Ok(granted)
    }

    fn checked(tables: Tables) -> Result<Grants, String> {
        for (guest, grant) in &tables.grants {
            let place = |error: String| format!("[grants.{guest}]: {error}");
            for pattern in &grant.http {
                HostPattern::parse(pattern).map_err(place)?;
            }
            for pattern in &grant.files {
                files::check(pattern).map_err(place)?;
            }
        }
        Ok(Grants { guests: tables.grants, secrets: tables.secrets })
    }

    fn secret(&self, guest: &str, name: &Arc<str>) -> Result<Secret, Blocked> {
        let blocked = |why: String| Blocked {
            guest: guest.to_owned(),
            missing: vec![Request::Secret(name.clone())],
            why,
            cure: format!("[secrets]\n{} = {{ env = \"{name}\" }}\n", key(name)),
        };
        let Some(source) = self.secrets.get(name.as_ref()) else {
            return Err(blocked(format!("the secret {name} has no value")));
        };
        source.read().map_err(|error| blocked(format!("the secret {name}: {error}")))
    }

    /// The guest's table as it must be, with what it has already.
    fn cure(&self, guest: &str, grant: &Grant, missing: &[Request]) -> String {
        let mut grant = grant.clone();
        let mut unset = Vec::new();
        for request in missing {
            match request {
                Request::Http(host) => grant.http.push(host.clone()),
                Request::File(pattern) => grant.files.push(pattern.clone()),
                Request::Secret(name) => {
                    grant.secrets.push(name.clone());
                    unset.extend((!self.secrets.contains_key(name.as_ref())).then_some(name));
                }
            }
        }
        let mut lines = format!("[grants.{}]\n", key(guest));
        for (field, values) in
            [("http", &grant.http), ("secrets", &grant.secrets), ("files", &grant.files)]
        {
            if !values.is_empty() {
                lines.push_str(&format!("{field} = {values:?}\n"));
            }
        }
        if !unset.is_empty() {
            lines.push_str("[secrets]\n");
        }
        for name in unset {
            lines.push_str(&format!("{} = {{ env = \"{name}\" }}\n", key(name)));
        }
        lines
    }
}

impl Grant {
    fn gives(&self, need: &Request) -> bool {
        match need {
            Request::Http(asked) => !self.hosts_within(asked).is_empty(),
            Request::Secret(name) => self.secrets.contains(name),
            Request::File(asked) => self.files.iter().any(|own| files::contains(own, asked)),
        }
    }

    /// The narrower of what is asked and what is granted, for each granted pattern that meets it.
    fn hosts_within(&self, asked: &Arc<str>) -> Vec<Arc<str>> {
        let Ok(wanted) = HostPattern::parse(asked) else { return Vec::new() };
        self.http
            .iter()
            .filter_map(|text| {
                let own = HostPattern::parse(text).ok()?;
                if own.contains(&wanted) {
                    return Some(asked.clone());
                }
                wanted.contains(&own).then(|| text.clone())
            })
            .collect()
    }
}

impl SecretSource {
    fn read(&self) -> Result<Secret, String> {
        match self {
            SecretSource::Text(text) => Ok(Secret::new(text)),
            SecretSource::Env { env } => std::env::var(env)
                .map(|value| Secret::new(&value))
                .map_err(|_| format!("the environment variable {env} is not set")),
            SecretSource::File { file } => {
                let place = |error: std::io::Error| format!("{}: {error}", file.display());
                if std::fs::metadata(file).map_err(place)?.len() > SECRET_BYTES_MAX {
                    return Err(format!("{} is too large for a secret", file.display()));
                }
                let text = std::fs::read_to_string(file).map_err(place)?;
                Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
            }
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Env { env } => write!(out, "env {env}"),
            SecretSource::File { file } => write!(out, "file {}", file.display()),
            SecretSource::Text(_) => out.write_str("***"),
        }
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` is blocked: {}; grants.toml needs\n{}", self.guest, self.why, self.cure)
    }
}

#[cfg(test)]
mod tests;
