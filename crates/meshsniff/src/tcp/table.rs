//! The connections that are open, and those that are over but not forgotten.

use super::{Application, Counters, TrackedConnection};
use crate::packet::{Endpoint, Flags, Mark, Segment, Seq};
use crate::time::{Span, Timestamp};
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Connections followed at once; past it those silent for longest are given up.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// Bytes that connections may take together, unless somebody says otherwise.
const MAX_BYTES: usize = 512 << 20;

/// Bytes that a connection takes in the tables, beside what it and its reader are and keep.
const PLACE: usize = 96;

/// Bytes that a connection may grow by before it is weighed anew: less than it takes itself.
const UNWEIGHED: u32 = 1 << 10;

/// Bytes that a segment may make it grow by, beside those that it carries.
const SEGMENT: u32 = 64;

/// One that takes more than this part of what all may take is given up first.
const LARGE: usize = 16;

/// Connections that are over, remembered so that a stray packet does not look like a new one.
const MAX_REMEMBERED: usize = 32 * 1024;

/// How long a connection that is over is still followed: late answers, and the RSTs they meet,
/// belong to it.
const LINGER: Span = Span::from_secs(1);

/// How long a connection that was refused waits for another SYN of the same number: some systems
/// try again in spite of a RST (Windows, three times within 1 to 2 s).
const LINGER_REFUSED: Span = Span::from_secs(3);

/// How long after that its packets are still told from a new connection's (RFC 9293's 2 MSL, as
/// Linux has it).
const REMEMBER: Span = Span::from_secs(60);

/// Sequence numbers this far from the old connection's belong to another.
const STRAY: u32 = 1 << 24;

/// Whoever wants to know what becomes of the connections of a [`Table`].
pub trait Connections {
    /// The reader of one connection's streams.
    type Application: Application;

    /// A connection begins: what is to read its streams.
    fn open(&mut self, connection: &TrackedConnection) -> Self::Application;

    /// A segment of it was taken.
    fn advance(
        &mut self,
        connection: &TrackedConnection,
        application: &mut Self::Application,
        counters: &Counters,
    );

    /// It is over, or is given up. `now` is the time of the capture.
    fn end(
        &mut self,
        connection: TrackedConnection,
        application: Self::Application,
        counters: &Counters,
        now: Timestamp,
    );
}

/// Two ends, whichever of them sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(Endpoint, Endpoint);

impl Key {
    fn of(segment: &Segment<'_>) -> Self {
        Self::new(segment.src, segment.dst)
    }

    fn new(a: Endpoint, b: Endpoint) -> Self {
        if a <= b { Self(a, b) } else { Self(b, a) }
    }
}

/// A connection that is over.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    until: Timestamp,
    /// Next sequence numbers of the two ends of the key.
    next: (Option<Seq>, Option<Seq>),
}

#[derive(Debug)]
struct Entry<A> {
    connection: TrackedConnection,
    application: A,
    /// Bytes that it took when it was weighed last, and may have grown by since.
    weight: usize,
    unweighed: u32,
}

/// Every connection of a capture, each with what reads its streams.
#[derive(Debug)]
pub struct Table<A> {
    counters: Counters,
    evicted: u64,
    /// Bytes that connections take, and may take.
    weight: usize,
    most: usize,
    next_id: u64,
    tracked: HashMap<Key, Box<Entry<A>>>,
    /// Connections that are over, in the order they will be let go: when, which, and its number.
    lingering: VecDeque<(Timestamp, Key, u64)>,
    remembered: HashMap<Key, Remembered>,
    forgetting: VecDeque<(Timestamp, Key)>,
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Self {
            counters: Counters::default(),
            evicted: 0,
            weight: 0,
            most: MAX_BYTES,
            next_id: 0,
            tracked: HashMap::new(),
            lingering: VecDeque::new(),
            remembered: HashMap::new(),
            forgetting: VecDeque::new(),
        }
    }
}

impl<A: Application> Table<A> {
    /// Says whether the kernel is known to have dropped packets.
    pub const fn set_dropped(&mut self, dropped: bool) {
        self.counters.dropped = dropped;
    }

