//! Reading captures: pcap and pcapng, from files and streams, plain or compressed, several merged
//! by time.
//!
//! | here | holds |
//! |---|---|
//! | [`Input`] | where a capture comes from |
//! | [`CaptureReader`] | the frames of one capture, or of several |
//! | [`copy_annotated`] | a copy of a capture with comments on its frames |
//! | `source`, `pcap`, `pcapng`, `interface` | one capture: format, records, interfaces |
//! | `bytes`, `map` | the bytes of a capture, mapped or still arriving |
//! | `record` | what the formats hand to the source |
//!
//! Holds everything between a path and a [`Frame`](crate::packet::Frame); [`crate::packet`] decodes
//! what a frame contains. Plain files are mapped; everything else is read through a buffer that
//! grows with the longest record. A frame is handed on as soon as its last byte has come.

mod annotated;
mod bytes;
mod error;
mod input;
mod interface;
mod map;
mod pcap;
mod pcapng;
mod reader;
mod record;
mod source;

#[cfg(test)]
mod tests;

pub use annotated::{Copied, CopyError, copy_annotated};
pub use error::{OpenError, ReadError};
pub use input::{Input, SourceInfo, SourceKind};
pub use reader::CaptureReader;
pub use record::{Comment, UnsupportedFrames};
