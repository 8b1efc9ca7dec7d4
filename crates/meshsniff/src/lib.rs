//! Says who hung up on whom: packets in, a verdict on every HTTP request out.
//!
//! ```
//! # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata-pcaps/tutorial-envoy.pcap");
//! let mut left = Vec::new();
//! let analysed = meshsniff::analyse(file, |exchange| {
//!     if exchange.verdict == meshsniff::Verdict::ClientGaveUp {
//!         left.push(format!("{} after {:?}", exchange.verdict, exchange.gaps.ack_to_client_close));
//!     }
//! })?;
//! assert_eq!(left.len(), 1);
//! assert!(analysed.errors.is_empty(), "the file was read to its end");
//! # Ok::<(), meshsniff::capture::OpenError>(())
//! ```
//!
//! Packets go one way, and nothing goes back:
//!
//! ```text
//!  source ──► frame ──► segment ──► stream bytes ──► message ──► exchange ──► event ──► report
//!  capture     capture   packet      tcp              protocol    exchange     event     report
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`time`], [`escape`], `number` | leaves: times, harmless text, numbers as text |
//! | [`packet`] | from a frame to a TCP segment |
//! | [`names`] | pods and services behind addresses |
//! | [`tcp`] | connections, streams, closes, loss; tells an [`tcp::Application`] stream events |
//! | [`protocol`] | which application speaks, and the readers of its messages |
//! | [`mesh`] | what service meshes do by convention: Envoy's flags, timeouts, addresses, ports |
//! | [`dns`] | what is asked for and answered, and who waits for it |
//! | [`kernel`] | what the kernel of a live target knows of its sockets: evidence beside packets |
//! | [`exchange`] | pairing, evidence, verdicts, gaps, findings |
//! | [`analyzer`] | frames in, exchanges and connections out; no clock but the capture's |
//! | [`conversation`] | one connection as text, from the same stream events |
//! | [`condition`], [`statistics`], [`event`] | what is asked for, counted and told |
//! | [`assertion`], [`compare`], [`relay`] | what is a failure; two captures held against each other; a report on its way |
//! | [`report`] | formats and their words |
//! | [`pcapng`], [`compression`], [`capture`], [`stream`] | capture files, and the agent's stream |
//! | [`pipeline`] | reader, analyser and report, joined |
//!
//! A room uses only those above it.

pub mod analyzer;
pub mod assertion;
pub mod capture;
pub mod compare;
pub mod compression;
pub mod condition;
pub mod conversation;
pub mod dns;
pub mod escape;
pub mod event;
pub mod exchange;
pub mod kernel;
pub mod mesh;
pub mod names;
mod number;
pub mod packet;
pub mod pcapng;
mod piece;
pub mod pipeline;
pub mod protocol;
pub mod redacted;
pub mod relay;
pub mod report;
pub mod statistics;
pub mod stream;
pub mod tcp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;

pub use analyzer::{Analyzer, Options, Sink, Totals};
pub use exchange::{Connection, Exchange, Verdict};
pub use pipeline::{Analysed, Pipeline, analyse};
