//! What the next bytes of a connection are.
//!
//! Readers of the library say where messages begin and end, the same that a report is made by. What
//! none of them has named is hidden.

use super::choice::Redaction;
use super::http2::Frames;
use super::line::{Line, Part};
use super::out::Out;
use super::tls::{HANDSHAKE, Record};
use meshsniff::dns;
use meshsniff::packet::{Flags, Segment, Seq};
use meshsniff::protocol::http1::body::{Body, Fed, Framing, Stepped};
use meshsniff::protocol::http1::head::{self, MAX_HEAD, Parsed, RequestHead};
use meshsniff::protocol::http2::frame::{Frame, HEADER, Kind, PREFACE};
use meshsniff::protocol::{detect, proxy_header};
use meshsniff::tcp::Side;
use std::collections::VecDeque;

/// Most requests of a connection whose answers are waited for.
const MAX_DUE: usize = 64;

/// The longest status line up to its code.
const STATUS: &[u8] = b"HTTP/1.1 200";

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    ways: [Way; 2],
    /// Who is the client, as soon as that is known.
    client: Option<usize>,
    /// Whether anything was said.
    has_begun: bool,
    /// Requests without their answer, the oldest first.
    due: VecDeque<Request>,
    /// Whether a snap length has cut what could not be read: from then on only what was read tells
    /// whose turn it is.
    is_cut: bool,
    /// Whether it is inside a tunnel that was asked for.
    in_tunnel: bool,
    /// Whether frames of HTTP/2 were seen: then nothing else follows.
    is_http2: bool,
    /// Which ways were closed.
    ended: [bool; 2],
}

/// What matters of a request for the reading of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Head,
    Connect,
    Upgrade,
    /// An upgrade to HTTP/2 (RFC 7540, 3.2).
    H2c,
    /// Its head was cut: it may have asked for an upgrade.
    Cut,
    Other,
}

impl Request {
    fn of(head: &RequestHead) -> Self {
        match &*head.method {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            _ if head.h2c => Self::H2c,
            _ if head.upgrade => Self::Upgrade,
            _ => Self::Other,
        }
    }

    /// Whether the answer decides what the connection is from then on.
    const fn may_end_http(self) -> bool {
        matches!(self, Self::Connect | Self::Upgrade | Self::H2c | Self::Cut)
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Where the next byte that was not seen stands.
    next: Option<Seq>,
    /// Where it stood when the other side said something: what it says next begins there.
    turn: Option<Seq>,
    /// Bytes beyond those that are missing, which came too early to be placed.
    early: Option<(Seq, Seq)>,
    says: Says,
    line: Line,
}

/// What the next byte of a direction is part of.
#[derive(Debug, Default)]
enum Says {
    /// Nobody knows any more, or yet: the beginning was not seen, or bytes are missing.
    #[default]
    Unknown,
    /// Nothing that could be read.
    Hidden,
    /// A message, of whose first line this was seen.
    Boundary { is_first: bool, begun: Vec<u8> },
    /// A head, of which this was seen.
    Head(Vec<u8>),
    /// A body.
    Body(Body),
    /// The rest of a message, of which a snap length cut off what tells where it ends.
    Rest,
    /// What follows a request for a tunnel that is not granted yet.
    Waiting,
    /// Records of TLS.
    Tls(Record),
    /// Messages of the DNS, each after its length.
    Dns,
    /// Frames of HTTP/2.
    Http2(Box<Frames>),
}

impl Way {
    fn begins(seq: Seq) -> Self {
        Self {
            next: Some(seq),
            says: Says::boundary(true),
            ..Self::default()
        }
    }
}

impl Says {
    fn boundary(is_first: bool) -> Self {
        Self::Boundary {
            is_first,
            begun: Vec::new(),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Boundary { begun: bytes, .. } | Self::Head(bytes) => bytes.capacity(),
            Self::Http2(frames) => frames.weight(),
            _ => 0,
        }
    }
}

impl Connection {
    /// Bytes that what it keeps takes beside itself.
    pub(super) fn weight(&self) -> usize {
        let ways = self.ways.iter().map(|way| way.says.weight());
        ways.sum::<usize>() + self.due.capacity()
    }

