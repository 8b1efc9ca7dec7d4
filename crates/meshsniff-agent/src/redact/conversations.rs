//! Conversations with secrets everywhere, cut, repeated, lost and wrapped: none of them is seen, and
//! what is said of the conversation is what was said before.

use super::tests::FIELDS;
use super::{Redaction, Redactor};
use meshsniff::exchange::{Exchange, Finding, FindingKind, Verdict};
use meshsniff::packet::{Endpoint, Flags, LinkType};
use meshsniff::testing::{Packet, TcpSegment, analyse, wrap};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

const CLIENT: Endpoint = Endpoint::v4([10, 0, 0, 1], 40_000);
const SERVER: Endpoint = Endpoint::v4([10, 0, 0, 2], 8080);

/// A byte of a field that is asked to be masked: is never seen.
const OF_FIELD: u8 = b'#';
/// A byte of a body: is not seen where only heads are wanted.
const OF_BODY: u8 = b'$';
/// A byte of what is no HTTP/1: is never seen.
const OF_OTHER: u8 = b'@';

/// What one side says at once.
pub(super) type Said = (Flow, Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Up,
    Down,
}

/// Heads that stand in a body, or in what is no HTTP/1.
const TRAPS: [&str; 5] = [
    "GET /% HTTP/1.1\r\nHost: %\r\nAuthorization: #####\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: %%%%\r\nCookie: ###\r\n\r\n",
    "POST /%%% HTTP/1.1\r\nCookie: #####\r\nContent-Length: 5\r\n\r\n%%%%%",
    "\r\nauthorization: ####\r\n%%%\r\n",
    "%%%%%%%%%",
];

/// A trap with its bytes of this kind.
fn trap(number: usize, kind: u8) -> Vec<u8> {
    let bytes = TRAPS[number % TRAPS.len()].bytes();
    let told = |byte| match byte {
        b'%' => kind,
        // Whatever it looks like, it is no field.
        OF_FIELD if kind == OF_OTHER => OF_OTHER,
        byte => byte,
    };
    bytes.map(told).collect()
}

#[derive(Clone, Copy, Debug)]
enum Body {
    None,
    Length,
    Chunked,
}

