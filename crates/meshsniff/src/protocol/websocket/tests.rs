use super::*;
use crate::testing::websocket::{MASK, frame, masked};

/// What a splitter makes of `bytes` given in pieces of `size`: the frames, and how it ended.
fn split(bytes: &[u8], size: usize) -> (Vec<Header>, Option<Violation>) {
    let mut splitter = Splitter::default();
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(size) {
        while !piece.is_empty() {
            let (step, taken) = splitter.read(piece);
            match step {
                Step::Frame(header) => frames.push(header),
                Step::Broken(why) => return (frames, Some(why)),
                Step::Begun | Step::Goes | Step::Ends => {}
            }
            assert!(taken > 0);
            piece = &piece[taken..];
        }
    }
    assert!(splitter.is_between());
    (frames, None)
}

#[test]
fn frames_of_every_length_are_read_however_they_are_cut() {
    let lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];
    let stream: Vec<u8> = lengths
        .into_iter()
        .flat_map(|length| masked(0x82, &vec![7; length]))
        .chain(frame(0x89, b"hi"))
        .collect();
    for size in [1, 2, 3, 5, 13, 14, 15, 1_000, stream.len()] {
        let (frames, broken) = split(&stream, size);
        assert_eq!(broken, None);
        let found: Vec<u64> = frames.iter().map(|header| header.length).collect();
        assert_eq!(found[..8], lengths.map(|length| length as u64));
        assert_eq!(frames[0].mask, Some(MASK));
        assert_eq!((frames[8].opcode, frames[8].mask), (Opcode::Ping, None));
    }
}

#[test]
fn a_message_in_parts_may_have_control_frames_inside() {
    let parts = [
        frame(0x41, b"a"),
        frame(0x89, b""),
        frame(0x00, b"b"),
        frame(0x80, b"c"),
        frame(0x81, b"d"),
    ];
    let (frames, broken) = split(&parts.concat(), 3);
    assert_eq!((frames.len(), broken), (5, None));
    assert!(frames[0].compressed && !frames[0].fin && frames[3].fin);
}

#[test]
fn what_no_sender_may_do_is_told() {
    let far = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let long = [0x82, 126, 0, 125];
    for (bytes, why) in [
        (&[0x83, 0][..], Violation::Opcode),
        (&[0xa1, 0], Violation::ReservedBits),
        (&[0xc9, 0], Violation::ReservedBits),
        (&[0x09, 0], Violation::ControlFrame),
        (&[0x88, 126, 0, 126], Violation::ControlFrame),
        (&[0x80, 0], Violation::Order),
        (&[0x01, 0, 0x81, 0], Violation::Order),
        (&far, Violation::Length),
        (&long, Violation::Length),
    ] {
        assert_eq!(split(bytes, 1).1, Some(why), "{bytes:x?}");
    }
}

#[test]
fn what_a_close_says_is_kept_without_its_mask() {
    let mut splitter = Splitter::default();
    for piece in masked(0x88, b"\x03\xf3busy").chunks(4) {
        let mut piece = piece;
        while !piece.is_empty() {
            piece = &piece[splitter.read(piece).1..];
        }
    }
    let (code, reason) = closing(splitter.control().expect("all of it"));
    assert_eq!((code, reason.as_deref()), (Some(1011), Some("busy")));
    assert_eq!(closing(b""), (None, None));
    assert_eq!(closing(b"\x03"), (None, None));
    assert_eq!(closing(b"\x03\xe8"), (Some(1000), None));
}

#[test]
fn a_hole_within_a_payload_is_stepped_over() {
    let mut splitter = Splitter::default();
    let bytes = frame(0x82, &[0; 10]);
    splitter.read(&bytes[..2]);
    assert_eq!(splitter.remaining(), Some(10));
    assert!(splitter.miss(4) && !splitter.is_between());
    assert!(!splitter.miss(7));
    assert!(splitter.miss(6) && splitter.is_between());
    assert!(!splitter.miss(1));
    assert!(matches!(splitter.read(&frame(0x81, b"")).0, Step::Frame(_)));
}

#[test]
fn a_close_with_a_hole_says_nothing() {
    let mut splitter = Splitter::default();
    let bytes = frame(0x88, b"\x03\xe8");
    splitter.read(&bytes[..2]);
    assert!(splitter.miss(1));
    assert_eq!(splitter.read(&bytes[3..]).0, Step::Ends);
    assert_eq!(splitter.control(), None);
}
