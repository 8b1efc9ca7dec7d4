//! The tables that an index points into (RFC 7541, 2.3, 4 and appendix A).

use super::malformed::Malformed;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most that is kept of a table, in bytes as RFC 7541 (4.1) counts them. Of larger ones the
/// oldest entries are unknown.
pub const MAX_TABLE: usize = 64 * 1024;

/// What an entry costs beside its text (RFC 7541, 4.1). No entry is smaller.
pub(super) const OVERHEAD: usize = 32;

/// Names and values of the static table; the first has index 1.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

/// A name. Entries share it: an entry with an indexed name may cost two bytes of a block, and
/// copying a long name for each would take far longer than to read the block.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Unknown,
    Static(&'static str),
    Own(Arc<[u8]>),
}

impl Name {
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Unknown => None,
            Self::Static(name) => Some(name.as_bytes()),
            Self::Own(name) => Some(name),
        }
    }
}

/// What an index points to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// It stands in the part of the table that was not seen.
    Unseen,
    Static(&'static str, &'static str),
    Dynamic(&'a Name, &'a [u8]),
}

impl<'a> Found<'a> {
    /// Its name, to be kept.
    pub(super) fn name(self) -> Name {
        match self {
            Self::Unseen => Name::Unknown,
            Self::Static(name, _) => Name::Static(name),
            Self::Dynamic(name, _) => name.clone(),
        }
    }

    pub(super) fn parts(self) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        match self {
            Self::Unseen => (None, None),
            Self::Static(name, value) => (Some(name.as_bytes()), Some(value.as_bytes())),
            Self::Dynamic(name, value) => (name.bytes(), Some(value)),
        }
    }
}

#[derive(Debug)]
struct Entry {
    name: Name,
    /// Where its value begins among all bytes that values ever had.
    at: u64,
    len: u32,
}

impl Entry {
    /// Its size, or the least it can have if its name is unknown.
    fn size(&self) -> usize {
        size(&self.name, self.len as usize)
    }
}

fn size(name: &Name, value: usize) -> usize {
    let name = name.bytes().map_or(0, <[u8]>::len);
    OVERHEAD.saturating_add(name).saturating_add(value)
}

/// Values of entries, one behind the other, the oldest first.
#[derive(Debug, Default)]
struct Values {
    bytes: Vec<u8>,
    /// The place of the first byte among all that ever were.
    begin: u64,
    /// The place of the first that is still needed.
    needed: u64,
}

impl Values {
    fn get(&self, at: u64, len: u32) -> &[u8] {
        let start = at.saturating_sub(self.begin) as usize;
        let end = start.saturating_add(len as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Keeps a value, and gives its place.
    fn push(&mut self, value: &[u8]) -> u64 {
        if self.bytes.capacity() - self.bytes.len() < value.len() {
            self.make_room(value.len());
        }
        let at = self.begin.saturating_add(self.bytes.len() as u64);
        self.bytes.extend_from_slice(value);
        at
    }

    /// Moves what is needed to the front. Half of the room is free afterwards, so this happens
    /// only once in so many bytes.
    fn make_room(&mut self, more: usize) {
        let gone = (self.needed.saturating_sub(self.begin) as usize).min(self.bytes.len());
        self.bytes.drain(..gone);
        self.begin = self.needed;
        let wanted = self.bytes.len().saturating_add(more);
        if self.bytes.capacity() / 2 < wanted {
            let room = wanted.saturating_mul(2).saturating_sub(self.bytes.len());
            self.bytes.reserve_exact(room);
        }
    }
}

/// The dynamic table, as far as it is known.
///
/// Indices count from the newest entry, so that entries added since somebody began to watch are
/// known whatever lies beneath. Where sizes are not known, more entries are kept than the sender
/// still has. That never misleads: those are beneath all that it may point to. For the same reason
/// an entry too large for the sender's table, which empties it and takes no place (RFC 7541, 4.4),
/// may be kept as if it took one.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    values: Values,
    /// The sum of the sizes, or the least it can be.
    size: usize,
    /// Entries without a name.
    nameless: usize,
    /// The most that the sender's table holds, in bytes. The largest number where nothing is known.
    most: u32,
    /// Whether nothing lies beneath the entries.
    closed: bool,
}

impl Table {
    /// A table of which nothing has been seen, and which holds no more than `most` bytes.
    pub(super) fn unseen(most: u32) -> Self {
        let mut table = Self {
            entries: VecDeque::new(),
            values: Values::default(),
            size: 0,
            nameless: 0,
            most,
            closed: false,
        };
        table.close();
        table
    }

    /// An empty table that holds no more than `most` bytes.
    pub(super) fn empty(most: u32) -> Self {
        let mut table = Self::unseen(most);
        table.closed = true;
        table
    }

    /// Takes another limit for what the sender's table holds. Whether something lies beneath is
    /// asked again.
    pub(super) fn guess(&mut self, most: u32) {
        self.closed = false;
        self.bound(most);
    }

    /// Takes the limit that the sender names.
    pub(super) fn bound(&mut self, most: u32) {
        self.most = most;
        self.evict(0);
        self.close();
    }

    /// Finds what an index of 1 or more points to.
    pub(super) fn get(&self, index: u32) -> Result<Found<'_>, Malformed> {
        let place = (index as usize)
            .checked_sub(1)
            .ok_or(Malformed::IndexOfNothing)?;
        if let Some((name, value)) = STATIC.get(place) {
            return Ok(Found::Static(name, value));
        }
        match self.entries.get(place - STATIC.len()) {
            Some(entry) => {
                let value = self.values.get(entry.at, entry.len);
                Ok(Found::Dynamic(&entry.name, value))
            }
            None if self.closed => Err(Malformed::IndexOfNothing),
            None => Ok(Found::Unseen),
        }
    }

    /// Adds an entry, and drops those that have no room any more.
    pub(super) fn insert(&mut self, name: Name, value: &[u8]) {
        let size = size(&name, value.len());
        self.evict(size);
        match u32::try_from(value.len()) {
            Ok(len) if size <= self.kept() => {
                self.size += size;
                self.nameless += usize::from(name.bytes().is_none());
                let at = self.values.push(value);
                self.entries.push_front(Entry { name, at, len });
                self.close();
            }
            // Too large even for an empty table, or only to be kept.
            _ => self.closed = size > self.most as usize,
        }
    }

    /// Whether all that an index may point to is known.
    pub(super) fn is_whole(&self) -> bool {
        self.closed && self.nameless == 0
    }

    /// Bytes of memory. Shared names are counted for each entry.
    pub(super) fn weight(&self) -> usize {
        // The sizes hold names and values; an own name has two counters before it.
        let names = self.size + self.entries.len() * 2 * size_of::<usize>();
        names + self.values.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// The most that is kept here.
    fn kept(&self) -> usize {
        MAX_TABLE.min(self.most as usize)
    }

    /// Drops the oldest entries until there is room for `more` bytes.
    fn evict(&mut self, more: usize) {
        while self.size.saturating_add(more) > self.kept()
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.size();
            self.nameless -= usize::from(entry.name.bytes().is_none());
            self.values.needed = entry.at + u64::from(entry.len);
            // Did the sender drop it, too, or does it only lie beneath from now on?
            self.closed = self.most as usize <= MAX_TABLE;
        }
    }

    /// Sees whether there is no room for anything beneath.
    fn close(&mut self) {
        self.closed |= self.size.saturating_add(OVERHEAD) > self.most as usize;
    }
}
