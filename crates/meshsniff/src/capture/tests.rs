//! Captures read as a whole: every variant of the formats, cut and damaged ones, merges.

use super::*;
use crate::packet::{FrameId, LinkType};
use crate::testing::Packet;
use crate::testing::files::{PcapFile, PcapNgFile, drain, frames, reader};
use crate::time::Timestamp;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn streamed(bytes: &[u8]) -> CaptureReader {
    let input = Input::from_reader("test", Box::new(Cursor::new(bytes.to_vec())));
    CaptureReader::open(vec![input]).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    let input = Input::from_bytes("it", bytes.to_vec());
    match CaptureReader::open(vec![input]) {
        Ok(_) => panic!("was opened"),
        Err(error) => error.to_string(),
    }
}

fn times(frames: &[Packet]) -> Vec<i64> {
    frames.iter().map(|frame| frame.nanos).collect()
}

fn numbers(frames: &[Packet]) -> Vec<u64> {
    frames.iter().map(|frame| frame.number).collect()
}

fn three_frames() -> PcapFile {
    PcapFile::micros()
        .record(1, 5, 100, b"one")
        .record(2, 0, 4, b"four")
        .record(1, 999_999, 0, b"")
}

/// A pcapng file with most of what there is.
fn varied() -> PcapNgFile {
    PcapNgFile::new(false)
        .interface(1, 0, &[(2, b"eth0"), (9, &[9])])
        .interface(195, 0, &[(2, b"wpan0")])
        .packet(0, 1_000, b"first")
        .block(4, b"name resolution")
        .packet_with(0, 2_000, b"second", &[(2, &[0; 4]), (1, b"look here")])
        .packet(1, 3, b"not read")
        .block(0x0bad, b"\0\0\0\x01custom")
        .simple_packet(6, b"third!")
        .statistics(0, &[(4, 99), (5, 7)])
        .obsolete_packet(0, 4_000, b"fourth")
        .statistics(0, &[(5, 8), (7, 2)])
        .section(true)
        .interface(276, 0, &[(9, &[0x80 | 10]), (14, &1_u64.to_be_bytes())])
        .packet(0, 512, b"fifth")
        .statistics(0, &[(5, 100)])
}

#[test]
fn every_pcap_variant() {
    for (magic, big_endian, unit) in [
        (0xa1b2_c3d4, false, 1_000),
        (0xa1b2_c3d4, true, 1_000),
        (0xa1b2_3c4d, false, 1),
        (0xa1b2_3c4d, true, 1),
        (0xa1b2_cd34, false, 1_000),
        (0xa1b2_cd34, true, 1_000),
    ] {
        // The upper half of the link type is the length of a frame check sequence.
        let file = PcapFile::new(magic, big_endian, 0x5400_0071)
            .record(3, 7, 60, b"data")
            .record(u32::MAX, u32::MAX, 2, b"more");
        let seen = frames(&file.bytes);
        assert_eq!(seen.len(), 2, "{magic:x}");
        assert_eq!(seen[0].nanos, 3_000_000_000 + 7 * unit);
        assert_eq!((seen[0].wire_len, &seen[0].data[..]), (60, &b"data"[..]));
        assert_eq!(seen[0].link, LinkType::LinuxSll);
        assert_eq!((seen[1].wire_len, &seen[1].data[..]), (4, &b"more"[..]));
    }
}

#[test]
fn one_source_keeps_its_order() {
    let seen = frames(&three_frames().bytes);
    assert_eq!(times(&seen), [1_000_005_000, 2_000_000_000, 1_999_999_000]);
    assert_eq!(numbers(&seen), [1, 2, 3]);
}

