//! Captures as they come from a pipe: the agent's pcapng, and tcpdump's pcap. Read independently of
//! the product.

use crate::tools::FOR_EVER;
use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddrV4;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub(crate) const STATISTICS: u32 = 5;

/// What has come so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    parsed: usize,
    /// The section's comment.
    pub(crate) comment: String,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) packets: Vec<Packet>,
    pub(crate) statistics: Vec<Statistics>,
    /// Type of the last block.
    pub(crate) last: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) link_type: u16,
    pub(crate) snaplen: u32,
    pub(crate) name: String,
    pub(crate) filter: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) interface: u32,
    pub(crate) comment: String,
    pub(crate) received: u64,
    pub(crate) queue_dropped: u64,
    pub(crate) kernel_dropped: u64,
    pub(crate) delivered: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) interface: u32,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) wire_len: u32,
    /// 1: inbound, 2: outbound.
    pub(crate) flags: Option<u32>,
    pub(crate) data: Vec<u8>,
}

/// A TCP segment over IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) len: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The options that follow a block's fields.
fn options(mut bytes: &[u8]) -> HashMap<u16, &[u8]> {
    let mut options = HashMap::new();
    while bytes.len() >= 4 && u16_at(bytes, 0) != 0 {
        let length = usize::from(u16_at(bytes, 2));
        options.insert(u16_at(bytes, 0), &bytes[4..4 + length]);
        bytes = &bytes[4 + length.next_multiple_of(4)..];
    }
    options
}

