//! Exchanges that belong together although they are on different connections: a request that was
//! sent again, and the two sides of one proxy.
//!
//! Whichever of two is settled last names the other: the other was handed out already.

use super::model::{Connection, Exchange, Finding, FindingKind, Side, Verdict};
use crate::mesh;
use crate::packet::{Endpoint, Mark};
use crate::time::{Span, Timestamp};
use hashbrown::{DefaultHashBuilder, HashMap};
use std::collections::VecDeque;
use std::hash::BuildHasher as _;

/// Settled exchanges that are remembered.
const MAX_REMEMBERED: usize = 4_096;
/// Exchanges of a single server that are remembered: a proxy's other side may come.
const MAX_OF_ONE: usize = 64;
/// Places of a request's keys.
const ID: usize = 0;
const LINE: usize = 1;
/// A proxy that has nothing else to do asks, and answers, within this time.
const AT_ONCE: Span = Span::from_millis(50);
/// Those of one request that are looked at.
const MAX_LOOKED_AT: usize = 8;

/// Of an exchange that was handed out.
#[derive(Clone, Copy, Debug)]
struct Told {
    id: u64,
    connection: u64,
    /// Hashes of the request id, if there is one, and of the request line.
    keys: [Option<u64>; 2],
    client: Endpoint,
    server: Endpoint,
    start: Mark,
    end: Timestamp,
    good: bool,
    /// The ones before it with the same keys.
    before: [Option<u64>; 2],
}

impl Told {
    /// Whether this is a later try of what `other` asked: of the same caller, to the same port.
    fn repeats(&self, other: &Self) -> bool {
        // Nobody asks again what was answered well: an id that comes again is then a trace's.
        !other.good
            && self.keys[ID].is_some()
            && self.keys == other.keys
            && self.client.ip() == other.client.ip()
            && self.server.port == other.server.port
            && self.start.time >= other.end
    }

    /// Whether this is what the server of `front` asked in its turn: sent from there, while it had
    /// to answer.
    fn is_behind(&self, front: &Self) -> bool {
        let (caller, proxy) = (self.client, front.server);
        let sidecar = mesh::is_istio_inbound(caller) && self.server.ip() == proxy.ip();
        let (at_first, at_last) = (self.start.time - front.start.time, front.end - self.end);
        // A proxy that gives up answers its caller and hangs up on the server, in either order.
        let soonest = if self.good {
            Span::ZERO
        } else {
            Span::from_nanos(-AT_ONCE.as_nanos())
        };
        let same = match front.keys[ID] {
            // The first proxy gives an id to a request that has none: time joins them.
            None => {
                (Span::ZERO..=AT_ONCE).contains(&at_first) && (soonest..=AT_ONCE).contains(&at_last)
            }
            id => id == self.keys[ID],
        };
        same && self.server != front.server
            && (caller.ip() == proxy.ip() || sidecar)
            && self.connection != front.connection
            && self.start.order > front.start.order
            && self.start.time <= front.end
    }
}

/// Ports that are remembered.
const MAX_PORTS: usize = 1_024;
/// A port that answered so long before or after is alive.
const ALIVE: Span = Span::from_secs(60);

/// Which ports answered SYNs, and when for the last time.
#[derive(Debug, Default)]
pub(crate) struct Answering {
    ports: HashMap<Endpoint, Timestamp>,
}

impl Answering {
    /// Says of a connection whose SYNs were not answered whether the port answered others, and
    /// remembers any that opened.
    pub(crate) fn judge(&mut self, connection: &mut Connection) {
        let Some(syn) = connection.syn else {
            return;
        };
        if connection.syn_to_synack.is_some() {
            if self.ports.len() >= MAX_PORTS {
                self.ports.retain(|_, at| syn.time - *at <= ALIVE);
            }
            if self.ports.len() < MAX_PORTS || self.ports.contains_key(&connection.server) {
                let last = self.ports.entry(connection.server).or_insert(syn.time);
                *last = (*last).max(syn.time);
            }
        } else if connection.verdict == Some(Verdict::ConnectTimeout) {
            let answered = self.ports.get(&connection.server);
            connection.server_answered_others =
                answered.is_some_and(|&at| syn.time - at <= ALIVE && at - syn.time <= ALIVE);
        }
    }
}

