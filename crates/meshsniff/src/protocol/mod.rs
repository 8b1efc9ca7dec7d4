//! Application protocols: which one speaks, and what its messages say.
//!
//! | here | holds |
//! |---|---|
//! | [`detect`] | what the first bytes of a stream, or of a segment, are |
//! | [`fields`] | header fields that say the same in every version of HTTP |
//! | `caller`, `trace` | two of them: who asked, and which trace the request is part of |
//! | [`http1`] | HTTP/1.x: heads, bodies, and the reader of one side's messages |
//! | [`http2`] | HTTP/2: frames, header compression, and the reader of one side's frames |
//! | [`grpc`] | gRPC in HTTP/2, and its relatives: messages, statuses |
//! | [`websocket`] | frames of WebSocket, and how it is closed |
//! | [`event_stream`] | the events of a server that pushes them |
//!
//! A reader takes the bytes of a stream in order, knows of missing ones, and gives message events.
//! Which request a response answers is not its concern, and neither are times, packets and closes.

mod caller;
pub mod detect;
pub mod event_stream;
pub mod fields;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod proxy_header;
pub mod tls;
mod trace;
pub mod websocket;
