//! What the fuzz targets check, apart from the fuzzer itself, so that `cargo test` can replay what
//! was found.
//!
//! | target | bytes are | what must hold |
//! |---|---|---|
//! | [`reader`] | a capture file | the same frames whether it is there at once or trickles in |
//! | [`stream`] | what an agent sends | the same again after it was merged |
//! | [`decoder`] | a link type and frames | a cut frame says nothing that the whole one does not |
//! | [`reassembly`] | what happens to one direction | it agrees with a table of bytes |
//! | [`http`] | a message and where to cut it | the same heads and bodies wherever it is cut |
//! | [`frames`] | frames of HTTP/2 and where to cut them | the same wherever they are cut; little is kept |
//! | [`hpack`] | header blocks and what happens to them | who joins late is never wrong |
//! | [`tls`] | records of both sides, and what is missing | the same wherever they are cut; little is kept |
//! | [`tls_keys`] | records of known keys, and what happens to them | nothing is told that was not said |
//! | [`websocket`] | frames of one side, and what is missing | the same wherever they are cut; little is kept |
//! | [`analyzer`] | a capture file, or choices of one | reports that parse, of exchanges that make sense |
//! | [`conversation`] | any segments of one connection | exchanges that make sense |
//! | [`relay`] | lines of a relay, or choices of them | reports that parse, whatever they say |
//! | [`missing_frame`] | steps of two proper ends | no frame's loss makes a certain claim wrong |

pub mod analyzer;
pub mod choices;
pub mod conversation;
pub mod decoder;
pub mod file;
pub mod frames;
pub mod hpack;
pub mod http;
pub mod json;
pub mod judge;
pub mod lines;
pub mod missing_frame;
pub mod reader;
pub mod reassembly;
pub mod relay;
pub mod stream;
pub mod tls;
pub mod tls_keys;
pub mod websocket;

/// Panics if the bytes break what it checks.
pub type Check = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Check); 14] = [
    ("reader", reader::check),
    ("stream", stream::check),
    ("decoder", decoder::check),
    ("reassembly", reassembly::check),
    ("http", http::check),
    ("frames", frames::check),
    ("hpack", hpack::check),
    ("tls", tls::check),
    ("tls_keys", tls_keys::check),
    ("websocket", websocket::check),
    ("analyzer", analyzer::check),
    ("conversation", conversation::check),
    ("missing_frame", missing_frame::check),
    ("relay", relay::check),
];
