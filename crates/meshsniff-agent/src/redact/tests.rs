use super::line::{MASK, MAX_NAME};
use super::*;
use meshsniff::packet::LinkType;
use meshsniff::protocol::http1::head::{self, Parsed};
use meshsniff::protocol::http2::frame::PREFACE;
use meshsniff::testing::{End, Packet, Talk, TcpSegment, dns, wrap};
use proptest::prelude::*;
use std::ops::Range;

pub(super) const FIELDS: [&str; 2] = ["authorization", "cookie"];

fn redact(headers_only: bool, segments: &[(u32, &str)]) -> Vec<String> {
    let mut redactor = Redactor::new(Redaction {
        headers_only,
        fields: FIELDS.map(str::to_owned).to_vec(),
    });
    let redact = |&(seq, payload): &(u32, &str)| {
        let payload = payload.as_bytes();
        let segment = TcpSegment {
            seq,
            payload,
            ..TcpSegment::default()
        };
        let packet = Packet::new(1, 0, LinkType::Raw, segment.ip());
        let frame = packet.frame();
        String::from_utf8(redactor.apply(&frame)[40..].to_vec()).unwrap()
    };
    segments.iter().map(redact).collect()
}

const HEAD: &str = "GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: Bearer 123\r\nCookie: a=b;\r\n c=d\r\nX: y\r\n\r\n";
const MASKED: &str = "GET / HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: xxxxxxxxxx\r\nCookie: xxxx\r\n xxx\r\nX: y\r\n\r\n";

fn without_blanks(text: &str) -> String {
    text.replace(' ', "x")
}

#[test]
fn values_are_masked_and_lengths_stay() {
    let said = redact(false, &[(1, HEAD)]).remove(0);
    assert_eq!(said.len(), HEAD.len());
    assert_eq!(without_blanks(&said), without_blanks(MASKED));
    assert!(!said.contains("123") && !said.contains("a=b") && !said.contains("c=d"));
}

#[test]
fn wherever_a_head_is_cut_nothing_shows() {
    for cut in 1..HEAD.len() {
        let (first, second) = HEAD.split_at(cut);
        for segments in [
            vec![(1, first), (1 + cut as u32, second)],
            // The second alone, and both again.
            vec![(1 + cut as u32, second)],
            vec![
                (1, first),
                (1 + cut as u32, second),
                (1, first),
                (1 + cut as u32, second),
            ],
        ] {
            for headers_only in [false, true] {
                let said = redact(headers_only, &segments).concat();
                for secret in ["123", "a=b", "c=d"] {
                    // A piece of the secret may stand alone where it is cut: it must not show
                    // either.
                    assert!(!said.contains(secret), "cut at {cut}: {said}");
                }
            }
        }
    }
}

#[test]
fn only_heads_are_kept() {
    let post = "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nsecret";
    let said = redact(
        true,
        &[(1, post), (1 + post.len() as u32, "ret"), (900, "more")],
    );
    assert_eq!(
        said,
        ["POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", "", ""]
    );
}

