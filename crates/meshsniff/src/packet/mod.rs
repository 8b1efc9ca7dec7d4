//! From a captured frame to a TCP segment.
//!
//! | here | holds |
//! |---|---|
//! | `frame` | a captured frame, and how it is referred to |
//! | `link`, `ip`, `fragments` | what is peeled off, one layer each |
//! | `decode` | [`Decoder`]: all of that in order |
//! | `segment`, `seq`, `endpoint` | what comes out |
//!
//! No connection state is kept: the only thing remembered is unfinished IP fragments.

mod decode;
mod endpoint;
mod fragments;
mod frame;
mod ip;
mod link;
mod segment;
mod seq;

#[cfg(test)]
mod tests;

pub use decode::{Decoded, Decoder};
pub use endpoint::Endpoint;
pub use frame::{Frame, FrameId, Mark};
pub use link::{LinkType, UnsupportedLink};
pub use segment::{Flags, Segment};
pub use seq::Seq;
