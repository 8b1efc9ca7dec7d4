//! Says who hung up on whom: packets in, a verdict on every HTTP request out.
//!
//! ```text
//!  source ──► frame ──► segment ──► stream bytes ──► message ──► exchange ──► sink
//!  capture     capture   packet      tcp              http        exchange     report
//! ```
//!
//! One direction, no going back. [`capture`] reads files and streams; [`packet`] peels off link layer, IP
//! and TCP; [`tcp`] puts each direction's bytes in order and knows what is missing; [`protocol`]
//! reads messages; [`exchange`] pairs them, times them and judges them. [`Analyzer`] runs the middle of it, from
//! frame to exchange: it is pure, opens nothing and knows no clock but the capture's. [`conversation`] shows
//! one connection as text.
//!
//! What is settled goes on as events ([`event`]): [`statistics`] counts it, [`assertion`] and [`compare`]
//! decide what is a failure, [`relay`] carries it from a target to the program that reports it, and
//! [`report`] holds the formats and their words. [`condition`] is what a user asks of exchanges, and
//! [`escape`] makes hostile text harmless.

pub mod analyzer;
pub mod assertion;
pub mod capture;
pub mod compare;
pub mod compression;
pub mod condition;
pub mod conversation;
pub mod escape;
pub mod event;
pub mod exchange;
pub mod mesh;
mod number;
pub mod packet;
pub mod pcapng;
mod piece;
pub mod protocol;
pub mod relay;
pub mod report;
pub mod statistics;
pub mod stream;
pub mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use analyzer::{Analyzer, Options, Sink, Totals};
