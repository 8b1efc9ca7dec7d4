//! All that the kernel said while one exchange waited.

use super::{Answer, Listener, Socket};
use crate::tcp::Offset;
use crate::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// Answers that may still turn out to have come after the exchange had ended.
const MAX_RECENT: usize = 8;

/// What the kernel said of the sockets of an exchange while it waited for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// How often it was asked.
    pub asked: u32,
    /// Bytes of the request that its program had not read when some lay there last.
    pub unread_bytes: u64,
    /// From the request's last byte to the last moment at which bytes of it lay unread. They may
    /// have lain there for longer: until it was asked again.
    pub unread: Option<Span>,
    /// From the request's last byte to the first moment at which its program was seen to have read
    /// all of it. It may have read it earlier.
    pub read_by: Option<Span>,
    /// Whether a program accepted the connection; `None` if the server's socket is not here.
    pub accepted: Option<bool>,
    /// Whether the accept queue was full, so that new connections were turned away.
    pub accept_queue_was_full: bool,
    /// The client's socket when asked last, if it is here.
    pub client: Option<Socket>,
    /// The server's, likewise.
    pub server: Option<Socket>,
    /// The socket that listens on the server's port: when it was full last, or else when asked last.
    pub listener: Option<Listener>,
}

/// Where a request lies in its stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Its first byte.
    pub(crate) from: Offset,
    /// One past the last byte that it has so far.
    pub(crate) upto: Offset,
    /// Whether that is its end.
    pub(crate) whole: bool,
}

/// An answer, and what it means for the exchange.
#[derive(Clone, Copy, Debug)]
struct Observation {
    answer: Answer,
    /// Bytes of the request that are not read; `None` if the server's socket is not here.
    unread: Option<u64>,
    whole: bool,
}

/// Gathers what the kernel says of an exchange.
///
/// The kernel is asked now, packets come later: an exchange that seems to wait may have been
/// answered already. An answer counts once no packet of before it can come any more, and the
/// exchange has waited all the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    recent: Vec<Observation>,
    sure: Sure,
}

/// What the answers that count say together.
#[derive(Clone, Copy, Debug, Default)]
struct Sure {
    asked: u32,
    last_unread: Option<(Timestamp, u64)>,
    first_read: Option<Timestamp>,
    accepted: Option<bool>,
    full: Option<(Timestamp, Listener)>,
    client: Option<Socket>,
    server: Option<Socket>,
    listener: Option<Listener>,
}

impl Observed {
    /// Takes an answer. `received` is the end of what the server's socket has had of the client's
    /// stream; no packet of before `seen` will come any more.
    pub(crate) fn take(
        &mut self,
        answer: Answer,
        request: Request,
        received: Offset,
        seen: Timestamp,
    ) {
        while let Some(first) = self.recent.first()
            && (first.answer.at <= seen || self.recent.len() == MAX_RECENT)
        {
            let first = self.recent.remove(0);
            self.sure.add(&first);
        }
        let unread = answer.server.map(|_| {
            let read = received.saturating_sub(answer.unread.into());
            request.upto.since(read.max(request.from))
        });
        self.recent.push(Observation {
            answer,
            unread,
            whole: request.whole,
        });
    }

    /// What is known in the end of an exchange that stopped waiting at `until`, and whose request's
    /// last byte came at `sent`; and when the accept queue was full last.
    pub(crate) fn end(
        &self,
        sent: Timestamp,
        until: Option<Timestamp>,
    ) -> Option<(Sockets, Option<Timestamp>)> {
        let mut sure = self.sure;
        for observation in &self.recent {
            if until.is_none_or(|until| observation.answer.at < until) {
                sure.add(observation);
            }
        }
        if sure.asked == 0 {
            return None;
        }
        let after = |at: Timestamp| Some(at - sent).filter(|&span| span >= Span::ZERO);
        let sockets = Sockets {
            asked: sure.asked,
            unread_bytes: sure.last_unread.map_or(0, |(_, bytes)| bytes),
            unread: sure.last_unread.and_then(|(at, _)| after(at)),
            read_by: sure.first_read.and_then(after),
            accepted: sure.accepted,
            accept_queue_was_full: sure.full.is_some(),
            client: sure.client,
            server: sure.server,
            listener: sure.full.map(|(_, full)| full).or(sure.listener),
        };
        Some((sockets, sure.full.map(|(at, _)| at)))
    }

    /// Bytes that it takes.
    pub(crate) const fn weight(&self) -> usize {
        size_of::<Self>() + self.recent.capacity() * size_of::<Observation>()
    }
}

