//! Which addresses a guest may be connected to: public ones, and those that its grant allows.
//!
//! The ranges are those of the IANA special-purpose address registries (RFC 6890 and its updates);
//! what is not globally reachable counts as private. An IPv6 address that carries an IPv4 one is
//! judged by the latter, so that no translation leads around the check.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guest::grant::Granted;
use crate::guest::grant::hosts::HostPattern;

/// The one name that means this machine wherever it is asked for.
pub const LOCALHOST: &str = "localhost";

/// The addresses of a name, as they are now; their port says nothing.
pub trait Lookup: fmt::Debug + Send + Sync {
    fn addresses(&self, host: String) -> Found;
}

pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What the system's resolver says.
#[derive(Debug)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses(&self, host: String) -> Found {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    }
}

/// Resolves names and leaves out addresses that may not be connected to. Whoever asks connects to
/// what it is given and looks nothing up again, so a name that changes its mind is no way in.
#[derive(Debug)]
pub struct Guard {
    lookup: Arc<dyn Lookup>,
    private_addresses: bool,
    /// Whether the grant names it.
    localhost: bool,
}

/// A name of which every address was private.
#[derive(Debug)]
pub struct PrivateAddress {
    pub host: String,
}

impl Guard {
    pub fn new(granted: &Granted, hosts: &[HostPattern], lookup: Arc<dyn Lookup>) -> Guard {
        let localhost = hosts.iter().any(|pattern| pattern.names(LOCALHOST));
        Guard { lookup, private_addresses: granted.private_addresses, localhost }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let any = self.private_addresses || (self.localhost && host == LOCALHOST);
        let found = self.lookup.addresses(host.clone());
        Box::pin(async move {
            let found = found.await?;
            let some = !found.is_empty();
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| any || is_public(address.ip())).collect();
            if some && allowed.is_empty() {
                return Err(PrivateAddress { host }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for PrivateAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} has only private addresses", self.host)
    }
}

impl Error for PrivateAddress {}

/// Whether an address lies in the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // This network, private, shared with a carrier, loopback, link-local.
        [0 | 10 | 127, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            // Protocol assignments, documentation, 6to4 relays, benchmarks.
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            // Multicast, reserved, broadcast.
            | [224..=255, ..]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Unspecified, loopback and IPv4-compatible; IPv4-mapped; IPv4-translated.
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xFFFF, high, low]
        | [0, 0, 0, 0, 0xFFFF, 0, high, low]
        // NAT64.
        | [0x64, 0xFF9B, 0, 0, 0, 0, high, low]
        // 6to4.
        | [0x2002, high, low, ..]
        // ISATAP, under any prefix.
        | [_, _, _, _, 0 | 0x200, 0x5EFE, high, low] => carried(high, low),
        // Local NAT64, discard, protocol assignments with Teredo, documentation.
        [0x64, 0xFF9B, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x2001, 0..=0x1FF, ..]
        | [0x2001, 0xDB8, ..]
        | [0x3FFF, 0..=0xFFF, ..]
        | [0x5F00, ..] => false,
        // Only 2000::/3 is given out; unique local, link-local, multicast lie outside it.
        [first, ..] => (0x2000..=0x3FFF).contains(&first),
    }
}

#[cfg(test)]
mod tests;
