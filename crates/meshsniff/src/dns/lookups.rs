//! Who asked whom for what, and when the answer came.
//!
//! A query is known again by its port and number, and by its name and type. Sent again it is the
//! same one: from the same port, or, as some resolvers do, from another one after a while. Every
//! table has a ceiling, and what is oldest goes.

use super::model::{Dns, DnsTotals, Transport};
use super::waited::{Answer, Asked, JUST_BEFORE, first_label};
use super::{Message, PORT};
use crate::packet::{Datagram, Endpoint, Mark};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Flows at a time.
const MAX_FLOWS: usize = 4 * 1024;
/// Flows in UDP that are kept however many there are in TCP.
const MIN_FLOWS: usize = MAX_FLOWS / 8;
/// Clients at a time.
const MAX_CLIENTS: usize = 1024;
/// Queries of one client that wait for an answer, and those that have one and are remembered.
const MAX_PENDING: usize = 32;
const MAX_RECENT: usize = 32;
/// Times that one query is sent: resolvers give up after far fewer.
const MAX_TRIES: usize = 16;
/// Lookups of one client that may go through search domains at once.
const MAX_SEARCHES: usize = 8;

/// A flow is over when it was silent for so long, in capture time; resolvers wait for 5 s.
const IDLE: Span = Span::from_secs(30);
/// How often that is looked at.
const LOOK: Span = Span::from_secs(5);
/// A query from another port is a repetition only of one that has waited for so long: until then
/// two programs may ask for the same at once.
const PATIENCE: Span = Span::from_millis(300);
/// The next name of a search follows within this time.
const NEXT_NAME: Span = Span::from_secs(6);

/// How far apart two sightings of one datagram may be, and how many are remembered.
const APART: Span = Span::from_millis(1);
const MAX_SIGHTINGS: usize = 64;

/// The client's end, the server's end, and what carries the messages.
type Ends = (Endpoint, Endpoint, Transport);

/// A flow that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its number among the flows in UDP, from 0.
    pub number: u64,
    /// Who asked.
    pub client: Endpoint,
    /// Who was asked.
    pub server: Endpoint,
    /// Its first packet.
    pub first: Mark,
    /// Its figures.
    pub dns: Box<Dns>,
}

#[derive(Debug)]
struct Flow {
    number: u64,
    first: Mark,
    last: Timestamp,
    dns: Box<Dns>,
}

/// A query that waits for its answer.
#[derive(Debug)]
struct Pending {
    asked: Asked,
    tries: Vec<(Ends, u16)>,
}

#[derive(Debug, Default)]
struct Client {
    pending: Vec<Pending>,
    recent: VecDeque<Arc<Asked>>,
    searches: Vec<Search>,
    last: Timestamp,
}

/// Names that were asked for in vain, one after the other, and begin alike.
#[derive(Debug)]
struct Search {
    names: Vec<CompactString>,
    first: Timestamp,
    last: Timestamp,
}

/// Where and when a datagram was seen.
#[derive(Debug)]
struct Sighting {
    ends: (Endpoint, Endpoint),
    ip_id: Option<u16>,
    id: u16,
    kind: u16,
    is_answer: bool,
    tap: u32,
    time: Timestamp,
}

/// What is asked and answered.
#[derive(Debug, Default)]
pub struct Lookups {
    flows: HashMap<Ends, Flow>,
    clients: HashMap<IpAddr, Client>,
    sightings: VecDeque<Sighting>,
    over: Vec<Ended>,
    totals: DnsTotals,
    next_flow: u64,
    next_query: u64,
    next_look: Option<Timestamp>,
    /// The latest time that is known.
    now: Timestamp,
    duplicates: u64,
}

impl Lookups {
    /// The figures of the flows that are over.
    #[must_use]
    pub const fn totals(&self) -> &DnsTotals {
        &self.totals
    }

    /// Datagrams that were seen a second time, on another interface.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Takes a datagram from or to port 53. `false` if it is no message that can be read.
    pub fn datagram(&mut self, datagram: &Datagram<'_>, mark: Mark) -> bool {
        let Some(message) = Message::read(datagram.payload) else {
            return false;
        };
        if self.is_seen(datagram, &message, mark.time) {
            self.duplicates += 1;
            return true;
        }
        let (client, server) = match message.is_answer {
            true => (datagram.dst, datagram.src),
            false => (datagram.src, datagram.dst),
        };
        if server.port == PORT {
            self.message((client, server, Transport::Udp), message, mark);
        }
        true
    }