    /// Notes what a segment of `side` ends. Whether the connection has ended with it.
    pub(super) fn has_ended(&mut self, side: usize, flags: Flags) -> bool {
        let was_over = self.is_over();
        self.ended[side] |= flags.has(Flags::FIN);
        if flags.has(Flags::RST) {
            self.ended = [true; 2];
        }
        !was_over && self.is_over()
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.ended == [true; 2]
    }

    /// Hides what is to be hidden in `bytes`, the captured payload of a segment. Returns how many
    /// of them are worth keeping where only heads are wanted.
    ///
    /// `may_begin`: whether a connection that was not seen to begin is believed to begin with the
    /// first of its segments that looks like it.
    pub(super) fn apply(
        &mut self,
        redaction: &Redaction,
        side: usize,
        segment: &Segment<'_>,
        may_begin: bool,
        bytes: &mut [u8],
    ) -> usize {
        self.open(side, segment);
        let mut out = Out {
            redaction,
            bytes,
            at: 0,
            kept: 0,
        };
        if segment.wire_payload == 0 {
            return 0;
        }
        let seq = segment.seq.plus(u32::from(segment.flags.has(Flags::SYN)));
        let end = seq.plus(segment.wire_payload);
        let is_turn = match self.ways[side].turn {
            Some(turn) => turn == seq,
            None => {
                let is_open = self.ways[side].next.is_none_or(|next| next == seq);
                may_begin && !self.has_begun && is_open
            }
        };
        let next = *self.ways[side].next.get_or_insert(seq);
        let repeated = next.distance_from(seq);
        if repeated > 0 {
            // What came before was decided on then: another cut, or another content, is not.
            let repeated = (repeated as usize).min(out.bytes.len());
            out.hide(repeated);
            if end.distance_from(next) <= 0 {
                return 0;
            }
        }
        self.has_begun = true;
        self.ways[side].turn = None;
        if segment.ack.is_some() {
            self.ways[1 - side].turn = segment.ack;
        }
        if repeated < 0
            && !self.step(side, repeated.unsigned_abs())
            && !(is_turn && self.place(side, seq, out.rest()))
        {
            self.too_early(side, seq, end);
            out.hide(out.rest().len());
            return 0;
        }
        self.ways[side].next = Some(end);
        if is_turn && matches!(self.ways[side].says, Says::Unknown | Says::Rest) {
            self.place(side, seq, out.rest());
        }
        while out.at < out.bytes.len() {
            self.read(side, segment, &mut out);
        }
        let cut = segment.wire_payload as usize - out.bytes.len();
        if cut > 0 && !self.step(side, cut as u32) {
            self.cut(side, end);
        }
        self.catch_up(side, end);
        if self.is_cut && matches!(self.ways[side].says, Says::Unknown) {
            self.ways[1 - side].turn = None;
        }
        out.kept
    }

    /// Takes from a segment where its sides begin.
    fn open(&mut self, side: usize, segment: &Segment<'_>) {
        if !segment.flags.has(Flags::SYN) {
            return;
        }
        let first = segment.seq.plus(1);
        let begins = |way: &mut Way, first: Seq| {
            // The same segment again, or at another place, begins nothing anew.
            let is_known = way.next == Some(first);
            if !is_known {
                *way = Way::begins(first);
            }
            !is_known
        };
        let is_new = begins(&mut self.ways[side], first);
        match segment.ack {
            Some(ack) => {
                self.client = Some(1 - side);
                if self.ways[1 - side].next.is_none() {
                    self.ways[1 - side] = Way::begins(ack);
                }
            }
            None if is_new => {
                self.client = Some(side);
                self.ways[1 - side] = Way::default();
                self.due.clear();
                self.has_begun = false;
                self.is_cut = false;
                self.in_tunnel = false;
                self.is_http2 = false;
                self.ended = [false; 2];
            }
            None => {}
        }
    }

