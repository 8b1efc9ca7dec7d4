//! The TCP sockets of a network namespace, as procfs lists them.

use std::fs;
use std::path::Path;

/// The sockets that listen in the network namespace of the process with this folder in procfs:
/// inode and port.
pub(super) fn listening(process: &Path) -> Vec<(u64, u16)> {
    let tables = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(process.join(table)));
    let tables = tables.into_iter().flatten();
    tables
        .flat_map(|table| listeners(&table).collect::<Vec<_>>())
        .collect()
}

/// The sockets of a `/proc/net/tcp` that listen.
fn listeners(table: &str) -> impl Iterator<Item = (u64, u16)> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).filter_map(|line| {
        // sl, own address, remote address, state, queues, timer, retransmissions, user, timeout,
        // inode.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, port) = address.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (*state == LISTEN).then_some((inode.parse().ok()?, port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let line = |port: &str, state: &str, inode: u64| {
            format!(
                "0: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 \
                 0 {inode} 1 0 100\n"
            )
        };
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n".to_owned();
        let table = [head, line("3A9E", "0A", 7), line("0BB8", "01", 8)].concat();
        assert_eq!(listeners(&table).collect::<Vec<_>>(), [(7, 15006)]);
    }

    #[test]
    fn this_machines_table_is_read() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let listening = listening(Path::new("/proc/self"));
        assert!(listening.iter().any(|(_, listens)| *listens == port));
    }
}
