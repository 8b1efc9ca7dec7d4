//! What a connection waited for before it was opened: the lookup of its name.

use super::model::{NO_ERROR, NO_SUCH_NAME};
use crate::packet::{Endpoint, Mark};
use crate::time::{Span, Timestamp};
use compact_str::CompactString;
use std::net::IpAddr;
use std::sync::Arc;

/// A connection that is opened so long after an answer was not waiting for it.
pub(super) const JUST_BEFORE: Span = Span::from_millis(500);

/// A resolver that is not done asks its next question so soon after an answer: at once, or when its
/// container, held back for its share of the processor, may go on.
const NEXT_AT_ONCE: Span = Span::from_millis(100);

/// Frames named of a wait.
const MAX_FRAMES: usize = 32;

/// A query, with all its sendings and its answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number among all queries.
    pub number: u64,
    /// The name.
    pub name: CompactString,
    /// The type, by its number.
    pub kind: u16,
    /// Who asked whom first.
    pub ends: (Endpoint, Endpoint),
    /// The number of its first message.
    pub id: u16,
    /// When it was sent: at least once.
    pub sent: Vec<Mark>,
    /// The answer.
    pub answer: Option<Answer>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it came.
    pub mark: Mark,
    /// The response code.
    pub code: u8,
    /// The addresses in it.
    pub addresses: Vec<IpAddr>,
}

impl Asked {
    /// The first time it was sent.
    #[must_use]
    pub fn first_sent(&self) -> Mark {
        self.sent.first().copied().unwrap_or_default()
    }

    /// The last time it was sent.
    #[must_use]
    pub fn last_sent(&self) -> Mark {
        self.sent.last().copied().unwrap_or_default()
    }

    /// Whether the answer says that there is no such name.
    #[must_use]
    pub fn does_not_exist(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.code == NO_SUCH_NAME)
    }

    /// When the answer came.
    pub(super) fn answered(&self) -> Option<Timestamp> {
        Some(self.answer.as_ref()?.mark.time)
    }

    /// Whether it asks for `host`, as it stands or in a search domain.
    fn asks_for(&self, host: &str) -> bool {
        let name = self.name.split_at_checked(host.len());
        name.is_some_and(|(name, rest)| {
            (rest.is_empty() || rest.starts_with('.')) && name.eq_ignore_ascii_case(host)
        })
    }

    /// Whether who asked this had what there is to know, and did not ask it again in one lookup. A
    /// server that failed or refused leaves it open: the next one is asked.
    fn is_settled(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| matches!(answer.code, NO_ERROR | NO_SUCH_NAME))
    }

    fn leads_to(&self, server: IpAddr) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| answer.addresses.contains(&server))
    }
}

/// The wait for a lookup.
#[derive(Clone, Debug)]
pub struct Wait<'a> {
    /// The query whose answer came last.
    pub number: u64,
    /// From the first query to the last answer.
    pub total: Span,
    /// Of that, the time until queries that had no answer were sent again.
    pub repeating: Span,
    lookup: Vec<&'a Arc<Asked>>,
}

impl Wait<'_> {
    /// Whether queries were sent more than once.
    #[must_use]
    pub fn has_repeats(&self) -> bool {
        self.lookup.iter().any(|one| one.sent.len() > 1)
    }

    /// The queries that were sent more than once, each time.
    #[must_use]
    pub fn repeats(&self) -> Vec<Mark> {
        let repeated = self.lookup.iter().filter(|one| one.sent.len() > 1);
        in_order(repeated.flat_map(|one| one.sent.iter().copied()))
    }

    /// Every query and answer.
    #[must_use]
    pub fn frames(&self) -> Vec<Mark> {
        let lookup = self.lookup.iter();
        let answers = lookup.filter_map(|one| Some(one.answer.as_ref()?.mark));
        let sent = self.lookup.iter().flat_map(|one| one.sent.iter().copied());
        in_order(sent.chain(answers))
    }
}

/// Finds the lookup that a connection to `server`, opened at `syn`, waited for. `host` is the name
/// that its first request asks for, without a port; `asked` is what its client asked for before, in
/// the order of the answers.
#[must_use]
pub fn wait<'a>(
    asked: &'a [Arc<Asked>],
    host: Option<&str>,
    server: IpAddr,
    syn: Timestamp,
) -> Option<Wait<'a>> {
    let latest_first = asked.iter().rev();
    let in_time = latest_first.filter_map(|one| Some((one, one.answered()?)));
    let in_time = in_time.skip_while(|(_, answered)| *answered > syn);
    let just_before = |(_, answered): &(_, Timestamp)| syn - *answered <= JUST_BEFORE;
    let host = host.map(|host| host.trim_end_matches('.'));
    let host = host.filter(|host| !host.is_empty() && host.parse::<IpAddr>().is_err());
    let fits = |one: &Asked| one.leads_to(server) || host.is_some_and(|host| one.asks_for(host));
    let mut until_now = in_time.clone().take_while(just_before);
    let (last, ended) = until_now.find(|(one, _)| fits(one))?;
    // Backwards from the last answer, as long as one query follows another and none was asked
    // before: who opens connections one after another looks the same name up for each.
    let label = first_label(&last.name);
    let mut start = last.first_sent().time;
    let mut lookup: Vec<&Arc<Asked>> = Vec::new();
    for (one, answered) in in_time {
        if answered.plus(NEXT_AT_ONCE) < start {
            break;
        }
        if first_label(&one.name) != label && !fits(one) {
            continue;
        }
        let again = |later: &&Arc<Asked>| (later.kind, &later.name) == (one.kind, &one.name);
        if one.is_settled() && lookup.iter().any(again) {
            if answered <= start {
                break;
            }
            // Another thread's, at the same time.
            continue;
        }
        start = start.min(one.first_sent().time);
        lookup.push(one);
    }
    Some(Wait {
        number: last.number,
        total: ended - start,
        repeating: repeating(&lookup),
        lookup,
    })
}

/// The time until queries were sent again. Those that a resolver sends again together waited
/// together: it is counted once.
fn repeating(lookup: &[&Arc<Asked>]) -> Span {
    let start = lookup.iter().map(|one| one.first_sent().time).min();
    let mut rounds: Vec<_> = lookup
        .iter()
        .flat_map(|one| one.sent.windows(2))
        .map(|pair| (pair[1].time, pair[0].time))
        .collect();
    rounds.sort_unstable();
    let mut counted = start.unwrap_or_default();
    let mut sum = Span::ZERO;
    for (again, before) in rounds {
        if before >= counted {
            sum = sum.plus(again - before);
            counted = again;
        }
    }
    sum
}

/// The part of a name that search domains leave as it is.
pub(super) fn first_label(name: &str) -> &str {
    name.split_once('.').map_or(name, |(first, _)| first)
}

fn in_order(marks: impl Iterator<Item = Mark>) -> Vec<Mark> {
    let mut marks: Vec<_> = marks.collect();
    marks.sort_unstable_by_key(|mark| mark.order);
    marks.truncate(MAX_FRAMES);
    marks
}
