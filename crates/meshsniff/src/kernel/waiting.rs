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

/// Questions in a second, over all connections: what waits longest comes first.
const MAX_A_SECOND: u32 = 200;

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
    /// When the current second of questions began, and how many were asked in it.
    second: Option<(Timestamp, u32)>,
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
        match self.second {
            Some((began, asked)) if now - began < Span::from_secs(1) => {
                if asked >= MAX_A_SECOND {
                    return None;
                }
            }
            _ => self.second = Some((now, 0)),
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
        if let Some((_, asked)) = &mut self.second {
            *asked += 1;
        }
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
        Some(match self.second {
            Some((began, MAX_A_SECOND..)) => due.max(began.plus(Span::from_secs(1))),
            _ => due,
        })
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
    fn questions_of_a_second_are_bounded() {
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
        assert_eq!(asked, MAX_A_SECOND);
        assert_eq!(waiting.due(), Some(at(1_100)));
        assert!(waiting.next(at(1_099)).is_none());
        // Those that were asked about before go on.
        assert_eq!(waiting.next(at(1_100)).map(|next| next.connection), Some(0));
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