/// The one that was found, if there was only one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Only {
    #[default]
    None,
    One(u64),
    Several,
}

impl Only {
    /// Adds one that was found.
    fn add(&mut self, id: u64) {
        *self = match *self {
            Self::None => Self::One(id),
            Self::One(known) if known == id => Self::One(id),
            _ => Self::Several,
        };
    }

    const fn get(self) -> Option<u64> {
        match self {
            Self::One(id) => Some(id),
            Self::None | Self::Several => None,
        }
    }
}

/// Hashes by which exchanges find each other.
#[derive(Clone, Copy, Debug)]
struct Keys {
    id: Option<u64>,
    line: u64,
    /// What the tries of one request have in common, if it has an id.
    of_tries: Option<u64>,
}

/// A request that was asked, answered or not.
#[derive(Clone, Copy, Debug)]
struct Asked {
    client: Endpoint,
    server: Endpoint,
    start: Mark,
}

/// The exchanges settled last.
#[derive(Debug, Default)]
pub(crate) struct Related {
    /// The first request with each id, of each caller and port: a try before it may be settled
    /// after it.
    asked: HashMap<u64, Asked>,
    order: VecDeque<u64>,
    told: VecDeque<Told>,
    /// How many of them have no id.
    without_id: usize,
    /// The server of the first, and whether there is another: without one there is no proxy.
    server: Option<Endpoint>,
    several: bool,
    /// The number of the first of them, since the beginning.
    first: u64,
    /// The number of the latest with each key.
    latest: HashMap<u64, u64>,
    hasher: DefaultHashBuilder,
}

impl Related {
    /// Relates `exchange` to those before it, and remembers it.
    pub(crate) fn relate(&mut self, exchange: &mut Exchange) {
        if !self.several {
            self.several = *self.server.get_or_insert(exchange.server) != exchange.server;
        }
        let many = self.told.len() >= MAX_OF_ONE;
        if many && !self.several && exchange.request_id.is_none() {
            if exchange.attempt.is_some_and(|attempt| attempt > 1) {
                note_retry(exchange, None);
            }
            return;
        }
        let keys = self.keys(exchange);
        let Some(this) = self.told(exchange, &keys) else {
            return;
        };
        let mut first_try = self.first_try(exchange, &keys);
        let relations = &mut exchange.relations;
        let (mut behind, mut front) = (Only::None, Only::None);
        for (by, number) in self.candidates(&this) {
            let Some(other) = self
                .get(number)
                .filter(|other| other.keys[by] == this.keys[by])
            else {
                continue;
            };
            if relations.retry_of.is_none() && this.repeats(other) {
                relations.retry_of = Some(other.id);
                first_try = Some(other.start);
            } else if relations.retried_as.is_none() && other.repeats(&this) {
                relations.retried_as = Some(other.id);
            } else if other.is_behind(&this) {
                match by {
                    ID => _ = relations.behind.get_or_insert(other.id),
                    _ => behind.add(other.id),
                }
            } else if this.is_behind(other) {
                match by {
                    ID => _ = relations.front.get_or_insert(other.id),
                    _ => front.add(other.id),
                }
            }
        }
        // Of several tries with an id the latest came first. Without one, several cannot be told
        // apart, and none is named.
        relations.behind = relations.behind.or(behind.get());
        relations.front = relations.front.or(front.get());
        if this.good
            && let Some(key) = keys.of_tries
        {
            self.asked.remove(&key);
        }
        if first_try.is_some() || exchange.attempt.is_some_and(|attempt| attempt > 1) {
            note_retry(exchange, first_try);
        }
        self.remember(this);
    }

