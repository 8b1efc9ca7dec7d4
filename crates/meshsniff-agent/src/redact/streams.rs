//! Conversations in HTTP/2 with secrets everywhere, held against what is left of them.

use super::conversations::{Flow, Said, fate, kind_fate, outline, packets_of, redacted};
use super::tests::FIELDS;
use super::{Redaction, Redactor};
use meshsniff::exchange::Exchange;
use meshsniff::protocol::http2::frame::{
    END_HEADERS, END_STREAM, Frame, HEADER, Kind, PADDED, PRIORITY,
};
use meshsniff::protocol::http2::hpack::{Decoder, Field};
use meshsniff::testing::{End, Packet, Talk, analyse, files, frames};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use std::collections::VecDeque;
use std::path::Path;

/// A few names of the static table, and their indices.
const STATIC_NAMES: [(&str, u32); 5] = [
    (":path", 4),
    ("authorization", 23),
    ("content-type", 31),
    ("cookie", 32),
    ("user-agent", 58),
];

/// How a field is written.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// Whether it may be an index.
    may_index: bool,
    /// Whether its name may be.
    may_index_name: bool,
    /// The bits before its first number: whether it goes into the table, or never does.
    literal: (u8, u32),
    huffman: bool,
}

const PLAIN: Form = Form {
    may_index: false,
    may_index_name: false,
    literal: (0, 4),
    huffman: false,
};

/// A field.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    value: String,
    form: Form,
}

fn line(name: &str, value: &str, form: Form) -> Line {
    Line {
        name: name.to_owned(),
        value: value.to_owned(),
        form,
    }
}

/// A sender of header blocks.
#[derive(Default)]
struct Encoder {
    table: VecDeque<(String, String)>,
}

