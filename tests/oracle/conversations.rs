//! Every conversation made by hand and by chance, in one capture file: tshark takes longer to start
//! than to read.

use super::generated;
use crate::scenarios;
use meshsniff::testing::Packet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The address that the client of every conversation has.
const CLIENT: [u8; 4] = [10, 0, 0, 1];
/// Where an Ethernet frame has the addresses of an IPv4 packet.
const ADDRESSES: [usize; 2] = [26, 30];
/// From the beginning of one conversation to that of the next: none of them takes as long.
const APART_NANOS: i64 = 1_000_000_000_000;

/// A capture file of conversations, each with a client address of its own.
pub(crate) struct Conversations {
    pub path: PathBuf,
    names: BTreeMap<IpAddr, String>,
}

impl Conversations {
    /// Writes the file.
    pub(crate) fn write() -> Self {
        let scenarios = scenarios::all()
            .into_iter()
            .map(|(name, packets)| (name.to_owned(), packets));
        let (mut packets, mut names) = (Vec::new(), BTreeMap::new());
        for (index, (name, conversation)) in scenarios.chain(generated::all()).enumerate() {
            let client = [10, 1 + (index / 250) as u8, (index % 250) as u8, 1];
            names.insert(IpAddr::V4(Ipv4Addr::from(client)), name);
            for mut packet in conversation {
                packet.nanos += index as i64 * APART_NANOS;
                for at in ADDRESSES {
                    if packet.data[at..at + 4] == CLIENT {
                        packet.data[at..at + 4].copy_from_slice(&client);
                    }
                }
                packets.push(packet);
            }
        }
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle-conversations.pcapng");
        std::fs::write(&path, pcapng(&packets)).expect("the conversations are written");
        Self { path, names }
    }

    /// The conversation that somebody takes part in. Its server's address is everybody's, its
    /// client's is not, and the client speaks first.
    pub(crate) fn name(&self, client: SocketAddr) -> String {
        self.names
            .get(&client.ip())
            .map_or_else(|| client.to_string(), String::clone)
    }
}

/// A pcapng file of two Ethernet interfaces: unlike a pcap it says which of them a packet was seen
/// on.
fn pcapng(packets: &[Packet]) -> Vec<u8> {
    let mut file = Vec::new();
    block(
        &mut file,
        0x0a0d_0d0a,
        &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]),
    );
    for _ in 0..2 {
        // Ethernet, no snap length, and the option that makes times nanoseconds.
        block(&mut file, 1, &words(&[1, 0, 0x0001_0009, 9, 0]));
    }
    for packet in packets {
        let len = packet.data.len() as u32;
        let (high, low) = ((packet.nanos >> 32) as u32, packet.nanos as u32);
        let mut body = words(&[packet.interface, high, low, len, packet.wire_len]);
        body.extend(&packet.data);
        body.resize(body.len().next_multiple_of(4), 0);
        block(&mut file, 6, &body);
    }
    file
}

fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let len = body.len() as u32 + 12;
    file.extend(words(&[kind, len]));
    file.extend(body);
    file.extend(words(&[len]));
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
