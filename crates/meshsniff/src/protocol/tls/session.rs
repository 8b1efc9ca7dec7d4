//! Both sides' records, from the client's hello to the last byte.

use super::alert::Alert;
use super::data::{Asked, Data};
use super::hello::{self, Choice, Offer};
use super::message::{self, Messages};
use super::record::{self, Record};
use super::told::{StepKind, Tls};
use crate::packet::Mark;
use crate::tcp::Side;
use crate::time::Span;

/// An encrypted record of TLS 1.3 with nothing but an alert: two bytes, the content type, and a tag
/// of 16.
const ENCRYPTED_ALERT: usize = 19;
/// What TLS 1.2 adds to a record with AES-GCM, and TLS 1.3 to any.
const ADDED_1_2: usize = 24;
const ADDED_1_3: usize = 17;
/// A client's last messages, with a certificate, are no more records than these.
const MAX_FLIGHT: u8 = 4;
/// The level of an alert that ends nothing (RFC 5246, 7.2).
const WARNING: u8 = 1;
/// Longer than a round trip takes a server to send tickets.
const TICKETS: Span = Span::from_millis(5);
/// A server that does not take the client's last messages says so within this time.
const REFUSAL: Span = Span::from_millis(200);

/// One side's records.
#[derive(Clone, Debug, Default)]
struct Sent {
    record: Record,
    messages: Messages,
    /// The frame that the record began in.
    begin: Mark,
    /// Whether it has sent a hello of its kind.
    hello: bool,
    /// Whether what it sends is encrypted from here on.
    encrypts: bool,
    /// Whether it has sent anything encrypted that is more than an alert.
    finished: bool,
    /// Whether its records cannot be told any more.
    lost: bool,
    /// The latest record, if it was as long as an alert, behind the handshake.
    parting: Option<Parting>,
}

/// A record behind the handshake that is as long as an alert.
#[derive(Clone, Copy, Debug)]
struct Parting {
    mark: Mark,
    /// Whether its type says that it is one.
    known: bool,
    /// The packet with payload before it, and its sender.
    before: Option<(Side, Mark)>,
}

/// What a side says before it closes (close_notify, RFC 8446, 6.1).
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    /// The sender.
    pub by: Side,
    /// Its packet.
    pub mark: Mark,
    /// The packet with payload before it, and its sender.
    pub before: Option<(Side, Mark)>,
    /// Whether it was read; else its length, or its type, is all that tells.
    pub read: bool,
}

/// TLS on one connection.
#[derive(Clone, Debug, Default)]
pub struct Session {
    sent: [Sent; 2],
    /// The handshake was before the capture.
    joined: bool,
    /// Records of either side are missing.
    holes: bool,
    /// The alert that ended the handshake, and its packet.
    alert: Option<(Alert, Mark)>,
    /// The server's first bytes, if they are no TLS.
    plain: Option<Mark>,
    offer: Option<Offer>,
    choice: Option<Choice>,
    /// The server asked for another hello.
    retried: bool,
    /// The server asked for the client's certificate.
    certificate_request: bool,
    /// The first byte of the client's hello, and the last of it before the server spoke.
    first: Option<Mark>,
    hello_end: Option<Mark>,
    /// The server's first byte, and its last before the client finished.
    answer: Option<Mark>,
    flight: Option<Mark>,
    /// What the client said next.
    reply: Option<Mark>,
    /// The last message of the handshake, and the client's records since it may have been that.
    done: Option<Mark>,
    since_done: u8,
    data: Data,
    /// The side that was done first.
    first_done: Option<Side>,
    /// Data that the client sent before the handshake was done: with its hello, or without waiting
    /// for the server's last message.
    early: Option<(Mark, usize)>,
    /// Whether the client's last messages were more than one that says that it is done: it was asked
    /// for a certificate.
    certified: bool,
    /// Records of the server behind the handshake.
    late_records: u64,
    /// What the server said first after the handshake was an alert.
    refused: Option<Mark>,
    /// The latest packet with payload, and its sender.
    spoke: Option<(Side, Mark)>,
}