/// What is kept of frames, one after another.
fn kept(headers_only: bool, packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut redactor = Redactor::new(Redaction {
        headers_only,
        fields: FIELDS.map(str::to_owned).to_vec(),
    });
    let mut keep = |packet: &Packet| redactor.apply(&packet.frame()).to_vec();
    packets.iter().map(&mut keep).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn segment(seq: u32, payload: &[u8]) -> Packet {
    let segment = TcpSegment {
        seq,
        payload,
        ..TcpSegment::default()
    };
    Packet::new(1, 0, LinkType::Raw, segment.ip())
}

#[test]
fn a_name_is_one_however_it_is_written() {
    for line in [
        "Authorization : 123",
        "Authorization\t: 123",
        " Authorization: 123",
        "\tCookie: 123",
        "X: y\r\n 123",
        "authorization:123",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nX: z\r\n\r\n");
        let said = redact(false, &[(1, &head)]).remove(0);
        assert_eq!(said.len(), head.len());
        assert!(
            !said.contains("123") && said.ends_with("X: z\r\n\r\n"),
            "{said}"
        );
    }
    let long = format!("{}: 123\r\n", "x".repeat(MAX_NAME));
    let said = redact(false, &[(1, &format!("GET / HTTP/1.1\r\n{long}\r\n"))]).remove(0);
    assert!(!said.contains("123"), "{said}");
}

#[test]
fn what_is_no_http_stays_as_long_and_says_nothing() {
    let secret = b"authorization: 123\r\n";
    let http2 = [PREFACE, b"\0\0\x14\x01\x04\0\0\0\x01", secret].concat();
    let record = |kind: u8, content: &[u8]| {
        let length = (content.len() as u16).to_be_bytes();
        [&[kind, 3, 3, length[0], length[1]], content].concat()
    };
    let hello = record(22, b"\x01\0\0\x02\x03\x03");
    let tls = [hello.clone(), record(23, secret), record(21, b"\x01\0")].concat();
    for (said, seen) in [(http2, PREFACE), (tls, &hello), (secret.to_vec(), b"")] {
        for cut in 1..said.len() {
            let packets = [
                segment(1, &said[..cut]),
                segment(1 + cut as u32, &said[cut..]),
            ];
            let kept = kept(false, &packets);
            let payloads: Vec<u8> = kept.iter().flat_map(|kept| &kept[40..]).copied().collect();
            assert_eq!(payloads.len(), said.len());
            assert!(
                !holds(&payloads, b"123") && !holds(&payloads, b"author"),
                "{cut}"
            );
            assert!(cut < seen.len() || payloads.starts_with(seen), "{cut}");
        }
    }
}

#[test]
fn behind_a_cut_nothing_is_placed() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nAuthor";
    let mut first = segment(1, head);
    first.wire_len += 100;
    // Its length on the wire is in the IP header, too.
    let length = (40 + head.len() as u16 + 100).to_be_bytes();
    first.data[2..4].copy_from_slice(&length);
    let rest = segment(1 + head.len() as u32 + 100, b"123\r\nX: 123\r\n\r\n");
    let kept = kept(false, &[first, rest]);
    assert!(holds(&kept[0], b"Host: a") && !holds(&kept[1], b"123"));
}

#[test]
fn of_what_cannot_be_looked_into_headers_are_kept() {
    let inner = TcpSegment {
        seq: 1,
        payload: b"GET / HTTP/1.1\r\nCookie: 123\r\n\r\n",
        ..TcpSegment::default()
    };
    let whole = inner.ip();
    let wrapped = |protocol: u8, before: &[u8]| {
        let mut packet = vec![
            0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        packet.extend(before);
        packet.extend(&whole);
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet
    };
    let quoted = wrapped(1, &[3, 4, 0, 0, 0, 0, 0, 0]);
    let udp = wrapped(17, &[0, 99, 0, 99, 0, 99, 0, 0]);
    let mut fragment = whole.clone();
    fragment[6] = 0x20;
    for data in [quoted, udp, fragment] {
        for link in [LinkType::Raw, LinkType::Ethernet] {
            let before: &[u8] = match link {
                LinkType::Ethernet => &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0],
                _ => &[],
            };
            let packet = Packet::new(1, 0, link, [before, &data].concat());
            let kept = kept(false, &[packet]).remove(0);
            assert_eq!(kept.len(), before.len() + 20, "{link:?}");
        }
    }
}

#[test]
fn of_what_carries_no_application_a_message_is_kept_and_no_byte_behind_it() {
    let ends = |port| {
        (
            Endpoint::v4([10, 0, 0, 1], 4000),
            Endpoint::v4([10, 0, 0, 2], port),
        )
    };
    let datagram = |port, payload: &[u8]| {
        let (from, to) = ends(port);
        let data = wrap::in_ethernet(&wrap::udp(from, to, payload));
        Packet::new(1, 0, LinkType::Ethernet, data)
    };
    let query = dns::query(7, "shop.example", 1);
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[7; 20], b"@@@"].concat();
    let arp = Packet::new(1, 0, LinkType::Ethernet, wrap::ethernet(0x0806, &arp));
    // A frame is at least 60 bytes long, and what fills it up is anybody's.
    let empty = [
        wrap::in_ethernet(&TcpSegment::default().ip()),
        b"@@@@@@".to_vec(),
    ]
    .concat();
    let empty = Packet::new(1, 0, LinkType::Ethernet, empty);
    for (packet, length) in [
        (datagram(53, &query), 14 + 28 + query.len()),
        (datagram(53, b"@ this is no message of the DNS"), 34),
        (datagram(99, &query), 34),
        (arp, 14 + 28),
        (empty, 54),
    ] {
        let kept = kept(false, std::slice::from_ref(&packet)).remove(0);
        assert_eq!(kept, packet.data[..length]);
    }
}

