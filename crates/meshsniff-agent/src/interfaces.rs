//! The interfaces of a network namespace, and which of them to capture on. Called inside the namespace.

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::fs;
use std::io;

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is a loopback interface.
    pub loopback: bool,
    /// Whether it is up.
    pub up: bool,
    /// Its hardware address, if it has one: who it is in an Ethernet header.
    pub address: Option<[u8; 6]>,
}

/// The interfaces there are, in the kernel's order.
///
/// # Errors
/// If the kernel does not tell.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut interfaces: Vec<Interface> = Vec::new();
    for entry in getifaddrs()? {
        let link = entry
            .address
            .as_ref()
            .and_then(|address| address.as_link_addr());
        let address = link
            .and_then(|link| link.addr())
            .filter(|address| *address != [0; 6]);
        match interfaces
            .iter_mut()
            .find(|known| known.name == entry.interface_name)
        {
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

/// Where to capture if nobody said: on loopback where a sidecar speaks plaintext to the app, else everywhere.
#[must_use]
pub fn usual(interfaces: &[Interface], sidecar: bool) -> Vec<String> {
    let up = interfaces.iter().filter(|one| one.up);
    let chosen = up.filter(|one| !sidecar || one.loopback);
    chosen.map(|one| one.name.clone()).collect()
}

/// Ports on which only the proxy of a mesh listens: Istio's outbound, inbound, telemetry and health, Linkerd's inbound.
const PROXY_PORTS: [u16; 5] = [15001, 15006, 15090, 15021, 4143];

/// Whether the proxy of a mesh listens here.
#[must_use]
pub fn has_sidecar() -> bool {
    ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .any(|table| listens(&table))
}

/// Whether one of the sockets of a `/proc/net/tcp` listens on a proxy's port.
fn listens(table: &str) -> bool {
    const LISTEN: &str = "0A";
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next(), fields.nth(1));
        let port = local
            .and_then(|local| local.rsplit_once(':'))
            .and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        state == Some(LISTEN) && port.is_some_and(|port| PROXY_PORTS.contains(&port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_known_by_its_ports() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let line = |local: &str, state: &str| {
            format!("{head}   0: 00000000:{local} 00000000:0000 {state} 00000000:00000000\n")
        };
        assert!(listens(&line("3A9E", "0A")));
        assert!(!listens(&line("3A9E", "01")));
        assert!(!listens(&line("0BB8", "0A")));
        assert!(!listens(head));
    }

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