fn integer(out: &mut Vec<u8>, first: u8, prefix: u32, value: u32) {
    let most = (1 << prefix) - 1;
    if value < most {
        return out.push(first | value as u8);
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn string(out: &mut Vec<u8>, text: &str, is_coded: bool) {
    let text = if is_coded {
        frames::huffman(text.as_bytes())
    } else {
        text.as_bytes().to_vec()
    };
    integer(out, u8::from(is_coded) << 7, 7, text.len() as u32);
    out.extend(text);
}

impl Encoder {
    fn block(&mut self, lines: &[Line]) -> Vec<u8> {
        let mut out = Vec::new();
        lines.iter().for_each(|line| self.line(&mut out, line));
        out
    }

    fn line(&mut self, out: &mut Vec<u8>, Line { name, value, form }: &Line) {
        let mut table = self.table.iter();
        let place = table.position(|entry| (&entry.0, &entry.1) == (name, value));
        if let Some(place) = place.filter(|_| form.may_index) {
            return integer(out, 0x80, 7, 62 + place as u32);
        }
        let in_table = self.table.iter().position(|entry| entry.0 == *name);
        let in_table = in_table.map(|place| 62 + place as u32);
        let mut known = STATIC_NAMES.iter();
        let known = known.find(|known| known.0 == name).map(|known| known.1);
        let index = in_table.or(known).filter(|_| form.may_index_name);
        let (first, prefix) = form.literal;
        integer(out, first, prefix, index.unwrap_or(0));
        if index.is_none() {
            string(out, name, form.huffman);
        }
        string(out, value, form.huffman);
        if first == 0x40 {
            self.table.push_front((name.clone(), value.clone()));
            let size = |entry: &(String, String)| 32 + entry.0.len() + entry.1.len();
            while self.table.iter().map(size).sum::<usize>() > 4096 {
                self.table.pop_back();
            }
        }
    }
}

/// What one side says on a stream.
#[derive(Clone, Debug)]
struct Message {
    lines: Vec<Line>,
    body: Vec<String>,
    trailers: Option<Vec<Line>>,
    /// Where its header block is cut into frames.
    cut: Option<Index>,
    is_padded: bool,
    has_priority: bool,
}

#[derive(Clone, Debug)]
struct Conversation {
    calls: Vec<(Message, Message)>,
    is_grpc: bool,
    /// Whether two are under way at once.
    overlap: bool,
}

fn frame_padded(
    kind: u8,
    flags: u8,
    stream: u32,
    before: &[u8],
    payload: &[u8],
    pad: bool,
) -> Vec<u8> {
    let (flag, length, padding) = match pad {
        true => (PADDED, &[3][..], &[0; 3][..]),
        false => (0, &[][..], &[][..]),
    };
    let payload = [length, before, payload, padding].concat();
    frames::frame(kind, flags | flag, stream, &payload)
}

impl Message {
    fn head(&self, encoder: &mut Encoder, stream: u32, lines: &[Line], end: bool) -> Vec<u8> {
        let block = encoder.block(lines);
        let end = if end { END_STREAM } else { 0 };
        let priority = if self.has_priority { PRIORITY } else { 0 };
        let before: &[u8] = if self.has_priority {
            &[0, 0, 0, 0, 7]
        } else {
            &[]
        };
        let cut = self.cut.map(|cut| cut.index(block.len() + 1));
        let Some(cut) = cut else {
            let flags = END_HEADERS | end | priority;
            return frame_padded(1, flags, stream, before, &block, self.is_padded);
        };
        let flags = end | priority;
        let first = frame_padded(1, flags, stream, before, &block[..cut], self.is_padded);
        let rest = frames::frame(9, END_HEADERS, stream, &block[cut..]);
        [first, rest].concat()
    }

    fn write(&self, encoder: &mut Encoder, stream: u32, is_grpc: bool) -> Vec<u8> {
        let is_bare = self.body.is_empty() && self.trailers.is_none();
        let mut out = self.head(encoder, stream, &self.lines, is_bare);
        for (number, piece) in self.body.iter().enumerate() {
            let is_last = number + 1 == self.body.len() && self.trailers.is_none();
            let piece = match is_grpc {
                true => frames::message(false, piece.as_bytes()),
                false => piece.as_bytes().to_vec(),
            };
            let flags = if is_last { END_STREAM } else { 0 };
            out.extend(frame_padded(0, flags, stream, &[], &piece, self.is_padded));
        }
        if let Some(trailers) = &self.trailers {
            out.extend(self.head(encoder, stream, trailers, true));
        }
        out
    }

    /// The same with its secrets turned round: as long, and in as many bits.
    fn turned(&self, with_bodies: bool) -> Self {
        let mut turned = self.clone();
        let turn = |text: &String| text.chars().rev().collect();
        for line in turned
            .lines
            .iter_mut()
            .chain(turned.trailers.iter_mut().flatten())
        {
            if FIELDS.contains(&&*line.name) {
                line.value = turn(&line.value);
            }
        }
        if with_bodies {
            turned.body = turned.body.iter().map(turn).collect();
        }
        turned
    }
}

impl Conversation {
    fn said(&self) -> Vec<Said> {
        let (mut up, mut down) = (Encoder::default(), Encoder::default());
        let mut said = vec![
            (Flow::Up, frames::preface()),
            (
                Flow::Down,
                [frames::settings(&[(3, 100)]), frames::settings_ack()].concat(),
            ),
            (
                Flow::Up,
                [frames::settings_ack(), frames::window(0, 9999)].concat(),
            ),
        ];
        let mut answers = Vec::new();
        for (number, (request, response)) in self.calls.iter().enumerate() {
            let stream = 2 * number as u32 + 1;
            said.push((Flow::Up, request.write(&mut up, stream, self.is_grpc)));
            answers.push((stream, response));
            if !self.overlap || answers.len() == 2 {
                for (stream, response) in answers.drain(..) {
                    said.push((Flow::Down, response.write(&mut down, stream, self.is_grpc)));
                }
            }
        }
        said
    }

    /// Puts each header block into one frame.
    fn join_blocks(&mut self) {
        for (request, response) in &mut self.calls {
            request.cut = None;
            response.cut = None;
        }
    }

    fn turned(&self, with_bodies: bool) -> Self {
        let calls = self
            .calls
            .iter()
            .map(|(request, response)| (request.turned(with_bodies), response.turned(with_bodies)));
        Self {
            calls: calls.collect(),
            ..self.clone()
        }
    }
}

fn form() -> impl Strategy<Value = Form> {
    let literal = prop::sample::select(&[(0x40, 6), (0x40, 6), (0, 4), (0x10, 4)][..]);
    (any::<bool>(), any::<bool>(), literal, any::<bool>()).prop_map(
        |(may_index, may_index_name, literal, huffman)| Form {
            may_index,
            may_index_name,
            literal,
            huffman,
        },
    )
}

/// A value: a token's, or with characters that have long codes.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9=;]{0,60}", "[{}\"<~é!x]{0,20}", "[0-9]{200}"]
}

fn lines(most: usize) -> impl Strategy<Value = Vec<Line>> {
    const NAMES: &[&str] = &["user-agent", "x-team", "x-request-id", "cookies"];
    let open = (prop::sample::select(NAMES), "[a-z0-9]{0,12}");
    let open = open.prop_map(|(name, value)| (name, value));
    let hidden = (prop::sample::select(&FIELDS[..]), secret());
    let pair = prop_oneof![open, hidden];
    let line_of = (pair, form()).prop_map(|((name, value), form)| line(name, &value, form));
    prop::collection::vec(line_of, 0..most)
}

fn message(
    first: &'static [&'static [(&'static str, &'static str)]],
) -> impl Strategy<Value = Message> {
    let trailers = prop::option::of(lines(3));
    let body = prop::collection::vec("[A-Za-z\n]{0,30}", 0..3);
    let cut = prop::option::of(any::<Index>());
    let pseudo = (prop::sample::select(first), form());
    (
        pseudo,
        lines(6),
        body,
        trailers,
        cut,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |((first, form), rest, body, trailers, cut, is_padded, has_priority)| {
                let first = first.iter().map(|(name, value)| line(name, value, form));
                Message {
                    lines: first.chain(rest).collect(),
                    body,
                    trailers,
                    cut,
                    is_padded,
                    has_priority,
                }
            },
        )
}

