//! HTTP/1.x as it stands in a byte stream (RFC 9112).
//!
//! [`head`] reads request and response heads, [`body`] finds where a message ends, [`detect`] tells what
//! a stream's first bytes are. Nothing here knows of packets, times or pairing.

pub mod body;
pub mod detect;
pub mod head;