#[test]
fn pcapng_with_most_of_what_there_is() {
    let mut reader = reader(&varied().bytes);
    let (seen, errors) = drain(&mut reader);
    assert!(errors.is_empty(), "{errors:?}");
    let data: Vec<&[u8]> = seen.iter().map(|frame| &frame.data[..]).collect();
    assert_eq!(
        data,
        [&b"first"[..], b"second", b"third!", b"fourth", b"fifth"]
    );
    // 3 was of an unsupported interface, 4 a custom block.
    assert_eq!(numbers(&seen), [1, 2, 5, 6, 7]);
    assert_eq!(times(&seen), [1_000, 2_000, 3_000, 4_000, 1_500_000_000]);
    assert_eq!(seen[4].interface, 2);
    assert_eq!(seen[4].link, LinkType::LinuxSll2);
    assert_eq!(reader.sources()[0].interfaces, ["eth0", "wpan0", ""]);
    assert_eq!(reader.dropped(), Some(110));
    let skipped = UnsupportedFrames {
        link: 195,
        frames: 1,
    };
    assert_eq!(reader.unsupported_frames(), [skipped]);
    let comment = Comment {
        frame: FrameId::new(0, 2),
        text: "look here".into(),
    };
    assert_eq!(reader.comments(), [comment]);
    assert_eq!(reader.comments_left_out(), 0);
}

#[test]
fn a_simple_packet_may_be_cut_by_the_snap_length() {
    let file = PcapNgFile::new(true)
        .interface(1, 5, &[])
        .simple_packet(60, b"12345\0\0\0");
    let seen = frames(&file.bytes);
    assert_eq!((seen[0].wire_len, &seen[0].data[..]), (60, &b"12345"[..]));
    assert_eq!(reader(&file.bytes).dropped(), None);
}

#[test]
fn times_beyond_all_bounds_saturate() {
    let offset = i64::MIN.to_le_bytes();
    let file = PcapNgFile::new(false)
        .interface(1, 0, &[(9, &[0])])
        .interface(1, 0, &[(9, &[0]), (14, &offset)])
        .packet(0, u64::MAX, b"")
        .packet(1, 0, b"");
    assert_eq!(times(&frames(&file.bytes)), [i64::MAX, i64::MIN]);
}

#[test]
fn comments_are_bounded() {
    let mut file = PcapNgFile::new(false).interface(1, 0, &[]);
    for _ in 0..1_003 {
        file = file.packet_with(0, 0, b"", &[(1, &[b'x'; 5_000])]);
    }
    let mut reader = reader(&file.bytes);
    drain(&mut reader);
    assert_eq!(reader.comments().len(), 1_000);
    assert_eq!(reader.comments_left_out(), 3);
    assert_eq!(reader.comments()[0].text.len(), 4_096);
}

#[test]
fn addresses_have_names() {
    for big_endian in [false, true] {
        let mut file = PcapNgFile::new(big_endian).interface(1, 0, &[]);
        let v6 = [[0xfd; 16].as_slice(), b"db.shop\0"].concat();
        let records: [(u16, &[u8]); 6] = [
            (1, b"\x0a\x00\x00\x01catalog.shop\0catalog.shop.svc\0"),
            (2, &v6),
            (1, b"\x0a\x00"),
            (7, b"of another kind"),
            (1, b"\x0a\x00\x00\x02no end"),
            (1, b"\x0a\x00\x00\x01catalog.shop\0"),
        ];
        let mut body = Vec::new();
        for (code, value) in records {
            let word = |n: usize| match big_endian {
                true => (n as u16).to_be_bytes(),
                false => (n as u16).to_le_bytes(),
            };
            body.extend(word(code.into()));
            body.extend(word(value.len()));
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        // The last record is longer than the block: what came before it counts.
        body.extend([0xff; 4]);
        file = file.block(4, &body).packet(0, 0, b"");
        let mut reader = reader(&file.bytes);
        let (seen, errors) = drain(&mut reader);
        assert_eq!((seen.len(), errors.len()), (1, 0));
        let names = [
            ([10, 0, 0, 1].into(), "catalog.shop".to_owned()),
            ([0xfd; 16].into(), "db.shop".to_owned()),
            ([10, 0, 0, 2].into(), "no end".to_owned()),
        ];
        assert_eq!(reader.names(), names);
    }
}

#[test]
fn every_way_in_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [three_frames().bytes, varied().bytes] {
        let expected = frames(&bytes);
        for stored in [bytes.clone(), gzip(&bytes), zstd(&bytes)] {
            let path = folder.path().join("capture");
            std::fs::write(&path, &stored).unwrap();
            let inputs = [
                Input::Path(path),
                Input::from_bytes("test", stored.clone()),
                Input::from_reader("test", Box::new(Cursor::new(stored.clone()))),
            ];
            for (index, input) in inputs.into_iter().enumerate() {
                let mut reader = CaptureReader::open(vec![input]).unwrap();
                let (seen, errors) = drain(&mut reader);
                assert!(errors.is_empty(), "{errors:?}");
                assert_eq!(seen, expected);
                assert_eq!(reader.bytes_read(), stored.len() as u64);
                let total = (index < 2).then_some(stored.len() as u64);
                assert_eq!(reader.total_bytes(), total);
            }
        }
    }
}

