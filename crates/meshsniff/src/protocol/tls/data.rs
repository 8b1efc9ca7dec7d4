//! What came after the handshake: whose records, when. What is in them is not seen, so that a burst
//! of the client's is taken for a question and one of the server's for its answer. Where it may be
//! either way, nothing is said.

use crate::packet::Mark;
use crate::tcp::Side;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Frames of HTTP/2 that ask for nothing are no longer: two WINDOW_UPDATEs, or one and a PING.
const MAX_CONTROL: usize = 30;
/// And no longer than this where they come right behind what the server sent: three of them.
const MAX_ACKNOWLEDGEMENT: usize = 60;
/// How soon that is.
const RIGHT_BEHIND: Span = Span::from_millis(10);
/// A session ticket is shorter than this.
const MAX_TICKET: usize = 16_000;
/// A server sends no more of them at once.
const MAX_TICKETS: u32 = 4;

/// Stretches of records by one side between two of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bursts {
    /// The client's.
    pub client: u64,
    /// The server's.
    pub server: u64,
    /// The longest time from the end of one of the client's to the server's next record.
    pub longest_wait: Option<Span>,
    /// That record's frame.
    pub longest_wait_ended: Option<Mark>,
}

/// The client's latest burst that may be a request, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The frame with its latest byte.
    pub last: Mark,
    /// The server's first record after it that may be an answer.
    pub answered: Option<Mark>,
    /// Whether the capture lacks what the server said then.
    pub unsure: bool,
}

/// The latest burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) by: Side,
    /// The frame with its latest byte.
    pub(super) mark: Mark,
    /// Whether it may be a request.
    pub(super) asks: bool,
}

/// The server's first records, as long as they may be session tickets.
#[derive(Clone, Copy, Debug)]
struct Held {
    first: Mark,
    length: usize,
    /// How many came, all of that length: nobody answers so from two on, and OpenSSL sends its
    /// tickets so.
    count: u32,
}

/// The records with data of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Data {
    pub(super) bursts: Bursts,
    pub(super) last: Option<Last>,
    asked: Option<Asked>,
    /// Until when a server's records may be tickets: those of TLS 1.3 come at once.
    tickets_until: Option<Timestamp>,
    held: Option<Held>,
    /// The length of tickets that were known for such.
    ticket: Option<usize>,
    /// The frame with the latest byte.
    latest: Option<Mark>,
}

impl Data {
    /// Behind a handshake whose server may send tickets until then.
    pub(super) fn with_tickets(until: Option<Timestamp>) -> Self {
        Self {
            tickets_until: until,
            ..Self::default()
        }
    }

    /// A record begins. `plain`: about how long its content is. `multiplexed`: frames of HTTP/2 may
    /// be in it.
    pub(super) fn begin(&mut self, by: Side, plain: usize, multiplexed: bool, mark: Mark) {
        self.latest = Some(mark);
        match by {
            Side::Client => self.end_tickets(),
            Side::Server if self.is_ticket(plain, mark) => return,
            Side::Server => {
                // What is held was a ticket, and this is no other: the answer begins here.
                self.held = None;
                self.tickets_until = None;
            }
        }
        let asks = by == Side::Client && !self.is_control(plain, multiplexed, mark);
        match self.last {
            Some(last) if last.by == by => {
                let asks = last.asks || asks;
                self.last = Some(Last { by, mark, asks });
            }
            // An acknowledgement of frames: it ends no answer.
            Some(_) if by == Side::Client && !asks => return,
            last => {
                if last.is_some_and(|last| by == Side::Server && last.asks) {
                    self.answer(mark);
                }
                self.count(by, asks, mark);
            }
        }
        self.note_asked();
    }

