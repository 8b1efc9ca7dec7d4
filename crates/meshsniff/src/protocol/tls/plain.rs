//! TLS with keys: what the two sides say inside, as stream events like those of a connection that
//! is not encrypted.
//!
//! A record's bytes have the place of its end, and the frames that carried them: its last byte has
//! that of the frame that made it whole.

use super::alert::Alert;
use super::hello::{self, Choice, Inside, Offer};
use super::keylog::{Keys, Secret, Secrets};
use super::message::{self, Messages};
use super::opener::{Epoch, Opener};
use super::record;
use super::sealed::Suite;
use super::session::{Farewell, Session, index};
use super::told::NotRead;
use super::way::{Record, Taken, Way};
use crate::packet::Mark;
use crate::tcp::{Ack, Doubt, Extent, Missing, Offset, Progress, Run, Side, StreamEvent};
use compact_str::CompactString;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a client's early data that wait to hear whether the server takes them.
const MAX_HELD: usize = 1 << 20;
/// Bytes of records that wait for their keys, which may be logged a moment later.
const MAX_UNOPENED: usize = 64 << 10;
/// A record is at least so long: a header, and a tag.
const SHORTEST: u64 = 5 + 16;

/// Who takes what is inside.
pub(super) type Teller<'a> = &'a mut dyn FnMut(Side, StreamEvent<'_>);

/// How far the keys are known.
#[derive(Debug)]
enum Stage {
    /// Nothing that is encrypted has come.
    Before,
    /// They are.
    Open(Box<[Opener; 2]>),
    /// They are not.
    Shut(NotRead),
}

/// What is inside the records of one connection.
#[derive(Debug)]
pub(super) struct Plain {
    keys: Arc<Keys>,
    ways: [Way; 2],
    stage: Stage,
    /// Whether a side encrypts, of TLS 1.2.
    encrypts: [bool; 2],
    /// Whether the server takes what the client sent with its hello, once that is known.
    takes_early: Option<bool>,
    /// Records of both sides that wait for their keys.
    unopened: VecDeque<(Side, Record)>,
    /// Records of the client's that wait to hear whether the server takes them.
    held: VecDeque<Record>,
    /// Bytes that both kinds take.
    held_bytes: usize,
    /// Whether anything was told.
    told: [bool; 2],
    /// One past the last record of data of each.
    ended: [Option<Offset>; 2],
    /// Records that may be missing from before the keys were known.
    missed: [u64; 2],
    /// Up to which place of the log it was tried whether a secret fits.
    tried: usize,
    messages: [Messages; 2],
    alpn: Option<CompactString>,
    certificate_request: bool,
    alert: Option<Alert>,
    /// What each side said before it closes, and whether the other went on with data.
    farewells: [Option<(Farewell, bool)>; 2],
    /// The packet of the latest record that was opened, and its sender.
    spoke: Option<(Side, Mark)>,
    latest: Option<Progress>,
    /// The latest acknowledgment of what the client sent.
    acked: Option<Ack>,
    /// What the latest record held.
    inside: Vec<u8>,
}

impl Plain {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self {
            keys,
            ways: Default::default(),
            stage: Stage::Before,
            encrypts: [false; 2],
            takes_early: None,
            unopened: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            told: [false; 2],
            ended: [None; 2],
            missed: [0; 2],
            tried: 0,
            messages: Default::default(),
            alpn: None,
            certificate_request: false,
            alert: None,
            farewells: [None; 2],
            spoke: None,
            latest: None,
            acked: None,
            inside: Vec::new(),
        }
    }

    /// Whether what is inside is told.
    pub(super) const fn is_read(&self) -> bool {
        self.told[0] || self.told[1]
    }

    /// Why it is not.
    pub(super) fn not_read(&self) -> Option<NotRead> {
        match &self.stage {
            _ if self.is_read() => None,
            Stage::Before => (!self.unopened.is_empty()).then_some(NotRead::NoKeys),
            Stage::Shut(why) => Some(*why),
            Stage::Open(openers) => {
                let opened = openers.iter().any(Opener::has_opened);
                let failed = openers.iter().any(Opener::has_failed);
                (failed && !opened).then_some(NotRead::WrongKeys)
            }
        }
    }

    /// What was agreed on inside.
    pub(super) fn alpn(&self) -> Option<&CompactString> {
        self.alpn.as_ref()
    }

    /// Whether the server asked for the client's certificate; `None` if its messages were not read.
    pub(super) fn certificate_request(&self) -> Option<bool> {
        let Stage::Open(openers) = &self.stage else {
            return None;
        };
        let seen = openers[1].has_opened_handshake() && !openers[1].has_lost();
        (seen || self.certificate_request).then_some(self.certificate_request)
    }

    /// Whether the server took the client's early data, once that is known.
    pub(super) const fn takes_early(&self) -> Option<bool> {
        self.takes_early
    }

    /// The first alert inside that is no goodbye.
    pub(super) const fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// What each side said before it closes.
    pub(super) fn farewells(&self) -> [Option<Farewell>; 2] {
        self.farewells.map(|said| said.map(|(said, _)| said))
    }

    /// The first of them. Whoever only sends no more, and is answered in full, does not leave.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        let [client, server] = self.farewells;
        let both = client.is_some() && server.is_some();
        let leaves = [client, server].into_iter().flatten();
        let leaves = leaves.filter(|(_, answered)| !(both && *answered));
        leaves
            .map(|(said, _)| said)
            .min_by_key(|said| said.mark.order)
    }

    /// Bytes that the record being sent still lacks.
    pub(super) fn remaining(&self, side: Side) -> Option<u64> {
        self.ways[index(side)].remaining()
    }

    pub(super) fn weight(&self) -> usize {
        let ways: usize = self.ways.iter().map(Way::weight).sum();
        let messages: usize = self.messages.iter().map(Messages::weight).sum();
        size_of::<Self>() + ways + messages + self.held_bytes + self.inside.capacity()
    }

    /// The next bytes of a side, which the session has read.
    pub(super) fn bytes(
        &mut self,
        session: &Session,
        side: Side,
        mut run: Run<'_>,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        self.latest = Some(*at);
        while !matches!(self.stage, Stage::Shut(_))
            && let Some(taken) = self.ways[index(side)].take(&mut run)
        {
            self.taken(session, side, taken, at, tell);
        }
    }

    /// What the client sent is acknowledged.
    pub(super) const fn acknowledged(&mut self, ack: Ack) {
        self.acked = Some(ack);
    }

    /// Bytes of a side that the capture lacks.
    pub(super) fn missing(
        &mut self,
        session: &Session,
        side: Side,
        missing: Missing,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        self.latest = Some(*at);
        if matches!(self.stage, Stage::Shut(_)) {
            return;
        }
        match self.ways[index(side)].miss(&missing) {
            Ok(Some(taken)) => self.taken(session, side, taken, at, tell),
            Ok(None) => {}
            Err(extent) => {
                let missing = Missing {
                    extent,
                    measured: false,
                    ..missing
                };
                self.lose(side, missing, at, tell);
            }
        }
    }

    /// The connection is over: a record that has begun comes to no end.
    pub(super) fn end(&mut self, tell: Teller<'_>) {
        let Some(at) = self.latest else {
            return;
        };
        for side in [Side::Client, Side::Server] {
            let begun = self.ways[index(side)].leave();
            if let Some(record) = begun.filter(|record| is_data(record.kind())) {
                self.unread(side, record.extent(), record.first, &at, tell);
            }
        }
    }

    fn taken(
        &mut self,
        session: &Session,
        side: Side,
        taken: Taken,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        match taken {
            Taken::Record(record) => self.record(session, side, record, at, tell),
            Taken::Skipped(extent, mark) => {
                self.count_missing(side, extent);
                self.unread(side, extent, mark, at, tell);
            }
        }
    }

    fn record(
        &mut self,
        session: &Session,
        side: Side,
        record: Record,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        let is_1_3 = session.is_1_3();
        let encrypted = match record.kind() {
            record::CHANGE_CIPHER => {
                self.encrypts[index(side)] = true;
                false
            }
            record::HANDSHAKE | record::ALERT => {
                self.encrypts[index(side)] && session.choice().is_some() && !is_1_3
            }
            _ => true,
        };
        if !encrypted {
            return self.ways[index(side)].give_back(record.content);
        }
        if matches!(self.stage, Stage::Before) && session.offer().is_none() {
            return self.shut(NotRead::HandshakeUnseen);
        }
        if matches!(self.stage, Stage::Before) {
            // What the client sends with its hello is sealed as the server will choose.
            let begun = match session.choice() {
                Some(_) => self.begin(session, side, &record),
                None if side == Side::Client => Err(NotRead::NoKeys),
                None => Err(NotRead::HandshakeUnseen),
            };
            match begun {
                Ok(openers) => self.stage = Stage::Open(Box::new(openers)),
                Err(NotRead::NoKeys) => return self.wait_for_keys(session, side, record),
                Err(why) => return self.shut(why),
            }
            // None is held yet: those that will be are counted anew.
            self.held_bytes = 0;
            for (side, record) in std::mem::take(&mut self.unopened) {
                self.sort(session, side, record, at, tell);
            }
        }
        self.sort(session, side, record, at, tell);
    }

    /// Keeps a record whose keys are not known yet.
    fn wait_for_keys(&mut self, session: &Session, side: Side, record: Record) {
        self.held_bytes += record.weight();
        let (most, why) = match session.choice() {
            Some(_) => (MAX_UNOPENED, NotRead::NoKeys),
            // No server takes so much unasked: its answer is not in the capture.
            None => (MAX_HELD, NotRead::HandshakeUnseen),
        };
        if self.held_bytes > most {
            return self.shut(why);
        }
        self.unopened.push_back((side, record));
    }

    /// Opens a record, or lets it wait for what the server says of such.
    fn sort(
        &mut self,
        session: &Session,
        side: Side,
        record: Record,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        if side == Side::Client && self.waits(session) {
            self.held_bytes += record.weight();
            if self.held_bytes > MAX_HELD {
                return self.shut(NotRead::HandshakeUnseen);
            }
            return self.held.push_back(record);
        }
        self.open(side, record, at, tell);
        if side == Side::Client || self.held.is_empty() || self.waits(session) {
            return;
        }
        self.held_bytes = 0;
        let held = std::mem::take(&mut self.held);
        let last = held.back().map(|record| record.extent().upto);
        for record in held {
            self.open(Side::Client, record, at, tell);
        }
        // What they are acknowledged by was told before they were.
        let of_them = |ack: &Ack| last.is_some_and(|last| ack.upto >= last);
        if let Some(ack) = self.acked.filter(of_them).filter(|_| self.is_read()) {
            tell(Side::Client, StreamEvent::Acknowledged(ack));
        }
    }

    /// Whether it is still to be heard if the server takes what the client sent with its hello.
    fn waits(&self, session: &Session) -> bool {
        let can_be_heard = match &self.stage {
            Stage::Before => true,
            Stage::Open(openers) => openers[1].is_in_handshake() && !openers[1].has_failed(),
            Stage::Shut(_) => false,
        };
        session.is_1_3() && session.offers_early() && self.takes_early.is_none() && can_be_heard
    }

    /// Nothing is read of it, for this reason.
    fn shut(&mut self, why: NotRead) {
        self.stage = Stage::Shut(why);
        self.unopened = VecDeque::new();
        self.held = VecDeque::new();
        self.held_bytes = 0;
    }

    /// Looks for the keys, those of the first record that was encrypted.
    fn begin(
        &mut self,
        session: &Session,
        side: Side,
        record: &Record,
    ) -> Result<[Opener; 2], NotRead> {
        let (Some(offer), Some(choice)) = (session.offer(), session.choice()) else {
            return Err(NotRead::HandshakeUnseen);
        };
        let suite = Suite::of(choice.cipher, choice.version).ok_or(NotRead::Cipher)?;
        let randoms = (&offer.random, &choice.random);
        let secrets = self.keys.of(&offer.random);
        let secrets = match secrets {
            None if !session.is_1_3() => self.secrets_that_fit(suite, offer, choice, side, record),
            known => known,
        };
        let openers =
            secrets.and_then(|secrets| Opener::both(suite, session.is_1_3(), secrets, randoms));
        let mut openers = openers.ok_or(NotRead::NoKeys)?;
        for (opener, missed) in openers.iter_mut().zip(self.missed) {
            opener.miss(missed);
        }
        Ok(openers)
    }

    /// Looks for the secrets of a session of TLS 1.2 that are logged under something else than its
    /// client's random bytes.
    fn secrets_that_fit(
        &mut self,
        suite: Suite,
        offer: &Offer,
        choice: &Choice,
        side: Side,
        record: &Record,
    ) -> Option<Secrets> {
        let waiting = self.unopened.front();
        let (side, record) = waiting.map_or((side, record), |(side, record)| (*side, record));
        let is_first = record.hole.is_none() && self.missed[index(side)] == 0;
        let open = |master: &Secret| {
            let both = suite.of_master(master, &offer.random, &choice.random)?;
            both[index(side)].open(0, record.header, &record.content, &mut Vec::new())
        };
        let fits = |master: &Secret| is_first.then(|| open(master).is_some());
        // Of a session that is taken up the server is done first.
        let taken_up = side == Side::Server;
        let (random, id) = (&offer.random, &choice.session);
        self.keys
            .of_session(random, id, taken_up, &mut self.tried, fits)
    }

    /// Opens a record, and tells what is in it.
    fn open(&mut self, side: Side, record: Record, at: &Progress, tell: Teller<'_>) {
        let Stage::Open(openers) = &mut self.stage else {
            return;
        };
        let opener = &mut openers[index(side)];
        if let Some(why) = record.hole {
            opener.pass_over();
            self.messages[index(side)].missing(usize::MAX, &mut |_, _| {});
            // Of a record of data the length inside is known where nothing pads it.
            let length = opener.suite().inside(record.content.len());
            let length = length.filter(|_| is_data(record.kind()));
            let extent = record.extent();
            let missing = Missing {
                extent: length.map_or(extent, |length| Extent::new(extent.from, length as u64)),
                why,
                cut_in: None,
                measured: length.is_some(),
            };
            return self.tell_missing(side, missing, at, tell);
        }
        let mut inside = std::mem::take(&mut self.inside);
        match opener.open(record.header, &record.content, &mut inside) {
            Some((record::HANDSHAKE, epoch)) => self.handshake(side, epoch, &inside),
            Some((record::ALERT, _)) => self.alert_inside(side, &inside, record.last()),
            // Data that the server does not take are sent again.
            Some((record::DATA, Epoch::Early)) if self.takes_early == Some(false) => {}
            Some((record::DATA, Epoch::Early)) if self.takes_early.is_none() => {
                opener.lose();
                self.unread(side, record.extent(), record.first, at, tell);
            }
            Some((record::DATA, _)) => {
                let before = opener.suite().before();
                self.farewells[index(side)] = None;
                if let Some((_, answered)) = &mut self.farewells[index(side.other())] {
                    *answered = true;
                }
                self.data(side, &record, &inside, before, at, tell);
            }
            Some(_) => {}
            // Until the first key fits, it is the handshake that is not read.
            None if !opener.has_opened() => {}
            None => {
                self.ways[index(side)].lose();
                self.count_missing(side, record.extent());
                self.unread(side, record.extent(), record.first, at, tell);
            }
        }
        self.inside = inside;
        self.spoke = Some((side, record.last()));
        self.ways[index(side)].give_back(record.content);
    }

    fn data(
        &mut self,
        side: Side,
        record: &Record,
        inside: &[u8],
        before: usize,
        at: &Progress,
        tell: Teller<'_>,
    ) {
        self.tell_lost(side, record, at, tell);
        let upto = record.extent().upto;
        // Only an acknowledgment of all the record acknowledges what is in it.
        let from = upto - inside.len() as u64;
        let mut begin = 0;
        for (place, &(_, mark)) in record.marks.iter().enumerate() {
            let next = record.marks.get(place + 1);
            let end = next.map_or(inside.len(), |&(next, _)| next.saturating_sub(before));
            let end = end.min(inside.len());
            // And only the last frame makes the last byte sure.
            let is_rest = end == inside.len();
            let mark = if is_rest { record.last() } else { mark };
            if end > begin {
                let run = Run {
                    from: from + begin as u64,
                    bytes: &inside[begin..end],
                    mark,
                    segment_start: begin == 0,
                };
                tell(side, StreamEvent::Bytes(run, *at));
            }
            begin = begin.max(end);
        }
        self.ended[index(side)] = Some(upto);
    }

    /// Before the first that is told: whether there was something before it.
    fn tell_lost(&mut self, side: Side, record: &Record, at: &Progress, tell: Teller<'_>) {
        if std::mem::replace(&mut self.told[index(side)], true) {
            return;
        }
        let Stage::Open(openers) = &self.stage else {
            return;
        };
        for other in [side, side.other()] {
            let first = other == side || !self.told[index(other)];
            if !first || !openers[index(other)].has_lost() {
                continue;
            }
            let end = match other == side {
                true => record.extent().from,
                false => self.ways[index(other)].place(),
            };
            let missing = Missing {
                extent: Extent {
                    from: end.saturating_sub(1),
                    upto: end,
                },
                why: Doubt::SequenceHole,
                cut_in: None,
                measured: false,
            };
            tell(other, StreamEvent::Missing(missing, *at));
        }
    }

    /// Where the last of a side's data ended, if no more has begun.
    pub(super) fn ended(&self, side: Side) -> Option<Offset> {
        let begun = self.ways[index(side)].remaining().is_some();
        self.ended[index(side)].filter(|_| !begun)
    }

    /// Messages of the handshake inside.
    fn handshake(&mut self, side: Side, epoch: Epoch, bytes: &[u8]) {
        let Self {
            messages,
            alpn,
            takes_early,
            certificate_request,
            ..
        } = self;
        let of_server = side == Side::Server && epoch == Epoch::Handshake;
        let mut whole = |kind, message: Option<&[u8]>| match (kind, message) {
            (message::ENCRYPTED_EXTENSIONS, Some(message)) if of_server => {
                let Inside { protocol, early } = hello::inside(message);
                *alpn = protocol;
                *takes_early = Some(early);
            }
            (message::CERTIFICATE_REQUEST, _) if side == Side::Server => {
                *certificate_request = true;
            }
            _ => {}
        };
        messages[index(side)].bytes(bytes, &mut whole);
    }

    fn alert_inside(&mut self, side: Side, alert: &[u8], mark: Mark) {
        let said = Farewell {
            by: side,
            mark,
            before: self.spoke,
            read: true,
        };
        self.farewells[index(side)].get_or_insert((said, false));
        if let [_, description] = *alert
            && !Alert::is_end(description)
        {
            self.alert.get_or_insert(Alert {
                by: side,
                description: Some(description),
            });
        }
    }

    fn count_missing(&mut self, side: Side, extent: Extent) {
        let records = extent.len() / SHORTEST + 1;
        match &mut self.stage {
            Stage::Open(openers) => openers[index(side)].miss(records),
            _ => self.missed[index(side)] += records,
        }
    }

    fn lose(&mut self, side: Side, missing: Missing, at: &Progress, tell: Teller<'_>) {
        self.count_missing(side, missing.extent);
        self.tell_missing(side, missing, at, tell);
    }

    /// Bytes that are there and cannot be read.
    fn unread(&mut self, side: Side, extent: Extent, mark: Mark, at: &Progress, tell: Teller<'_>) {
        let missing = Missing {
            extent,
            why: Doubt::Unreadable,
            cut_in: Some(mark),
            measured: false,
        };
        self.tell_missing(side, missing, at, tell);
    }

    fn tell_missing(&self, side: Side, missing: Missing, at: &Progress, tell: Teller<'_>) {
        // Before there was anything, it is the handshake that is missing.
        if self.is_read() && !missing.extent.is_empty() {
            tell(side, StreamEvent::Missing(missing, *at));
        }
    }
}

const fn is_data(kind: u8) -> bool {
    kind == record::DATA
}