/// What is left of the payloads of a conversation, behind its handshake.
fn payloads(headers_only: bool, packets: &[Packet]) -> Vec<u8> {
    let kept = kept(headers_only, packets);
    let said = kept.iter().skip(3).flat_map(|kept| &kept[54..]);
    said.copied().collect()
}

#[test]
fn what_goes_before_a_request_is_read_as_the_report_reads_it() {
    let head = b"GET / HTTP/1.1\r\nCookie: ###\r\n\r\n";
    let mut talk = Talk::opened("proxied");
    let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    talk.say(End::Client, header).say(End::Client, head);
    let kept = payloads(true, talk.packets());
    assert!(kept.starts_with(header) && kept.ends_with(b"Cookie:xxxx\r\n\r\n"));

    let mut talk = Talk::new("dns");
    let query = dns::over_tcp(&dns::query(7, "shop.example", 1));
    talk.server_port(53).open().say(End::Client, &query);
    assert_eq!(payloads(true, talk.packets()), query);
    talk.say(End::Client, b"\0\x05@@@@@");
    assert!(!holds(&payloads(true, talk.packets()), b"@"));
}

#[test]
fn of_a_chunked_body_the_framing_is_kept() {
    let mut talk = Talk::opened("chunks");
    talk.say(End::Client, b"GET / HTTP/1.1\r\n\r\n");
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    talk.say(End::Server, head);
    talk.say(
        End::Server,
        b"5;a=secret\r\n@@@@@\r\n0\r\nCookie: 123\r\n\r\n",
    );
    let kept = payloads(true, talk.packets());
    let framing = b"5;xxxxxxxx\r\n\0\0\0\0\0\r\n0\r\nCookie:xxxx\r\n\r\n";
    assert!(
        kept.ends_with(framing),
        "{}",
        String::from_utf8_lossy(&kept)
    );
}

/// A request that is answered, and so whose turn it is is known.
fn answered(name: &'static str) -> Talk {
    let mut talk = Talk::opened(name);
    talk.say(End::Client, b"GET / HTTP/1.1\r\n\r\n");
    talk.say(End::Server, b"HTTP/1.1 204 No Content\r\n\r\n");
    talk
}

const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const CONNECT: &[u8] = b"CONNECT shop:443 HTTP/1.1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

#[test]
fn a_head_is_believed_only_where_its_side_was_to_speak() {
    let mut talk = answered("a lost head");
    talk.say(End::Client, b"GET / HTTP/1.1\r\n\r\n");
    talk.uncaptured(End::Server, 60);
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nX: @@@@\r\n\r\n");
    assert!(!holds(&payloads(true, talk.packets()), b"@"));
    // After what was lost the other side speaks, and then it is.
    talk.say(End::Client, b"GET /next HTTP/1.1\r\n\r\n");
    talk.say(End::Server, b"HTTP/1.1 200 OK\r\nX: seen\r\n\r\n");
    assert!(holds(&payloads(true, talk.packets()), b"X: seen"));
}

#[test]
fn what_is_in_a_tunnel_is_no_body() {
    let mut talk = answered("a tunnel");
    talk.say(End::Client, CONNECT).say(End::Server, OK);
    talk.say(End::Server, b"@@@@ a greeting")
        .say(End::Client, b"@@@@");
    assert!(!holds(&payloads(false, talk.packets()), b"@"));
    // Nor if its request was lost: then the answer may be one to it.
    let mut talk = answered("an unseen tunnel");
    talk.uncaptured(End::Client, CONNECT.len() as u32);
    talk.say(End::Server, OK)
        .say(End::Server, b"@@@@ a greeting");
    assert!(!holds(&payloads(false, talk.packets()), b"@"));
}

#[test]
fn a_line_whose_beginning_is_lost_is_masked() {
    let mut talk = Talk::opened("a lost line");
    talk.say(
        End::Client,
        b"POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nAuthor",
    );
    talk.uncaptured(End::Client, 10);
    talk.say(End::Client, b"###\r\nseen");
    let kept = payloads(false, talk.packets());
    assert!(!holds(&kept, b"#") && holds(&kept, b"seen"));
}

