//! HTTP/1.x as it stands in a byte stream (RFC 9112).
//!
//! | here | holds |
//! |---|---|
//! | `caller` | who asked, as proxies pass it on |
//! | [`head`] | request and response heads |
//! | [`body`] | where a message ends |
//! | [`reader`] | one side's messages, from bytes that come in any pieces |

pub mod body;
mod caller;
pub mod head;
pub mod reader;
mod trace;