impl Sure {
    fn add(&mut self, observation: &Observation) {
        let Observation {
            answer,
            unread,
            whole,
        } = *observation;
        self.asked = self.asked.saturating_add(1);
        self.client = answer.client;
        self.server = answer.server;
        self.accepted = answer.accepted;
        self.listener = answer.listener.or(self.listener);
        if let Some(full) = answer.listener.filter(|listener| listener.is_full()) {
            self.full = Some((answer.at, full));
        }
        match unread {
            Some(0) if whole => {
                self.first_read.get_or_insert(answer.at);
            }
            Some(0) | None => {}
            Some(bytes) => {
                self.last_unread = Some((answer.at, bytes));
                self.first_read = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request {
        from: Offset::ORIGIN,
        upto: Offset::ORIGIN.moved(80),
        whole: true,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// The server's socket holds `unread` bytes after `millis`.
    fn holds(millis: i64, unread: u32) -> Answer {
        Answer {
            at: at(millis),
            server: Some(Socket::default()),
            unread,
            accepted: Some(true),
            ..Answer::default()
        }
    }

    fn observed(answers: &[Answer]) -> Observed {
        let mut observed = Observed::default();
        for answer in answers {
            observed.take(*answer, REQUEST, REQUEST.upto, at(0));
        }
        observed
    }

    #[test]
    fn a_request_that_is_not_read_is_told_with_the_last_moment_it_lay_there() {
        let seen = observed(&[holds(20, 80), holds(40, 80), holds(80, 0), holds(160, 0)]);
        let (sockets, _) = seen.end(at(10), Some(at(500))).unwrap();
        assert_eq!(sockets.asked, 4);
        assert_eq!(sockets.unread, Some(Span::from_millis(30)));
        assert_eq!(sockets.unread_bytes, 80);
        assert_eq!(sockets.read_by, Some(Span::from_millis(70)));
        assert_eq!(sockets.accepted, Some(true));
    }

    #[test]
    fn what_the_kernel_said_after_the_end_does_not_count() {
        // The next request lies there by then.
        let seen = observed(&[holds(20, 0), holds(40, 80)]);
        let (sockets, _) = seen.end(at(0), Some(at(40))).unwrap();
        assert_eq!((sockets.unread, sockets.asked), (None, 1));
        assert!(
            observed(&[holds(40, 80)])
                .end(at(0), Some(at(30)))
                .is_none()
        );
        // Nothing ended it.
        let (sockets, _) = seen.end(at(0), None).unwrap();
        assert_eq!(sockets.unread, Some(Span::from_millis(40)));
    }

    #[test]
    fn bytes_behind_the_request_are_another_s() {
        let mut seen = Observed::default();
        // 100 of 180 bytes are read: all of the first request's 80.
        let received = Offset::ORIGIN + 180;
        seen.take(holds(20, 80), REQUEST, received, at(0));
        let (sockets, _) = seen.end(at(0), None).unwrap();
        assert_eq!(sockets.unread, None);
        assert_eq!(sockets.read_by, Some(Span::from_millis(20)));
        // Of 180 bytes 30 are read.
        seen.take(holds(40, 150), REQUEST, received, at(0));
        let (sockets, _) = seen.end(at(0), None).unwrap();
        assert_eq!((sockets.unread_bytes, sockets.read_by), (50, None));
    }

    #[test]
    fn a_part_that_is_read_is_no_request_that_is_read() {
        let mut seen = Observed::default();
        let part = Request {
            whole: false,
            ..REQUEST
        };
        seen.take(holds(20, 0), part, REQUEST.upto, at(0));
        seen.take(holds(40, 0), REQUEST, REQUEST.upto, at(0));
        let (sockets, _) = seen.end(at(30), None).unwrap();
        assert_eq!(sockets.read_by, Some(Span::from_millis(10)));
    }

    #[test]
    fn a_queue_that_was_full_is_remembered() {
        let mut seen = Observed::default();
        for (millis, waiting) in [(20, 6), (40, 5)] {
            let listener = Some(Listener { waiting, most: 5 });
            let answer = Answer {
                at: at(millis),
                listener,
                ..Answer::default()
            };
            seen.take(answer, REQUEST, REQUEST.upto, at(0));
        }
        let (sockets, full) = seen.end(at(0), None).unwrap();
        assert!(sockets.accept_queue_was_full);
        assert_eq!(full, Some(at(20)));
        assert_eq!(
            sockets.listener,
            Some(Listener {
                waiting: 6,
                most: 5
            })
        );
        assert_eq!(
            (sockets.accepted, sockets.unread, sockets.read_by),
            (None, None, None)
        );
    }

    #[test]
    fn memory_stays_small_however_long_it_waits() {
        let mut seen = Observed::default();
        for millis in 0..10_000 {
            seen.take(holds(millis, 80), REQUEST, REQUEST.upto, at(0));
        }
        assert!(seen.weight() < 2_500, "{}", seen.weight());
        let (sockets, _) = seen.end(at(0), None).unwrap();
        assert_eq!(sockets.asked, 10_000);
        assert_eq!(sockets.unread, Some(Span::from_millis(9_999)));
    }
}
