//! What tests of this crate and of those on top of it are made from.
//!
//! | here | holds |
//! |---|---|
//! | [`Talk`] | a conversation of one client and one server, packet by packet |
//! | [`TcpSegment`] | a single segment, as the bytes of a packet |
//! | [`dns`] | DNS messages |
//! | [`wrap`] | tunnels and other layers around a packet |
//! | [`websocket`] | frames of WebSocket |
//! | [`TlsSession`] | records of TLS whose keys are known |
//! | [`Packet`] | a frame that owns its bytes; [`analyse`] |
//! | [`files`] | capture files in every variant of their formats; [`write_pcap`] |
//! | [`fixtures`] | exchanges and connections, as the analyser would settle them |

pub mod dns;
pub mod files;
pub mod fixtures;
pub mod frames;
mod packet;
mod segment;
mod talk;
#[cfg(feature = "keys")]
mod tls;
pub mod websocket;
pub mod wrap;

pub use files::{pcap, write_pcap};
pub use packet::{Packet, Seen, analyse, analyse_into, keys};
pub use segment::{CLIENT, SERVER, TcpSegment};
pub use talk::{ACK, End, FIN, RST, SYN, Talk};
#[cfg(feature = "keys")]
pub use tls::TlsSession;