/// Cut anywhere, a capture gives the frames before the cut, and then says that it was cut.
#[test]
fn every_cut_gives_a_prefix() {
    for bytes in [three_frames().bytes, varied().bytes] {
        let whole = frames(&bytes);
        for end in 0..bytes.len() {
            let cut = &bytes[..end];
            let Ok(mut held) = CaptureReader::open(vec![Input::from_bytes("test", cut.to_vec())])
            else {
                assert!(end < 24, "{end}");
                continue;
            };
            let (seen, errors) = drain(&mut held);
            assert_eq!(seen, whole[..seen.len()], "{end}");
            assert!(errors.len() <= 1);
            for error in &errors {
                assert!(matches!(error, ReadError::Cut { .. }), "{error}");
            }
            let (again, more) = drain(&mut streamed(cut));
            assert_eq!((again, more.len()), (seen, errors.len()), "{end}");
        }
    }
}

#[test]
fn no_byte_makes_it_panic() {
    for bytes in [three_frames().bytes, varied().bytes] {
        for place in 0..bytes.len() {
            for value in (0..=255).step_by(3) {
                let mut changed = bytes.clone();
                changed[place] ^= value;
                if let Ok(mut reader) =
                    CaptureReader::open(vec![Input::from_bytes("test", changed)])
                {
                    drain(&mut reader);
                }
            }
        }
    }
}

#[test]
fn a_cut_says_where() {
    let bytes = three_frames().bytes;
    let (_, errors) = drain(&mut reader(&bytes[..bytes.len() - 17]));
    let said = errors[0].to_string();
    let expected = "test is cut short in the middle of frame 2; the first frame was read";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(errors[0].frames(), 1);

    let packed = gzip(&three_frames().bytes);
    let (seen, errors) = drain(&mut reader(&packed[..packed.len() - 4]));
    assert_eq!(seen.len(), 3);
    assert!(matches!(errors[..], [ReadError::Cut { .. }]), "{errors:?}");
}

