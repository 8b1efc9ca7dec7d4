//! The stream that the agent sends: pcapng, as Wireshark reads it from a pipe.
//!
//! | here | holds |
//! |---|---|
//! | [`blocks`] | the blocks that are written, one function each |
//!
//! Little-endian, nanoseconds, blocks of at most [`blocks::LONGEST`] bytes. What the program has to say beside packets
//! stands in options (comments, descriptions, statistics), never in custom blocks: Wireshark lists those as frames
//! and would number every later one wrongly. Statistics blocks come at intervals, as a sign of life that Wireshark
//! passes over, and at the end: the last one, with its [`blocks::END`] comment, says that the stream is whole.

pub mod blocks;