fn text(bytes: Option<&&[u8]>) -> String {
    let bytes = bytes.copied().unwrap_or_default();
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

impl Capture {
    /// Takes in what came.
    fn feed(&mut self, bytes: &[u8]) {
        const PCAP_NANOSECONDS: [u8; 4] = [0x4d, 0x3c, 0xb2, 0xa1];
        self.bytes.extend_from_slice(bytes);
        let whole = std::mem::take(&mut self.bytes);
        let pcap = whole.starts_with(&PCAP_NANOSECONDS);
        if pcap && self.parsed == 0 && whole.len() >= 24 {
            self.parsed = 24;
        }
        loop {
            let rest = &whole[self.parsed..];
            let length = match pcap {
                true if self.parsed > 0 && rest.len() >= 16 => 16 + u32_at(rest, 8) as usize,
                false if rest.len() >= 8 => u32_at(rest, 4) as usize,
                _ => break,
            };
            if rest.len() < length {
                break;
            }
            if pcap {
                self.record(&rest[..length]);
            } else {
                self.block(&rest[..length]);
            }
            self.parsed += length;
        }
        self.bytes = whole;
    }

    fn record(&mut self, record: &[u8]) {
        self.packets.push(Packet {
            interface: 0,
            time: u64::from(u32_at(record, 0)) * 1_000_000_000 + u64::from(u32_at(record, 4)),
            wire_len: u32_at(record, 12),
            flags: None,
            data: record[16..].to_vec(),
        });
    }

    fn block(&mut self, block: &[u8]) {
        assert!(
            block.len().is_multiple_of(4) && block.len() >= 12,
            "a bad length"
        );
        let end = block.len() - 4;
        assert_eq!(u32_at(block, end) as usize, block.len(), "lengths differ");
        self.last = u32_at(block, 0);
        match self.last {
            0x0a0d_0d0a => {
                assert!(self.comment.is_empty(), "a second section");
                self.comment = text(options(&block[24..end]).get(&1));
            }
            1 => {
                let options = options(&block[16..end]);
                assert_eq!(options.get(&9), Some(&&[9][..]), "nanoseconds");
                let filter = text(options.get(&11));
                self.interfaces.push(Interface {
                    link_type: u16_at(block, 8),
                    snaplen: u32_at(block, 12),
                    name: text(options.get(&2)),
                    filter: filter.trim_start_matches('\0').to_owned(),
                });
            }
            6 => {
                let length = u32_at(block, 20) as usize;
                let options = options(&block[28 + length.next_multiple_of(4)..end]);
                self.packets.push(Packet {
                    interface: u32_at(block, 8),
                    time: u64::from(u32_at(block, 12)) << 32 | u64::from(u32_at(block, 16)),
                    wire_len: u32_at(block, 24),
                    flags: options.get(&2).map(|flags| u32_at(flags, 0)),
                    data: block[28..28 + length].to_vec(),
                });
            }
            STATISTICS => {
                let options = options(&block[20..end]);
                let number = |code| options.get(&code).map(|value| u64_at(value, 0));
                let number = |code| number(code).expect("a count");
                self.statistics.push(Statistics {
                    interface: u32_at(block, 8),
                    comment: text(options.get(&1)),
                    received: number(4),
                    queue_dropped: number(5),
                    kernel_dropped: number(7),
                    delivered: number(8),
                });
            }
            other => panic!("a block of type {other} in the stream"),
        }
    }

    /// Whether it ends with a whole block.
    pub(crate) fn is_whole(&self) -> bool {
        self.parsed == self.bytes.len()
    }

    /// Why it ended: the comment of the statistics block that is the last one.
    #[track_caller]
    pub(crate) fn end(&self) -> &str {
        assert!(self.is_whole(), "the stream ends inside a block");
        assert_eq!(self.last, STATISTICS, "the last block");
        let comment = &self.statistics.last().expect("statistics").comment;
        let end = comment.strip_prefix("meshsniff: end: ");
        end.unwrap_or_else(|| panic!("the last comment is {comment:?}"))
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        self.packets.iter().filter_map(Packet::tcp)
    }

    /// Whether there are so many connections, and both sides of each have closed and know it of the
    /// other.
    pub(crate) fn settled(&self, connections: usize) -> bool {
        const FIN: u8 = 1;
        let mut fins = HashMap::new();
        let mut acks: HashMap<_, u32> = HashMap::new();
        let mut known = HashMap::new();
        for segment in self.segments() {
            let (from, to) = (segment.from, segment.to);
            known.insert((from.min(to), from.max(to)), ());
            if segment.flags & FIN != 0 {
                fins.insert((from, to), segment.seq.wrapping_add(segment.len + 1));
            }
            acks.insert((to, from), segment.ack);
        }
        let closed = |from, to| {
            fins.get(&(from, to))
                .is_some_and(|end| acks.get(&(from, to)) == Some(end))
        };
        known.len() >= connections
            && known
                .keys()
                .all(|&(one, other)| closed(one, other) && closed(other, one))
    }
}

impl Packet {
    pub(crate) fn tcp(&self) -> Option<Segment> {
        let (ethernet, ip) = self.data.split_at_checked(14)?;
        if ethernet[12..] != [8, 0] || ip.len() < 40 || ip[9] != 6 {
            return None;
        }
        let big = |at: usize| u16::from_be_bytes([ip[at], ip[at + 1]]);
        let head = usize::from(ip[0] & 15) * 4;
        let word = |at: usize| u32::from(big(at)) << 16 | u32::from(big(at + 2));
        let address = |at: usize, port| SocketAddrV4::new(word(at).into(), big(port));
        let tcp_head = u32::from(ip[head + 12] >> 4) * 4;
        Some(Segment {
            from: address(12, head),
            to: address(16, head + 2),
            seq: word(head + 4),
            ack: word(head + 8),
            flags: ip[head + 13],
            len: self.wire_len - 14 - head as u32 - tcp_head,
        })
    }
}

struct Shared {
    state: Mutex<(Capture, bool)>,
    changed: Condvar,
}

/// A capture that is being read from a pipe.
pub(crate) struct Stream {
    shared: Arc<Shared>,
    reading: JoinHandle<()>,
}

impl Stream {
    pub(crate) fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let (sharing, mut buffer) = (Arc::clone(&shared), vec![0; 64 << 10]);
        let reading = thread::spawn(move || {
            loop {
                let count = pipe.read(&mut buffer).unwrap_or(0);
                let mut state = sharing.state.lock().expect("a stream that can be read");
                state.0.feed(&buffer[..count]);
                state.1 = count == 0;
                sharing.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { shared, reading }
    }

    fn state(&self) -> MutexGuard<'_, (Capture, bool)> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what came is as wanted.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, mut is: impl FnMut(&Capture) -> bool) {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.state(), FOR_EVER, |state| !is(&state.0) && !state.1);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            is(&state.0),
            "{what} never came: {} packets, ended: {}",
            state.0.packets.len(),
            state.1
        );
    }

    /// Everything, once it has ended.
    #[track_caller]
    pub(crate) fn whole(self) -> Capture {
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.state(), FOR_EVER, |state| !state.1);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let capture = std::mem::take(&mut state.0);
        drop(state);
        assert!(!timeout.timed_out(), "the stream does not end");
        assert!(self.reading.join().is_ok(), "the stream cannot be read");
        capture
    }
}
