//! What the kernel of a live target knows of its sockets, asked while something waits there.
//!
//! Evidence beside the packets: no packet tells whether a program has read a request that its
//! kernel acknowledged. It adds to what is said of an exchange, and changes no verdict.
//!
//! | here | holds |
//! |---|---|
//! | [`Answer`] | what is known of the sockets of one connection at one moment |
//! | `observed` | all answers about one exchange, as [`Sockets`] in the end |
//! | `waiting` | which connections are due to be asked about |
//! | [`Counters`] | what the kernel counted of a network namespace meanwhile |

mod counters;
mod observed;
mod waiting;

pub use counters::{Counter, Counters};
pub use observed::Sockets;
pub(crate) use observed::{Observed, Request};
pub(crate) use waiting::Waiting;

use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A TCP socket, as `ss -tinm` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// Bytes that its program has not read. A FIN that it has not seen yet counts as one.
    pub receive_queue: u32,
    /// Bytes that its program wrote and the other end has not acknowledged, sent or not.
    pub send_queue: u32,
    /// Segments that it sent again, since it was opened.
    pub retransmits: u32,
    /// Segments that it may have under way: the congestion window.
    pub congestion_window: u32,
    /// The round trip as it has smoothed it.
    pub rtt: Span,
}

/// A TCP socket that listens, as `ss -lnt` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Connections that its program has not accepted.
    pub waiting: u32,
    /// Most that it was told to keep waiting. Linux keeps one more.
    pub most: u32,
}

impl Listener {
    /// Whether it turns away whoever comes next (`sk_acceptq_is_full` of Linux).
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.waiting > self.most
    }
}

/// What is known of the sockets of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub at: Timestamp,
    /// The client's, if it is in this network namespace.
    pub client: Option<Socket>,
    /// The server's, likewise.
    pub server: Option<Socket>,
    /// Bytes in the server's that its program has not read, a FIN aside.
    pub unread: u32,
    /// Bytes of the client's stream that the server's socket has had in order, where the kernel
    /// counts them (Linux 4.1).
    pub received: Option<u64>,
    /// Whether a program accepted the connection; `None` if it has no socket here.
    pub accepted: Option<bool>,
    /// The socket that listens on the server's port.
    pub listener: Option<Listener>,
}