    /// A request with an id was read, whatever becomes of it.
    pub(crate) fn asked(&mut self, exchange: &Exchange) {
        let Some(key) = self.keys(exchange).of_tries else {
            return;
        };
        if self.asked.contains_key(&key) {
            return;
        }
        // Those that were taken out stay in the order until they are its oldest.
        if self.order.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.asked.remove(&oldest);
        }
        self.order.push_back(key);
        self.asked.insert(
            key,
            Asked {
                client: exchange.client,
                server: exchange.server,
                start: exchange.events.request_start,
            },
        );
    }

    fn keys(&self, exchange: &Exchange) -> Keys {
        let hash = |text: Option<&str>| self.hasher.hash_one(text.unwrap_or_default());
        let id = exchange.request_id.as_deref();
        let id = id.map(|id| hash(Some(id)));
        let method = hash(exchange.method.as_deref());
        let line = method.rotate_left(1) ^ hash(exchange.path.as_deref());
        let of_tries = id.map(|id| {
            let authority = hash(exchange.authority.as_deref());
            let (caller, port) = (exchange.client.ip(), exchange.server.port);
            self.hasher.hash_one((id, line, authority, caller, port))
        });
        Keys { id, line, of_tries }
    }

    /// The first try of what `exchange` asks, if it is a later one.
    fn first_try(&self, exchange: &Exchange, keys: &Keys) -> Option<Mark> {
        let first = self.asked.get(&keys.of_tries?)?;
        let start = exchange.events.request_start;
        let same =
            first.client.ip() == exchange.client.ip() && first.server.port == exchange.server.port;
        (same && first.start.order < start.order).then_some(first.start)
    }

    fn told(&self, exchange: &Exchange, keys: &Keys) -> Option<Told> {
        exchange.path.as_ref()?;
        let keys = [keys.id, Some(keys.line)];
        Some(Told {
            id: exchange.id,
            connection: exchange.connection,
            keys,
            client: exchange.client,
            server: exchange.server,
            start: exchange.events.request_start,
            end: exchange.decided_at()?,
            good: exchange.good() == Some(true),
            before: keys.map(|key| self.latest.get(&key?).copied()),
        })
    }

    /// Numbers of the latest with the same id, and of the latest with the same request line.
    fn candidates(&self, this: &Told) -> impl Iterator<Item = (usize, u64)> {
        // What has an id is found by it, but for a proxy that gave it to what had none.
        let by_line = this.keys[ID].is_none() || self.without_id > 0;
        let ways = [Some(ID), by_line.then_some(LINE)];
        ways.into_iter().flatten().flat_map(move |by| {
            let older = move |number: &u64| self.get(*number)?.before[by];
            let chain = std::iter::successors(this.before[by], older);
            chain.take(MAX_LOOKED_AT).map(move |number| (by, number))
        })
    }

    fn get(&self, number: u64) -> Option<&Told> {
        let at = number.checked_sub(self.first)?;
        self.told.get(usize::try_from(at).ok()?)
    }

    fn remember(&mut self, this: Told) {
        if self.told.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.told.pop_front()
        {
            for key in oldest.keys.into_iter().flatten() {
                if self.latest.get(&key) == Some(&self.first) {
                    self.latest.remove(&key);
                }
            }
            self.without_id -= usize::from(oldest.keys[ID].is_none());
            self.first += 1;
        }
        let number = self.first + self.told.len() as u64;
        for key in this.keys.into_iter().flatten() {
            self.latest.insert(key, number);
        }
        self.without_id += usize::from(this.keys[ID].is_none());
        self.told.push_back(this);
    }
}

