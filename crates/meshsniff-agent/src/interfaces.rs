//! The interfaces of a network namespace, and which of them to capture on. Called inside the
//! namespace.

use super::sockets;
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

/// Where to capture if no interface is named: on loopback where a sidecar speaks plaintext to the
/// app, else everywhere.
#[must_use]
pub fn usual(interfaces: &[Interface], sidecar: bool) -> Vec<String> {
    let up = interfaces.iter().filter(|one| one.up);
    let chosen = up.filter(|one| !sidecar || one.loopback);
    chosen.map(|one| one.name.clone()).collect()
}

/// Ports on which only the proxy of a mesh listens: Istio's outbound, inbound, telemetry and
/// health, Linkerd's inbound.
const PROXY_PORTS: [u16; 5] = [15001, 15006, 15090, 15021, 4143];

/// Whether the proxy of a mesh listens here.
#[must_use]
pub fn has_sidecar() -> bool {
    let listening = sockets::listening(Path::new("/proc/thread-self"));
    listening.iter().any(|(_, port)| PROXY_PORTS.contains(port))
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
        assert_eq!(usual(&all, true), ["lo"]);
        assert_eq!(usual(&all, false), ["lo", "eth0"]);
    }

    #[test]
    fn there_is_a_loopback_interface() {
        assert!(list().unwrap().iter().any(|one| one.loopback));
    }
}
