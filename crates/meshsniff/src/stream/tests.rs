//! Streams as the agent writes them, and as it does not; several as one.

use super::reader::MAX_INTERFACES;
use super::{End, Event, Merger, StreamError, StreamReader};
use crate::capture::{CaptureReader, Input};
use crate::pcapng::blocks::{self, Direction, Interface, MAX_BLOCK, MAX_DATA, Section, Statistics};
use crate::time::Timestamp;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::{self, Read};
use std::net::IpAddr;

const SECTION: Section<'_> = Section {
    application: "meshsniff-agent 1.2.3",
    os: "linux",
    hardware: "x86_64",
    comment: "meshsniff: pod shop/catalog",
};
const LO: Interface<'_> = Interface {
    link_type: 1,
    snaplen: 200_000,
    name: "lo",
    description: "lo of pod shop/catalog",
    filter: "tcp port 8080",
};
const COUNTS: Statistics = Statistics {
    received: 9,
    kernel_dropped: 1,
    queue_dropped: 2,
    delivered: 6,
};

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(1_795_507_200_000_000_000 + nanos)
}

/// Blocks, one behind another.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    /// A stream that has begun: its header and one interface.
    fn begun() -> Self {
        let mut bytes = Self::default();
        blocks::section(&mut bytes.0, &SECTION);
        blocks::interface(&mut bytes.0, &LO);
        bytes
    }

    fn packet(mut self, interface: u32, nanos: i64, data: &[u8], direction: Direction) -> Self {
        let wire_len = data.len() as u32 + 7;
        blocks::packet(&mut self.0, interface, at(nanos), wire_len, data, direction);
        self
    }

    fn statistics(mut self, interface: u32, comment: &str) -> Self {
        blocks::statistics(&mut self.0, interface, (at(0), at(5)), &COUNTS, comment);
        self
    }

    fn ended(self) -> Self {
        self.statistics(0, "meshsniff: end: stop: it was asked to stop")
    }

    fn raw(mut self, kind: u32, body: &[u8]) -> Self {
        let length = (body.len() as u32 + 12).to_le_bytes();
        self.0.extend(kind.to_le_bytes());
        self.0.extend(length);
        self.0.extend(body);
        self.0.extend(length);
        self
    }

    fn plus(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
}

/// A short stream with everything in it.
fn short() -> Vec<u8> {
    Bytes::begun()
        .packet(0, 1, b"first", Direction::Unknown)
        .packet(0, 2, b"", Direction::Inbound)
        .statistics(0, "")
        .packet(0, 3, b"the last", Direction::Outbound)
        .ended()
        .0
}

/// Everything that a reader says, in short, and its error.
fn told<R: Read>(reader: &mut StreamReader<R>) -> (Vec<String>, Option<StreamError>) {
    let mut told = Vec::new();
    while let Some(next) = reader.next() {
        match next {
            Ok(event) => told.push(format!("{event:?}")),
            Err(error) => {
                assert!(reader.next().is_none() && reader.end().is_none());
                return (told, Some(error));
            }
        }
    }
    assert!(reader.next().is_none());
    (told, None)
}

fn refused(bytes: &[u8]) -> StreamError {
    told(&mut StreamReader::new(bytes)).1.expect("an error")
}

/// Gives what it has in pieces, and then panics: nobody is to ask for more.
struct Pieces<'a> {
    rest: &'a [u8],
    each: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        assert!(!self.rest.is_empty(), "more was asked for than was needed");
        let count = self.each.min(self.rest.len()).min(out.len());
        let (now, later) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}