    /// Says how many bytes connections may take together; past it the largest of them, and then
    /// those silent for longest, are given up.
    pub const fn set_most(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// Counts over all connections.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Connections given up while they were open, to stay within memory.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The connection with this number between these two ends, and its reader.
    pub fn get_mut(
        &mut self,
        (a, b): (Endpoint, Endpoint),
        id: u64,
    ) -> Option<(&TrackedConnection, &mut A)> {
        let entry = self.tracked.get_mut(&Key::new(a, b))?;
        let same = entry.connection.id() == id;
        same.then_some((&entry.connection, &mut entry.application))
    }

    /// Takes the next segment of the capture.
    pub fn segment<C: Connections<Application = A>>(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        to: &mut C,
    ) {
        let key = Key::of(segment);
        if let Some(entry) = self.tracked.get_mut(&key) {
            if !entry.connection.is_superseded_by(segment) {
                let was_over = entry.connection.is_over();
                self.weight -= entry.weight;
                entry.take(segment, mark, &mut self.counters, to);
                self.weight += entry.weight;
                if !was_over && entry.connection.is_over() {
                    let until = mark.time.plus(LINGER);
                    self.lingering
                        .push_back((until, key, entry.connection.id()));
                }
                if self.weight > self.most {
                    self.evict(mark.time, to);
                }
                return;
            }
            if let Some(old) = self.remove(&key) {
                old.end(&self.counters, mark.time, to);
            }
        } else if self.is_stray(&key, segment, mark.time) {
            return;
        }
        self.remembered.remove(&key);
        self.open(key, segment, mark, to);
    }

    /// No packet of before `now` will come any more: ends the connections that have lingered long
    /// enough.
    pub fn let_go<C: Connections<Application = A>>(&mut self, now: Timestamp, to: &mut C) {
        while let Some(&(until, key, id)) = self.lingering.front() {
            if until > now {
                break;
            }
            self.lingering.pop_front();
            let entry = self.tracked.get(&key).map(|entry| &entry.connection);
            let Some(connection) = entry.filter(|connection| connection.id() == id) else {
                continue;
            };
            // A connection that was refused may have opened after all.
            if !connection.is_over() {
                continue;
            }
            let refused = connection.opening().refused.is_some();
            let until = connection.last().time.plus(LINGER_REFUSED);
            if refused && until > now {
                self.lingering.push_back((now.plus(LINGER), key, id));
                continue;
            }
            if let Some(entry) = self.remove(&key) {
                let next = |end| entry.connection.next_seq(end);
                let next = (next(key.0), next(key.1));
                entry.end(&self.counters, now, to);
                self.remember(key, next, now);
            }
        }
    }

    /// The capture has ended at `now`: ends every connection.
    pub fn finish<C: Connections<Application = A>>(&mut self, now: Timestamp, to: &mut C) {
        let mut left: Vec<_> = self.tracked.drain().map(|(_, entry)| entry).collect();
        self.weight = 0;
        left.sort_unstable_by_key(|entry| entry.connection.id());
        for entry in left {
            entry.end(&self.counters, now, to);
        }
        self.lingering.clear();
    }

    fn open<C: Connections<Application = A>>(
        &mut self,
        key: Key,
        segment: &Segment<'_>,
        mark: Mark,
        to: &mut C,
    ) {
        if self.tracked.len() >= MAX_CONNECTIONS || self.weight > self.most {
            self.evict(mark.time, to);
        }
        let connection = TrackedConnection::new(self.next_id, segment, mark);
        self.next_id += 1;
        let application = to.open(&connection);
        let mut entry = Box::new(Entry {
            connection,
            application,
            weight: 0,
            unweighed: 0,
        });
        entry.take(segment, mark, &mut self.counters, to);
        if entry.connection.is_over() {
            let until = mark.time.plus(LINGER);
            self.lingering
                .push_back((until, key, entry.connection.id()));
        }
        self.weight += entry.weight;
        self.tracked.insert(key, entry);
    }

    fn remove(&mut self, key: &Key) -> Option<Box<Entry<A>>> {
        let entry = self.tracked.remove(key)?;
        self.weight -= entry.weight;
        Some(entry)
    }

    /// Whether a packet without a connection belongs to one that is over.
    fn is_stray(&self, key: &Key, segment: &Segment<'_>, now: Timestamp) -> bool {
        let Some(old) = self.remembered.get(key).filter(|old| old.until > now) else {
            return false;
        };
        let next = if segment.src == key.0 {
            old.next.0
        } else {
            old.next.1
        };
        !segment.flags.has(Flags::SYN)
            && next.is_none_or(|next| segment.seq.distance_from(next).unsigned_abs() < STRAY)
    }

    fn remember(&mut self, key: Key, next: (Option<Seq>, Option<Seq>), now: Timestamp) {
        let until = now.plus(REMEMBER);
        while self.forgetting.len() >= MAX_REMEMBERED
            || self
                .forgetting
                .front()
                .is_some_and(|&(until, _)| until <= now)
        {
            if let Some((until, key)) = self.forgetting.pop_front()
                && self
                    .remembered
                    .get(&key)
                    .is_some_and(|old| old.until == until)
            {
                self.remembered.remove(&key);
            }
        }
        self.remembered.insert(key, Remembered { until, next });
        self.forgetting.push_back((until, key));
    }

    /// Makes room: ends an eighth of the connections, those that were silent for longest, and as
    /// many more as leave an eighth of the memory free. Before them goes whatever is so large that it
    /// leaves no room for others.
    fn evict<C: Connections<Application = A>>(&mut self, now: Timestamp, to: &mut C) {
        let large = self.most / LARGE;
        let mut oldest: Vec<_> = self
            .tracked
            .iter()
            .map(|(key, entry)| {
                let connection = &entry.connection;
                let small = entry.weight < large;
                (small, connection.last().time, connection.id(), *key)
            })
            .collect();
        oldest.sort_unstable_by_key(|&(small, last, id, _)| (small, last, id));
        let (room, places) = (self.most / 8 * 7, MAX_CONNECTIONS / 8 * 7);
        for (.., key) in oldest {
            if self.weight <= room && self.tracked.len() <= places {
                break;
            }
            if let Some(entry) = self.remove(&key) {
                self.evicted += u64::from(!entry.connection.is_over());
                entry.end(&self.counters, now, to);
            }
        }
    }
}

impl<A: Application> Entry<A> {
    fn take<C: Connections<Application = A>>(
        &mut self,
        segment: &Segment<'_>,
        mark: Mark,
        counters: &mut Counters,
        to: &mut C,
    ) {
        self.connection
            .segment(segment, mark, counters, &mut self.application);
        to.advance(&self.connection, &mut self.application, counters);
        self.unweighed += segment.wire_payload + SEGMENT;
        if self.unweighed >= UNWEIGHED || self.weight == 0 {
            self.unweighed = 0;
            self.weight =
                size_of::<Self>() + PLACE + self.connection.weight() + self.application.weight();
        }
    }

    fn end<C: Connections<Application = A>>(
        mut self,
        counters: &Counters,
        now: Timestamp,
        to: &mut C,
    ) {
        self.connection.end(&mut self.application);
        to.end(self.connection, self.application, counters, now);
    }
}