#[test]
fn damage_ends_a_source_and_says_so() {
    let good = PcapNgFile::new(false)
        .interface(1, 0, &[])
        .packet(0, 1, b"ok");
    let word = |n: u32| n.to_le_bytes();
    let long = [word(0), word(0), word(0), word(1_000), word(1_000)].concat();
    let other = [word(9), word(0), word(0), word(0), word(0)].concat();
    let at = good.bytes.len();
    let bytes = good.bytes;
    let with = |block: u32, body: &[u8]| {
        let mut file = PcapNgFile::new(false);
        file.bytes.clone_from(&bytes);
        file.block(block, body).bytes
    };
    let mut trailer = with(99, b"1234");
    *trailer.last_mut().unwrap() = 1;
    let mut odd = with(99, b"1234");
    odd[at + 4] = 17;
    let mut huge = with(99, b"1234");
    huge[at + 7] = 0x7f;
    for damaged in [
        with(6, &long),
        with(2, &long),
        with(6, &other),
        with(6, &[]),
        trailer,
        odd,
        huge,
    ] {
        let (seen, errors) = drain(&mut reader(&damaged));
        assert_eq!(seen.len(), 1);
        let [ReadError::Malformed { frames: 1, .. }] = errors[..] else {
            panic!("{errors:?}");
        };
    }

    let hostile = PcapFile::micros().record(1, 2, 3, b"ok");
    let mut bytes = hostile.bytes;
    bytes.extend([0; 8]);
    bytes.extend([0xff; 8]);
    let (seen, errors) = drain(&mut streamed(&bytes));
    assert_eq!(seen.len(), 1);
    assert!(
        errors[0].to_string().contains("4294967295"),
        "{}",
        errors[0]
    );
}

#[test]
fn captures_are_merged_by_time() {
    let one = PcapFile::micros()
        .record(1, 0, 1, b"a1")
        .record(4, 0, 1, b"a4")
        .record(3, 0, 1, b"a3");
    let two = PcapFile::micros()
        .record(1, 0, 1, b"b1")
        .record(2, 0, 1, b"b2")
        .record(9, 0, 1, b"cut");
    let cut = &two.bytes[..two.bytes.len() - 1];
    let inputs = vec![
        Input::from_bytes("a", one.bytes.clone()),
        Input::from_bytes("b", cut.to_vec()),
    ];
    let mut reader = CaptureReader::open(inputs).unwrap();
    let (seen, errors) = drain(&mut reader);
    let data: Vec<&[u8]> = seen.iter().map(|frame| &frame.data[..]).collect();
    assert_eq!(data, [b"a1", b"b1", b"b2", b"a4", b"a3"]);
    let sources: Vec<u16> = seen.iter().map(|frame| frame.source).collect();
    assert_eq!(sources, [0, 1, 1, 0, 0]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("b is cut short"));
}

/// A reader that gives its pieces one at a time, and fails the test when asked for more.
struct Live(std::collections::VecDeque<Vec<u8>>);

impl Read for Live {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut piece = self.0.pop_front().expect("asked for more than was needed");
        let count = piece.len().min(out.len());
        out[..count].copy_from_slice(&piece[..count]);
        if count < piece.len() {
            self.0.push_front(piece.split_off(count));
        }
        Ok(count)
    }
}

#[test]
fn a_live_frame_is_not_held_back() {
    let pcap = three_frames().bytes;
    let pcapng = PcapNgFile::new(false)
        .interface(1, 0, &[])
        .packet(0, 1, b"12345")
        .packet(0, 2, b"");
    for bytes in [&pcap, &pcapng.bytes] {
        let count = frames(bytes).len();
        let pieces = bytes.iter().map(|byte| vec![*byte]).collect();
        let live = Input::from_reader("live", Box::new(Live(pieces)));
        let mut reader = CaptureReader::open(vec![live]).unwrap();
        for _ in 0..count {
            assert!(matches!(reader.next(), Some(Ok(_))));
        }
    }
}

