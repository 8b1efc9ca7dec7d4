//! Frames of HTTP/2 in one direction, in any pieces, with bytes missing, and the messages in them.

use super::choices::Choices;
use meshsniff::exchange::Side;
use meshsniff::packet::Mark;
use meshsniff::protocol::grpc::{Counter, Wire};
use meshsniff::protocol::http2::reader::{Event, MAX_BLOCK, Reader};
use meshsniff::tcp::Offset;
use meshsniff::time::Timestamp;

/// What a reader keeps at most: a header block, and its table.
const MAX_WEIGHT: usize = 3 * MAX_BLOCK + (1 << 20);

/// What was read: DATA of one frame is one entry, however it came.
#[derive(Debug, Default, PartialEq)]
struct Read {
    events: Vec<String>,
    body: Option<(Offset, u64)>,
}

impl Read {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Nothing => {}
            Event::Data(data) => {
                let length = data.bytes.len() as u64 + data.missing;
                match &mut self.body {
                    Some((start, sum)) if *start == data.start.0 => *sum += length,
                    body => {
                        *body = Some((data.start.0, length));
                        self.events.push(format!("data {}", data.stream));
                    }
                }
                if data.end_stream {
                    self.events.push(format!("end {:?}", self.body));
                }
            }
            other => self.events.push(format!("{other:?}")),
        }
    }
}

/// Reads `bytes` in pieces whose lengths `cut` gives. Returns what was read, and how far.
fn read(side: Side, bytes: &[u8], mut cut: impl FnMut() -> usize) -> Read {
    let mut reader = Reader::new(side, true, false);
    let mut read = Read::default();
    let mut at = 0;
    while at < bytes.len() && !reader.is_lost() {
        let end = bytes.len().min(at + cut().max(1));
        while at < end && !reader.is_lost() {
            let from = Offset::ORIGIN + at as u64;
            let (event, taken) = reader.read(&bytes[at..end], from, Mark::default());
            assert!(taken > 0 || reader.is_lost(), "it does not go on");
            read.take(&event);
            at += taken;
        }
        assert!(reader.weight() <= MAX_WEIGHT, "{}", reader.weight());
    }
    read
}

/// The same is read however the bytes are cut; nothing breaks where some are missing; and the
/// messages in a body are the same in any pieces, too.
pub fn check(data: &[u8]) {
    let mut choices = Choices(data);
    let what = choices.byte();
    let size = choices.byte() as usize;
    let side = if what & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    let bytes = choices.0;
    let whole = read(side, bytes, || usize::MAX / 2);
    let pieces = read(side, bytes, || size);
    assert_eq!(whole, pieces, "in pieces of {size}");

    let mut reader = Reader::new(side, what & 2 == 0, true);
    let mut from = Offset::ORIGIN;
    for (number, piece) in bytes.chunks(size.max(1)).enumerate() {
        let mut used = 0;
        if what & 4 != 0 && number % 3 == 1 {
            while used < piece.len() && !reader.is_lost() {
                let (_, taken) = reader.miss((piece.len() - used) as u64);
                assert!(taken > 0, "it does not go on");
                used += taken as usize;
            }
        } else if !reader.is_lost() || reader.find(piece) {
            while used < piece.len() {
                let (_, taken) = reader.read(&piece[used..], from + used as u64, Mark::default());
                used += taken;
                if taken == 0 || reader.is_lost() {
                    break;
                }
            }
        }
        from = from + piece.len() as u64;
        assert!(reader.weight() <= MAX_WEIGHT, "{}", reader.weight());
    }
    reader.lose();

    let wires = [Wire::Grpc, Wire::Web, Wire::Connect, Wire::WebText];
    let wire = wires[usize::from(what >> 3) % wires.len()];
    let count = |size: usize| {
        let mut counter = Counter::new(wire);
        for piece in bytes.chunks(size) {
            counter.bytes(piece, Timestamp::default());
        }
        (counter.messages(), counter.said())
    };
    assert_eq!(count(bytes.len().max(1)), count(size.max(1)));
}