#[test]
fn a_client_that_asked_for_an_upgrade_is_not_heard_before_the_answer() {
    let mut talk = answered("an upgrade");
    talk.say(End::Client, UPGRADE);
    talk.uncaptured(End::Server, 60);
    talk.say(End::Client, b"GET /@@@ HTTP/1.1\r\n\r\n");
    assert!(!holds(&payloads(false, talk.packets()), b"@"));
    // An answer that is seen, and declines.
    let mut talk = answered("no upgrade");
    talk.say(End::Client, UPGRADE)
        .say(End::Server, b"HTTP/1.1 204 No Content\r\n\r\n");
    talk.say(End::Client, b"GET /seen HTTP/1.1\r\n\r\n");
    assert!(holds(&payloads(false, talk.packets()), b"/seen"));
}

#[test]
fn fragments_are_read_and_not_shown() {
    let mut talk = Talk::opened("fragments");
    let post = b"POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\n@@@@@@@@";
    talk.say(End::Client, post);
    // The last packet comes in two fragments.
    let mut packets = talk.packets().to_vec();
    let whole = packets.pop().unwrap();
    let (header, rest) = whole.data[14..].split_at(20);
    let (first, second) = rest.split_at(48);
    for (offset, more, part) in [(0_u16, 0x2000, first), (6, 0, second)] {
        let mut data = [header, part].concat();
        data[2..4].copy_from_slice(&(20_u16 + part.len() as u16).to_be_bytes()[..]);
        data[6..8].copy_from_slice(&(more | offset).to_be_bytes());
        packets.push(Packet {
            data: wrap::in_ethernet(&data),
            wire_len: 0,
            ..whole.clone()
        });
    }
    for packet in &mut packets {
        packet.wire_len = packet.data.len() as u32;
    }
    let mut rest = Talk::opened("the rest");
    rest.uncaptured(End::Client, post.len() as u32);
    rest.say(End::Client, b"GET / HTTP/1.1\r\nX: @@@@\r\n\r\n@@");
    packets.push(rest.packets().last().unwrap().clone());
    let kept = kept(true, &packets);
    assert!(kept.iter().skip(3).take(2).all(|kept| kept.len() == 34));
    // What looks like a head is still in the body that the fragments began.
    assert_eq!(kept.last().unwrap().len(), 54);
}

#[test]
fn what_is_kept_is_bounded_and_what_was_forgotten_is_not_believed() {
    let mut redactor = Redactor::new(Redaction {
        headers_only: true,
        fields: vec![],
    });
    let begun = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'y'; 8_000]].concat();
    let mut most = 0;
    for number in 0..40_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        let from = Endpoint::v4([10, 1, high, low], 4000);
        let segment = TcpSegment {
            from,
            payload: &begun,
            ..TcpSegment::default()
        };
        let packet = Packet::new(1, 0, LinkType::Raw, segment.ip());
        let kept = redactor.apply(&packet.frame()).len();
        // Once some were forgotten, none that was not seen to begin is believed.
        assert_eq!(
            kept > 40,
            most <= redactor.places.weight && !redactor.places.forgot
        );
        most = most.max(redactor.places.weight);
    }
    assert!(
        most > MAX_WEIGHT / 2 && most < MAX_WEIGHT + 2 * begun.len(),
        "{most}"
    );
    let packet = segment(1, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(redactor.apply(&packet.frame()).len(), 40);
}

/// A message as it is sent.
#[derive(Clone, Debug, Default)]
struct Message {
    text: String,
    /// Where the values are that are to be masked.
    secrets: Vec<Range<usize>>,
    /// Bytes of the head.
    head: usize,
}

impl Message {
    fn new(line: &str, eol: &str, fields: &[(&str, String, Option<String>)], body: &str) -> Self {
        let mut message = Self {
            text: format!("{line}{eol}"),
            ..Self::default()
        };
        for (name, value, folded) in fields {
            let is_secret = FIELDS.contains(&&*name.to_lowercase());
            let folded = folded.as_ref().map(|folded| format!("{eol}\t{folded}"));
            let value = format!("{value}{}", folded.unwrap_or_default());
            message.text += &format!("{name}: ");
            let begin = message.text.len();
            message.text += &value;
            if is_secret {
                message.secrets.push(begin..message.text.len());
            }
            message.text += eol;
        }
        message.text += &format!("Content-Length: {}{eol}{eol}", body.len());
        message.head = message.text.len();
        message.text += body;
        message
    }

