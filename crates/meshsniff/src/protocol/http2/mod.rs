//! HTTP/2 as it stands in a byte stream (RFC 9113).
//!
//! | here | holds |
//! |---|---|
//! | [`frame`] | frame headers, error codes, settings |
//! | [`hpack`] | header compression, for somebody who may have joined late |
//! | [`limits`] | limits of header tables, until they are in force |
//! | [`head`] | what a header block says |
//! | [`reader`] | one side's frames, from bytes that come in any pieces |

pub mod frame;
pub mod head;
pub mod hpack;
pub mod limits;
pub mod reader;