const ASKED: &[&[(&str, &str)]] = &[
    &[(":method", "GET"), (":scheme", "http"), (":path", "/a?b=c")],
    &[(":method", "POST"), (":scheme", "http"), (":path", "/d")],
];
const ANSWERED: &[&[(&str, &str)]] = &[&[(":status", "200")], &[(":status", "503")]];
const CALLED: &[&[(&str, &str)]] = &[&[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/shop.Cart/Add"),
    ("content-type", "application/grpc"),
]];
const RETURNED: &[&[(&str, &str)]] = &[&[
    (":status", "200"),
    ("content-type", "application/grpc+proto"),
]];

fn conversation() -> impl Strategy<Value = Conversation> {
    let plain = prop::collection::vec((message(ASKED), message(ANSWERED)), 1..5);
    let calls = prop::collection::vec((message(CALLED), message(RETURNED), 0..17_u32), 1..5);
    let calls = calls.prop_map(|calls| {
        let end = |(request, mut response, status): (Message, Message, u32)| {
            let trailers = response.trailers.get_or_insert_default();
            trailers.push(line("grpc-status", &status.to_string(), PLAIN));
            (request, response)
        };
        calls.into_iter().map(end).collect::<Vec<_>>()
    });
    let of = |is_grpc| {
        move |(calls, overlap)| Conversation {
            calls,
            is_grpc,
            overlap,
        }
    };
    prop_oneof![
        (plain, any::<bool>()).prop_map(of(false)),
        (calls, any::<bool>()).prop_map(of(true)),
    ]
}