fn note_retry(exchange: &mut Exchange, first: Option<Mark>) {
    let start = exchange.events.request_start;
    exchange.findings.push(Finding {
        kind: FindingKind::Retry,
        side: Side::Client,
        frames: first.into_iter().chain([start]).collect(),
        cost: first.map_or(Span::ZERO, |first| start.time - first.time),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::FrameId;
    use crate::testing::fixtures;

    const PROXY: [u8; 4] = [10, 0, 0, 5];

    /// An exchange from one millisecond to another, on a connection of its own.
    fn between(id: u64, client: Endpoint, server: Endpoint, millis: (i64, i64)) -> Exchange {
        let mark = |millis: i64| Mark {
            frame: FrameId::new(0, millis as u64),
            time: Timestamp::from_nanos(millis * 1_000_000),
            order: millis as u64,
        };
        let mut exchange = fixtures::ok();
        (exchange.id, exchange.connection) = (id, id);
        (exchange.client, exchange.server) = (client, server);
        exchange.events.request_start = mark(millis.0);
        exchange.events.response_end = Some(mark(millis.1));
        exchange
    }

    fn front(id: u64) -> Exchange {
        let (caller, proxy) = (Endpoint::v4([10, 0, 0, 1], 5000), Endpoint::v4(PROXY, 8080));
        between(id, caller, proxy, (10, 100))
    }

    fn back(id: u64) -> Exchange {
        let (proxy, app) = (
            Endpoint::v4(PROXY, 41_000),
            Endpoint::v4([10, 0, 0, 9], 3000),
        );
        between(id, proxy, app, (20, 90))
    }

    #[test]
    fn the_two_sides_of_a_proxy_are_joined_in_either_order() {
        for (front_id, back_id) in [(true, true), (false, true), (false, false)] {
            let strip = |mut exchange: Exchange, keep: bool| {
                exchange.request_id = exchange.request_id.filter(|_| keep);
                exchange
            };
            let mut related = Related::default();
            let (mut first, mut last) = (strip(back(0), back_id), strip(front(1), front_id));
            related.relate(&mut first);
            related.relate(&mut last);
            assert_eq!(last.relations.behind, Some(0));
            let mut related = Related::default();
            let (mut first, mut last) = (strip(front(0), front_id), strip(back(1), back_id));
            related.relate(&mut first);
            related.relate(&mut last);
            assert_eq!(last.relations.front, Some(0));
        }
    }

    #[test]
    fn a_proxy_that_gives_up_may_answer_before_it_hangs_up() {
        let mut first = front(0);
        (first.request_id, first.status) = (None, Some(504));
        let mut last = back(1);
        last.verdict = Verdict::ClientGaveUp;
        last.events.response_end = None;
        let close = Mark {
            time: Timestamp::from_nanos(100_300_000),
            ..Mark::default()
        };
        last.events.client_fin = Some(close);
        let mut related = Related::default();
        related.relate(&mut first);
        related.relate(&mut last);
        assert_eq!(last.relations.front, Some(0));
        // One that was answered well was so before.
        let mut late = back(2);
        late.events.response_end = Some(close);
        let mut related = Related::default();
        related.relate(&mut first);
        related.relate(&mut late);
        assert_eq!(late.relations.front, None);
    }

    #[test]
    fn others_are_not() {
        let mut elsewhere = back(1);
        elsewhere.client = Endpoint::v4([10, 0, 0, 6], 1);
        let mut later = back(1);
        later.events.request_start.time = Timestamp::from_nanos(200_000_000);
        let mut another = back(1);
        another.request_id = Some("another".into());
        for mut other in [elsewhere, later, another] {
            let mut related = Related::default();
            related.relate(&mut front(0));
            related.relate(&mut other);
            assert_eq!(other.relations.front, None);
        }
    }

    #[test]
    fn of_several_that_cannot_be_told_apart_none_is_named() {
        let mut related = Related::default();
        for id in 0..2 {
            let mut exchange = back(id);
            exchange.request_id = None;
            related.relate(&mut exchange);
        }
        let mut last = front(2);
        last.request_id = None;
        related.relate(&mut last);
        assert_eq!(last.relations.behind, None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut related = Related::default();
        for id in 0..3 * MAX_REMEMBERED as u64 {
            let mut exchange = front(id);
            exchange.request_id = Some(format!("{id}").into());
            related.relate(&mut exchange);
        }
        assert_eq!(related.told.len(), MAX_REMEMBERED);
        assert!(related.latest.len() <= 2 * MAX_REMEMBERED);
    }
}
