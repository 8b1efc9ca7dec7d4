//! Frames that own their bytes, what the analyser says of them, and a capture file of them.

use crate::exchange::{Connection, Exchange};
use crate::packet::{Frame, FrameId, LinkType};
use crate::protocol::tls::Keys;
use crate::time::Timestamp;
use crate::{Analyzer, Options, Sink, Totals};
use std::sync::{Arc, LazyLock};

/// A frame that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// The source it comes from, from 0.
    pub source: u16,
    /// The frame number within its source, from 1.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub nanos: i64,
    /// The interface within its source, from 0.
    pub interface: u32,
    /// What the bytes begin with.
    pub link: LinkType,
    /// Bytes it had on the wire.
    pub wire_len: u32,
    /// The captured bytes.
    pub data: Vec<u8>,
}

impl Packet {
    /// A whole packet, captured on the first interface of the first source.
    #[must_use]
    pub fn new(number: u64, nanos: i64, link: LinkType, data: Vec<u8>) -> Self {
        Self {
            source: 0,
            number,
            nanos,
            interface: 0,
            link,
            wire_len: data.len() as u32,
            data,
        }
    }

    /// The frame, borrowed.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            id: FrameId::new(self.source, self.number),
            time: Timestamp::from_nanos(self.nanos),
            interface: self.interface,
            link: self.link,
            wire_len: self.wire_len,
            data: &self.data,
        }
    }
}

impl From<Frame<'_>> for Packet {
    fn from(frame: Frame<'_>) -> Self {
        Self {
            source: frame.id.source(),
            number: frame.id.number(),
            nanos: frame.time.as_nanos(),
            interface: frame.interface,
            link: frame.link,
            wire_len: frame.wire_len,
            data: frame.data.to_vec(),
        }
    }
}

/// Everything the analyser settled.
#[derive(Default)]
pub struct Seen {
    /// In the order in which they were settled.
    pub exchanges: Vec<Exchange>,
    /// In the order in which they ended.
    pub connections: Vec<Connection>,
    /// The counts at the end.
    pub totals: Totals,
}

impl Sink for Seen {
    fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges.push(exchange.clone());
    }

    fn connection(&mut self, connection: &Connection) {
        self.connections.push(connection.clone());
    }
}

/// The keys that captures of tests bring along: one store for all, as packets have none.
pub fn keys() -> Arc<Keys> {
    static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(Arc::default);
    Arc::clone(&KEYS)
}

/// Runs the analyser over packets.
pub fn analyse<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Seen {
    let mut seen = Seen::default();
    seen.totals = analyse_into(packets, &mut seen);
    seen
}

/// Runs the analyser over packets, with a sink of one's own; returns its counts.
pub fn analyse_into<'a>(
    packets: impl IntoIterator<Item = &'a Packet>,
    sink: &mut dyn Sink,
) -> Totals {
    let mut analyzer = Analyzer::new(Options {
        keys: Some(keys()),
        ..Options::default()
    });
    for packet in packets {
        analyzer.frame(&packet.frame(), sink);
    }
    analyzer.finish(sink);
    analyzer.totals().clone()
}
