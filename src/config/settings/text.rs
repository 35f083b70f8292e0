//! Values in settings, read with words for what is wrong with them.
//!
//! serde carries one message only: what stands after the first newline is the cure, and
//! [`super::read`] takes the two apart.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{Bus, Engine, Format, Framing, LogFormat, ReloadMode, SampleSinks};
use crate::config::suggest;
use crate::kernel::model::Duration;

pub fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_address(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub fn address_or_off<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "off" {
        return Ok(None);
    }
    parse_address(&text).map(Some).map_err(D::Error::custom)
}

/// `IP:PORT`. Names are not looked up, but for the one that everybody writes.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let loopback = || {
        let port = text.strip_prefix("localhost:")?.parse().ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    };
    text.parse().ok().or_else(loopback).ok_or_else(|| {
        format!(
            "`{text}` is not an address\n\
             write IP:PORT, for example \"127.0.0.1:9820\", \"0.0.0.0:9820\" or \"[::1]:9820\""
        )
    })
}

/// A length of time that something is repeated at, so not zero.
pub fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let period = Duration::deserialize(deserializer)?;
    if period < PERIOD_MIN {
        let what = format!("{period} is too short\nthe shortest is {PERIOD_MIN}");
        return Err(D::Error::custom(what));
    }
    Ok(period)
}

/// Anything more often would keep a core busy for nothing.
const PERIOD_MIN: Duration = Duration::from_millis(100);

pub fn shards<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(i64::deserialize(deserializer)?, Engine::SHARDS_MAX, "shards").map_err(D::Error::custom)
}

pub fn history<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(i64::deserialize(deserializer)?, Bus::HISTORY_MAX, "events of history")
        .map_err(D::Error::custom)
}

pub fn batch_rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(i64::deserialize(deserializer)?, SampleSinks::BATCH_ROWS_MAX, "samples in a batch")
        .map_err(D::Error::custom)
}

/// A bound that lets something through.
pub fn bound<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    within(i64::deserialize(deserializer)?, BOUND_MAX, "as a bound").map_err(D::Error::custom)
}

/// No machine has so much memory.
const BOUND_MAX: usize = 1 << 40;

/// A count from 1 to `max`.
pub fn within(count: i64, max: usize, of: &str) -> Result<usize, String> {
    usize::try_from(count)
        .ok()
        .filter(|count| (1..=max).contains(count))
        .ok_or_else(|| format!("{count} {of} cannot be\nchoose from 1 to {max}"))
}

pub fn format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
    let text = String::deserialize(deserializer)?;
    Format::parse(&text).ok_or_else(|| one_of(&text, "format", &Format::NAMES))
}

pub fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogFormat, D::Error> {
    let text = String::deserialize(deserializer)?;
    LogFormat::parse(&text).ok_or_else(|| one_of(&text, "log format", &LogFormat::NAMES))
}

pub fn framing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Framing, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "lines" => Ok(Framing::Lines),
        "length" => Ok(Framing::Length),
        _ => Err(one_of(&text, "framing", &["lines", "length"])),
    }
}

pub fn reload_mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ReloadMode, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "auto" => Ok(ReloadMode::Auto),
        "poll" => Ok(ReloadMode::Poll),
        _ => Err(one_of(&text, "reload mode", &["auto", "poll"])),
    }
}

pub fn log_level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = String::deserialize(deserializer)?;
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !LEVELS.contains(&level) {
            return Err(one_of(level, "log level", &LEVELS));
        }
    }
    Ok(text)
}

pub fn web_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_web = reqwest::Url::parse(&text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_web {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "`{text}` is not a web address\nwrite for example \"https://chat.example.net/hook\""
    )))
}

fn one_of<E: Error>(text: &str, kind: &str, known: &[&str]) -> E {
    let cure = match suggest::nearest(text, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("choose one of {}", known.join(", ")),
    };
    E::custom(format!("`{text}` is no {kind}\n{cure}"))
}
