//! The seam above TCP: what a connection tells whoever reads its two streams, and what it asks
//! back.

use super::{Doubt, Extent, Offset, Side};
use crate::packet::Mark;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Reads the two streams of a connection.
///
/// It never sees a packet. Two things it answers back, as return values: how many bytes it still
/// expects decides how a hole is taken, and whose words the first bytes are decides who is the
/// client where no SYN told.
pub trait Application {
    /// The side that says `bytes`, the beginning of a segment, if that can be told. Asked only
    /// while the sides were told apart by their ports alone.
    fn speaker(&self, bytes: &[u8]) -> Option<Side>;

    /// The sides were taken for each other so far: nothing told until now holds.
    fn swap_sides(&mut self);

    /// Bytes still due of the message that `side` is sending, where that is known.
    fn expected(&self, side: Side) -> Option<u64>;

    /// Something happened on `side`'s stream.
    fn tell(&mut self, side: Side, event: StreamEvent<'_>);

    /// Bytes that what it keeps takes, beside itself: asked now and then.
    fn weight(&self) -> usize {
        0
    }
}

/// An event on one side's stream.
#[derive(Clone, Debug)]
pub enum StreamEvent<'a> {
    /// The next bytes in order.
    Bytes(Run<'a>, Progress),
    /// The next bytes are not in the capture.
    Missing(Missing, Progress),
    /// A segment brought nothing new.
    Repeated(Repeat, Mark),
    /// The FIN is next in order, at this offset.
    Finished(Offset, Progress),
    /// The other side acknowledged everything before this offset.
    Acknowledged(Ack),
    /// This side sent its first FIN or RST: in time, not in order.
    Closes,
    /// Bytes came later than they could have.
    Delayed(Delayed),
    /// This side had closed its receive window.
    WindowClosed {
        /// The packet that closed it.
        since: Mark,
        /// The packet that opened it again; `None` if it stayed closed.
        opened: Option<Mark>,
        /// When it opened, or the last packet of the connection.
        until: Timestamp,
    },
}

/// Bytes of one direction, in order.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The place of the first of them.
    pub from: Offset,
    /// The bytes.
    pub bytes: &'a [u8],
    /// The frame that first carried them.
    pub mark: Mark,
    /// Whether a segment began here.
    pub segment_start: bool,
}

/// A segment with payload that is no new byte of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// So many bytes were sent before.
    Bytes(u64),
    /// The byte before the next one once more, or a guess at it: a keep-alive (RFC 9293, 3.8.4).
    KeepAlive,
    /// The next byte, to a side that had no room for it: a zero-window probe (RFC 9293, 3.8.6.1).
    Probe,
}

/// Bytes that the capture does not have.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Where they lie.
    pub extent: Extent,
    /// Why they are not there.
    pub why: Doubt,
    /// The frame that carried them, if a snap length cut them off, or nobody can read them.
    pub cut_in: Option<Mark>,
    /// Whether as many bytes are missing of what is read: of what was encrypted only the length with
    /// that around it may be known.
    pub measured: bool,
}

/// An acknowledgment of everything before a place.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// That place.
    pub upto: Offset,
    /// The packet.
    pub mark: Mark,
    /// Other contents of the packet.
    pub with: AckWith,
}

/// Bytes that came late for a reason that lies in TCP.
#[derive(Clone, Debug)]
pub struct Delayed {
    /// The bytes.
    pub extent: Extent,
    /// The reason.
    pub by: Delay,
    /// The frames that show it.
    pub frames: Vec<Mark>,
    /// Its cost.
    pub cost: Span,
    /// Whether segments that were smaller by half came through.
    pub smaller_passed: bool,
}

/// Why bytes came late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// They had to be sent again before they were acknowledged.
    Loss,
    /// Their sender waited for a delayed ACK (Nagle's algorithm).
    DelayedAck,
    /// They were sent again, and were never acknowledged.
    NeverTaken,
}

/// How far the two streams have come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Client bytes acknowledged by the server.
    pub client_acked: Option<Offset>,
    /// Server bytes in order.
    pub server_next: Offset,
    /// Server bytes acknowledged by the client.
    pub server_acked: Option<Offset>,
    /// One past the highest server byte seen or acknowledged, not counting a FIN.
    pub server_high: Option<Offset>,
    /// The packet being looked at.
    pub mark: Mark,
}

impl Progress {
    /// Before anything was acknowledged, when the server had said so much.
    #[must_use]
    pub const fn unacknowledged(server_next: Offset, mark: Mark) -> Self {
        Self {
            client_acked: None,
            server_next,
            server_acked: None,
            server_high: None,
            mark,
        }
    }
}

/// Kind of the packet that carried an ACK.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AckWith {
    /// Nothing but the ACK.
    #[default]
    Bare,
    /// Payload.
    Data,
    /// A FIN.
    Fin,
    /// A RST.
    Rst,
}

impl AckWith {
    /// The name used in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}