#[derive(Clone, Debug)]
struct Message {
    /// A name of a field and a number of bytes of its value.
    fields: Vec<(&'static str, usize)>,
    body: Body,
    /// Traps, by their numbers.
    content: Vec<usize>,
    trailer: bool,
}

impl Message {
    fn write(&self, line: &str, may_have_body: bool) -> Vec<u8> {
        let mut out = format!("{line}\r\n").into_bytes();
        for (name, length) in &self.fields {
            let is_secret = FIELDS.contains(&&*name.to_lowercase());
            let value = if is_secret { "#" } else { "v" }.repeat(*length);
            out.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        let pieces: Vec<Vec<u8>> = self
            .content
            .iter()
            .map(|number| trap(*number, OF_BODY))
            .collect();
        let body = if may_have_body { self.body } else { Body::None };
        match body {
            Body::None => out.extend(b"\r\n"),
            Body::Length => {
                let body = pieces.concat();
                out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
                out.extend(body);
            }
            Body::Chunked => {
                out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in pieces {
                    out.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                    out.extend(piece);
                    out.extend(b"\r\n");
                }
                out.extend(b"0\r\n");
                if self.trailer {
                    out.extend(b"Cookie: ####\r\nChecksum: 1\r\n");
                }
                out.extend(b"\r\n");
            }
        }
        out
    }
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Close,
    UntilClose(usize),
    WebSocket(usize, usize),
    TunnelOfTls(usize),
    TunnelOfHttp,
    Http2(usize),
    Nothing,
}

#[derive(Clone, Debug)]
struct Conversation {
    exchanges: Vec<(&'static str, Message, &'static str, Message)>,
    ending: Ending,
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    [&[kind, 3, 3, high, low], content].concat()
}

impl Conversation {
    fn said(&self) -> Vec<Said> {
        let mut said = Vec::new();
        for (method, request, status, response) in &self.exchanges {
            let line = format!("{method} /a?b=c HTTP/1.1\r\nHost: shop");
            said.push((Flow::Up, request.write(&line, *method != "HEAD")));
            let has_body = !["204 No Content", "304 Not Modified"].contains(status);
            let line = format!("HTTP/1.1 {status}");
            let mut answer = response.write(&line, has_body);
            if *method == "HEAD" {
                let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
                answer.truncate(head.unwrap() + 4);
            } else if has_body && matches!(response.body, Body::None) {
                let at = answer.len() - 2;
                answer.splice(at..at, *b"Content-Length: 0\r\n");
            }
            said.push((Flow::Down, answer));
        }
        match self.ending {
            Ending::Close | Ending::Nothing => {}
            Ending::UntilClose(number) => {
                said.push((Flow::Up, b"GET /last HTTP/1.0\r\n\r\n".to_vec()));
                let head = b"HTTP/1.0 200 OK\r\n\r\n".to_vec();
                said.push((Flow::Down, [head, trap(number, OF_BODY)].concat()));
                said.push((Flow::Down, trap(number + 1, OF_BODY)));
            }
            Ending::WebSocket(up, down) => {
                let ask = "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                said.push((Flow::Up, ask.into()));
                let yes =
                    "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                said.push((Flow::Down, yes.into()));
                for number in [up, up + 1] {
                    said.push((Flow::Up, trap(number, OF_OTHER)));
                    said.push((Flow::Down, trap(down + number, OF_OTHER)));
                }
            }
            Ending::TunnelOfTls(number) => {
                said.push((Flow::Up, b"CONNECT shop:443 HTTP/1.1\r\n\r\n".to_vec()));
                said.push((Flow::Down, b"HTTP/1.1 200 OK\r\n\r\n".to_vec()));
                said.push((Flow::Up, record(22, b"\x01\0\0\x02\x03\x03")));
                said.push((Flow::Down, record(22, b"\x02\0\0\x02\x03\x03")));
                said.push((Flow::Up, record(23, &trap(number, OF_OTHER))));
                said.push((Flow::Down, record(23, &trap(number + 1, OF_OTHER))));
            }
            Ending::TunnelOfHttp => {
                said.push((Flow::Up, b"CONNECT shop:80 HTTP/1.1\r\n\r\n".to_vec()));
                said.push((Flow::Down, b"HTTP/1.1 200 OK\r\n\r\n".to_vec()));
                said.push((
                    Flow::Up,
                    b"GET /in HTTP/1.1\r\nCookie: ###\r\n\r\n".to_vec(),
                ));
                said.push((
                    Flow::Down,
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n$$".to_vec(),
                ));
            }
            Ending::Http2(number) if self.exchanges.is_empty() => {
                let preface = meshsniff::protocol::http2::frame::PREFACE.to_vec();
                said.push((Flow::Up, [preface, trap(number, OF_OTHER)].concat()));
                let settings = b"\0\0\x20\x04\0\0\0\0\0".to_vec();
                said.push((Flow::Down, [settings, trap(number + 1, OF_OTHER)].concat()));
            }
            Ending::Http2(_) => {}
        }
        said
    }
}

/// What a network does to segments.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    /// Where what is said is cut into segments.
    pub(super) cuts: Vec<Index>,
    /// Segments that are sent again, in another cut.
    pub(super) again: Vec<(Index, usize)>,
    /// What they are wrapped in.
    pub(super) wrap: usize,
    /// Only the packets from here on are seen.
    joined: usize,
    /// Packets that are not seen.
    lost: Vec<Index>,
    /// Packets that change places with the next.
    swapped: Vec<Index>,
    /// Bytes that are seen of each packet.
    snap: usize,
    /// Whether what is sent again says something else.
    forged: bool,
}

impl Fate {
    /// Whether all is seen, in its order.
    fn is_kind(&self) -> bool {
        self.joined == 0
            && self.lost.is_empty()
            && self.swapped.is_empty()
            && self.snap == 0
            && !self.forged
    }
}

/// The packets of a conversation, and where in each its payload begins.
fn packets(conversation: &Conversation, fate: &Fate) -> Vec<(Packet, usize)> {
    let closes = matches!(conversation.ending, Ending::Close | Ending::UntilClose(_));
    packets_of(conversation.said(), closes, fate)
}

/// The packets that say this, and then close the connection or do not.
pub(super) fn packets_of(said: Vec<Said>, closes: bool, fate: &Fate) -> Vec<(Packet, usize)> {
    let mut segments: Vec<(Flow, Flags, u32, u32, Vec<u8>)> = Vec::new();
    // Numbers wrap soon.
    let mut next = [u32::MAX - 70, u32::MAX - 40];
    segments.push((Flow::Up, Flags::SYN, next[0], 0, vec![]));
    next[0] = next[0].wrapping_add(1);
    segments.push((
        Flow::Down,
        Flags::SYN.with(Flags::ACK),
        next[1],
        next[0],
        vec![],
    ));
    next[1] = next[1].wrapping_add(1);
    segments.push((Flow::Up, Flags::ACK, next[0], next[1], vec![]));
    let data = Flags::ACK.with(Flags::PSH);
    for (flow, bytes) in said {
        let (own, other) = (flow as usize, 1 - flow as usize);
        let begin = next[own];
        let mut cuts: Vec<usize> = fate.cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        // And where a head seems to begin.
        let heads = [&b"GET /"[..], b"HTTP/1.1 2", b"POST /"];
        cuts.extend(heads.iter().filter_map(|head| {
            bytes
                .windows(head.len())
                .rposition(|window| window == *head)
        }));
        // The report itself takes the first letters of the preface for a method.
        cuts.retain(|cut| *cut >= 5 || !bytes.starts_with(b"PRI"));
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        for cut in cuts.windows(2) {
            let seq = begin.wrapping_add(cut[0] as u32);
            let piece = bytes[cut[0]..cut[1]].to_vec();
            segments.push((flow, data, seq, next[other], piece));
            next[own] = begin.wrapping_add(cut[1] as u32);
            segments.push((
                if flow == Flow::Up {
                    Flow::Down
                } else {
                    Flow::Up
                },
                Flags::ACK,
                next[other],
                next[own],
                vec![],
            ));
        }
        for (at, length) in &fate.again {
            let from = at.index(bytes.len());
            let until = (from + length).min(bytes.len());
            let seq = begin.wrapping_add(from as u32);
            let piece = match fate.forged {
                true => vec![OF_OTHER; until - from],
                false => bytes[from..until].to_vec(),
            };
            segments.push((flow, data, seq, next[other], piece));
        }
    }
    if closes {
        let fin = Flags::FIN.with(Flags::ACK);
        segments.push((Flow::Down, fin, next[1], next[0], vec![]));
        next[1] = next[1].wrapping_add(1);
        segments.push((Flow::Up, fin, next[0], next[1], vec![]));
        segments.push((
            Flow::Down,
            Flags::ACK,
            next[1],
            next[0].wrapping_add(1),
            vec![],
        ));
    }
    let mut packets: Vec<(Packet, usize)> = segments
        .iter()
        .enumerate()
        .map(|(number, (flow, flags, seq, ack, payload))| {
            let (from, to) = match flow {
                Flow::Up => (CLIENT, SERVER),
                Flow::Down => (SERVER, CLIENT),
            };
            let segment = TcpSegment {
                from,
                to,
                seq: *seq,
                ack: *ack,
                flags: *flags,
                payload,
                id: number as u16,
                ..TcpSegment::default()
            };
            let (link, data) = wrapped(fate.wrap, &segment.ip());
            let nanos = 1_700_000_000_000_000_000 + number as i64 * 1_000_000;
            let behind = payload.len() + if fate.wrap == PADDED { PADDING } else { 0 };
            let begin = data.len() - behind;
            (Packet::new(number as u64 + 1, nanos, link, data), begin)
        })
        .collect();
    for at in &fate.swapped {
        let at = at.index(packets.len() - 1);
        packets.swap(at, at + 1);
    }
    for at in &fate.lost {
        packets.remove(at.index(packets.len()));
    }
    packets.drain(..fate.joined.min(packets.len()));
    for (packet, _) in &mut packets {
        if fate.snap > 0 {
            packet.data.truncate(fate.snap);
        }
    }
    packets
}

/// The wrapping that puts bytes behind a packet, and how many.
const PADDED: usize = 7;
const PADDING: usize = 9;

fn wrapped(number: usize, packet: &[u8]) -> (LinkType, Vec<u8>) {
    let (a, b) = (
        Endpoint::v4([192, 0, 2, 1], 4789),
        Endpoint::v4([192, 0, 2, 2], 4789),
    );
    let ethernet = wrap::in_ethernet(packet);
    let data = match number {
        0 => return (LinkType::Raw, packet.to_vec()),
        1 => ethernet,
        2 => wrap::in_ethernet(&wrap::udp(a, b, &wrap::vxlan(7, &ethernet))),
        3 => wrap::in_ethernet(&wrap::ip(a, b, 47, &wrap::gre(0, 0x0800, &[], packet))),
        4 => wrap::in_ethernet(&wrap::ip(a, b, 4, packet)),
        5 => wrap::ethernet(0x8847, &wrap::mpls(&[16, 17], packet)),
        6 => wrap::ethernet(0x8864, &wrap::pppoe(&wrap::ppp(packet))),
        // Padding, that says something.
        PADDED => [&ethernet[..], &[OF_OTHER; PADDING]].concat(),
        // A tag of a VLAN in another's.
        _ => {
            let inner = [&[0, 7, 0x08, 0][..], packet].concat();
            wrap::ethernet(0x88a8, &[&[0, 9, 0x81, 0][..], &inner].concat())
        }
    };
    (LinkType::Ethernet, data)
}

pub(super) fn redacted(headers_only: bool, packets: &[(Packet, usize)]) -> Vec<Packet> {
    let mut redactor = Redactor::new(Redaction {
        headers_only,
        fields: FIELDS.map(str::to_owned).to_vec(),
    });
    let redact = |(packet, _): &(Packet, usize)| Packet {
        data: redactor.apply(&packet.frame()).to_vec(),
        ..packet.clone()
    };
    packets.iter().map(redact).collect()
}

fn message() -> impl Strategy<Value = Message> {
    const NAMES: &[&str] = &["Authorization", "COOKIE", "Set-Cookie", "Cookies", "X-Y"];
    let field = (prop::sample::select(NAMES), 1..20_usize);
    let body = prop_oneof![Just(Body::None), Just(Body::Length), Just(Body::Chunked)];
    let message = (
        prop::collection::vec(field, 0..4),
        body,
        prop::collection::vec(0..TRAPS.len(), 1..4),
        any::<bool>(),
    );
    message.prop_map(|(fields, body, content, trailer)| Message {
        fields,
        body,
        content,
        trailer,
    })
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let method = prop::sample::select(&["GET", "POST", "PUT", "HEAD", "OPTIONS"][..]);
    let status =
        prop::sample::select(&["200 OK", "204 No Content", "304 Not Modified", "503 Busy"][..]);
    let exchange = (method, message(), status, message());
    let n = 0..TRAPS.len();
    let ending = prop_oneof![
        Just(Ending::Close),
        Just(Ending::Nothing),
        n.clone().prop_map(Ending::UntilClose),
        (n.clone(), n.clone()).prop_map(|(up, down)| Ending::WebSocket(up, down)),
        n.clone().prop_map(Ending::TunnelOfTls),
        Just(Ending::TunnelOfHttp),
        n.prop_map(Ending::Http2),
    ];
    let conversation = (prop::collection::vec(exchange, 0..4), ending);
    conversation.prop_map(|(exchanges, ending)| Conversation { exchanges, ending })
}

fn indices(most: usize) -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..most)
}