    /// Nobody knows any more where a side stands.
    fn lose(&mut self, side: usize, next: Seq) {
        self.ways[side].says = if self.may_be_placed(side) {
            Says::Unknown
        } else {
            Says::Hidden
        };
        self.ways[side].next = Some(next);
        self.ways[side].early = None;
        // Requests may be among what is missing.
        if self.client != Some(1 - side) && !self.may_end_http() {
            self.due.clear();
        }
    }

    /// Whether an answer is due that may make something else of the connection.
    fn may_end_http(&self) -> bool {
        self.due.iter().any(|request| request.may_end_http())
    }

    /// A snap length cut off what tells how a side goes on. Of a head the first words may do.
    fn cut(&mut self, side: usize, next: Seq) {
        let other = 1 - side;
        let begun = match &mut self.ways[side].says {
            Says::Head(begun) | Says::Boundary { begun, .. } => std::mem::take(begun),
            Says::Unknown => {
                // It may have been what made something else of the connection.
                self.is_cut = true;
                return self.lose(side, next);
            }
            Says::Body(_) | Says::Rest => {
                self.ways[side].says = Says::Rest;
                return;
            }
            _ => return self.lose(side, next),
        };
        let ends_http = if self.client == Some(side) {
            let method = begun.split(|byte| *byte == b' ').next();
            let request = match method.filter(|method| method.len() < begun.len()) {
                Some(b"CONNECT") | None => None,
                Some(b"HEAD") => Some(Request::Head),
                Some(_) => Some(Request::Cut),
            };
            self.lose(side, next);
            self.due.extend(request);
            request.is_none()
        } else {
            let status = detect::partial_status(&begun);
            let is_final = status.is_some_and(|status| status >= 200);
            let request = if is_final { self.due.pop_front() } else { None };
            self.lose(side, next);
            status.is_none_or(|status| status == 101) || request == Some(Request::Connect)
        };
        self.ways[side].says = Says::Rest;
        if ends_http {
            self.ways[side].says = Says::Hidden;
            self.ways[other].says = Says::Hidden;
        }
    }

    /// Passes over bytes that are missing, if it is known what follows them; whether it is.
    fn step(&mut self, side: usize, missing: u32) -> bool {
        match &mut self.ways[side].says {
            Says::Body(body) => {
                let mut ahead = body.clone();
                match ahead.step(u64::from(missing)) {
                    Stepped::Over => {
                        *body = ahead;
                        self.ways[side].line.lose();
                    }
                    Stepped::Done(taken) if taken == u64::from(missing) => self.end_body(side),
                    Stepped::Done(_) | Stepped::Lost => return false,
                }
                true
            }
            Says::Tls(record) => record.step(missing as usize),
            Says::Http2(frames) => frames.step(missing),
            Says::Hidden => true,
            _ => false,
        }
    }

    /// Bytes came before others that may still come.
    fn too_early(&mut self, side: usize, seq: Seq, end: Seq) {
        let way = &mut self.ways[side];
        match &mut way.early {
            _ if matches!(way.says, Says::Unknown) => self.lose(side, end),
            None => way.early = Some((seq, end)),
            Some((_, until)) if *until == seq => *until = end,
            // Another hole is too much.
            Some(_) => self.lose(side, end),
        }
    }

    /// What came too early joins what was seen by now.
    fn catch_up(&mut self, side: usize, end: Seq) {
        let Some((from, until)) = self.ways[side].early else {
            return;
        };
        if until.distance_from(end) <= 0 {
            self.ways[side].early = None;
        } else if from.distance_from(end) <= 0 {
            self.ways[side].early = None;
            let missing = until.distance_from(end).unsigned_abs();
            if self.step(side, missing) {
                self.ways[side].next = Some(until);
            } else {
                self.lose(side, until);
            }
        }
    }