pub(super) const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Session {
    /// Of a connection whose handshake was before the capture.
    #[must_use]
    pub fn joined() -> Self {
        Self {
            joined: true,
            ..Self::default()
        }
    }

    /// The next bytes of a side. `first_of_segment`: a packet's payload begins with them.
    pub fn bytes(&mut self, side: Side, mut bytes: &[u8], first_of_segment: bool, mark: Mark) {
        if self.sent[index(side)].lost && first_of_segment && self.is_done() {
            self.find_record(side, bytes);
        }
        while !bytes.is_empty() && !self.sent[index(side)].lost && self.plain.is_none() {
            let sent = &mut self.sent[index(side)];
            if sent.record.is_new() {
                sent.begin = mark;
            }
            if sent.record.has_header() {
                let taken = sent.record.take_content(bytes);
                let (content, rest) = bytes.split_at(taken);
                bytes = rest;
                self.content(side, content, mark);
            } else {
                match sent.record.take_header(bytes) {
                    Some(taken) => bytes = &bytes[taken..],
                    None => return self.no_tls(side, mark),
                }
                if self.sent[index(side)].record.has_header() {
                    self.begin_record(side);
                }
            }
            if self.sent[index(side)].record.is_whole() {
                self.end_record(side, mark);
                self.spoke = Some((side, mark));
            }
        }
        self.spoke = Some((side, mark));
    }

    /// So many bytes of a side are not in the capture.
    pub fn missing(&mut self, side: Side, count: u64) {
        self.holes = true;
        if side == Side::Server {
            self.data.lacks_answer();
            self.refused = None;
            self.late_records += 1;
        }
        let sent = &mut self.sent[index(side)];
        if sent.lost || self.plain.is_some() {
            return;
        }
        let kept = sent.record.kind() == record::HANDSHAKE && !sent.encrypts;
        if !sent.record.step_over(count) {
            sent.lost = true;
            return;
        }
        if kept {
            self.messages(side, Err(count as usize));
        }
        if self.sent[index(side)].record.is_whole() {
            self.end_record(side, self.sent[index(side)].begin);
        }
    }

    /// A side's records were lost: whether a packet begins with the next.
    fn find_record(&mut self, side: Side, bytes: &[u8]) {
        let is_data = matches!(bytes, [record::DATA, 3, 1..=4, ..]);
        let sent = &mut self.sent[index(side)];
        if is_data && (sent.finished || self.joined) {
            sent.record = Record::default();
            sent.lost = false;
        }
    }

    /// Bytes of a record's content.
    fn content(&mut self, side: Side, content: &[u8], mark: Mark) {
        let sent = &mut self.sent[index(side)];
        let record = sent.record;
        if record.kind() == record::HANDSHAKE {
            let at_begin = record.content_read() == content.len();
            // Behind a HelloRetryRequest a hello comes again, behind a change of ciphers that means
            // nothing.
            sent.encrypts &= !(at_begin && self.retried && !sent.finished);
            if !sent.encrypts {
                // A hello is known by its first byte: a server need not wait for the rest to be silent.
                let is_hello = record.content_read() > 0 && record.begin[0] == hello_of(side);
                sent.hello |= is_hello;
                match side {
                    Side::Client if self.answer.is_none() => {
                        self.first.get_or_insert(mark);
                        self.hello_end = Some(mark);
                    }
                    Side::Client => {}
                    Side::Server => {
                        self.answer.get_or_insert(mark);
                    }
                }
                self.messages(side, Ok(content));
            }
        }
        let is_data =
            record.kind() == record::DATA && !self.is_alert(record.kind(), record.length());
        if self.is_done() && is_data {
            self.data.goes_on(side, mark);
        }
    }

    /// Bytes of handshake messages, or how many are missing.
    fn messages(&mut self, side: Side, bytes: Result<&[u8], usize>) {
        let Self {
            sent,
            offer,
            choice,
            retried,
            certificate_request,
            ..
        } = self;
        let mut whole = |kind, message: Option<&[u8]>| match (side, kind, message) {
            (Side::Client, message::CLIENT_HELLO, Some(message)) if offer.is_none() => {
                *offer = hello::offer(message);
            }
            (Side::Server, message::SERVER_HELLO, Some(message)) => {
                let read = hello::choice(message);
                *retried |= read.as_ref().is_some_and(|choice| choice.retry);
                *choice = read.or(choice.take());
            }
            (Side::Server, message::CERTIFICATE_REQUEST, _) => *certificate_request = true,
            _ => {}
        };
        let messages = &mut sent[index(side)].messages;
        match bytes {
            Ok(bytes) => messages.bytes(bytes, &mut whole),
            Err(count) => messages.missing(count, &mut whole),
        }
    }

    /// The server does not speak TLS, or a side's records were lost.
    const fn no_tls(&mut self, side: Side, mark: Mark) {
        if matches!(side, Side::Server) && !self.sent[1].hello && !self.joined {
            self.plain = Some(mark);
        } else {
            self.sent[index(side)].lost = true;
            self.holes = true;
        }
    }

    /// A record has its header.
    fn begin_record(&mut self, side: Side) {
        if !self.is_done() {
            return;
        }
        let sent = &mut self.sent[index(side)];
        let (kind, length, mark) = (sent.record.kind(), sent.record.length(), sent.begin);
        // Whoever has said that it closes says nothing more (RFC 8446, 6.1): what was as long as that
        // was two bytes of data.
        if let Some(Parting {
            mark, known: false, ..
        }) = sent.parting.take()
        {
            self.data_begins(side, ENCRYPTED_ALERT, mark);
        }
        if side == Side::Server {
            self.late_records += 1;
            self.refused = None;
        }
        if kind == record::DATA && !self.is_alert(kind, length) {
            self.data_begins(side, length, mark);
        }
    }

    fn data_begins(&mut self, side: Side, length: usize, mark: Mark) {
        if side == Side::Client && self.is_finish(length) {
            // What came before was the rest of the handshake: a certificate and its proof.
            self.since_done = MAX_FLIGHT;
            return self.end_handshake(mark);
        }
        if side == Side::Server {
            self.since_done = MAX_FLIGHT;
        }
        self.begin_data(side, length, mark);
    }

    fn begin_data(&mut self, side: Side, length: usize, mark: Mark) {
        let added = if self.is_1_3() { ADDED_1_3 } else { ADDED_1_2 };
        let multiplexed = self.may_be_http2();
        self.data
            .begin(side, length.saturating_sub(added), multiplexed, mark);
    }

    /// Whether a client's record, behind what may have been its last message, is that message: some
    /// send each in a record of its own.
    fn is_finish(&mut self, length: usize) -> bool {
        let Some(choice) = self
            .choice
            .as_ref()
            .filter(|choice| choice.version.is_1_3())
        else {
            return false;
        };
        let early = self.since_done < MAX_FLIGHT;
        self.since_done = self.since_done.saturating_add(1);
        early && length == choice.cipher.finished()
    }

    fn end_record(&mut self, side: Side, mark: Mark) {
        let done = self.is_done();
        let is_1_3 = self.is_1_3();
        let answered = self.sent[1].hello || self.joined;
        let sent = &mut self.sent[index(side)];
        let record = std::mem::take(&mut sent.record);
        let (kind, length) = (record.kind(), record.length());
        if done {
            return self.end_late_record(side, kind, length, mark);
        }
        let sent = &mut self.sent[index(side)];
        // One whose HelloRetryRequest was not read whole.
        let again = self.choice.is_none() && record.begin == [hello_of(side), 0] && !sent.finished;
        let mut alert = None;
        match kind {
            record::HANDSHAKE if again => sent.encrypts = false,
            record::CHANGE_CIPHER => sent.encrypts = true,
            // One that is encrypted is longer. A warning ends nothing, unless it says so.
            record::ALERT if length == 2 => {
                let [level, description] = record.begin;
                let ends = level != WARNING || Alert::is_end(description);
                alert = ends.then_some(Some(description));
            }
            record::ALERT if sent.encrypts && !sent.finished => alert = Some(None),
            record::HANDSHAKE if !sent.encrypts => {}
            // Data that the client sends with its hello, at its own risk, or without waiting for the
            // server's last message.
            record::DATA if side == Side::Client && (!answered || sent.finished) => {
                self.early = Some((mark, length));
            }
            // TLS 1.3 calls everything application data once it is encrypted.
            record::DATA if length == ENCRYPTED_ALERT && !sent.finished => {
                sent.encrypts = true;
                alert = Some(None);
            }
            _ => {
                sent.encrypts = true;
                sent.finished = true;
                self.first_done.get_or_insert(side);
            }
        }
        if let Some(description) = alert {
            let by = side;
            self.alert.get_or_insert((Alert { by, description }, mark));
        }
        match side {
            Side::Server if !self.sent[0].finished => {
                self.flight = Some(mark);
                self.reply = None;
            }
            Side::Client if answered && self.reply.is_none() && kind != record::ALERT => {
                self.reply = Some(self.sent[0].begin);
            }
            _ => {}
        }
        if self.is_done() {
            // TLS 1.2 ends with a message whose place is known.
            self.certified = is_1_3 && length != self.finish_length();
            self.since_done = if self.certified { 0 } else { MAX_FLIGHT };
            self.end_handshake(mark);
        }
    }

    /// The last message of the handshake, as far as is known, was in that packet.
    fn end_handshake(&mut self, mark: Mark) {
        self.done = Some(mark);
        // Tickets are on their way at once: they are here after what a round trip takes.
        let took = self
            .first
            .map_or(Span::ZERO, |first| mark.time - first.time);
        let until = mark.time.plus(took.plus(TICKETS));
        self.data = Data::with_tickets((self.is_1_3() && !self.joined).then_some(until));
        if let Some((mark, length)) = self.early {
            self.begin_data(Side::Client, length, mark);
        }
    }

    fn end_late_record(&mut self, side: Side, kind: u8, length: usize, mark: Mark) {
        if !self.is_alert(kind, length) {
            if kind == record::DATA {
                self.data.goes_on(side, mark);
            }
            return;
        }
        self.sent[index(side)].parting = Some(Parting {
            mark,
            known: kind == record::ALERT,
            before: self.spoke,
        });
        let first = side == Side::Server && self.late_records == 1;
        let soon = |done: Mark| mark.time - done.time <= REFUSAL;
        if first && self.certified && self.done.is_some_and(soon) && self.sent[0].parting.is_none()
        {
            self.refused = Some(mark);
        }
    }

    pub(super) fn is_1_3(&self) -> bool {
        self.choice
            .as_ref()
            .is_some_and(|choice| choice.version.is_1_3())
    }

    fn finish_length(&self) -> usize {
        self.choice
            .as_ref()
            .map_or(0, |choice| choice.cipher.finished())
    }

    /// Whether a record behind the handshake is an alert.
    fn is_alert(&self, kind: u8, length: usize) -> bool {
        let hidden = self.choice.is_none() || self.is_1_3();
        kind == record::ALERT || kind == record::DATA && length == ENCRYPTED_ALERT && hidden
    }

    /// Whether frames of HTTP/2 may be inside: agreed on, offered, or not known.
    fn may_be_http2(&self) -> bool {
        let chosen = self.choice.as_ref().and_then(|choice| choice.alpn.as_ref());
        match (chosen, &self.offer) {
            (Some(chosen), _) => chosen.ends_with("h2"),
            (None, Some(offer)) if self.is_1_3() => {
                offer.alpn.iter().any(|offered| offered.ends_with("h2"))
            }
            (None, Some(_)) => false,
            (None, None) => true,
        }
    }

    /// Whether the client has said hello.
    #[must_use]
    pub const fn is_begun(&self) -> bool {
        self.sent[0].hello
    }

    /// Whether the server has said hello.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.sent[1].hello
    }

    /// Whether both sides have finished the handshake.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.joined || self.sent[0].finished && self.sent[1].finished
    }

    /// Whether the capture does not show how the handshake went: whether the server answered, or,
    /// once it has, whether the client went on.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        let [client, server] = &self.sent;
        server.lost || server.hello && client.lost
    }

    /// Whether records are missing, or were before the capture.
    #[must_use]
    pub const fn has_holes(&self) -> bool {
        self.holes || self.joined
    }

    /// The alert that ended the handshake.
    #[must_use]
    pub fn alert(&self) -> Option<Alert> {
        self.alert.map(|(alert, _)| alert)
    }

    /// The packet with the alert, as far as its length tells one, with which the server met the end
    /// of the handshake: it does not take the client's certificate, or its name. Of TLS 1.3, in which
    /// the client is done first. Whether the client had closed by then, only TCP knows.
    #[must_use]
    pub const fn refused(&self) -> Option<Mark> {
        self.refused
    }

    /// The first of what the sides said before they close, if no record came behind it.
    #[must_use]
    pub fn farewell(&self) -> Option<Farewell> {
        let sides = [Side::Client, Side::Server];
        let said = sides.into_iter().zip(&self.sent).filter_map(|(by, sent)| {
            let Parting { mark, before, .. } = sent.parting.filter(|_| !sent.lost)?;
            Some(Farewell {
                by,
                mark,
                before,
                read: false,
            })
        });
        said.min_by_key(|said| said.mark.order)
    }

    /// The server's first bytes, if they are no TLS.
    #[must_use]
    pub const fn plain_answer(&self) -> Option<Mark> {
        self.plain
    }

    /// The frame with the latest data.
    #[must_use]
    pub fn last_record(&self) -> Option<Mark> {
        self.data.latest()
    }

    /// The client's latest burst that may be a request, and whether anything came back; `None` also
    /// where a side's records are lost.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        let lost = self.sent.iter().any(|sent| sent.lost);
        self.data.asked().filter(|_| !lost)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        let sessions = self
            .offer
            .as_ref()
            .map_or(0, |offer| offer.session.capacity())
            + self
                .choice
                .as_ref()
                .map_or(0, |choice| choice.session.capacity());
        let messages: usize = self.sent.iter().map(|sent| sent.messages.weight()).sum();
        size_of::<Self>() + sessions + messages
    }

    /// What the client offered, if its hello was read.
    pub(super) const fn offer(&self) -> Option<&Offer> {
        self.offer.as_ref()
    }

    /// What the server chose, once it has.
    pub(super) fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref().filter(|choice| !choice.retry)
    }

    /// Whether the client sends data with its hello.
    pub(super) fn offers_early(&self) -> bool {
        let early = |offer: &Offer| offer.early_data;
        self.offer.as_ref().is_some_and(early) && !self.retried
    }

    /// What a report says of it.
    #[must_use]
    pub fn told(&self) -> Tls {
        let since = |from: Option<Mark>, to: Option<Mark>| Some(to?.time - from?.time);
        let not_negative = |span: Option<Span>| span.filter(|&span| span >= Span::ZERO);
        let offer = self.offer.clone().unwrap_or_default();
        let choice = self.choice();
        let is_1_3 = choice.map(|choice| choice.version.is_1_3());
        let closes = |side: &Sent| (self.is_done() && !side.lost).then_some(side.parting.is_some());
        // Behind a hole a message that says so may be missing.
        let seen = is_1_3 == Some(false) && self.is_done() && !self.has_holes();
        let mut told = Tls {
            version: choice.map(|choice| choice.version),
            sni: offer.sni,
            alpn: choice.and_then(|choice| choice.alpn.clone()),
            alpn_offered: offer.alpn,
            cipher: choice.map(|choice| choice.cipher),
            resumed: match is_1_3 {
                Some(true) => choice.map(|choice| choice.known_key),
                // Of a session that is taken up the server knows enough to be done first.
                Some(false) => self
                    .first_done
                    .filter(|_| self.is_done() && !self.has_holes())
                    .map(|first| first == Side::Server),
                None => None,
            },
            early_data: offer.early_data,
            early_data_taken: None,
            retried: self.retried,
            client_certificate: (seen || self.certificate_request && is_1_3 == Some(false))
                .then_some(self.certificate_request),
            handshake: not_negative(since(self.first, self.done)),
            server: not_negative(since(self.hello_end, self.answer)),
            client: not_negative(since(self.flight, self.reply)),
            alert: self.alert(),
            close_notify: [closes(&self.sent[0]), closes(&self.sent[1])],
            bursts: self.data.bursts,
            last_record_by: self.data.last_by(),
            keys: false,
            not_read: None,
            steps: Vec::new(),
        };
        let by_client = |mark: Option<Mark>| mark.map(|mark| (Side::Client, mark));
        let by_server = |mark: Option<Mark>| mark.map(|mark| (Side::Server, mark));
        let last_by = self.first_done.map_or(Side::Client, Side::other);
        let steps = [
            (StepKind::ClientHello, by_client(self.first)),
            (StepKind::ServerHello, by_server(self.answer)),
            (
                StepKind::HandshakeEnd,
                self.done.map(|mark| (last_by, mark)),
            ),
            (
                StepKind::Alert,
                self.alert.map(|(alert, mark)| (alert.by, mark)),
            ),
            (
                StepKind::LastRecord,
                self.data.last_by().zip(self.data.latest()),
            ),
        ];
        for (kind, step) in steps {
            if let Some((by, mark)) = step {
                told.note(kind, by, mark);
            }
        }
        told
    }
}