    /// Its segments, cut at these places if they are not in its first bytes.
    fn segments(&self, cuts: &[prop::sample::Index], first: usize) -> Vec<(u32, &str)> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(self.text.len())).collect();
        cuts.retain(|cut| *cut >= first);
        cuts.extend([0, self.text.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let cuts = cuts.windows(2);
        cuts.map(|cut| (cut[0] as u32, &self.text[cut[0]..cut[1]]))
            .collect()
    }
}

/// Bytes of the longest start line.
const START: usize = 20;
const REQUESTS: &[&str] = &["GET /a?b=c HTTP/1.1", "POST / HTTP/1.0", "PUT /d HTTP/1.1"];
const RESPONSES: &[&str] = &["HTTP/1.1 200 OK", "HTTP/1.0 503 Busy"];

/// Any message that begins with one of `lines`. A folded line is read in responses only.
fn message(lines: &'static [&'static str], folds: bool) -> impl Strategy<Value = Message> {
    const NAMES: &[&str] = &[
        "Authorization",
        "COOKIE",
        "Set-Cookie",
        "Cookies",
        "X",
        "Host",
        "x-request-id",
    ];
    let name = prop::sample::select(NAMES).prop_map(str::to_owned);
    let digits = || "[0-9]{1,12}";
    let field = (name, digits(), prop::option::of(digits()));
    let fields = prop::collection::vec(field, 0..6);
    let line = prop::sample::select(lines);
    let eol = prop::sample::select(&["\r\n", "\n"][..]);
    let message = (line, eol, fields, "[a-z0-9: \n]{0,30}");
    message.prop_map(move |(line, eol, fields, body)| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value, folded)| {
                let folded = folded.clone().filter(|_| folds);
                (name.as_str(), value.clone(), folded)
            })
            .collect();
        Message::new(line, eol, &fields, &body)
    })
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..8)
}

proptest! {
    /// Whatever is cut, lost, repeated and out of order: of a secret not a byte is seen, and of a
    /// body none either where only heads are kept.
    #[test]
    fn no_secret_is_seen(
        message in prop_oneof![message(REQUESTS, true), message(RESPONSES, true)],
        cuts in cuts(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        headers_only: bool,
    ) {
        let segments = message.segments(&cuts, 0);
        let sent: Vec<(u32, &str)> = order.iter().map(|one| *one.get(&segments)).collect();
        for ((seq, text), kept) in sent.iter().zip(redact(headers_only, &sent)) {
            prop_assert!(headers_only || kept.len() == text.len());
            for (at, (before, after)) in (*seq as usize..).zip(text.bytes().zip(kept.bytes())) {
                prop_assert!(!headers_only || at < message.head, "{kept:?} shows of the body");
                let masked = [MASK, 0].contains(&after);
                prop_assert!(after == before || masked, "{kept:?} says what was not sent");
                let is_secret = message.secrets.iter().any(|secret| secret.contains(&at));
                let is_shown = after.is_ascii_digit();
                prop_assert!(!(is_secret && is_shown), "{kept:?} shows a secret");
            }
        }
    }

    /// What is left of a request says to the reader of messages what the request said.
    #[test]
    fn a_redacted_request_is_read_as_before(
        message in message(REQUESTS, false),
        cuts in cuts(),
        headers_only: bool,
    ) {
        // A start line that is cut cannot be told from a body, and counts as one.
        let segments = message.segments(&cuts, START);
        let kept = redact(headers_only, &segments).concat();
        let (Parsed::Whole(before, end), Parsed::Whole(after, end_after)) =
            (head::request(message.text.as_bytes()), head::request(kept.as_bytes()))
        else {
            panic!("{kept:?}");
        };
        prop_assert_eq!((end, end_after), (message.head, message.head));
        prop_assert!(!headers_only || kept.len() == end, "only the head is kept");
        prop_assert_eq!(before, after);
    }

    /// And so of a response.
    #[test]
    fn a_redacted_response_is_read_as_before(
        message in message(RESPONSES, true),
        cuts in cuts(),
        headers_only: bool,
    ) {
        let segments = message.segments(&cuts, START);
        let kept = redact(headers_only, &segments).concat();
        let (Parsed::Whole(before, end), Parsed::Whole(after, end_after)) =
            (head::response(message.text.as_bytes()), head::response(kept.as_bytes()))
        else {
            panic!("{kept:?}");
        };
        prop_assert_eq!((end, end_after), (message.head, message.head));
        prop_assert!(!headers_only || kept.len() == end, "only the head is kept");
        prop_assert_eq!(before, after);
    }
}