/// Fields of a direction's blocks, in their order.
fn fields(bytes: &[u8], skip: usize) -> Vec<(String, Vec<u8>)> {
    let mut decoder = Decoder::new(true);
    let mut fields = Vec::new();
    let mut rest = &bytes[skip..];
    let mut block = Vec::new();
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let frame = Frame::parse(*header).frame();
        let payload = &rest[HEADER..HEADER + frame.length as usize];
        rest = &rest[HEADER + frame.length as usize..];
        if !matches!(frame.kind, Kind::Headers | Kind::Continuation) {
            continue;
        }
        let is_padded = frame.has(PADDED);
        let begin = usize::from(is_padded) + if frame.has(PRIORITY) { 5 } else { 0 };
        let padding = if is_padded {
            usize::from(payload[0])
        } else {
            0
        };
        block.extend(&payload[begin..payload.len() - padding]);
        if frame.has(END_HEADERS) {
            let each = |field: Field<'_>| {
                let name = String::from_utf8(field.name.unwrap().to_vec()).unwrap();
                fields.push((name, field.value.unwrap().to_vec()));
            };
            decoder.decode(&block, each).unwrap();
            block.clear();
        }
    }
    fields
}

/// What a direction says, of packets in their order that carry every byte once.
fn stream(packets: &[Packet], begins: &[usize], up: bool) -> Vec<u8> {
    let of = packets.iter().zip(begins).filter(|(packet, _)| {
        let port = u16::from_be_bytes([packet.data[20], packet.data[21]]);
        (port == 40_000) == up
    });
    of.flat_map(|(packet, begin)| packet.data[*begin..].to_vec())
        .collect()
}

proptest! {
    /// Whatever is cut, repeated, lost, late, snapped and joined: what is left is the same for
    /// other secrets that are as long.
    #[test]
    fn what_is_left_hangs_on_no_secret(
        conversation in conversation(),
        fate in fate(),
        headers_only: bool,
    ) {
        // Checksums are those of what was said.
        let of = |conversation: &Conversation| {
            let packets = packets_of(conversation.said(), true, &fate);
            let left = redacted(headers_only, &packets).into_iter().zip(packets);
            left.map(|(left, (_, begin))| left.data.get(begin..).map(<[u8]>::to_vec))
                .collect::<Vec<_>>()
        };
        let one = of(&conversation);
        let other = of(&conversation.turned(headers_only));
        prop_assert_eq!(one, other);
    }

    /// What is left says of the conversation what was said.
    #[test]
    fn of_streams_the_same_is_said(
        conversation in conversation(),
        fate in kind_fate(),
        headers_only: bool,
    ) {
        let packets = packets_of(conversation.said(), true, &fate);
        let before = analyse(packets.iter().map(|(packet, _)| packet));
        let after = analyse(&redacted(headers_only, &packets));
        let whole = |exchanges: &[Exchange]| {
            exchanges.iter().map(|one| json!(one)).collect::<Vec<_>>()
        };
        prop_assert_eq!(whole(&before.exchanges), whole(&after.exchanges));
        prop_assert_eq!(json!(before.connections), json!(after.connections));
    }

    /// What is left decodes to the same names, to the same values but for secret ones, and to as
    /// many characters.
    #[test]
    fn blocks_are_decoded_as_before(
        mut conversation in conversation(),
        mut fate in kind_fate(),
        is_cut: bool,
    ) {
        fate.again.clear();
        fate.wrap = 0;
        if !is_cut {
            fate.cuts.clear();
            conversation.join_blocks();
        }
        let packets = packets_of(conversation.said(), true, &fate);
        let begins: Vec<_> = packets.iter().map(|(_, begin)| *begin).collect();
        let before: Vec<_> = packets.iter().map(|(packet, _)| packet.clone()).collect();
        let after = redacted(false, &packets);
        for up in [true, false] {
            let skip = if up { frames::PREFACE.len() } else { 0 };
            let [before, after] = [&before, &after].map(|packets| stream(packets, &begins, up));
            prop_assert_eq!(before.len(), after.len());
            let [before, after] = [&before, &after].map(|bytes| fields(bytes, skip));
            prop_assert_eq!(before.len(), after.len());
            for ((name, was), (name_after, is)) in before.iter().zip(&after) {
                prop_assert_eq!(name, name_after);
                if !FIELDS.contains(&&**name) {
                    prop_assert_eq!(was, is);
                } else if !is_cut {
                    prop_assert_eq!(was.len(), is.len());
                } else if was.iter().all(u8::is_ascii_alphanumeric) {
                    prop_assert!(was.len() >= is.len());
                }
            }
        }
    }
}