    /// Takes a message from a connection of `client` and `server`.
    pub fn over_tcp(&mut self, client: Endpoint, server: Endpoint, message: Message, mark: Mark) {
        self.message((client, server, Transport::Tcp), message, mark);
    }

    /// The connection of `client` and `server` has ended: what it carried, if it carried messages.
    pub fn end_tcp(&mut self, client: Endpoint, server: Endpoint) -> Option<Box<Dns>> {
        // Until the sides were known they may have been taken for each other.
        let ends = [(client, server), (server, client)];
        let ends = ends.map(|(client, server)| (client, server, Transport::Tcp));
        let ends = ends
            .into_iter()
            .find(|ends| self.flows.contains_key(ends))?;
        let flow = self.flows.remove(&ends)?;
        Some(self.end(&ends, flow).dns)
    }

    /// No packet of before `now` will come any more. Returns the flows that are over.
    #[inline]
    pub fn let_go(&mut self, now: Timestamp) -> Option<Vec<Ended>> {
        if self.flows.is_empty() && self.over.is_empty() {
            return None;
        }
        self.look(now)
    }

    #[cold]
    fn look(&mut self, now: Timestamp) -> Option<Vec<Ended>> {
        self.now = self.now.max(now);
        if self.next_look.is_none_or(|next| now >= next) {
            self.next_look = Some(now.plus(LOOK));
            self.end_flows(|flow| now - flow.last >= IDLE);
            // Memory for a join is not needed for longer than a search takes.
            self.clients.retain(|_, client| now - client.last < IDLE);
        }
        (!self.over.is_empty()).then(|| std::mem::take(&mut self.over))
    }

    /// The capture has ended: every flow is over.
    pub fn finish(&mut self) -> Vec<Ended> {
        self.end_flows(|_| true);
        std::mem::take(&mut self.over)
    }

    /// What the client at `address` asked for and has been answered, the latest answer last. Empty
    /// if none came just before `now`.
    #[must_use]
    pub fn recent(&self, address: IpAddr, now: Timestamp) -> Vec<Arc<Asked>> {
        let client = self.clients.get(&address);
        let client = client.filter(|client| now - client.last <= JUST_BEFORE);
        client.map_or_else(Vec::new, |client| client.recent.iter().cloned().collect())
    }

    #[cfg(test)]
    pub(super) fn flows(&self) -> usize {
        self.flows.len()
    }

    #[cfg(test)]
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    fn message(&mut self, ends: Ends, message: Message, mark: Mark) {
        if message.is_answer {
            self.answer(ends, message, mark);
        } else {
            self.query(ends, message, mark);
        }
    }

    fn query(&mut self, ends: Ends, message: Message, mark: Mark) {
        let address = ends.0.ip();
        self.make_room(address);
        let client = self.clients.entry(address).or_default();
        client.last = mark.time;
        let is_repeat = |one: &Pending| {
            let asked = &one.asked;
            let same = asked.name == message.name && asked.kind == message.kind;
            let from_here = one.tries.contains(&(ends, message.id));
            same && (from_here || mark.time - asked.last_sent().time >= PATIENCE)
        };
        let before = client.pending.iter_mut().find(|one| is_repeat(one));
        let name = message.name.clone();
        let mut lost = None;
        let mut again = before.is_some();
        if let Some(before) = before {
            lost = before.tries.last().map(|(ends, _)| *ends);
            if before.tries.len() < MAX_TRIES {
                before.tries.push((ends, message.id));
                before.asked.sent.push(mark);
            }
        } else {
            let asked_before = client.asked_again(ends, &message, mark.time);
            again = asked_before.is_some();
            let id = message.id;
            let asked = asked_before.unwrap_or_else(|| {
                self.next_query += 1;
                Asked {
                    number: self.next_query,
                    name: message.name,
                    kind: message.kind,
                    ends: (ends.0, ends.1),
                    id,
                    sent: Vec::new(),
                    answer: None,
                }
            });
            client.ask(asked, ends, id, mark);
        }
        if let Some(flow) = lost.and_then(|lost| self.flows.get_mut(&lost)) {
            flow.dns.unanswered += 1;
        }
        let flow = self.flow(ends, mark);
        flow.dns.asked(name);
        flow.dns.repeated += u64::from(again);
    }

