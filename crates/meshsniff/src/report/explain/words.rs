//! Words that sentences of exchanges and of connections share.

use crate::exchange::{Doubt, Exchange, FindingKind, Side};
use crate::mesh;
use crate::names::{Named, Names};
use crate::packet::Endpoint;
use crate::piece::{Piece, Shown, Spoken, push};
use crate::time::Span;

/// Characters of a request target in a sentence.
pub(super) const MAX_PATH: usize = 80;
/// Characters of a method in a sentence.
const MAX_METHOD: usize = 24;

/// `GET /items`, or else words for the request if its line was cut.
pub(super) struct Request<'a>(pub(super) &'a Exchange, pub(super) &'static str);

impl Piece for Request<'_> {
    fn push(self, out: &mut String) {
        let Self(exchange, cut) = self;
        match exchange.method.as_deref() {
            Some(method) => {
                let path = exchange.path.as_deref();
                push!(out; Shown(method, MAX_METHOD), path.map(|path| (" ", Shown(path, MAX_PATH))));
            }
            None => out.push_str(cut),
        }
    }
}

pub(super) const fn request(exchange: &Exchange) -> Request<'_> {
    Request(exchange, "the request")
}

/// A side and its address, at the begin of a sentence.
pub(super) struct Party<'a> {
    side: Side,
    sidecar: bool,
    end: Named<'a>,
}

impl<'a> Party<'a> {
    pub(super) fn new(side: Side, end: Endpoint, names: &'a Names) -> Self {
        Self {
            side,
            sidecar: mesh::is_istio_inbound(end),
            end: names.beside(end),
        }
    }
}

impl Piece for Party<'_> {
    fn push(self, out: &mut String) {
        let Self { side, sidecar, end } = self;
        let who = match side {
            Side::Client => "The client (",
            Side::Server => "The server (",
        };
        let sidecar = sidecar.then_some(", Istio's sidecar");
        push!(out; who, end, sidecar, ")");
    }
}

/// Whether the answer is one to a PROXY header that the server did not expect.
#[must_use]
pub(super) fn is_refused_header(exchange: &Exchange) -> bool {
    let behind = exchange.finding(FindingKind::ProxyProtocol).is_some();
    behind && exchange.status == Some(400)
}

pub(super) const fn how(reset: bool) -> &'static str {
    if reset {
        " reset the connection"
    } else {
        " closed"
    }
}

/// A doubt in words.
#[must_use]
pub const fn doubt_in_words(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::CaptureDropped => "the kernel lost packets of the capture meanwhile",
        Doubt::SequenceHole => {
            "the sequence numbers do not prove that the capture has every packet of this connection"
        }
        Doubt::OneSided => "the capture holds only one direction",
        Doubt::CaptureStartedLate => "the capture may have started too late to see all of it",
        Doubt::CaptureEnded => "the capture ended before it was settled",
        Doubt::Snaplen => "the snap length cut bytes that were needed",
        Doubt::Unreadable => "the bytes are all there, but how they are framed cannot be read",
        Doubt::Encrypted => {
            "an estimate from the lengths and times of encrypted records: what is in them is not seen"
        }
    }
}

pub(super) fn doubtful(out: &mut String, doubt: Doubt) {
    push!(out; " Uncertain: ", doubt_in_words(doubt), ".");
}

/// ` 12.3 ms`, or nothing if the gap is not known.
pub(super) fn after(gap: Option<Span>) -> impl Piece {
    gap.map(|gap| (" ", Spoken(gap)))
}

/// `; the response had begun after 12.3 ms`, or nothing if the gap is not known.
pub(super) fn known(words: &'static str, gap: Option<Span>) -> impl Piece {
    gap.map(|gap| (words, Spoken(gap)))
}