/// What is left of the last segment of a side.
fn last(headers_only: bool, talk: &Talk) -> Vec<u8> {
    let packets: Vec<_> = talk
        .packets()
        .iter()
        .map(|packet| (packet.clone(), 54))
        .collect();
    let left = redacted(headers_only, &packets);
    left.last().unwrap().data[54..].to_vec()
}

/// A connection on which both sides have said who they are.
fn opened(name: &'static str) -> Talk {
    let mut talk = Talk::opened(name);
    talk.say(End::Client, &frames::preface());
    talk.say(
        End::Server,
        &[frames::settings(&[]), frames::settings_ack()].concat(),
    );
    talk
}

/// A block with this line alone, as `form` has it.
fn block_of(name: &str, value: &str, form: Form) -> Vec<u8> {
    Encoder::default().block(&[line(name, value, form)])
}

#[test]
fn a_secret_is_masked_and_all_else_is_as_it_was() {
    let form = Form {
        may_index_name: true,
        literal: (0x40, 6),
        ..PLAIN
    };
    let block = [
        block_of("cookie", "a=b", form),
        block_of("user-agent", "me", form),
    ]
    .concat();
    let mut talk = opened("a secret");
    talk.say(End::Client, &frames::frame(1, END_HEADERS, 1, &block));
    let left = last(false, &talk);
    assert_eq!(
        left[HEADER..],
        [&b"\x60\x03xxx"[..], b"\x7a\x02me"].concat()
    );
    // The newest entry is the user agent's, and the one before is the cookie's.
    let block = [
        &b"\x0f\x2f\x02it"[..],
        b"\x0f\x30\x03d=e",
        b"\x0f\x40\x03f=g",
    ]
    .concat();
    talk.say(End::Client, &frames::frame(1, END_HEADERS, 3, &block));
    let masked = [
        &b"\x0f\x2f\x02it"[..],
        b"\x0f\x30\x03xxx",
        b"\x0f\x40\x03xxx",
    ]
    .concat();
    // What lies beyond all that was seen may be any field.
    assert_eq!(last(false, &talk)[HEADER..], masked);
    assert_eq!(last(true, &talk)[HEADER..], masked);
}

#[test]
fn of_a_coded_value_neither_bytes_nor_characters_change_their_number() {
    let form = Form {
        may_index_name: true,
        huffman: true,
        ..PLAIN
    };
    for value in ["", "a", "Bearer 0123456789", "{\"a\":\"é\"}", "\u{7f}\u{1}"] {
        let block = block_of("authorization", value, form);
        let mut talk = opened("a coded value");
        talk.say(End::Client, &frames::frame(1, END_HEADERS, 1, &block));
        let left = last(false, &talk);
        let mut lengths = Vec::new();
        let each = |field: Field<'_>| {
            lengths.push(field.value.unwrap().len());
        };
        Decoder::new(true).decode(&left[HEADER..], each).unwrap();
        assert_eq!(
            (left.len(), &lengths[..]),
            (HEADER + block.len(), &[value.len()][..])
        );
    }
}

#[test]
fn what_is_no_block_is_hidden() {
    let secret = b"authorization: 123\r\n";
    for end in [0, END_HEADERS] {
        let mut talk = opened("no block");
        talk.say(End::Client, &frames::frame(1, end, 1, &[0xff; 20]));
        assert!(last(false, &talk)[HEADER..].iter().all(|byte| *byte == 0));
        // Nor is anything believed behind it.
        talk.say(End::Client, &frames::frame(0, 0, 1, secret));
        assert!(last(false, &talk).iter().all(|byte| *byte == 0));
    }
}

