//! Application protocols: which one speaks, and what its messages say.
//!
//! | here | holds |
//! |---|---|
//! | [`detect`] | what the first bytes of a stream, or of a segment, are |
//! | [`http1`] | HTTP/1.x: heads, bodies, and the reader of one side's messages |
//! | [`http2`] | HTTP/2: header blocks |
//!
//! A reader takes the bytes of a stream in order, knows of missing ones, and gives message events.
//! Which request a response answers is not its concern, and neither are times, packets and closes.

pub mod detect;
pub mod http1;
pub mod http2;
pub mod proxy_header;
pub mod tls;
