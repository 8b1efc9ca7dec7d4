//! The interfaces of a network namespace, and which of them to capture on. Called inside the
//! namespace.

use super::sockets;
use super::target::Proxies;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::io;
use std::path::Path;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// Whether it is up.
    pub up: bool,
    /// Its hardware address, if it has one.
    pub address: Option<[u8; 6]>,
}

/// Lists the interfaces, in the kernel's order.
///
/// # Errors
/// If the kernel does not list them.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let address = entry
            .address
            .as_ref()
            .and_then(|address| address.as_link_addr()?.addr());
        let address = address.filter(|address| *address != [0; 6]);
        let mut known = interfaces.iter_mut();
        match known.find(|known| known.name == entry.interface_name) {
            Some(known) => known.address = known.address.or(address),
            None => interfaces.push(Interface {
                name: entry.interface_name,
                loopback: entry.flags.contains(InterfaceFlags::IFF_LOOPBACK),
                up: entry.flags.contains(InterfaceFlags::IFF_UP),
                address,
            }),
        }
    }
    Ok(interfaces)
}

/// What a pod is in a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing that can be seen.
    Plain,
    /// An app with a proxy beside it.
    Sidecar,
    /// An app whose packets Istio's ztunnel takes, by sockets in the pod's namespace.
    Ambient,
    /// An app with Linkerd's proxy beside it.
    Linkerd,
    /// A proxy by itself, at the edge.
    Gateway,
    /// A proxy by itself, inside an ambient mesh.
    Waypoint,
}

impl Role {
    /// The role of the pod whose network namespace this is.
    #[must_use]
    pub fn here(proxies: Proxies) -> Self {
        let listening = sockets::listening(Path::new("/proc/thread-self"));
        Self::of(listening.iter().map(|(_, port)| *port), proxies)
    }

    /// The role of a pod that listens on these ports. Istio's [ports]: 15001 and 15006 take what an
    /// app sends and gets, 15008 is HBONE, 15021 health, 15090 telemetry; 4143 is Linkerd's inbound.
    ///
    /// [ports]: https://istio.io/latest/docs/ops/deployment/application-requirements/
    fn of(ports: impl Iterator<Item = u16>, proxies: Proxies) -> Self {
        let (mut taken, mut hbone, mut envoy, mut linkerd) = (false, false, false, false);
        for port in ports {
            taken |= matches!(port, 15001 | 15006);
            hbone |= port == 15008;
            envoy |= matches!(port, 15021 | 15090);
            linkerd |= port == 4143;
        }
        if linkerd {
            Self::Linkerd
        } else if taken && hbone && !envoy {
            Self::Ambient
        } else if taken || proxies == Proxies::Beside {
            Self::Sidecar
        } else if envoy && hbone {
            Self::Waypoint
        } else if envoy || proxies == Proxies::Alone {
            Self::Gateway
        } else {
            Self::Plain
        }
    }

    /// Whether the app and its proxy speak plaintext on loopback.
    const fn is_plain_on_loopback(self) -> bool {
        matches!(self, Self::Sidecar | Self::Ambient | Self::Linkerd)
    }

    /// Why it is captured there, in words; `None` if there is nothing to say.
    #[must_use]
    pub const fn why(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Sidecar => Some("where the sidecar and the app speak plaintext"),
            Self::Ambient => Some("where ztunnel and the app speak plaintext"),
            Self::Linkerd => Some("where Linkerd's proxy and the app speak plaintext"),
            Self::Gateway => Some("a gateway: callers come from outside"),
            Self::Waypoint => Some("a waypoint: what comes and goes is encrypted"),
        }
    }
}

/// Where to capture if no interface is named: on loopback where a proxy speaks plaintext to the
/// app, else everywhere.
#[must_use]
pub fn usual(interfaces: &[Interface], role: Role) -> Vec<String> {
    let up = interfaces.iter().filter(|one| one.up);
    let chosen = up.filter(|one| one.loopback || !role.is_plain_on_loopback());
    chosen.map(|one| one.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_with_a_sidecar_else_all_that_are_up() {
        let interface = |name: &str, loopback, up| Interface {
            name: name.to_owned(),
            loopback,
            up,
            address: None,
        };
        let all = [
            interface("lo", true, true),
            interface("eth0", false, true),
            interface("net1", false, false),
        ];
        assert_eq!(usual(&all, Role::Sidecar), ["lo"]);
        assert_eq!(usual(&all, Role::Gateway), ["lo", "eth0"]);
        assert_eq!(usual(&all, Role::Plain), ["lo", "eth0"]);
    }

    #[test]
    fn a_gateway_is_not_a_sidecar() {
        let cases: [(&[u16], Proxies, Role); 11] = [
            (&[3000], Proxies::None, Role::Plain),
            (
                &[3000, 15001, 15006, 15021, 15090],
                Proxies::Beside,
                Role::Sidecar,
            ),
            // With HBONE on.
            (
                &[15001, 15006, 15008, 15021, 15090],
                Proxies::Beside,
                Role::Sidecar,
            ),
            (&[15006], Proxies::None, Role::Sidecar),
            // Without interception, or of another mesh.
            (&[3000, 15021, 15090], Proxies::Beside, Role::Sidecar),
            (&[3000], Proxies::Beside, Role::Sidecar),
            (&[3000, 15001, 15006, 15008], Proxies::None, Role::Ambient),
            (&[3000, 4143, 4191], Proxies::Beside, Role::Linkerd),
            (&[8080, 8443, 15021, 15090], Proxies::Alone, Role::Gateway),
            (&[10000], Proxies::Alone, Role::Gateway),
            (&[15008, 15021, 15090], Proxies::Alone, Role::Waypoint),
        ];
        for (ports, proxies, role) in cases {
            assert_eq!(Role::of(ports.iter().copied(), proxies), role, "{ports:?}");
        }
    }

    #[test]
    fn there_is_a_loopback_interface() {
        assert!(list().unwrap().iter().any(|one| one.loopback));
    }
}