#[test]
fn bodies_and_what_is_free_text_are_hidden_where_only_heads_are_kept() {
    let mut talk = opened("only heads");
    talk.say(End::Client, &frames::post(1, "/"));
    let data = frames::data(1, false, b"@@@@");
    let goaway = frames::frame(7, 0, 0, b"\0\0\0\0\0\0\0\0@@@@");
    let other = frames::frame(0x4d, 0, 0, b"@@@@");
    let all = [data, goaway, other, frames::ping(false)].concat();
    talk.say(End::Client, &all);
    let mut hidden = all.clone();
    hidden
        .iter_mut()
        .filter(|byte| **byte == b'@')
        .for_each(|byte| *byte = 0);
    assert_eq!(last(true, &talk), hidden);
    talk.say(End::Client, &frames::data(1, false, b"@@@@"));
    assert_eq!(last(true, &talk).len(), HEADER);
}

#[test]
fn lines_of_a_body_are_masked_as_in_http_1() {
    let mut talk = opened("a body");
    talk.say(End::Client, &frames::post(1, "/"));
    let other = frames::post(3, "/");
    let all = |first: &[u8], second: &[u8]| {
        let first = frames::data(1, false, first);
        [first, other.clone(), frames::data(1, false, second)].concat()
    };
    talk.say(End::Client, &all(b"a: b\nCook", b"ie: 12\nc"));
    assert_eq!(last(false, &talk), all(b"a: b\nCook", b"ie:xxx\nc"));
}

#[test]
fn of_messages_the_prefixes_stay_where_they_are_known() {
    let called = |kind| {
        let fields = [(":method", "POST"), (":path", "/"), ("content-type", kind)];
        frames::headers(1, false, &fields)
    };
    let messages = [frames::message(false, b"@@@"), frames::message(true, b"@@")].concat();
    for (kind, shown) in [("application/grpc", true), ("text/plain", false)] {
        let mut talk = opened("messages");
        talk.say(End::Client, &called(kind));
        talk.say(End::Client, &frames::data(1, false, &messages));
        let left = last(true, &talk);
        let prefixes = b"\0\0\0\0\x03\0\0\0\x01\0\0\0\x02";
        assert_eq!(&left[HEADER..] == prefixes, shown, "{left:?}");
        assert_eq!(
            left.len(),
            if shown {
                HEADER + prefixes.len()
            } else {
                HEADER
            }
        );
    }
}

#[test]
fn a_host_is_an_authority() {
    let mut redactor = Redactor::new(Redaction {
        headers_only: false,
        fields: vec!["host".to_owned()],
    });
    let mut talk = opened("a host");
    let fields = [(":method", "GET"), (":authority", "shop"), (":path", "/")];
    talk.say(End::Client, &frames::headers(1, true, &fields));
    let left = talk
        .packets()
        .iter()
        .map(|packet| redactor.apply(&packet.frame()).to_vec());
    let fields = [(":method", "GET"), (":authority", "xxxx"), (":path", "/")];
    assert_eq!(
        left.last().unwrap()[54..],
        frames::headers(1, true, &fields)
    );
}

#[test]
fn behind_a_hole_in_a_block_only_frames_are_known() {
    let form = Form {
        may_index_name: true,
        literal: (0x40, 6),
        ..PLAIN
    };
    let block = block_of("user-agent", "0123456789", form);
    let headers = frames::frame(1, END_HEADERS, 1, &block);
    let mut talk = opened("a hole");
    talk.say(End::Client, &headers[..HEADER + 4]);
    talk.uncaptured(End::Client, 2);
    talk.say(End::Client, &headers[HEADER + 6..]);
    // It has lost its place for all that is known then: the next in turn has frames.
    talk.say(End::Server, &frames::answer(1, true, "200"));
    let next = [
        frames::frame(1, END_HEADERS, 3, b"\x0f\x2f\x02it"),
        frames::ping(false),
    ];
    talk.say(End::Client, &next.concat());
    let left = last(false, &talk);
    assert_eq!(left[..HEADER], next[0][..HEADER]);
    assert_eq!(left[HEADER..HEADER + 5], *b"\x0f\x2f\x02xx");
    assert_eq!(left[HEADER + 5..], next[1]);
}

