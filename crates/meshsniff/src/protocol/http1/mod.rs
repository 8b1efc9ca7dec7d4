//! HTTP/1.x as it stands in a byte stream (RFC 9112).
//!
//! | here | holds |
//! |---|---|
//! | [`head`] | request and response heads |
//! | [`body`] | where a message ends |
//! | [`reader`] | one side's messages, from bytes that come in any pieces |

pub mod body;
pub mod head;
pub mod reader;