    fn answer(&mut self, ends: Ends, message: Message, mark: Mark) {
        let Some(client) = self.clients.get_mut(&ends.0.ip()) else {
            return;
        };
        let answers = |one: &Pending| {
            let asked = &one.asked;
            let same = asked.name == message.name && asked.kind == message.kind;
            same && one.tries.contains(&(ends, message.id))
        };
        let Some(place) = client.pending.iter().position(answers) else {
            return;
        };
        client.last = mark.time;
        let mut asked = client.pending.remove(place).asked;
        let took = mark.time - asked.first_sent().time;
        asked.answer = Some(Answer {
            mark,
            code: message.code,
            addresses: message.addresses,
        });
        let found = client.search(&asked, mark.time);
        client.remember(asked);
        if let Some((misses, time)) = found {
            self.totals.searches += 1;
            self.totals.misses += misses;
            self.totals.search_nanos += time.as_nanos().unsigned_abs();
        }
        let flow = self.flow(ends, mark);
        flow.dns
            .answered(&message.name, message.kind, message.code, took);
    }

    fn flow(&mut self, ends: Ends, mark: Mark) -> &mut Flow {
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&ends) {
            let flows = self.flows.iter();
            let of_udp = flows.filter(|(ends, _)| ends.2 == Transport::Udp);
            let mut times: Vec<_> = of_udp.map(|(_, flow)| flow.last).collect();
            // TCP's end with their connections, of which there is a ceiling. Beside them UDP keeps
            // room for some, and never fewer than that go at once.
            let some = (times.len() / 8).max(1);
            if times.len() >= MIN_FLOWS {
                let (_, bound, _) = times.select_nth_unstable(some);
                let bound = *bound;
                self.end_flows(|flow| flow.last <= bound);
            }
        }
        let next = &mut self.next_flow;
        let flow = self.flows.entry(ends).or_insert_with(|| {
            let number = *next;
            *next += u64::from(ends.2 == Transport::Udp);
            Flow {
                number,
                first: mark,
                last: mark.time,
                dns: Box::new(Dns {
                    transport: ends.2,
                    ..Dns::default()
                }),
            }
        });
        flow.last = flow.last.max(mark.time);
        flow
    }

    /// Ends flows in UDP. One in TCP ends with its connection.
    fn end_flows(&mut self, is_over: impl Fn(&Flow) -> bool) {
        let over = self
            .flows
            .extract_if(|ends, flow| ends.2 == Transport::Udp && is_over(flow));
        let mut over: Vec<_> = over.collect();
        over.sort_unstable_by_key(|(_, flow)| flow.number);
        for (ends, flow) in over {
            let ended = self.end(&ends, flow);
            self.over.push(ended);
        }
    }

    fn end(&mut self, ends: &Ends, mut flow: Flow) -> Ended {
        let now = self.now;
        if let Some(client) = self.clients.get_mut(&ends.0.ip()) {
            let here = |one: &Pending| one.tries.last().is_some_and(|(last, _)| last == ends);
            // What was asked just before the end may still be answered.
            let is_over = ends.2 == Transport::Tcp;
            let waited = |one: &&Pending| is_over || now - one.asked.last_sent().time >= PATIENCE;
            let waiting = client.pending.iter().filter(|one| here(one)).filter(waited);
            let waiting = waiting.count();
            client.pending.retain(|one| !here(one));
            flow.dns.unanswered += waiting as u64;
        }
        self.totals.flow(&flow.dns);
        Ended {
            number: flow.number,
            client: ends.0,
            server: ends.1,
            first: flow.first,
            dns: flow.dns,
        }
    }

    /// Makes room for one more client, if it is one: the eighth that was silent for longest goes.
    fn make_room(&mut self, address: IpAddr) {
        if self.clients.len() < MAX_CLIENTS || self.clients.contains_key(&address) {
            return;
        }
        let mut times: Vec<_> = self.clients.values().map(|client| client.last).collect();
        let (_, bound, _) = times.select_nth_unstable(MAX_CLIENTS / 8);
        let bound = *bound;
        self.clients.retain(|_, client| client.last > bound);
    }

    /// Whether a datagram was seen before on another interface or in the other direction.
    fn is_seen(&mut self, datagram: &Datagram<'_>, message: &Message, time: Timestamp) -> bool {
        let this = Sighting {
            ends: (datagram.src, datagram.dst),
            ip_id: datagram.ip_id,
            id: message.id,
            kind: message.kind,
            is_answer: message.is_answer,
            tap: datagram.tap,
            time,
        };
        let same = |seen: &Sighting| {
            (seen.ends, seen.ip_id, seen.id, seen.kind, seen.is_answer)
                == (this.ends, this.ip_id, this.id, this.kind, this.is_answer)
                && seen.tap != this.tap
                && (time - seen.time).as_nanos().abs() <= APART.as_nanos()
        };
        let seen = self.sightings.iter().any(same);
        let is_old = |seen: &Sighting| time - seen.time > APART;
        while self.sightings.len() == MAX_SIGHTINGS || self.sightings.front().is_some_and(is_old) {
            self.sightings.pop_front();
        }
        self.sightings.push_back(this);
        seen
    }
}

