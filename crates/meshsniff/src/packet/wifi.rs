//! 802.11 frames (IEEE 802.11-2020, 9.2 and 9.3), and what captures put before them.
//!
//! Holds the headers of radiotap, Prism and AVS as far as their length, and of a data frame all up
//! to LLC. What is encrypted stays closed.

use super::NotRead;
use super::layers::{self, Inner};

/// Length of a Prism header.
const PRISM: usize = 144;

/// A radiotap header's flag of a frame whose header is padded to a multiple of 4 bytes.
const DATA_PAD: u8 = 0x20;

/// An 802.11 frame without its headers, and where it was sighted: the flags that say its direction
/// and whether the radio sent it again.
pub(super) type Sighted<'a> = (Inner<'a>, u32);

/// Takes off a radiotap header and the 802.11 header. <https://www.radiotap.org/>
pub(super) fn radiotap(data: &[u8]) -> Sighted<'_> {
    let Some(&[_, _, low, high, present @ ..]) = data.first_chunk::<8>() else {
        return (Inner::Malformed, 0);
    };
    let Some(rest) = data.get(usize::from(u16::from_le_bytes([low, high]))..) else {
        return (Inner::Malformed, 0);
    };
    let padded = radiotap_flags(data, u32::from_le_bytes(present)) & DATA_PAD != 0;
    frame(rest, padded)
}

/// The field `Flags` of a radiotap header, 0 if it has none. Before it stand only more words of
/// field bits and the time.
fn radiotap_flags(data: &[u8], present: u32) -> u8 {
    const TIME: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const MORE: u8 = 0x80;
    if present & FLAGS == 0 {
        return 0;
    }
    let mut at = 8;
    // The last byte of each word says whether one more follows.
    while data.get(at - 1).is_some_and(|byte| byte & MORE != 0) {
        at += 4;
    }
    if present & TIME != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    data.get(at).copied().unwrap_or(0)
}

/// Takes off a Prism header, or an AVS header in its place, and the 802.11 header.
pub(super) fn prism(data: &[u8]) -> Sighted<'_> {
    if is_avs(data) {
        return avs(data);
    }
    match data.get(PRISM..) {
        Some(rest) => frame(rest, false),
        None => (Inner::Malformed, 0),
    }
}

/// Takes off an AVS header and the 802.11 header.
pub(super) fn avs(data: &[u8]) -> Sighted<'_> {
    let length = data.get(4..8).and_then(|length| length.first_chunk::<4>());
    let length = length.map_or(u32::MAX, |length| u32::from_be_bytes(*length));
    match data.get(length as usize..) {
        Some(rest) => frame(rest, false),
        None => (Inner::Malformed, 0),
    }
}

fn is_avs(data: &[u8]) -> bool {
    matches!(data, [0x80, 0x21, 0x10 | 0x11, ..])
}

/// Takes off an 802.11 header. `padded`: whether padding follows it.
pub(super) fn frame(data: &[u8], padded: bool) -> Sighted<'_> {
    let Some(&[control, flags]) = data.first_chunk::<2>() else {
        return (Inner::Malformed, 0);
    };
    let place = u32::from(flags & (TO_DS | FROM_DS | RETRY));
    let inner = match control >> 2 & 3 {
        0 => Inner::NotRead(NotRead::WifiManagement),
        1 => Inner::NotRead(NotRead::WifiControl),
        2 => data_frame(data, control >> 4, flags, padded),
        _ => Inner::NotRead(NotRead::Link),
    };
    (inner, place)
}

const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const MORE_FRAGMENTS: u8 = 0x04;
const RETRY: u8 = 0x08;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

fn data_frame(data: &[u8], subtype: u8, flags: u8, padded: bool) -> Inner<'_> {
    const NO_DATA: u8 = 0x04;
    const QOS: u8 = 0x08;
    const AGGREGATE: u8 = 0x80;
    if subtype & NO_DATA != 0 {
        return Inner::NotRead(NotRead::WifiEmpty);
    }
    if flags & PROTECTED != 0 {
        return Inner::NotRead(NotRead::WifiEncrypted);
    }
    let mut length = 24;
    if flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS {
        length += 6;
    }
    let mut aggregate = false;
    if subtype & QOS != 0 {
        aggregate = data.get(length).is_some_and(|qos| qos & AGGREGATE != 0);
        length += 2;
        if flags & ORDER != 0 {
            length += 4;
        }
    }
    if padded {
        length = length.next_multiple_of(4);
    }
    let Some(rest) = data.get(length..) else {
        return Inner::Malformed;
    };
    // The low half of the sequence control's first byte numbers fragments.
    if flags & MORE_FRAGMENTS != 0 || data[22] & 0x0f != 0 {
        return Inner::NotRead(NotRead::WifiFragment);
    }
    if aggregate {
        return subframe(rest);
    }
    layers::llc(rest)
}

/// The only subframe of an aggregate: two addresses and a length before LLC.
fn subframe(data: &[u8]) -> Inner<'_> {
    const HEADER: usize = 14;
    /// What may follow the last subframe: its padding and the frame check sequence.
    const TRAILER: usize = 3 + 4;
    let Some((header, rest)) = data.split_first_chunk::<HEADER>() else {
        return Inner::Malformed;
    };
    let length = usize::from(u16::from_be_bytes([header[12], header[13]]));
    if rest.len() > length + TRAILER {
        return Inner::NotRead(NotRead::WifiAggregate);
    }
    layers::llc(rest)
}
