//! Which connections the kernel is to be asked about, and when.

use crate::packet::Endpoint;
use crate::time::{Span, Timestamp};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Whatever waits for less than this is not asked about.
const FIRST: Span = Span::from_millis(20);

/// Twice as long after each question as before it, and no longer than this.
const LONGEST: Span = Span::from_secs(1);

/// Connections that may wait to be asked about for the first time, and those asked about before.
const MAX_FRESH: usize = 16 * 1024;
const MAX_AGAIN: usize = 4 * 1024;

/// Questions that may be asked at once, and how long it takes until there may be one more: whoever
/// serves a thousand slow requests a second is not to pay for it. What was asked about before comes
/// first, so that something is known of a few rather than little of many.
const MOST_AT_ONCE: u32 = 200;
const ONE_MORE: Span = Span::from_millis(50);

/// To wake for one question costs more than to ask it: where no more may be asked, some are waited
/// for.
const SOME_MORE: Span = Span::from_millis(500);

/// A connection on which something began that may have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Watched {
    /// When it is to be asked about.
    due: Timestamp,
    /// Its number.
    pub(crate) connection: u64,
    pub(crate) ends: (Endpoint, Endpoint),
    /// When what waits there began.
    pub(crate) since: Timestamp,
    /// How long ago it was asked about last.
    pause: Span,
}

/// Connections on which something may wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// In the order in which something began there.
    fresh: VecDeque<Watched>,
    /// Asked about before.
    again: BinaryHeap<Reverse<Watched>>,
    /// Questions that may not be asked any more, and since when that has been counted.
    spent: u32,
    since: Timestamp,
}

impl Waiting {
    /// Something began at `since`. Returns whether it will be asked about.
    pub(crate) fn begin(
        &mut self,
        connection: u64,
        ends: (Endpoint, Endpoint),
        since: Timestamp,
    ) -> bool {
        let room = self.fresh.len() < MAX_FRESH;
        if room {
            self.fresh.push_back(Watched {
                due: since.plus(FIRST),
                connection,
                ends,
                since,
                pause: FIRST,
            });
        }
        room
    }

    /// The next connection that is due to be asked about.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Watched> {
        let more = (now - self.since).as_nanos() / ONE_MORE.as_nanos();
        let more = u32::try_from(more.max(0)).unwrap_or(u32::MAX);
        if more >= self.spent {
            (self.spent, self.since) = (0, now);
        } else {
            self.spent -= more;
            self.since = self
                .since
                .plus(Span::from_nanos(ONE_MORE.as_nanos() * i64::from(more)));
        }
        if self.spent >= MOST_AT_ONCE {
            return None;
        }
        if self
            .again
            .peek()
            .is_some_and(|Reverse(first)| first.due <= now)
        {
            return self.again.pop().map(|Reverse(first)| first);
        }
        let due = self.fresh.front().is_some_and(|first| first.due <= now);
        due.then(|| self.fresh.pop_front()).flatten()
    }

    /// A question is asked.
    pub(crate) const fn count(&mut self) {
        self.spent += 1;
    }

    /// The kernel was asked about `watched`, which is to be asked about again. Returns whether it
    /// will be.
    pub(crate) fn again(&mut self, watched: Watched, now: Timestamp) -> bool {
        let room = self.again.len() < MAX_AGAIN;
        if room {
            self.again.push(Reverse(Watched {
                due: now.plus(watched.pause),
                pause: watched.pause.plus(watched.pause).min(LONGEST),
                ..watched
            }));
        }
        room
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let again = self.again.peek().map(|Reverse(first)| first.due);
        let fresh = self.fresh.front().map(|first| first.due);
        let due = [again, fresh].into_iter().flatten().min()?;
        let full = self.spent >= MOST_AT_ONCE;
        let next = self.since.plus(SOME_MORE);
        Some(if full { due.max(next) } else { due })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: (Endpoint, Endpoint) = (
        Endpoint::v4([127, 0, 0, 1], 40_000),
        Endpoint::v4([127, 0, 0, 1], 80),
    );

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_waits_is_asked_about_ever_more_rarely() {
        let mut waiting = Waiting::default();
        assert!(waiting.begin(7, ENDS, at(0)));
        let mut asked = Vec::new();
        while let Some(due) = waiting.due().filter(|due| *due <= at(4_000)) {
            assert_eq!(waiting.next(due.plus(Span::from_nanos(-1))), None);
            let watched = waiting.next(due).unwrap();
            assert_eq!(watched.connection, 7);
            asked.push((due - at(0)).as_millis());
            waiting.count();
            assert!(waiting.again(watched, due));
        }
        let expected = [20., 40., 80., 160., 320., 640., 1_280., 2_280., 3_280.];
        assert_eq!(asked, expected);
    }

    #[test]
    fn questions_are_bounded() {
        let mut waiting = Waiting::default();
        for connection in 0..1_000 {
            waiting.begin(connection, ENDS, at(0));
        }
        let mut asked = 0;
        while let Some(watched) = waiting.next(at(100)) {
            waiting.count();
            waiting.again(watched, at(100));
            asked += 1;
        }
        assert_eq!(asked, MOST_AT_ONCE);
        assert_eq!(waiting.due(), Some(at(600)));
        assert!(waiting.next(at(149)).is_none());
        // Those that were asked about before go on.
        assert_eq!(waiting.next(at(150)).map(|next| next.connection), Some(0));
        waiting.count();
        assert!(waiting.next(at(199)).is_none());
        let asked = (0..1_000).take_while(|_| {
            waiting.count();
            waiting.next(at(1_150)).is_some()
        });
        assert_eq!(asked.count(), 19, "20 in a second");
    }

    #[test]
    fn tables_are_bounded() {
        let mut waiting = Waiting::default();
        let begun = (0..20_000)
            .filter(|&n| waiting.begin(n, ENDS, at(0)))
            .count();
        assert_eq!(begun, MAX_FRESH);
        let watched = waiting.next(at(20)).unwrap();
        let again = (0..5_000)
            .filter(|_| waiting.again(watched, at(20)))
            .count();
        assert_eq!(again, MAX_AGAIN);
    }
}
