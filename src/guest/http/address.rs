//! Which addresses a guest may be connected to: public ones, and those that its grant allows.
//!
//! The ranges are those of the IANA special-purpose address registries (RFC 6890 and its updates);
//! what is not globally reachable counts as private. An IPv6 address that carries an IPv4 one is
//! judged by the latter, so that no translation leads around the check.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::guest::grant::Granted;
use crate::guest::grant::hosts::HostPattern;

/// Resolves names and leaves out addresses that may not be connected to.
#[derive(Debug)]
pub struct Guard {
    private_addresses: bool,
    /// `localhost`, when the grant names it.
    named: BTreeSet<&'static str>,
}

/// A name of which every address was private.
#[derive(Debug)]
pub struct PrivateAddress {
    pub host: String,
}

impl Guard {
    pub fn new(granted: &Granted, hosts: &[HostPattern]) -> Guard {
        let named = ["localhost"]
            .into_iter()
            .filter(|name| hosts.iter().any(|pattern| pattern.names(name)))
            .collect();
        Guard { private_addresses: granted.private_addresses, named }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let any = self.private_addresses || self.named.contains(host.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
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
        | [0x2002, high, low, ..] => carried(high, low),
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
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (address, public) in [
            ("1.1.1.1", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.128.0.0", true),
            ("127.0.0.1", false),
            ("127.255.255.255", false),
            ("169.254.169.254", false),
            ("172.15.255.255", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.0.1", false),
            ("198.18.0.1", false),
            ("198.51.100.7", false),
            ("203.0.113.7", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("::", false),
            ("::1", false),
            ("::127.0.0.1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:1.1.1.1", true),
            ("64:ff9b::10.0.0.1", false),
            ("64:ff9b::1.1.1.1", true),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2002:101:101::", true),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("100::1", false),
        ] {
            assert_eq!(is_public(address.parse().expect(address)), public, "{address}");
        }
    }
}