#[test]
fn http_1_may_agree_on_frames() {
    let mut talk = Talk::opened("agreed");
    let ask = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let yes = b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    talk.say(End::Client, ask).say(End::Server, yes);
    let answer = [frames::settings(&[]), frames::answer(1, true, "200")].concat();
    talk.say(End::Server, &answer);
    assert_eq!(last(true, &talk), answer);
    talk.say(
        End::Client,
        &[frames::preface(), frames::get(3, "/")].concat(),
    );
    assert_eq!(
        last(true, &talk),
        [frames::preface(), frames::get(3, "/")].concat()
    );
}

#[test]
fn a_connection_that_was_open_is_known_by_its_frames() {
    let mut talk = Talk::new("open before");
    let asked = frames::get(5, "/");
    talk.say(End::Client, &asked);
    assert_eq!(last(true, &talk), asked);
    // What is in a frame that may be one is none for sure.
    let mut talk = Talk::new("perhaps");
    talk.say(End::Client, &frames::data(5, false, b"@@@@"));
    assert!(last(true, &talk).is_empty());
}

/// Blocks that fill a table with these values many times over, each with the index of the oldest
/// entry that is left. What is left of them is decoded: cut here, if anywhere.
fn fill_a_table(value: impl Fn(u32) -> String, cut: Option<usize>) {
    let form = Form {
        may_index_name: true,
        literal: (0x40, 6),
        huffman: true,
        ..PLAIN
    };
    let open = line("x-team", "blue", form);
    let mut encoder = Encoder::default();
    let mut talk = opened("a full table");
    let mut oldest = Vec::new();
    for number in 0..30 {
        let secrets = (0..7).map(|part| line("cookie", &value(7 * number + part), form));
        let mut block = encoder.block(&[secrets.collect(), vec![open.clone()]].concat());
        oldest.push(encoder.table.back().unwrap().clone());
        integer(&mut block, 0x80, 7, 61 + encoder.table.len() as u32);
        let headers = frames::frame(1, END_HEADERS, 2 * number + 1, &block);
        let cut = cut.unwrap_or(headers.len());
        for piece in [&headers[..cut], &headers[cut..]] {
            talk.say(End::Client, piece);
        }
    }
    let packets = talk.packets().iter().map(|packet| (packet.clone(), 54));
    let left = redacted(false, &packets.collect::<Vec<_>>());
    let left: Vec<_> = left[5..].iter().map(|packet| &packet.data[54..]).collect();
    let mut decoder = Decoder::new(true);
    for (pieces, oldest) in left.chunks(2).zip(oldest) {
        let mut pointed_to = None;
        let each = |field: Field<'_>| {
            let value = field.value.unwrap();
            pointed_to = Some((field.name.unwrap().to_vec(), value.to_vec()));
        };
        decoder.decode(&pieces.concat()[HEADER..], each).unwrap();
        let (name, value) = pointed_to.unwrap();
        assert_eq!(name, oldest.0.as_bytes());
        assert!(value.len() <= oldest.1.len());
        assert_eq!(value == b"blue", oldest.0 == "x-team");
    }
}

#[test]
fn a_full_table_points_to_what_it_pointed_to() {
    fill_a_table(|number| format!("{{\"{number}\":\"~~~~\"}}"), None);
    for cut in [9, 10, 14, 20, 30, 40] {
        fill_a_table(|number| format!("{number:030}"), Some(cut));
        fill_a_table(|number| format!("{number:04};****************"), Some(cut));
    }
}