#[test]
fn what_the_agent_writes_is_read() {
    let bytes = short();
    let mut reader = StreamReader::new(&bytes[..]);
    let Some(Ok(Event::Section(section))) = reader.next() else {
        panic!("no section");
    };
    assert_eq!(
        (
            section.application,
            section.os,
            section.hardware,
            section.comment
        ),
        (
            SECTION.application,
            SECTION.os,
            SECTION.hardware,
            SECTION.comment
        )
    );
    let Some(Ok(Event::Interface(interface))) = reader.next() else {
        panic!("no interface");
    };
    assert_eq!((interface.link_type, interface.snaplen), (1, 200_000));
    assert_eq!(
        (interface.name, interface.description, interface.filter),
        (LO.name, LO.description, LO.filter)
    );
    let mut packet = |nanos, wanted: &[u8], way| {
        if nanos == 3 {
            assert!(matches!(
                reader.next(),
                Some(Ok(Event::Statistics { interface: 0, times, statistics: COUNTS, end: None }))
                    if times == (at(0), at(5))
            ));
        }
        assert!(reader.has_next() && reader.end().is_none());
        let Some(Ok(Event::Packet {
            interface: 0,
            time,
            wire_len,
            data,
            direction,
        })) = reader.next()
        else {
            panic!("no packet");
        };
        assert_eq!((time, data, direction), (at(nanos), wanted, way));
        assert_eq!(wire_len as usize, wanted.len() + 7);
    };
    packet(1, b"first", Direction::Unknown);
    packet(2, b"", Direction::Inbound);
    packet(3, b"the last", Direction::Outbound);
    let end = End {
        reason: "stop".to_owned(),
        sentence: "it was asked to stop".to_owned(),
    };
    let Some(Ok(Event::Statistics {
        end: Some(said), ..
    })) = reader.next()
    else {
        panic!("no end");
    };
    assert_eq!(*said, end);
    assert!(
        !reader.has_next(),
        "whether anything follows is not known yet"
    );
    assert!(reader.next().is_none() && reader.has_next());
    assert_eq!((reader.end(), reader.packets()), (Some(&end), 3));
}

#[test]
fn a_cut_stream_has_no_end_wherever_it_was_cut() {
    let bytes = short();
    let packed = compress_to_vec(&bytes[..], CompressionLevel::Fastest);
    for bytes in [bytes, packed] {
        for length in 0..bytes.len() {
            let mut reader = StreamReader::new(&bytes[..length]);
            let (told, error) = told(&mut reader);
            assert!(error.is_none(), "{length}: {error:?}");
            assert!(told.len() < 7 && reader.end().is_none(), "{length}");
        }
        let mut reader = StreamReader::new(&bytes[..]);
        assert_eq!(told(&mut reader).0.len(), 7);
        assert!(reader.end().is_some());
    }
}

#[test]
fn what_has_come_comes_out_however_it_comes() {
    let bytes = short();
    let whole = told(&mut StreamReader::new(&bytes[..])).0;
    let (one, two) = bytes.split_at(400);
    // Each frame's end stands for a pause.
    let packed = [
        compress_to_vec(one, CompressionLevel::Fastest),
        compress_to_vec(two, CompressionLevel::Fastest),
    ]
    .concat();
    for (bytes, each) in [(&bytes, 1), (&bytes, 7), (&packed, 1), (&packed, 50_000)] {
        let mut reader = StreamReader::new(Pieces { rest: bytes, each });
        for told in &whole {
            assert_eq!(format!("{:?}", reader.next().unwrap().unwrap()), *told);
        }
        assert!(reader.end().is_some());
    }
}

#[test]
fn a_flushed_frame_comes_out_at_once() {
    let bytes = Bytes::begun().packet(0, 1, b"first", Direction::Unknown).0;
    let packed = compress_to_vec(&bytes[..], CompressionLevel::Fastest);
    for each in [1, packed.len()] {
        let mut reader = StreamReader::new(Pieces {
            rest: &packed,
            each,
        });
        for _ in 0..3 {
            assert!(matches!(reader.next(), Some(Ok(_))));
        }
    }
}

