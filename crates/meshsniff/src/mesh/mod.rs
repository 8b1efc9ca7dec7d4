//! What service meshes and their proxies do by convention: Envoy's flags and timeouts, Istio's
//! addresses and ports, the answers that proxies make themselves.

pub mod answer;
pub mod envoy;
pub mod logs;
pub mod timeout;

use crate::packet::Endpoint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this is the address that Istio's sidecar calls its own app from: 127.0.0.6, or `::6`.
#[must_use]
pub fn is_istio_inbound(client: Endpoint) -> bool {
    match client.ip() {
        IpAddr::V4(address) => address == Ipv4Addr::new(127, 0, 0, 6),
        IpAddr::V6(address) => address == Ipv6Addr::from_bits(6),
    }
}

/// Whether only health checkers and scrapers ask on this port: pilot-agent's and Envoy's in Istio,
/// Linkerd's admin port.
#[must_use]
pub const fn is_probed(port: u16) -> bool {
    matches!(port, 15020 | 15021 | 15090 | 4191)
}