#[test]
fn what_cannot_be_opened_is_told() {
    assert!(refused(b"").starts_with("it is empty"));
    assert!(refused(&gzip(b"")).starts_with("it is empty"));
    assert!(refused(&PcapFile::micros().bytes[..20]).starts_with("it ends inside the header"));
    assert!(refused(&PcapNgFile::new(true).bytes[..9]).starts_with("it ends inside the header"));
    assert!(refused(&gzip(&[1; 99])[..12]).starts_with("it ends inside the header"));
    assert!(refused(b"{\"log\": []}").contains("looks like JSON"));
    assert!(refused(b"hello\n").contains("looks like text"));
    assert!(refused(&[0; 99]).starts_with("it is not a capture: "));
    assert!(refused(&gzip(&gzip(b"x"))).contains("compressed twice"));
    assert!(refused(&PcapFile::new(0xa1b2_c3d4, false, 195).bytes).contains("link type 195"));
    let open = |input| match CaptureReader::open(vec![input]) {
        Ok(_) => panic!("was opened"),
        Err(error) => error,
    };
    let folder = tempfile::tempdir().unwrap();
    let directory = open(Input::Path(folder.path().into()));
    assert!(matches!(directory, OpenError::Directory { .. }));
    let missing = open(Input::Path(folder.path().join("nothing")));
    assert!(matches!(missing, OpenError::NotFound { .. }));
    let twice = CaptureReader::open(vec![Input::Stdin, Input::Stdin]);
    assert!(matches!(twice, Err(OpenError::StdinTwice)));
}

#[test]
fn an_empty_file_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let opened = CaptureReader::open(vec![Input::Path(file.path().into())]);
    assert!(matches!(opened, Err(OpenError::Empty { .. })));
}

#[test]
fn no_inputs_are_no_frames() {
    let mut reader = CaptureReader::open(Vec::new()).unwrap();
    assert!(reader.next().is_none());
    assert_eq!(reader.total_bytes(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_device_is_read_as_a_stream() {
    let opened = CaptureReader::open(vec![Input::Path(Path::new("/dev/null").into())]);
    assert!(matches!(opened, Err(OpenError::Empty { .. })));
}

/// A section of this program, or of another, with a packet and maybe the block that ends it.
fn section_of(application: &str, ended: bool) -> Vec<u8> {
    use crate::pcapng::blocks::{self, Direction, Interface, Section, Statistics};
    let mut bytes = Vec::new();
    let section = Section {
        application,
        ..Section::default()
    };
    blocks::section(&mut bytes, &section);
    let interface = Interface {
        link_type: 1,
        name: "lo",
        ..Interface::default()
    };
    blocks::interface(&mut bytes, &interface);
    let time = Timestamp::from_nanos(7);
    blocks::packet(&mut bytes, 0, time, 4, b"data", Direction::Unknown);
    let statistics = Statistics::default();
    blocks::statistics(&mut bytes, 0, (time, time), &statistics, "");
    if ended {
        let end = "meshsniff: end: stop: it was asked to stop";
        blocks::statistics(&mut bytes, 0, (time, time), &statistics, end);
    }
    bytes
}

#[test]
fn a_capture_of_ours_that_does_not_say_it_is_whole_is_not() {
    let [agent, plugin, other] = ["meshsniff-agent 0.1.0", "kubectl-meshsniff 1", "Dumpcap"];
    for (sections, whole) in [
        (vec![(agent, true)], true),
        (vec![(agent, false)], false),
        (vec![(plugin, true)], true),
        (vec![(plugin, false)], false),
        (vec![(other, false)], true),
        (vec![(agent, false), (other, false)], false),
        (vec![(agent, true), (plugin, true)], true),
        (vec![(agent, false), (agent, true)], false),
        (vec![(other, true), (agent, false)], false),
    ] {
        let bytes: Vec<u8> = sections
            .iter()
            .flat_map(|&(application, ended)| section_of(application, ended))
            .collect();
        for mut reader in [reader(&bytes), streamed(&bytes), streamed(&gzip(&bytes))] {
            let (frames, errors) = drain(&mut reader);
            assert_eq!(frames.len(), sections.len());
            let [error] = &errors[..] else {
                assert!(errors.is_empty() && whole, "{sections:?}: {errors:?}");
                continue;
            };
            assert!(
                !whole && matches!(error, ReadError::Unended { .. }),
                "{sections:?}"
            );
            assert_eq!(error.frames(), sections.len() as u64);
            let sentence = error.to_string();
            assert!(
                sentence.starts_with("test lacks its last block"),
                "{sentence}"
            );
        }
    }
}
