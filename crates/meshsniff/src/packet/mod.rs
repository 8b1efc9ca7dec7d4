//! From a captured frame to a TCP segment.
//!
//! | here | holds |
//! |---|---|
//! | `frame` | a captured frame, and how it is referred to |
//! | `link`, `wifi`, `layers` | what is peeled off down to IP |
//! | `ip`, `fragments`, `tunnel` | IP, and what it carries that is a packet again |
//! | `not_read` | names for what is no TCP segment, and counts of them |
//! | `decode` | [`Decoder`]: all of that in order |
//! | `segment`, `datagram`, `seq`, `endpoint` | what comes out |
//!
//! No connection state is kept: the only thing remembered is unfinished IP fragments.

mod datagram;
mod decode;
mod endpoint;
mod fragments;
mod frame;
mod ip;
mod layers;
mod link;
mod not_read;
mod segment;
mod seq;
mod tunnel;
mod wifi;

#[cfg(test)]
mod tests;

pub use datagram::Datagram;
pub use decode::{Decoded, Decoder};
pub use endpoint::Endpoint;
pub use frame::{Frame, FrameId, Mark};
pub use link::{LinkType, UnsupportedLink};
pub use not_read::{NotRead, NotReadFrames};
pub use segment::{Flags, Segment};
pub use seq::Seq;
