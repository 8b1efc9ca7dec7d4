//! Frames of any link type through one decoder.

use super::choices::Choices;
use meshsniff::dns::Message;
use meshsniff::packet::{Decoded, Decoder, Frame, FrameId, LinkType, Segment};
use meshsniff::time::Timestamp;

const LINKS: [LinkType; 16] = [
    LinkType::Ethernet,
    LinkType::Raw,
    LinkType::Ipv4,
    LinkType::Ipv6,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Ppp,
    LinkType::PppoeSession,
    LinkType::Wifi,
    LinkType::WifiPrism,
    LinkType::WifiRadiotap,
    LinkType::WifiAvs,
    LinkType::Nflog,
    LinkType::Pktap,
];

/// The link type, then frames: a byte for each of its length, its wire length's excess and the
/// seconds before it.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let link = LINKS[usize::from(choices.byte()) % LINKS.len()];
    let mut decoder = Decoder::new();
    let (mut number, mut nanos) = (0, 0_i64);
    while let Some(length) = choices.another() {
        let (excess, seconds) = (choices.byte(), choices.byte());
        let data = choices.bytes(usize::from(length));
        let excess = match excess {
            255 => u32::MAX - 1_000,
            excess => u32::from(excess),
        };
        number += 1;
        nanos += i64::from(seconds) * 250_000_000;
        let frame = Frame {
            id: FrameId::new(0, number),
            time: Timestamp::from_nanos(nanos),
            interface: 0,
            link,
            wire_len: data.len() as u32 + excess,
            data,
        };
        match decoder.decode(&frame) {
            Decoded::Tcp(segment) => sound(&segment),
            Decoded::Datagram(datagram) => message(datagram.payload),
            _ => {}
        }
        cut(&frame);
    }
}

fn sound(segment: &Segment<'_>) {
    assert!(segment.wire_payload as usize >= segment.payload.len());
    assert_eq!(
        segment.ack.is_some(),
        segment.flags.has(meshsniff::packet::Flags::ACK)
    );
}

/// Whatever the snap length leaves of a message asks the same, or nothing.
fn message(bytes: &[u8]) {
    let Some(whole) = Message::read(bytes) else {
        return;
    };
    for kept in 0..bytes.len() {
        if let Some(part) = Message::read(&bytes[..kept]) {
            assert_eq!((part.id, part.is_answer), (whole.id, whole.is_answer));
            assert_eq!((part.name, part.kind), (whole.name.clone(), whole.kind));
            assert!(part.addresses.len() <= whole.addresses.len());
        }
    }
}

/// Whatever the snap length leaves of a frame says the same as the frame, or less.
fn cut(frame: &Frame<'_>) {
    let mut decoder = Decoder::new();
    let Decoded::Tcp(whole) = decoder.decode(frame) else {
        return;
    };
    for kept in 0..frame.data.len() {
        let shorter = Frame {
            data: &frame.data[..kept],
            ..*frame
        };
        let mut decoder = Decoder::new();
        match decoder.decode(&shorter) {
            Decoded::Tcp(part) => {
                sound(&part);
                assert_eq!((part.src, part.dst), (whole.src, whole.dst));
                assert_eq!((part.seq, part.ack), (whole.seq, whole.ack));
                assert_eq!((part.flags, part.window), (whole.flags, whole.window));
                assert_eq!(part.wire_payload, whole.wire_payload, "{kept} bytes kept");
                assert!(whole.payload.starts_with(part.payload));
                assert!(part.mss.is_none() || part.mss == whole.mss);
            }
            Decoded::Malformed => {}
            other => panic!("{kept} bytes of a segment are {other:?}"),
        }
    }
}
