use super::*;
use meshsniff::packet::LinkType;
use meshsniff::protocol::http1::head::{self, Parsed};
use meshsniff::testing::{Packet, TcpSegment};
use proptest::prelude::*;
use std::ops::Range;

const FIELDS: [&str; 2] = ["authorization", "cookie"];

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
                prop_assert!(after == before || after == MASK, "{kept:?} says what was not sent");
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