    /// Whether a message may begin where it is not known what a side says: not in what was, or may
    /// have become, something else than HTTP. What a server says in its turn answers what was asked.
    fn may_be_placed(&self, side: usize) -> bool {
        let is_http = match self.ways[side].says {
            Says::Unknown
            | Says::Boundary { .. }
            | Says::Head(_)
            | Says::Body(_)
            | Says::Rest
            | Says::Http2(_) => true,
            Says::Hidden | Says::Waiting | Says::Tls(_) | Says::Dns => false,
        };
        let is_server = self.client == Some(1 - side);
        let is_answer = is_server && !matches!(self.ways[1 - side].says, Says::Hidden);
        is_http && !self.in_tunnel && (is_answer || !self.may_end_http())
    }

    /// Believes that a message begins here, if it looks so.
    fn place(&mut self, side: usize, seq: Seq, bytes: &[u8]) -> bool {
        if !self.may_be_placed(side) {
            return false;
        }
        let other = 1 - side;
        let says = if detect::begins_frames(bytes, self.name(side)) {
            self.is_http2 = true;
            self.client = self
                .client
                .or_else(|| match detect::speaker(bytes, false)? {
                    Side::Client => Some(side),
                    Side::Server => Some(other),
                });
            Says::Http2(Box::new(Frames::found(self.name(side))))
        } else if self.is_http2 {
            return false;
        } else if self.client.is_none() && bytes.starts_with(PREFACE) {
            self.client = Some(side);
            Says::boundary(true)
        } else if self.client != Some(other) && detect::begins_request(bytes) {
            self.client = Some(side);
            self.due.clear();
            Says::Head(Vec::new())
        } else if self.client != Some(side) && detect::begins_response(bytes) == Some(true) {
            self.client = Some(other);
            // Of which request this is the answer is a guess.
            if self.ways[side].next.is_some_and(|next| next != seq) {
                self.due.clear();
            }
            Says::Head(Vec::new())
        } else if self.client.is_none() && detect::is_tls_record(bytes) {
            // Of records of the handshake only the hellos are taken for one.
            Says::Tls(Record::new(bytes.first() == Some(&HANDSHAKE)))
        } else {
            return false;
        };
        self.ways[side].says = says;
        self.ways[side].early = None;
        self.ways[side].line = Line::default();
        true
    }

    /// Which side it is, if that is known.
    fn name(&self, side: usize) -> Option<Side> {
        let is_client = |client| match client == side {
            true => Side::Client,
            false => Side::Server,
        };
        self.client.map(is_client)
    }

    /// Decides on the next bytes of a side.
    fn read(&mut self, side: usize, segment: &Segment<'_>, out: &mut Out<'_>) {
        match &mut self.ways[side].says {
            Says::Boundary { .. } => self.boundary(side, segment, out),
            Says::Head(_) => self.head(side, out),
            Says::Body(_) => self.body(side, out),
            Says::Tls(record) => {
                if !record.read(out) {
                    self.ways[side].says = Says::Hidden;
                }
            }
            Says::Http2(frames) => {
                if !frames.read(out) {
                    self.ways[side].says = Says::Hidden;
                }
            }
            Says::Dns => {
                if !dns_message(out) {
                    self.ways[side].says = Says::Hidden;
                }
            }
            Says::Waiting => {
                // Sent before the answer that says what it is.
                self.ways[side].says = Says::Hidden;
            }
            Says::Unknown | Says::Rest | Says::Hidden => out.hide(out.rest().len()),
        }
    }

