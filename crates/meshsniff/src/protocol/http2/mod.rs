//! HTTP/2 (RFC 9113).
//!
//! | here | holds |
//! |---|---|
//! | [`hpack`] | header blocks, read by somebody who may not have seen the earlier ones |

pub mod hpack;