#[test]
fn long_blocks_are_read_through_a_buffer_of_two() {
    let long = vec![0x5a; MAX_DATA + 500];
    let mut bytes = Bytes::begun();
    for nanos in 0..9 {
        bytes = bytes.packet(0, nanos, &long, Direction::Inbound).packet(
            0,
            nanos,
            &long[..77],
            Direction::Outbound,
        );
    }
    let bytes = bytes.ended().0;
    for each in [1_000, 99_999, usize::MAX] {
        let mut reader = StreamReader::new(Pieces { rest: &bytes, each });
        let mut lengths = Vec::new();
        while reader.end().is_none() {
            if let Event::Packet { data, .. } = reader.next().unwrap().unwrap() {
                assert!(data.iter().all(|&byte| byte == 0x5a));
                lengths.push(data.len());
            }
        }
        assert_eq!(lengths, [MAX_DATA, 77].repeat(9));
    }
}

#[test]
fn what_is_no_stream_of_the_agent_is_said_to_be_none() {
    let mut big_endian = 0x0a0d_0d0a_u32.to_be_bytes().to_vec();
    big_endian.extend(28_u32.to_be_bytes());
    big_endian.extend(0x1a2b_3c4d_u32.to_be_bytes());
    big_endian.resize(32, 0);
    let version = |major: u8| {
        let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
        body.extend([major, 0, 0, 0]);
        body.extend([0xff; 8]);
        Bytes::default().raw(0x0a0d_0d0a, &body).0
    };
    let no_section = &short()[12..];
    for bytes in [
        &b"exec failed: no such program\n"[..],
        &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0],
        &big_endian,
        &version(2),
        no_section,
    ] {
        let error = refused(bytes);
        assert!(matches!(error, StreamError::NotAStream), "{error:?}");
        assert!(error.to_string().contains("image"), "{error}");
    }
    assert_eq!(told(&mut StreamReader::new(&version(1)[..])).0.len(), 1);
}

#[test]
fn lengths_are_looked_at_before_anything_else() {
    for (kind, least) in [(1, 20), (5, 24), (6, 32)] {
        for length in [
            0,
            4,
            12,
            least - 4,
            least + 1,
            MAX_BLOCK as u32 + 4,
            u32::MAX,
        ] {
            let bytes = Bytes::begun().plus(&kind_and_length(kind, length)).0;
            let error = refused(&bytes);
            let is = matches!(error, StreamError::Length { packets: 0, length: l } if l == length);
            assert!(is, "{kind} {length}: {error:?}");
        }
    }
}

fn kind_and_length(kind: u32, length: u32) -> Vec<u8> {
    [kind.to_le_bytes(), length.to_le_bytes()].concat()
}

#[test]
fn other_types_of_block_are_refused() {
    // Obsolete packets, simple packets, names, custom blocks, secrets.
    for kind in [2, 3, 4, 9, 10, 0x0bad, 0x4000_0bad, u32::MAX] {
        let error = refused(&Bytes::begun().raw(kind, &[0; 32]).0);
        assert!(matches!(error, StreamError::Kind { kind: k, .. } if k == kind));
    }
}