    /// Where a message may begin.
    fn boundary(&mut self, side: usize, segment: &Segment<'_>, out: &mut Out<'_>) {
        let way = &mut self.ways[side];
        let Says::Boundary { is_first, begun } = &mut way.says else {
            return;
        };
        let is_client = self.client == Some(side);
        let rest = out.rest();
        if begun.is_empty() && *is_first {
            let is_dns = [segment.src.port, segment.dst.port].contains(&dns::PORT);
            let header = proxy_header::read(rest).filter(|_| is_client);
            if is_dns {
                way.says = Says::Dns;
                return;
            } else if detect::is_tls_record(rest) {
                way.says = Says::Tls(Record::new(true));
                return;
            } else if let Some((_, length)) = header {
                return out.show(length);
            }
        }
        let is_open = *is_first && self.client.is_some() && self.due.is_empty();
        if begun.is_empty() && is_open && !is_client && begins_settings(rest) {
            // A server need not wait for the client's preface.
            self.is_http2 = true;
            way.says = Says::Http2(Box::new(Frames::of_server()));
            return;
        }
        if begun.is_empty() && is_client {
            let blank = rest.len() - detect::skip_blank_lines(rest).len();
            if blank > 0 {
                return out.show(blank);
            }
        }
        let before = begun.len();
        begun.extend_from_slice(&rest[..rest.len().min(MAX_HEAD)]);
        let is_first = *is_first;
        let is_response = || detect::begins_response(begun);
        let begins = if is_client {
            detect::begins_request(begun)
        } else {
            is_response() == Some(true)
        };
        if begins {
            begun.truncate(before);
            way.says = Says::Head(std::mem::take(begun));
            way.line = Line::default();
            return;
        }
        let may_begin = if is_client {
            detect::is_method_begun(begun) || is_first && PREFACE.starts_with(begun)
        } else {
            begun.len() < STATUS.len() && is_response().is_none()
        };
        if may_begin && begun.len() < PREFACE.len() {
            return out.show(out.rest().len());
        }
        if is_client && is_first && begun.starts_with(PREFACE) {
            return self.begin_http2(side, before);
        }
        way.says = Says::Hidden;
        if is_client {
            self.ways[1 - side].says = Says::Hidden;
        }
    }

    /// A client says HTTP/2's preface, of which so many bytes came before.
    fn begin_http2(&mut self, side: usize, before: usize) {
        let ways = &mut self.ways;
        ways[side].says = Says::Http2(Box::new(Frames::of_client(before)));
        let server = &mut ways[1 - side];
        match &server.says {
            Says::Http2(_) => {}
            Says::Boundary { is_first, begun } if *is_first && begun.is_empty() => {
                server.says = Says::Http2(Box::new(Frames::of_server()));
            }
            _ => server.says = Says::Hidden,
        }
        self.is_http2 = true;
    }

    fn head(&mut self, side: usize, out: &mut Out<'_>) {
        let is_client = self.client == Some(side);
        let way = &mut self.ways[side];
        let Says::Head(begun) = &mut way.says else {
            return;
        };
        let before = begun.len();
        let room = MAX_HEAD.saturating_sub(before).min(out.rest().len());
        begun.extend_from_slice(&out.rest()[..room]);
        let Some(end) = head::end_of_head(begun, before) else {
            if room == out.rest().len() {
                out.lines(&mut way.line, Part::Head, room);
            } else {
                way.says = Says::Hidden;
            }
            return;
        };
        let bytes = std::mem::take(begun);
        let is_head = |parsed: Option<usize>| parsed == Some(end);
        if is_client {
            match head::request(&bytes[..end]) {
                Parsed::Whole(head, used) if is_head(Some(used)) => {
                    out.lines(&mut way.line, Part::Head, end - before);
                    let request = Request::of(&head);
                    if self.due.len() == MAX_DUE {
                        way.says = Says::Hidden;
                        return;
                    }
                    self.due.push_back(request);
                    match request {
                        Request::Connect => way.says = Says::Waiting,
                        _ => way.begin_body(head.framing),
                    }
                    self.wait(side);
                }
                _ => way.says = Says::Hidden,
            }
        } else {
            match head::response(&bytes[..end]) {
                Parsed::Whole(head, used) if is_head(Some(used)) => {
                    out.lines(&mut way.line, Part::Head, end - before);
                    self.answer(side, head.status, head.framing);
                }
                _ => way.says = Says::Hidden,
            }
        }
    }

