//! The same packet captured twice: on `-i any` it is seen on every interface it crosses.

use crate::packet::{Flags, Segment};
use crate::time::{Span, Timestamp};
use std::collections::VecDeque;

/// How many packets of one direction are remembered while all come from one tap: what the first
/// from another may repeat.
const MAX_OF_ONE_TAP: usize = 8;

/// How many once there are several taps: more than cross an interface in the time that two
/// sightings may be apart.
const MAX_OF_SEVERAL: usize = 256;

/// How far apart two sightings of one packet may be.
const APART: Span = Span::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    seq: u32,
    ack: u32,
    len: u32,
    ip_id: Option<u16>,
    flags: Flags,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    identity: Identity,
    tap: u32,
    time: Timestamp,
}

/// The last packets of one direction.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// Oldest first. Few as long as all came from one tap; then all that are recent enough to
    /// matter.
    last: VecDeque<Sighting>,
    /// The tap of the first packet; as long as all came from there, none can be a second sighting.
    first_tap: Option<u32>,
    several_taps: bool,
}

impl Sightings {
    /// Remembers `segment`; true if it is a packet seen before on another interface or in the other
    /// direction. A packet seen twice on the same tap is a retransmission, not a second sighting.
    pub fn is_repeat(&mut self, segment: &Segment<'_>, time: Timestamp) -> bool {
        let identity = Identity {
            seq: segment.seq.get(),
            ack: segment.ack.map_or(0, |ack| ack.get()),
            len: segment.wire_payload,
            ip_id: segment.ip_id,
            flags: segment.flags,
        };
        self.several_taps |= *self.first_tap.get_or_insert(segment.tap) != segment.tap;
        let near = |seen: &Sighting| (time - seen.time).as_nanos().abs() <= APART.as_nanos();
        let repeat = self.several_taps
            && self
                .last
                .iter()
                .rev()
                .any(|seen| seen.identity == identity && seen.tap != segment.tap && near(seen));
        let most = if self.several_taps {
            MAX_OF_SEVERAL
        } else {
            MAX_OF_ONE_TAP
        };
        while self.last.len() >= most
            || self.several_taps && self.last.front().is_some_and(|seen| !near(seen))
        {
            self.last.pop_front();
        }
        // A second sighting too: a third one may come from the first one's tap.
        self.last.push_back(Sighting {
            identity,
            tap: segment.tap,
            time,
        });
        repeat
    }
}
