//! Records of a capture format, and what was noticed beside them.

use crate::names::Names;
use crate::packet::{FrameId, LinkType};
use crate::pcapng::shortened;
use crate::protocol::tls::Keys;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// The longest record that is read: far above the 256 KiB that tcpdump and Wireshark allow a frame.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// Most packet comments that are kept, and most bytes of one.
const MAX_COMMENTS: usize = 1_000;
const MAX_COMMENT: usize = 4 << 10;

/// A record that holds a frame.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Its 1-based frame number.
    pub(super) number: u64,
    pub(super) time: Timestamp,
    pub(super) interface: u32,
    pub(super) link: LinkType,
    pub(super) wire_len: u32,
    /// Where in the record its data is.
    pub(super) data: Range<usize>,
    /// The whole record's length.
    pub(super) len: usize,
}

/// Things noticed beside the frames.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) comments: Vec<Comment>,
    pub(super) comments_left_out: u64,
    /// Names of addresses that were news when they came.
    pub(super) names: Vec<(IpAddr, String)>,
    known: Names,
    /// Where keys of TLS sessions go.
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) unsupported: BTreeMap<u32, u64>,
}

impl Notes {
    pub(super) fn comment(&mut self, frame: FrameId, text: &[u8]) {
        if self.comments.len() == MAX_COMMENTS {
            self.comments_left_out += 1;
            return;
        }
        let text = shortened(text, MAX_COMMENT);
        self.comments.push(Comment { frame, text });
    }

    pub(super) fn name(&mut self, address: IpAddr, name: &str) {
        // What is no news is not kept, so that there is an end to it.
        if self.known.add(address, name) {
            self.names.push((address, name.to_owned()));
        }
    }

    pub(super) fn unsupported(&mut self, link: u32) {
        *self.unsupported.entry(link).or_default() += 1;
    }
}

/// A comment that somebody put on a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comment {
    /// The frame.
    pub frame: FrameId,
    /// The text, of at most 4 KiB. Whoever shows it escapes it: the capture's maker chose it.
    pub text: String,
}

/// Frames that were passed over because their link type is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsupportedFrames {
    /// The number of the link type (`LINKTYPE_…`).
    pub link: u32,
    /// How many frames.
    pub frames: u64,
}