pub(super) fn kind_fate() -> impl Strategy<Value = Fate> {
    let again = prop::collection::vec((any::<Index>(), 1..80_usize), 0..3);
    (indices(5), again, 0..9_usize).prop_map(|(cuts, again, wrap)| Fate {
        cuts,
        again,
        wrap,
        joined: 0,
        lost: vec![],
        swapped: vec![],
        snap: 0,
        forged: false,
    })
}

pub(super) fn fate() -> impl Strategy<Value = Fate> {
    let snap = prop_oneof![3 => Just(0), 1 => 20..200_usize];
    // Where both the request and the answer are lost by which a connection became something else,
    // or cut by a snap length, what looks like a head, and comes in its turn, is believed: one of
    // them it takes.
    let rough = (
        kind_fate(),
        0..8_usize,
        indices(2),
        indices(4),
        snap,
        any::<bool>(),
    );
    rough.prop_map(|(fate, joined, lost, swapped, snap, forged)| Fate {
        // Of what is not seen in its order nobody knows which was sent first.
        forged: forged && joined == 0 && lost.is_empty() && swapped.is_empty(),
        joined,
        lost: if snap == 0 { lost } else { Vec::new() },
        swapped,
        snap,
        ..fate
    })
}

/// Whether a finding does not hang on what a WebSocket says, which is no header.
fn hangs_on_no_body(exchange: &Exchange, kind: FindingKind) -> bool {
    let of_websocket = matches!(
        kind,
        FindingKind::WebsocketNoClose
            | FindingKind::WebsocketCloseCode
            | FindingKind::WebsocketViolation
    );
    let of_tunnel = exchange.verdict == Verdict::Upgraded && kind == FindingKind::PingUnanswered;
    !(of_websocket || of_tunnel)
}

