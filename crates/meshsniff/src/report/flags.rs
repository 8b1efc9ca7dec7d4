//! Envoy's flags in words: which proxy logs what.

use crate::exchange::EnvoyFlags;
use crate::mesh;
use crate::packet::Endpoint;

/// The places where proxies log flags, in words, with the flags.
pub(super) fn places(
    flags: &EnvoyFlags,
    client: Endpoint,
) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let (proxy, caller) = if mesh::is_istio_inbound(client) && flags.client == ["UT"] {
        // An announced timeout may be passed on. The sidecar then only saw its caller hang up.
        (
            "at the proxy that announced the timeout, DC at the sidecar if that was its caller",
            "",
        )
    } else if mesh::is_istio_inbound(client) {
        ("at the sidecar", "at its caller")
    } else {
        ("at the client's proxy", "at the proxy that called it")
    };
    [
        (proxy, flags.client),
        (caller, flags.client_downstream),
        ("at the server's proxy", flags.server),
    ]
    .into_iter()
    .filter(|(_, flags)| !flags.is_empty())
}
