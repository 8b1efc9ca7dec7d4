//! The stream that the agent sends: pcapng, as Wireshark reads it from a pipe.
//!
//! ```text
//!  agent: blocks ──► exec ──► reader ──► merge: blocks ──► one file or pipe     (plugin)
//! ```
//!
//! | here | holds |
//! |---|---|
//! | [`reader`] | one stream read again, by the plugin, which trusts none of its bytes |
//! | [`merge`] | several streams written as one |
//!
//! Its blocks are those of [`blocks`]: little-endian, nanoseconds, at most [`blocks::MAX_BLOCK`]
//! bytes. What the program has to say beside packets stands in options (comments, descriptions,
//! statistics), never in custom blocks: Wireshark lists those as frames and would number every
//! later one wrongly. Statistics blocks come at intervals, as a sign of life that Wireshark passes
//! over, and at the end: the last one, with its [`blocks::END`] comment, says that the stream is
//! whole.
//!
//! The stream may be compressed with zstd. A zstd frame then ends wherever the stream pauses,
//! because a decoder may keep back the rest of one that is open.
//!
//! [`blocks`]: crate::pcapng::blocks
//! [`blocks::MAX_BLOCK`]: crate::pcapng::blocks::MAX_BLOCK
//! [`blocks::END`]: crate::pcapng::blocks::END

pub mod merge;
pub mod reader;
#[cfg(test)]
mod tests;

pub use merge::{Merger, StreamNumber};
pub use reader::{End, Event, StreamError, StreamReader};
