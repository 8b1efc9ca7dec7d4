//! From packets to judged exchanges: what sequence numbers, flags and windows prove.
//!
//! Each test says a few packets and asks the analyser what happened.
//!
//! | module | holds |
//! |---|---|
//! | `settled` | what is asked of an exchange |
//! | `talk` | packets made by hand |
//! | `handshakes` | SYNs, who is the client, and connections that never opened |
//! | `closes` | FINs and RSTs |
//! | `holes` | what the capture lacks, and what it does not |
//! | `pairing` | which response answers which request |
//! | `field` | answers nobody can use, requests that stop, connections somebody forgot |
//! | `streams` | HTTP/2: streams, their ends, and what the capture lacks of them |
//! | `calls` | gRPC |
//! | `web` | its relatives in HTTP/1 |
//! | `websocket` | WebSocket, and server-sent events |
//! | `sockets` | what the kernel says of sockets meanwhile |
//! | `flow` | acknowledgments, windows, probes, repeats, and what they cost |

mod calls;
mod closes;
mod field;
mod flow;
mod handshakes;
mod holes;
mod pairing;
mod settled;
mod sockets;
mod streams;
mod talk;
mod web;
mod websocket;

pub(super) use settled::Settled;

use super::model::{Doubt, Verdict};

const CERTAIN: Option<Doubt> = None;

/// A request of 18 bytes.
const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// A response without a body, of 38 bytes.
const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A request head that announces a body of 300 bytes.
const POST_OF_300: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 300\r\n\r\n";

/// A response head of 40 bytes that announces a body of 300.
const HEAD_OF_300: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n";

/// A response head without a length: what follows ends with the connection.
const UNTIL_CLOSE: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Bytes of a body.
const BODY: [u8; 100] = [b'x'; 100];

const fn doubtful(verdict: Verdict, doubt: Doubt) -> (Verdict, Option<Doubt>) {
    (verdict, Some(doubt))
}
