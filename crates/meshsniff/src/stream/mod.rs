//! The stream that the agent sends: pcapng, as Wireshark reads it from a pipe.
//!
//! ```text
//!  agent: blocks ──► exec ──► reader ──► merge: blocks ──► one file or pipe     (plugin)
//! ```
//!
//! | here | holds |
//! |---|---|
//! | [`blocks`] | the blocks that are written, one function each |
//! | [`reader`] | one stream read again, by the plugin, which trusts none of its bytes |
//! | [`merge`] | several streams written as one |
//!
//! Little-endian, nanoseconds, blocks of at most [`blocks::LONGEST`] bytes. What the program has to say beside packets
//! stands in options (comments, descriptions, statistics), never in custom blocks: Wireshark lists those as frames
//! and would number every later one wrongly. Statistics blocks come at intervals, as a sign of life that Wireshark
//! passes over, and at the end: the last one, with its [`blocks::END`] comment, says that the stream is whole.
//!
//! It may be packed with zstd: then a frame ends wherever the stream pauses, because a decoder may keep the rest of an
//! open one back.

pub mod blocks;
pub mod merge;
pub mod reader;
#[cfg(test)]
mod tests;

pub use merge::{Merger, StreamNumber};
pub use reader::{End, Event, StreamError, StreamReader};