/// What is told of exchanges, but for what their bodies say: in HTTP/1 what a call says, too.
fn told(exchanges: &[Exchange], headers_only: bool) -> Vec<serde_json::Value> {
    let each = exchanges.iter().map(|exchange| {
        let mut one = outline(exchange);
        one["stream"] = json!(exchange.stream);
        if exchange.stream.is_some() || !headers_only {
            one["grpc"] = json!(exchange.grpc);
        }
        one
    });
    each.collect()
}

/// A call in HTTP/1 whose body is not shown has the status of its head, or one that is unknown.
fn is_unknown_or(before: &Exchange, after: &Exchange) -> bool {
    let status = |exchange: &Exchange| exchange.grpc.as_deref().and_then(|grpc| grpc.status);
    let same = before.good() == after.good() && status(before) == status(after);
    same || status(after).is_none() && [None, before.good()].contains(&after.good())
}

/// What a chunked answer of gRPC-Web's in HTTP/1 says of its call.
fn web(headers_only: bool) -> (Option<bool>, Option<u32>, Option<u64>) {
    let body = [
        frames::message(false, b"tea"),
        b"\x80\0\0\0\x10grpc-status:14\r\n".to_vec(),
    ];
    let chunks = body.iter().flat_map(|chunk| {
        let size = format!("{:x}\r\n", chunk.len()).into_bytes();
        [&size[..], chunk, b"\r\n"].concat()
    });
    let kind = "content-type: application/grpc-web\r\n";
    let asked =
        format!("POST /a.B/C HTTP/1.1\r\nhost: a\r\n{kind}content-length: 5\r\n\r\n\0\0\0\0\0");
    let head = format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\n\r\n");
    let answer = [head.into_bytes(), chunks.collect(), b"0\r\n\r\n".to_vec()].concat();
    let mut talk = Talk::opened("web");
    talk.say(End::Client, asked.as_bytes()).ack(End::Server);
    talk.say(End::Server, &answer).ack(End::Client);
    let mut redactor = Redactor::new(Redaction {
        headers_only,
        fields: Vec::new(),
    });
    let redact = |packet: &Packet| Packet {
        data: redactor.apply(&packet.frame()).to_vec(),
        ..packet.clone()
    };
    let left: Vec<_> = talk.packets().iter().map(redact).collect();
    let seen = analyse(&left);
    let [exchange] = &seen.exchanges[..] else {
        panic!("{:?}", seen.exchanges);
    };
    let grpc = exchange.grpc.as_deref().expect("a call");
    let status = grpc.status.map(|status| status.0);
    (exchange.good(), status, grpc.response)
}

#[test]
fn a_status_in_a_body_that_is_not_shown_is_unknown() {
    assert_eq!(web(false), (Some(false), Some(14), Some(1)));
    assert_eq!(web(true), (None, None, None));
}

#[test]
fn of_captures_the_same_is_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata-pcaps");
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_of_http2 = ["http2-", "grpc-"]
            .iter()
            .any(|kind| name.starts_with(kind));
        if !is_of_http2 || path.extension() != Some("pcap".as_ref()) {
            continue;
        }
        let packets = files::frames(&std::fs::read(&path).unwrap());
        let before = analyse(&packets);
        for headers_only in [false, true] {
            let mut redactor = Redactor::new(Redaction {
                headers_only,
                fields: ["user-agent", "date", "cookie"].map(str::to_owned).to_vec(),
            });
            let redact = |packet: &Packet| Packet {
                data: redactor.apply(&packet.frame()).to_vec(),
                ..packet.clone()
            };
            let left: Vec<_> = packets.iter().map(redact).collect();
            let after = analyse(&left);
            assert_eq!(
                told(&before.exchanges, headers_only),
                told(&after.exchanges, headers_only),
                "{name}"
            );
            for (before, after) in before.exchanges.iter().zip(&after.exchanges) {
                assert!(
                    is_unknown_or(before, after),
                    "{name}: {before:?}, {after:?}"
                );
            }
        }
    }
}