    /// Whether a record of the server's may be a ticket.
    fn is_ticket(&mut self, plain: usize, mark: Mark) -> bool {
        if self.tickets_until.is_none_or(|until| mark.time > until) || plain >= MAX_TICKET {
            return false;
        }
        match &mut self.held {
            Some(held) if held.length == plain && held.count < MAX_TICKETS => held.count += 1,
            None if self.ticket == Some(plain) => {}
            None if self.ticket.is_none() => {
                self.held = Some(Held {
                    first: mark,
                    length: plain,
                    count: 1,
                });
            }
            _ => return false,
        }
        true
    }

    /// The client goes on: what is held was an answer, or else tickets.
    fn end_tickets(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        let waits = self.last.is_some_and(|last| last.asks);
        if held.count == 1 && waits {
            self.tickets_until = None;
            self.answer(held.first);
            self.count(Side::Server, false, held.first);
        } else {
            self.ticket = Some(held.length);
        }
    }

    /// Whether a client's record asks for nothing.
    fn is_control(&self, plain: usize, multiplexed: bool, mark: Mark) -> bool {
        let behind = self.last.is_some_and(|last| {
            last.by == Side::Server && mark.time - last.mark.time <= RIGHT_BEHIND
        });
        let most = match behind {
            true => MAX_ACKNOWLEDGEMENT,
            false => MAX_CONTROL,
        };
        multiplexed && plain <= most
    }

    /// The client's latest burst may be a request.
    fn note_asked(&mut self) {
        let last = self
            .last
            .filter(|last| last.by == Side::Client && last.asks);
        if let Some(last) = last {
            self.asked = Some(Asked {
                last: last.mark,
                answered: None,
                unsure: false,
            });
        }
    }

    fn count(&mut self, by: Side, asks: bool, mark: Mark) {
        match by {
            Side::Client => self.bursts.client += 1,
            Side::Server => self.bursts.server += 1,
        }
        self.last = Some(Last { by, mark, asks });
    }

    fn answer(&mut self, mark: Mark) {
        let Some(asked) = &mut self.asked else {
            return;
        };
        asked.answered.get_or_insert(mark);
        let wait = mark.time - asked.last.time;
        let longest = self.bursts.longest_wait;
        if !asked.unsure && longest.is_none_or(|longest| wait > longest) {
            self.bursts.longest_wait = Some(wait);
            self.bursts.longest_wait_ended = Some(mark);
        }
    }

    /// More of the latest record of that side.
    pub(super) fn goes_on(&mut self, by: Side, mark: Mark) {
        self.latest = Some(mark);
        let last = self.last.as_mut().filter(|last| last.by == by);
        if let Some(last) = last.filter(|_| by == Side::Client || self.held.is_none()) {
            last.mark = mark;
            self.note_asked();
        }
    }

    /// Bytes of the server's are missing: whatever the client asked may have been answered.
    pub(super) const fn lacks_answer(&mut self) {
        if let Some(asked) = &mut self.asked {
            asked.unsure = true;
        }
    }

    /// The client's latest question. One record that may be a ticket may be its answer.
    pub(super) fn asked(&self) -> Option<Asked> {
        let mut asked = self.asked?;
        let held = self.held.filter(|held| held.count == 1);
        let behind = held.filter(|held| held.first.order >= asked.last.order);
        asked.answered = asked.answered.or(behind.map(|held| held.first));
        Some(asked)
    }

    /// The frame with the latest byte, of either side.
    pub(super) const fn latest(&self) -> Option<Mark> {
        self.latest
    }