/// What is said of an exchange that does not hang on what its body says.
pub(super) fn outline(exchange: &Exchange) -> serde_json::Value {
    let findings = exchange.findings.iter().map(|finding| finding.kind);
    let findings = findings.filter(|kind| hangs_on_no_body(exchange, *kind));
    json!({
        "verdict": exchange.verdict,
        "status": exchange.status,
        "method": exchange.method,
        "path": exchange.path,
        "events": exchange.events,
        "gaps": exchange.gaps,
        "findings": findings.collect::<Vec<_>>(),
    })
}

proptest! {
    /// However it is cut, repeated, wrapped, lost, out of order, snapped and joined: no secret
    /// leaves.
    #[test]
    fn nothing_that_is_hidden_leaves(
        conversation in conversation(),
        fate in fate(),
        headers_only: bool,
    ) {
        let packets = packets(&conversation, &fate);
        // Of what began before the capture, what looks like a head is one for all that can be told.
        let opening = packets.iter().take_while(|(packet, _)| packet.number < 3);
        let is_joined = opening.count() < 2;
        for ((before, begin), after) in packets.iter().zip(redacted(headers_only, &packets)) {
            for (at, byte) in after.data.iter().enumerate().skip(*begin) {
                let is_secret = match *byte {
                    OF_FIELD => true,
                    OF_OTHER => !is_joined,
                    OF_BODY => headers_only && !is_joined,
                    _ => false,
                };
                prop_assert!(
                    !is_secret,
                    "{}: at {at} of {:?}",
                    before.number,
                    String::from_utf8_lossy(&before.data)
                );
            }
        }
    }

    /// What leaves says of the conversation what was said.
    #[test]
    fn verdicts_are_the_same(
        conversation in conversation(),
        fate in kind_fate(),
        headers_only: bool,
    ) {
        prop_assert!(fate.is_kind());
        let packets = packets(&conversation, &fate);
        let before = analyse(packets.iter().map(|(packet, _)| packet));
        let after = analyse(&redacted(headers_only, &packets));
        let outlines = |exchanges: &[Exchange]| exchanges.iter().map(outline).collect::<Vec<_>>();
        prop_assert_eq!(outlines(&before.exchanges), outlines(&after.exchanges));
        let connections = |seen: &meshsniff::testing::Seen| {
            let outline = |connection: &meshsniff::exchange::Connection| {
                json!({"verdict": connection.verdict, "protocol": connection.protocol})
            };
            seen.connections.iter().map(outline).collect::<Vec<_>>()
        };
        prop_assert_eq!(connections(&before), connections(&after));
        if !headers_only {
            // What a WebSocket says is no header: it is hidden.
            let shown = |one: &Exchange| {
                let mut one = one.clone();
                let findings = std::mem::take(&mut one.findings);
                let shown = |finding: &Finding| hangs_on_no_body(&one, finding.kind);
                let shown = findings.into_iter().filter(shown).collect();
                one.findings = shown;
                one.websocket = None;
                json!(one)
            };
            let whole = |exchanges: &[Exchange]| {
                exchanges.iter().map(shown).collect::<Vec<_>>()
            };
            prop_assert_eq!(whole(&before.exchanges), whole(&after.exchanges));
        }
    }
}
