//! What came after the handshake: whose records, when. What is in them is not seen, so that a burst
//! of the client's is taken for a question and one of the server's for its answer.

use crate::packet::Mark;
use crate::tcp::Side;
use crate::time::Span;
use serde::{Deserialize, Serialize};

/// Frames of HTTP/2 that ask for nothing are no longer: two WINDOW_UPDATEs, or one and a PING.
const MAX_CONTROL: usize = 30;

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
    /// The server's first record after it.
    pub answered: Option<Mark>,
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

/// The records with data of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Data {
    pub(super) bursts: Bursts,
    pub(super) last: Option<Last>,
    pub(super) asked: Option<Asked>,
    /// The server's first record, as long as its next may show that it was a ticket: its length, and
    /// what was known before.
    ticket: Option<(usize, Bursts, Option<Last>, Option<Asked>)>,
    /// Whether the server has sent what is no ticket.
    answered: bool,
}

impl Data {
    /// A record begins. `plain`: about how long its content is. `multiplexed`: frames of HTTP/2 may
    /// be in it.
    pub(super) fn begin(&mut self, by: Side, plain: usize, multiplexed: bool, mark: Mark) {
        match by {
            Side::Client => self.ticket = None,
            Side::Server if !self.answered => {
                // Two records of one length, before anything else: nobody answers so, and OpenSSL
                // sends its session tickets so.
                if let Some((length, bursts, last, asked)) = self.ticket
                    && length == plain
                {
                    (self.bursts, self.last, self.asked) = (bursts, last, asked);
                    return;
                }
                if self.ticket.is_none() && self.bursts.server == 0 {
                    self.ticket = Some((plain, self.bursts, self.last, self.asked));
                } else {
                    self.ticket = None;
                    self.answered = true;
                }
            }
            Side::Server => {}
        }
        let asks = !multiplexed || plain > MAX_CONTROL;
        match self.last {
            Some(last) if last.by == by => {
                let asks = last.asks || asks;
                self.last = Some(Last { by, mark, asks });
            }
            // An acknowledgement of frames: it ends no answer.
            Some(_) if by == Side::Client && !asks => return,
            last => {
                if let Some(last) = last.filter(|last| by == Side::Server && last.asks) {
                    self.answer(mark.time - last.mark.time, mark);
                }
                self.count(by, asks, mark);
            }
        }
        self.note_asked();
    }

    /// The client's latest burst may be a request.
    fn note_asked(&mut self) {
        if let Some(last) = self
            .last
            .filter(|last| last.by == Side::Client && last.asks)
        {
            self.asked = Some(Asked {
                last: last.mark,
                answered: None,
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

    fn answer(&mut self, wait: Span, mark: Mark) {
        if let Some(asked) = &mut self.asked {
            asked.answered.get_or_insert(mark);
        }
        if self
            .bursts
            .longest_wait
            .is_none_or(|longest| wait > longest)
        {
            self.bursts.longest_wait = Some(wait);
            self.bursts.longest_wait_ended = Some(mark);
        }
    }

    /// More of the latest record of that side.
    pub(super) fn goes_on(&mut self, by: Side, mark: Mark) {
        if let Some(last) = self.last.as_mut().filter(|last| last.by == by) {
            last.mark = mark;
            self.note_asked();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use Side::{Client, Server};

    fn at(ms: i64) -> Mark {
        Mark {
            time: Timestamp::from_nanos(ms * 1_000_000),
            ..Mark::default()
        }
    }

    fn told(records: &[(Side, usize, i64)], multiplexed: bool) -> Data {
        let mut data = Data::default();
        for &(by, plain, ms) in records {
            data.begin(by, plain, multiplexed, at(ms));
        }
        data
    }

    #[test]
    fn questions_and_answers() {
        let data = told(
            &[
                (Client, 200, 0),
                (Client, 900, 1),
                (Server, 100, 31),
                (Client, 200, 50),
                (Server, 99, 52),
            ],
            false,
        );
        assert_eq!((data.bursts.client, data.bursts.server), (2, 2));
        assert_eq!(data.bursts.longest_wait, Some(Span::from_millis(30)));
        assert_eq!(data.bursts.longest_wait_ended, Some(at(31)));
        assert_eq!(data.last.unwrap().by, Server);
    }

    #[test]
    fn tickets_answer_nothing() {
        let data = told(
            &[(Client, 200, 0), (Server, 234, 1), (Server, 234, 1)],
            false,
        );
        assert_eq!((data.bursts.client, data.bursts.server), (1, 0));
        assert_eq!(data.last.unwrap().by, Client);
        let answered = told(
            &[
                (Client, 200, 0),
                (Server, 234, 1),
                (Server, 234, 1),
                (Server, 90, 20),
            ],
            false,
        );
        assert_eq!(answered.bursts.longest_wait, Some(Span::from_millis(20)));
        assert_eq!(answered.last.unwrap().by, Server);
        let alone = told(&[(Client, 200, 0), (Server, 234, 1)], false);
        assert_eq!(
            alone.last.unwrap().by,
            Server,
            "one record may be an answer"
        );
        let twice = told(
            &[
                (Client, 200, 0),
                (Server, 90, 5),
                (Client, 200, 9),
                (Server, 90, 12),
                (Server, 90, 12),
            ],
            false,
        );
        assert_eq!(twice.bursts.server, 2, "later they are answers");
    }

    #[test]
    fn frames_of_http2_that_ask_for_nothing() {
        let acknowledged = [(Client, 300, 0), (Server, 500, 10), (Client, 9, 11)];
        assert_eq!(told(&acknowledged, true).last.unwrap().by, Server);
        assert_eq!(told(&acknowledged, false).last.unwrap().by, Client);
    }
}