    /// The side whose record was the last that is known for data.
    pub(super) fn last_by(&self) -> Option<Side> {
        let held = self.held.is_some_and(|held| held.count == 1);
        match held {
            true => Some(Side::Server),
            false => self.last.map(|last| last.by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Side::{Client, Server};

    fn at(ms: i64) -> Mark {
        Mark {
            time: Timestamp::from_nanos(ms * 1_000_000),
            order: ms as u64,
            ..Mark::default()
        }
    }

    /// Tickets may come within 5 ms.
    fn told(records: &[(Side, usize, i64)], multiplexed: bool) -> Data {
        let mut data = Data::with_tickets(Some(at(5).time));
        for &(by, plain, ms) in records {
            data.begin(by, plain, multiplexed, at(ms));
        }
        data
    }

    fn answered(records: &[(Side, usize, i64)]) -> Option<Mark> {
        told(records, false).asked().unwrap().answered
    }

    #[test]
    fn questions_and_answers() {
        let records = [
            (Client, 200, 0),
            (Client, 900, 1),
            (Server, 100, 31),
            (Client, 200, 50),
            (Server, 99, 52),
        ];
        let data = told(&records, false);
        assert_eq!((data.bursts.client, data.bursts.server), (2, 2));
        assert_eq!(data.bursts.longest_wait, Some(Span::from_millis(30)));
        assert_eq!(data.bursts.longest_wait_ended, Some(at(31)));
        assert_eq!(data.last_by(), Some(Server));
    }

    #[test]
    fn tickets_answer_nothing() {
        let tickets = [(Client, 200, 0), (Server, 234, 1), (Server, 234, 1)];
        assert_eq!(answered(&tickets), None);
        assert_eq!(told(&tickets, false).last_by(), Some(Client));
        let late = [tickets.as_slice(), &[(Server, 90, 20)]].concat();
        assert_eq!(answered(&late), Some(at(20)));
        assert_eq!(
            told(&late, false).bursts.longest_wait,
            Some(Span::from_millis(20))
        );
        let between = [(Server, 234, 1), (Client, 200, 1), (Server, 234, 2)];
        assert_eq!(answered(&between), None);
    }

    #[test]
    fn one_record_may_be_a_ticket_or_the_answer() {
        let one = [(Client, 200, 0), (Server, 234, 1)];
        assert_eq!(answered(&one), Some(at(1)), "nothing is said");
        assert_eq!(told(&one, false).bursts.longest_wait, None);
        let later = [one.as_slice(), &[(Server, 90, 500)]].concat();
        assert_eq!(answered(&later), Some(at(500)), "it was a ticket");
        let next = [one.as_slice(), &[(Client, 200, 9)]].concat();
        let next = told(&next, false);
        assert_eq!(
            next.bursts.longest_wait,
            Some(Span::from_millis(1)),
            "it was the answer"
        );
        assert_eq!((next.bursts.client, next.bursts.server), (2, 1));
    }

    #[test]
    fn a_long_answer_is_no_row_of_tickets() {
        // Full records, at once and later, and equal events.
        for (size, first) in [(16_384, 1), (90, 20), (16_384, 20)] {
            let mut records = vec![(Client, 200, 0)];
            records.extend((0..10).map(|number| (Server, size, first + number)));
            assert_eq!(
                answered(&records),
                Some(at(first)),
                "{size} from {first} on"
            );
        }
        let tickets = [(Client, 200, 0), (Server, 234, 1), (Server, 234, 1)];
        let answer = (0..6).map(|number| (Server, 16_384, 2 + number));
        let all: Vec<_> = tickets.into_iter().chain(answer).collect();
        assert_eq!(answered(&all), Some(at(2)));
    }

    #[test]
    fn frames_of_http2_that_ask_for_nothing() {
        for (plain, ms, is_control) in [
            (9, 21, true),
            (39, 21, true),
            (39, 900, false),
            (90, 21, false),
        ] {
            let records = [(Client, 300, 0), (Server, 500, 20), (Client, plain, ms)];
            let last = if is_control { Server } else { Client };
            assert_eq!(
                told(&records, true).last_by(),
                Some(last),
                "{plain} after {ms}"
            );
            assert_eq!(told(&records, false).last_by(), Some(Client));
        }
    }

    #[test]
    fn what_is_missing_may_have_been_the_answer() {
        let mut data = told(&[(Client, 200, 0)], false);
        data.lacks_answer();
        assert!(data.asked().unwrap().unsure);
        data.begin(Client, 200, false, at(90));
        assert!(
            !data.asked().unwrap().unsure,
            "of the next question nothing is missing"
        );
    }
}