#[test]
fn contradictions_are_refused() {
    let option = |code: u16, length: u16| [code.to_le_bytes(), length.to_le_bytes()].concat();
    let interface =
        |options: &[u8]| Bytes::begun().raw(1, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], options].concat());
    let nanoseconds = [9, 0, 1, 0, 9, 0, 0, 0];
    let packet = |interface: u32, captured: u32, rest: &[u8]| {
        let words = [interface, 0, 1, captured, captured].map(u32::to_le_bytes);
        Bytes::begun().raw(6, &[words.as_flattened(), rest].concat())
    };
    let statistics = |interface: u32, options: &[u8]| {
        let words = [interface, 0, 1].map(u32::to_le_bytes);
        Bytes::begun().raw(5, &[words.as_flattened(), options].concat())
    };
    let mut lengths = Bytes::begun().packet(0, 1, b"1234", Direction::Unknown);
    *lengths.0.last_mut().unwrap() = 1;
    let end = |text: &str| Bytes::begun().statistics(0, text);
    let long = "x".repeat(65);
    for (bytes, what) in [
        (lengths, "two lengths"),
        (Bytes::begun().plus(&Bytes::begun().0), "another section"),
        (interface(&[]), "nanoseconds"),
        (interface(&[9, 0, 1, 0, 6, 0, 0, 0]), "nanoseconds"),
        (interface(&[9, 0, 1, 0, 0x89, 0, 0, 0]), "nanoseconds"),
        (interface(&[9, 0, 0, 0]), "nanoseconds"),
        (
            interface(&[[9, 0, 1, 0, 6, 0, 0, 0], nanoseconds].concat()),
            "nanoseconds",
        ),
        (
            interface(&[&nanoseconds[..], &option(14, 8), &[1; 8]].concat()),
            "since 1970",
        ),
        (
            interface(&[&nanoseconds[..], &option(2, 5), &[1; 4]].concat()),
            "an option",
        ),
        (
            interface(&[&nanoseconds[..], &option(2, u16::MAX)].concat()),
            "an option",
        ),
        (packet(1, 0, &[]), "not described"),
        (packet(u32::MAX, 0, &[]), "not described"),
        (packet(0, 1, &[]), "longer than its block"),
        (packet(0, 5, &[0; 4]), "longer than its block"),
        (packet(0, u32::MAX, &[0; 8]), "longer than its block"),
        (
            packet(0, MAX_DATA as u32 + 1, &vec![0; MAX_DATA + 4]),
            "longer than its block",
        ),
        (
            packet(0, 4, &[&[0; 4][..], &option(2, 4)].concat()),
            "an option",
        ),
        (statistics(1, &[]), "not described"),
        (
            statistics(0, &[&option(4, 4)[..], &[0; 4]].concat()),
            "too short",
        ),
        (statistics(0, &option(1, 4)), "an option"),
        (end("meshsniff: end: "), "no reason"),
        (end("meshsniff: end: : why"), "no reason"),
        (end("meshsniff: end: Stop now: why"), "no reason"),
        (end("meshsniff: end: \u{1b}[31m: why"), "no reason"),
        (end(&format!("meshsniff: end: {long}: why")), "no reason"),
    ] {
        let error = refused(&bytes.0);
        let sentence = error.to_string();
        assert!(
            matches!(error, StreamError::Malformed { packets: 0, .. }),
            "{what}: {sentence}"
        );
        assert!(
            sentence.contains(what) && sentence.contains("image"),
            "{what}: {sentence}"
        );
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let ended = Bytes::begun().ended();
    for more in [&[0][..], &[0; 7], &[0; 8], &Bytes::begun().ended().0] {
        for bytes in [
            ended.clone().plus(more).0,
            compress_to_vec(&ended.clone().plus(more).0[..], CompressionLevel::Fastest),
        ] {
            let error = refused(&bytes);
            assert!(matches!(error, StreamError::AfterEnd), "{error:?}");
        }
    }
}

#[test]
fn interfaces_are_bounded() {
    let mut bytes = Bytes::begun();
    for _ in 1..MAX_INTERFACES {
        blocks::interface(&mut bytes.0, &LO);
    }
    let last = bytes.packet(MAX_INTERFACES - 1, 1, b"x", Direction::Unknown);
    assert!(told(&mut StreamReader::new(&last.0[..])).1.is_none());
    let mut bytes = last;
    blocks::interface(&mut bytes.0, &LO);
    assert!(matches!(refused(&bytes.0), StreamError::TooManyInterfaces));
}

#[test]
fn damaged_or_demanding_packing_is_an_error() {
    // A window of 4 MiB.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0, 12 << 3, 1, 0, 0];
    // A block of the reserved type.
    let reserved = [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 7, 0, 0];
    for bytes in [window, reserved] {
        let error = refused(&bytes);
        assert!(matches!(error, StreamError::Read(_)), "{error:?}");
        assert!(error.to_string().contains("zstd"), "{error}");
    }
    let packed_twice = compress_to_vec(
        &compress_to_vec(&short()[..], CompressionLevel::Fastest)[..],
        CompressionLevel::Fastest,
    );
    assert!(matches!(refused(&packed_twice), StreamError::NotAStream));
}

