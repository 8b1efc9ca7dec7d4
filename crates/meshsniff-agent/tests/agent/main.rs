//! Tests of the agent as a whole: the real program, in network namespaces made here, on traffic
//! made here.
//!
//! | here | holds |
//! |---|---|
//! | `same_packets` | what is captured against what tcpdump captures beside it |
//! | `compressed` | the same with `--compress` |
//! | `readers` | the stream as tshark, capinfos, dumpcap and the plugin read it |
//! | `endings`, `heartbeats` | everything that ends a capture, and what the stream says of it |
//! | `rights` | what a running capture may still do |
//! | `targets` | cgroups, processes, names; which interface is taken if none is named |
//! | `slow_reader` | what is lost where, and that it is counted |
//! | `hold` | the helper pod's main process, and what a helper refuses |
//! | `errors` | one sentence each, that names the next step |
//! | `unread` | programs that do not read what they are sent |
//! | `live_report` | `report` while the traffic runs |
//! | `netns`, `http`, `program`, `stream`, `tcpdump`, `tools` | what they share |
//!
//! They need root and some programs; without those a test says so and passes, unless it was told
//! that everything must be there. Nothing waits for a time to pass, but for what is to happen; what
//! does not happen becomes a message.

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    reason = "deadlines are about the programs under test, not about what they capture"
)]

mod compressed;
mod endings;
mod errors;
mod heartbeats;
mod hold;
mod http;
mod live_relay;
mod live_report;
mod netns;
mod program;
mod readers;
mod rights;
mod same_packets;
mod slow_reader;
mod stream;
mod targets;
mod tcpdump;
mod tools;
mod unread;
