//! What service meshes and their proxies do by convention: Envoy's flags and timeouts, Istio's addresses
//! and ports.

pub mod envoy;
pub mod timeout;

/// Whether only health checkers and scrapers ask on this port: pilot-agent's and Envoy's in Istio,
/// Linkerd's admin port.
#[must_use]
pub const fn is_probed(port: u16) -> bool {
    matches!(port, 15020 | 15021 | 15090 | 4191)
}