#[test]
fn texts_are_cut_and_need_not_be_text() {
    let long = vec![0xff; 60_000];
    let mut body = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    body.extend([1, 0, 0, 0]);
    body.extend([0xff; 8]);
    body.extend([1, 0]);
    body.extend(60_000_u16.to_le_bytes());
    body.extend(long);
    let bytes = Bytes::default().raw(0x0a0d_0d0a, &body).0;
    let mut reader = StreamReader::new(&bytes[..]);
    let Some(Ok(Event::Section(section))) = reader.next() else {
        panic!("no section");
    };
    assert_eq!(section.comment, "\u{fffd}".repeat(4096 / 3));
}

#[test]
fn times_beyond_what_there_is_are_the_nearest() {
    let mut bytes = Bytes::begun().0;
    for nanos in [-1, i64::MIN, i64::MAX] {
        let time = Timestamp::from_nanos(nanos);
        blocks::packet(&mut bytes, 0, time, 1, b"x", Direction::Unknown);
    }
    let words = [0, u32::MAX, u32::MAX, 0, 0].map(u32::to_le_bytes);
    let bytes = Bytes(bytes).raw(6, words.as_flattened()).0;
    let mut reader = StreamReader::new(&bytes[..]);
    let mut times = Vec::new();
    while let Some(event) = reader.next() {
        if let Event::Packet { time, .. } = event.unwrap() {
            times.push(time.as_nanos());
        }
    }
    assert_eq!(times, [0, 0, i64::MAX, i64::MAX]);
}

fn merger() -> Merger<Vec<u8>> {
    let section = Section {
        application: "kubectl-meshsniff 1.2.3",
        ..Section::default()
    };
    Merger::new(Vec::new(), &section).expect("memory")
}

fn stop() -> End {
    End {
        reason: "stop".to_owned(),
        sentence: "Ctrl-C was pressed".to_owned(),
    }
}

#[test]
fn two_streams_are_one() {
    let mut one = Bytes::begun();
    blocks::interface(
        &mut one.0,
        &Interface {
            link_type: 113,
            name: "eth0",
            ..LO
        },
    );
    let one = one
        .packet(1, 1, b"of eth0", Direction::Inbound)
        .statistics(0, "")
        .packet(0, 4, b"of lo", Direction::Unknown)
        .ended()
        .0;
    let two = short();
    let mut merger = merger();
    let numbers = [merger.add_stream("shop/catalog-7d9"), merger.add_stream("")];
    let mut readers = [StreamReader::new(&one[..]), StreamReader::new(&two[..])];
    let mut open = true;
    while open {
        open = false;
        for (reader, number) in readers.iter_mut().zip(numbers) {
            if let Some(event) = reader.next() {
                merger.write(number, &event.unwrap()).unwrap();
                open = true;
            }
        }
    }
    let address: IpAddr = "10.0.0.1".parse().unwrap();
    merger
        .names(&[(address, vec!["catalog".to_owned()])])
        .unwrap();
    merger.finish(&stop()).unwrap();
    let mut reader =
        CaptureReader::open(vec![Input::from_bytes("it", merger.get_ref().clone())]).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = reader.next() {
        let frame = frame.unwrap();
        seen.push((frame.interface, frame.data.to_vec(), frame.wire_len));
    }
    assert_eq!(reader.names(), [(address, "catalog".to_owned())]);
    seen.sort();
    let wanted = [
        (0, b"of lo".to_vec(), 12),
        (1, b"".to_vec(), 7),
        (1, b"first".to_vec(), 12),
        (1, b"the last".to_vec(), 15),
        (2, b"of eth0".to_vec(), 14),
    ];
    assert_eq!(seen, wanted);
    let names = ["shop/catalog-7d9 lo", "lo", "shop/catalog-7d9 eth0"];
    assert_eq!(reader.sources()[0].interfaces, names);
    assert_eq!(reader.dropped(), Some(6));
}

