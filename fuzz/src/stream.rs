//! What an agent sends, whatever it is.

use super::reader::Trickle;
use meshsniff::capture::{CaptureReader, Input, ReadError};
use meshsniff::packet::LinkType;
use meshsniff::pcapng::blocks::{Direction, MAX_DATA, Section};
use meshsniff::stream::{End, Event, Merger, StreamReader};
use std::io::Read;

/// Packets looked at: a short stream may unpack to a very long one.
const MAX_PACKETS: usize = 20_000;
/// The longest text that is handed out.
const MAX_TEXT: usize = 4096;

#[derive(Debug, PartialEq)]
struct Packet {
    interface: u32,
    nanos: i64,
    wire_len: u32,
    data: Vec<u8>,
    direction: Direction,
}

/// What a stream says, and what came of merging it alone.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    packets: Vec<Packet>,
    /// Of each interface: its link type and name.
    interfaces: Vec<(u16, String)>,
    statistics: usize,
    error: Option<String>,
    end: Option<End>,
    stopped: bool,
    merged: Vec<u8>,
}

fn end() -> End {
    End {
        reason: "stop".to_owned(),
        sentence: "it was asked to stop".to_owned(),
    }
}

fn read(stream: impl Read) -> Outcome {
    let mut seen = Outcome::default();
    let section = Section {
        application: "kubectl-meshsniff fuzz",
        ..Section::default()
    };
    let mut merger = Merger::new(Vec::new(), &section).expect("memory");
    let number = merger.add_stream("");
    let mut reader = StreamReader::new(stream);
    let mut sections = 0;
    while let Some(next) = reader.next() {
        assert!(seen.error.is_none(), "something came after an error");
        assert!(
            seen.end.is_none() || next.is_err(),
            "an event came after the end"
        );
        let event = match next {
            Ok(event) => event,
            Err(error) => {
                let sentence = error.to_string();
                assert!(!sentence.contains(char::is_control), "{sentence:?}");
                seen.error = Some(sentence);
                continue;
            }
        };
        merger.write(number, &event).expect("an event that fits");
        let known = seen.interfaces.len();
        match event {
            Event::Section(section) => {
                sections += 1;
                let texts = [
                    section.application,
                    section.os,
                    section.hardware,
                    section.comment,
                ];
                assert!(texts.iter().all(|text| text.len() <= MAX_TEXT));
            }
            Event::Interface(interface) => {
                let texts = [interface.name, interface.description, interface.filter];
                assert!(texts.iter().all(|text| text.len() <= MAX_TEXT) && known < 256);
                let name = interface.name.to_owned();
                seen.interfaces.push((interface.link_type, name));
            }
            Event::Packet {
                interface,
                time,
                wire_len,
                data,
                direction,
            } => {
                assert!((interface as usize) < known && data.len() <= MAX_DATA);
                assert!(time.as_nanos() >= 0 && wire_len as usize >= data.len());
                seen.packets.push(Packet {
                    interface,
                    nanos: time.as_nanos(),
                    wire_len,
                    data: data.to_vec(),
                    direction,
                });
            }
            Event::Statistics { interface, end, .. } => {
                assert!((interface as usize) < known);
                seen.statistics += 1;
                seen.end = end.cloned();
            }
        }
        assert_eq!(sections, 1);
        if seen.packets.len() == MAX_PACKETS {
            seen.stopped = true;
            break;
        }
    }
    if !seen.stopped {
        assert!(reader.next().is_none(), "the end is not the end");
        let end = seen.end.take();
        assert_eq!(reader.end(), end.as_ref().filter(|_| seen.error.is_none()));
        seen.end = reader.end().cloned();
    }
    assert_eq!(reader.packets(), seen.packets.len() as u64);
    merger.finish(&end()).expect("memory");
    seen.merged = merger.get_ref().clone();
    seen
}

/// The same whether it comes at once or a few bytes at a time; and what is accepted says the same
/// once it is written again, to the reader of streams and to that of captures.
pub fn check(data: &[u8]) {
    let whole = read(data);
    let pieces = read(Trickle::new(data));
    // A damaged archive may say so sooner or later.
    if whole.error.is_none() || pieces.error.is_none() || !is_packed(data) {
        assert_eq!(whole, pieces);
    }
    let again = read(&whole.merged[..]);
    assert_eq!((&again.packets, again.error), (&whole.packets, None));
    assert_eq!(again.interfaces, whole.interfaces);
    if !again.stopped {
        assert_eq!(again.end, (!whole.interfaces.is_empty()).then(end));
    }
    read_as_a_capture(&whole);
}

fn read_as_a_capture(stream: &Outcome) {
    let input = Input::from_bytes("merged", stream.merged.clone());
    let mut reader = CaptureReader::open(vec![input]).expect("a capture");
    let supported = |packet: &&Packet| {
        let link = stream.interfaces[packet.interface as usize].0;
        LinkType::from_number(u32::from(link)).is_ok()
    };
    let mut packets = stream.packets.iter().filter(supported);
    while let Some(next) = reader.next() {
        let frame = match next {
            Ok(frame) => frame,
            Err(error) => {
                // There was no interface to put the last block on, or nothing that can be read.
                let unread = matches!(error, ReadError::Link { .. });
                let right = if unread {
                    !stream.packets.iter().any(|packet| supported(&packet))
                } else {
                    stream.interfaces.is_empty()
                };
                assert!(right, "{error}");
                continue;
            }
        };
        let packet = packets.next().expect("a frame that was a packet");
        assert_eq!(
            (
                frame.interface,
                frame.time.as_nanos(),
                frame.wire_len,
                frame.data
            ),
            (
                packet.interface,
                packet.nanos,
                packet.wire_len,
                &packet.data[..]
            )
        );
    }
    assert!(packets.next().is_none(), "a packet that is no frame");
}

fn is_packed(data: &[u8]) -> bool {
    // Skippable frames are told by their second byte on.
    data.starts_with(b"\x28\xb5\x2f\xfd") || data.get(1..4) == Some(b"\x2a\x4d\x18")
}