const fn hello_of(side: Side) -> u8 {
    match side {
        Side::Client => message::CLIENT_HELLO,
        Side::Server => message::SERVER_HELLO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Side::{Client, Server};

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 3, 3];
        record.extend((content.len() as u16).to_be_bytes());
        record.extend(content);
        record
    }

    fn hello(kind: u8) -> Vec<u8> {
        record(22, &[kind, 0, 0, 2, 3, 3])
    }

    /// What is said, cut into pieces of `cut` bytes.
    fn said(cut: usize, said: &[(Side, Vec<u8>)]) -> Session {
        let mut handshake = Session::default();
        for (side, bytes) in said {
            for piece in bytes.chunks(cut) {
                handshake.bytes(*side, piece, true, Mark::default());
            }
        }
        handshake
    }

    fn whole() -> Vec<(Side, Vec<u8>)> {
        vec![
            (Client, hello(1)),
            (
                Server,
                [hello(2), record(20, &[1]), record(23, &[0; 900])].concat(),
            ),
            (Client, [record(20, &[1]), record(23, &[0; 53])].concat()),
        ]
    }

    #[test]
    fn a_handshake_that_comes_to_its_end() {
        for cut in [1, 3, 1000] {
            for many in 0..3 {
                let handshake = said(cut, &whole()[..many]);
                assert_eq!(handshake.is_begun(), many > 0);
                assert_eq!(handshake.is_answered(), many > 1);
                assert!(!handshake.is_done() && !handshake.is_lost());
            }
            let handshake = said(cut, &whole());
            assert!(handshake.is_done() && handshake.alert().is_none());
        }
        let mut of_1_2 = whole();
        of_1_2[1].1 = [hello(2), record(22, &[11, 0])].concat();
        of_1_2[2].1 = [record(22, &[16]), record(20, &[1]), record(22, &[9; 40])].concat();
        of_1_2.push((Server, [record(20, &[1]), record(22, &[9; 40])].concat()));
        assert!(said(7, &of_1_2).is_done());
    }

    #[test]
    fn alerts_plain_and_encrypted() {
        let plain = said(2, &[(Client, hello(1)), (Server, record(21, &[2, 112]))]);
        let alert = plain.alert().unwrap();
        assert_eq!((alert.by, alert.name()), (Server, "unrecognized_name"));
        let mut refused = whole();
        refused[2].1 = [record(20, &[1]), record(23, &[0; 19])].concat();
        let refused = said(50, &refused);
        let alert = refused.alert().unwrap();
        assert_eq!((alert.by, alert.description), (Client, None));
        assert!(!refused.is_done());
    }

    #[test]
    fn plain_text_and_lost_records() {
        let plain = said(
            3,
            &[(Client, hello(1)), (Server, b"HTTP/1.1 400 Bad".to_vec())],
        );
        assert!(plain.plain_answer().is_some() && !plain.is_lost());
        let client = (Client, [hello(1), b"GET /".to_vec()].concat());
        assert!(
            !said(3, std::slice::from_ref(&client)).is_lost(),
            "the server has not answered"
        );
        assert!(said(3, &[client, (Server, hello(2))]).is_lost());
        let mut cut = Session::default();
        cut.bytes(Client, &hello(1)[..9], true, Mark::default());
        cut.missing(Client, 2);
        assert!(cut.is_begun() && !cut.is_lost());
        cut.missing(Client, 1);
        cut.bytes(Server, &hello(2), true, Mark::default());
        assert!(cut.is_lost());
    }
}