    /// The head of an answer was read.
    fn answer(&mut self, side: usize, status: u16, framing: Framing) {
        if (100..200).contains(&status) && status != 101 {
            return self.ways[side].begin_body(Framing::None);
        }
        let request = self.due.pop_front();
        let other = 1 - side;
        let is_waiting = matches!(self.ways[other].says, Says::Waiting);
        match request {
            Some(Request::H2c) if status == 101 => {
                self.due.clear();
                self.ways[side].says = Says::Http2(Box::new(Frames::of_server()));
                if !matches!(self.ways[other].says, Says::Hidden) {
                    self.ways[other].says = Says::Http2(Box::new(Frames::of_client(0)));
                }
                self.is_http2 = true;
                return;
            }
            _ if status == 101 => {
                self.ways[side].says = Says::Hidden;
                self.ways[other].says = Says::Hidden;
                return;
            }
            Some(Request::Connect) if (200..300).contains(&status) => {
                self.in_tunnel = true;
                self.due.clear();
                self.ways[side].says = Says::boundary(true);
            }
            Some(Request::Head) => self.ways[side].begin_body(Framing::None),
            // It may be the answer to a CONNECT that was not seen.
            None if framing == Framing::UntilClose => self.ways[side].says = Says::Hidden,
            // Or to a HEAD: where the next one begins is not known.
            None if !Body::new(framing).is_done() => self.ways[side].says = Says::Unknown,
            _ => self.ways[side].begin_body(framing),
        }
        if is_waiting {
            self.ways[other].says = Says::boundary(self.in_tunnel);
        }
    }

    fn body(&mut self, side: usize, out: &mut Out<'_>) {
        let way = &mut self.ways[side];
        let Says::Body(body) = &mut way.says else {
            return;
        };
        let rest = out.rest();
        let data = body.data_ahead().min(rest.len() as u64) as usize;
        let (part, len) = match data {
            0 => {
                let line = rest.iter().position(|byte| *byte == b'\n');
                (Part::Framing, line.map_or(rest.len(), |at| at + 1))
            }
            data => (Part::Body, data),
        };
        let fed = body.feed(&rest[..len]);
        match part {
            _ if fed == Fed::Broken => way.says = Says::Hidden,
            Part::Body if out.redaction.headers_only => out.hide(len),
            part => out.lines(&mut way.line, part, len),
        }
        if let Fed::Done(_) = fed {
            self.end_body(side);
        }
    }

    fn end_body(&mut self, side: usize) {
        self.ways[side].says = Says::boundary(false);
        self.wait(side);
    }

    /// A client whose request may end HTTP waits for the answer.
    fn wait(&mut self, side: usize) {
        let is_due = self
            .due
            .back()
            .is_some_and(|request| request.may_end_http());
        let way = &mut self.ways[side];
        if is_due && self.client == Some(side) && matches!(way.says, Says::Boundary { .. }) {
            way.says = Says::Waiting;
        }
    }
}

impl Way {
    fn begin_body(&mut self, framing: Framing) {
        let body = Body::new(framing);
        self.line = Line::default();
        self.says = if body.is_done() {
            Says::boundary(false)
        } else {
            Says::Body(body)
        };
    }
}

/// Decides on the next message of the DNS. `false` if it is none, or cut: its end cannot be judged.
fn dns_message(out: &mut Out<'_>) -> bool {
    let whole = out
        .rest()
        .split_first_chunk::<2>()
        .and_then(|(length, rest)| {
            let length = usize::from(u16::from_be_bytes(*length));
            let message = rest.get(..length)?;
            dns::Message::read(message).map(|_| 2 + length)
        });
    whole.is_some_and(|len| {
        out.show(len);
        true
    })
}

/// Whether a server's first bytes are the header of its SETTINGS (RFC 9113, 3.4).
fn begins_settings(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk::<HEADER>();
    header.is_some_and(|header| {
        let parts = Frame::parse(*header);
        parts.is_plausible(Some(Side::Server)) && parts.frame().kind == Kind::Settings
    })
}