#[test]
fn what_is_merged_is_a_stream_again() {
    let bytes = short();
    let mut merger = merger();
    let number = merger.add_stream("");
    let mut reader = StreamReader::new(&bytes[..]);
    while let Some(event) = reader.next() {
        merger.write(number, &event.unwrap()).unwrap();
    }
    merger.finish(&stop()).unwrap();
    let mut again = StreamReader::new(&merger.get_ref()[..]);
    let (told, error) = told(&mut again);
    assert!(error.is_none() && told.len() == 8, "{error:?} {told:#?}");
    assert_eq!((again.end(), again.packets()), (Some(&stop()), 3));
}

#[test]
fn an_end_needs_an_interface_but_no_statistics() {
    let mut none = merger();
    none.finish(&stop()).unwrap();
    assert_eq!(told(&mut StreamReader::new(&none.get_ref()[..])).0.len(), 1);
    let mut early = merger();
    let number = early.add_stream("");
    let bytes = Bytes::begun().packet(0, 1, b"x", Direction::Unknown).0;
    let mut reader = StreamReader::new(&bytes[..]);
    while let Some(event) = reader.next() {
        early.write(number, &event.unwrap()).unwrap();
    }
    early.finish(&stop()).unwrap();
    let mut again = StreamReader::new(&early.get_ref()[..]);
    let told = told(&mut again).0;
    assert!(told[3].contains("delivered: 1"), "{}", told[3]);
    assert_eq!(again.end(), Some(&stop()));
}

#[test]
fn an_interface_must_have_been_described() {
    let mut merger = merger();
    let (one, other) = (merger.add_stream("one"), merger.add_stream("other"));
    merger.write(one, &Event::Interface(LO)).unwrap();
    let packet = |interface| Event::Packet {
        interface,
        time: at(0),
        wire_len: 1,
        data: b"x",
        direction: Direction::Unknown,
    };
    merger.write(one, &packet(0)).unwrap();
    for (stream, interface) in [(one, 1), (other, 0)] {
        let error = merger.write(stream, &packet(interface)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn names_are_bounded_and_clean() {
    let mut out = Vec::new();
    let address = |n: u32| IpAddr::from(n.to_be_bytes());
    let odd = vec!["a\0b\n".to_owned(), String::new(), "ü".repeat(300)];
    let mut names = vec![(address(1), odd), (address(2), Vec::new())];
    names.push(("::1".parse().unwrap(), vec!["six".to_owned(); 99]));
    blocks::names(&mut out, &names);
    assert_eq!(out[..4], [4, 0, 0, 0]);
    // Two names of 4 and of 254 bytes, each with its end, behind the address.
    assert_eq!(out[8..12], [1, 0, 8, 1]);
    assert_eq!(out[12..21], *b"\0\0\0\x01a_b_\0");
    let many: Vec<_> = (0..40_000)
        .map(|n| (address(n), vec!["a-service".to_owned()]))
        .collect();
    let mut out = Vec::new();
    blocks::names(&mut out, &many);
    let mut lengths = Vec::new();
    let mut rest = &out[..];
    while let [_, _, _, _, a, b, c, d, ..] = *rest {
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        lengths.push(length);
        rest = &rest[length..];
    }
    assert!(rest.is_empty() && lengths.len() > 2);
    assert!(lengths.iter().all(|&length| length < MAX_BLOCK / 2));
}

/// How fast packets go through: `cargo test --release -- --ignored --nocapture how_fast`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods, reason = "it measures this program")]
fn how_fast() {
    for size in [66_usize, 500, 1_500, 16_000] {
        let data = vec![7; size];
        let mut bytes = Bytes::begun();
        while bytes.0.len() < 256 << 20 {
            bytes = bytes.packet(0, 1, &data, Direction::Inbound);
        }
        let bytes = bytes.ended().0;
        let begun = std::time::Instant::now();
        let mut merger = Merger::new(io::sink(), &SECTION).unwrap();
        let number = merger.add_stream("a");
        let mut reader = StreamReader::new(&bytes[..]);
        while let Some(event) = reader.next() {
            merger.write(number, &event.unwrap()).unwrap();
        }
        let rate = bytes.len() as f64 / begun.elapsed().as_secs_f64() / 1e9;
        println!("{size} bytes each: {rate:.2} GB/s");
    }
}
