//! Says who hung up on whom: packets in, a verdict on every HTTP request out.
//!
//! ```text
//!  source ──► frame ──► segment ──► stream bytes ──► message ──► exchange ──► sink
//!  capture     capture   packet      tcp              http        exchange     report
//! ```
//!
//! One direction, no going back. [`capture`] reads files and streams; [`packet`] peels off link layer, IP
//! and TCP; [`tcp`] puts each direction's bytes in order and knows what is missing; [`http`] reads
//! messages; [`exchange`] pairs them, times them and judges them; [`report`] writes that down. [`Analyzer`]
//! runs the middle of it, from frame to exchange: it is pure, opens nothing and knows no clock but the
//! capture's. [`conversation`] shows one connection as text.

pub mod analyzer;
pub mod capture;
pub mod compression;
pub mod conversation;
pub mod exchange;
pub mod http;
pub mod packet;
pub mod pcapng;
pub mod pipeline;
pub mod report;
pub mod stream;
pub mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use analyzer::{Analyzer, Options, Sink, Totals};
