//! The plugin behind a source: its one instance, and whether it may be called.

use crate::config::catalog::LiveSource;
use crate::guest::source::{DecodePayload, Decoded};
use crate::kernel::model::Now;
use crate::kernel::rule::program::Fault;

/// What bytes are said to be when nobody said it.
const KIND_DEFAULT: &str = "application/octet-stream";

#[derive(Default)]
pub struct Reader {
    /// `None` while no plugin is there for it.
    live: Option<LiveSource>,
    instance: Option<Box<dyn DecodePayload>>,
}

/// Why a payload was not read.
#[derive(Debug)]
pub enum Unread {
    NoPlugin,
    /// It died too often, and is left alone until then.
    Held(Now),
    /// Of a type that it does not take.
    ContentType(Vec<String>),
    Failed(Fault),
}

impl Reader {
    pub fn live(&self) -> Option<&LiveSource> {
        self.live.as_ref()
    }

    /// Until when it is left alone.
    pub fn held_until(&self, now: Now) -> Option<Now> {
        self.live.as_ref().and_then(|live| live.source.opener.held_until(now))
    }

    /// Takes another plugin, another version or none. True when that is a change.
    pub fn swap(&mut self, live: Option<LiveSource>) -> bool {
        let version = |live: &Option<LiveSource>| live.as_ref().map(|live| live.source.version);
        if version(&self.live) == version(&live) {
            return false;
        }
        *self = Reader { live, instance: None };
        true
    }

    /// Reads one payload that came at `arrival`; `kind` may be empty. Blocks for as long as the
    /// guest computes.
    pub fn read(
        &mut self,
        kind: &str,
        payload: &[u8],
        arrival: Now,
        now: Now,
    ) -> Result<Decoded, Unread> {
        let live = self.live.clone().ok_or(Unread::NoPlugin)?;
        if let Some(until) = self.held_until(now) {
            return Err(Unread::Held(until));
        }
        let takes = &live.source.content_types;
        let kind = match kind {
            "" => takes.first().map_or(KIND_DEFAULT, String::as_str),
            given => given,
        };
        if !takes.is_empty() && !takes.iter().any(|taken| taken == kind) {
            return Err(Unread::ContentType(takes.clone()));
        }
        let mut open = match self.instance.take() {
            Some(open) => open,
            None => live.source.opener.open(&live.settings).map_err(Unread::Failed)?,
        };
        match open.decode(kind, payload, arrival) {
            Ok(decoded) => {
                self.instance = Some(open);
                Ok(decoded)
            }
            Err(failed) => {
                self.instance = (!failed.over).then_some(open);
                Err(Unread::Failed(failed.fault))
            }
        }
    }
}
