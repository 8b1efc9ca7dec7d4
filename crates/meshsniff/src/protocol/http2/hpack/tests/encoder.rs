//! A sender, which also says what somebody who watches can know.

use crate::protocol::http2::hpack::huffman::tests as huffman;
use std::collections::VecDeque;

/// Names that stand in the static table, and the index of the first with such a name.
const STATIC_NAMES: [(&str, u32); 4] = [
    (":authority", 1),
    (":path", 4),
    ("accept-encoding", 16),
    ("user-agent", 58),
];

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// As an index if it is in the table, otherwise added to it.
    Index,
    /// Added to the table, even if it is there.
    Added,
    Plain,
    Secret,
}

/// A field to be sent.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) how: As,
    pub(super) huffman: bool,
    /// Whether its name may be written as an index.
    pub(super) indexed_name: bool,
}

/// A field as it was sent, and the last block from which somebody who begins to watch can know its
/// name and its value.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) secret: bool,
    pub(super) name_from: usize,
    pub(super) value_from: usize,
}

struct Entry {
    name: Vec<u8>,
    value: Vec<u8>,
    name_from: usize,
    value_from: usize,
}

impl Entry {
    fn size(&self) -> usize {
        32 + self.name.len() + self.value.len()
    }
}

pub(super) struct Encoder {
    entries: VecDeque<Entry>,
    most: usize,
    block: usize,
}

/// Writes an integer behind the bits of `first`.
pub(super) fn integer(out: &mut Vec<u8>, first: u8, prefix: u32, value: u32) {
    let most = (1 << prefix) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Writes a string.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8], is_coded: bool) {
    if is_coded {
        let coded = huffman::encode(text);
        integer(out, 0x80, 7, coded.len() as u32);
        out.extend(coded);
    } else {
        integer(out, 0, 7, text.len() as u32);
        out.extend(text);
    }
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            most: 4096,
            block: 0,
        }
    }

    /// Writes a block that begins with changes of the table's size.
    pub(super) fn block(&mut self, sizes: &[u32], fields: &[Said]) -> (Vec<u8>, Vec<Sent>) {
        let mut out = Vec::new();
        for &size in sizes {
            integer(&mut out, 0x20, 5, size);
            self.most = size as usize;
            self.evict();
        }
        let sent = fields.iter().map(|said| self.field(&mut out, said));
        let sent = sent.collect();
        self.block += 1;
        (out, sent)
    }

    fn evict(&mut self) {
        while self.entries.iter().map(Entry::size).sum::<usize>() > self.most {
            self.entries.pop_back();
        }
    }

    fn field(&mut self, out: &mut Vec<u8>, said: &Said) -> Sent {
        let mut sent = Sent {
            name: said.name.clone(),
            value: said.value.clone(),
            secret: said.how == As::Secret,
            name_from: usize::MAX,
            value_from: usize::MAX,
        };
        let same = |entry: &Entry| entry.name == said.name && entry.value == said.value;
        if let (As::Index, Some(place)) = (said.how, self.entries.iter().position(same)) {
            integer(out, 0x80, 7, 62 + place as u32);
            sent.name_from = self.entries[place].name_from;
            sent.value_from = self.entries[place].value_from;
            return sent;
        }
        let (first, prefix) = match said.how {
            As::Index | As::Added => (0x40, 6),
            As::Plain => (0, 4),
            As::Secret => (0x10, 4),
        };
        match self.name(said) {
            Some((index, from)) => {
                integer(out, first, prefix, index);
                sent.name_from = from;
            }
            None => {
                out.push(first);
                string(out, &said.name, said.huffman);
            }
        }
        string(out, &said.value, said.huffman);
        if matches!(said.how, As::Index | As::Added) {
            self.entries.push_front(Entry {
                name: said.name.clone(),
                value: said.value.clone(),
                name_from: sent.name_from.min(self.block),
                value_from: self.block,
            });
            self.evict();
        }
        sent
    }

    /// The index of a name, and from where it can be known.
    fn name(&self, said: &Said) -> Option<(u32, usize)> {
        if !said.indexed_name {
            return None;
        }
        let mut names = STATIC_NAMES.iter();
        if let Some((_, index)) = names.find(|(name, _)| name.as_bytes() == said.name) {
            return Some((*index, usize::MAX));
        }
        let named = |entry: &Entry| entry.name == said.name;
        let place = self.entries.iter().position(named)?;
        Some((62 + place as u32, self.entries[place].name_from))
    }
}