impl Client {
    /// A query that was answered and is asked again all the same, because another one that went
    /// with it was not: the resolver begins anew, with the same port and number.
    fn asked_again(&mut self, ends: Ends, message: &Message, now: Timestamp) -> Option<Asked> {
        let waits = |one: &Pending| {
            let late = now - one.asked.first_sent().time >= PATIENCE;
            late && one.tries.iter().any(|(tried, _)| *tried == ends)
        };
        if !self.pending.iter().any(waits) {
            return None;
        }
        let same = |asked: &Arc<Asked>| {
            asked.name == message.name
                && asked.kind == message.kind
                && asked.id == message.id
                && asked.ends == (ends.0, ends.1)
        };
        let place = self.recent.iter().rposition(same)?;
        let before = self.recent.remove(place)?;
        (before.sent.len() < MAX_TRIES).then(|| Arc::unwrap_or_clone(before))
    }

    /// Remembers a query that was answered, in the order of the answers.
    fn remember(&mut self, asked: Asked) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        let later = |one: &&Arc<Asked>| one.answered() > asked.answered();
        let later = self.recent.iter().rev().take_while(later).count();
        let place = self.recent.len() - later;
        self.recent.insert(place, Arc::new(asked));
    }

    fn ask(&mut self, mut asked: Asked, ends: Ends, id: u16, mark: Mark) {
        asked.sent.push(mark);
        asked.answer = None;
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(Pending {
            asked,
            tries: vec![(ends, id)],
        });
    }

    /// Follows names through search domains. Returns, when one of them is found, how many were asked
    /// for in vain before, and the time until it was asked for itself.
    fn search(&mut self, asked: &Asked, now: Timestamp) -> Option<(u64, Span)> {
        self.searches.retain(|search| now - search.last < NEXT_NAME);
        let begins_alike = |search: &Search| {
            let first = search.names.first();
            first.is_some_and(|name| first_label(name) == first_label(&asked.name))
        };
        let place = self.searches.iter().position(begins_alike);
        if asked.does_not_exist() {
            let place = place.unwrap_or_else(|| {
                if self.searches.len() == MAX_SEARCHES {
                    self.searches.remove(0);
                }
                self.searches.push(Search {
                    names: Vec::new(),
                    first: asked.first_sent().time,
                    last: now,
                });
                self.searches.len() - 1
            });
            let search = &mut self.searches[place];
            search.last = now;
            if search.names.len() < MAX_RECENT && !search.names.contains(&asked.name) {
                search.names.push(asked.name.clone());
            }
            return None;
        }
        let found = asked.answer.as_ref().is_some_and(|answer| answer.code == 0);
        let place = place.filter(|&place| {
            // The same name with another type does not exist only in part.
            found && !self.searches[place].names.contains(&asked.name)
        })?;
        let search = self.searches.swap_remove(place);
        let asked_first = asked.first_sent().time.max(search.first);
        Some((search.names.len() as u64, asked_first - search.first))
    }
}
