//! State shared by the report formats.

use super::comments::Comments;
use super::wireshark::Numbering;
use crate::condition::Filter;
use crate::event::{Outcome, ReportEvent, Source};
use crate::exchange::Exchange;
use crate::piece::{Shown, said};
use crate::statistics::Summary;
use crate::statistics::routes::Routes;
use crate::time::Timestamp;

/// Characters of a source's name beside a frame.
const MAX_NAME: usize = 40;

/// Whether an exchange or a connection counts and is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not selected, or the event was another one.
    Nowhere,
    /// It is a probe that nobody asked for: it is only counted.
    Counted,
    /// It is counted and may be listed.
    Listed,
}

/// Everything a report knows but exchanges and connections themselves.
#[derive(Debug)]
pub(super) struct Facts {
    filter: Filter,
    pub(super) summary: Summary,
    /// Good exchanges that were aggregated.
    pub(super) routes: Routes,
    pub(super) sources: Vec<Source>,
    /// Names of the sources, made safe; empty if there is only one.
    pub(super) names: Vec<String>,
    pub(super) comments: Comments,
    /// The time of the first frame.
    pub(super) origin: Option<Timestamp>,
    pub(super) outcomes: Vec<Outcome>,
}

impl Facts {
    /// Creates an empty state. `with_probes`: health checkers count like everybody else.
    pub(super) fn new(filter: Filter, with_probes: bool) -> Self {
        Self {
            filter,
            summary: Summary::new(with_probes),
            routes: Routes::default(),
            sources: Vec::new(),
            names: Vec::new(),
            comments: Comments::default(),
            origin: None,
            outcomes: Vec::new(),
        }
    }

    /// Takes an event in.
    pub(super) fn tell(&mut self, event: ReportEvent<'_>) -> Standing {
        match event {
            ReportEvent::Exchange(exchange) => return self.exchange(exchange),
            ReportEvent::Connection(connection) if self.filter.connection(connection) => {
                self.summary.connection(connection);
                return Standing::Listed;
            }
            ReportEvent::Begin(_, time) => {
                self.origin.get_or_insert(time);
            }
            ReportEvent::Comment(frame, text) => self.comments.add(frame, text),
            ReportEvent::Sources(sources) => self.sources(sources),
            ReportEvent::Aggregate(aggregate) => {
                self.summary.merge(&aggregate.summary);
                self.routes.merge(&aggregate.routes);
            }
            ReportEvent::Assertions(outcomes) => self.outcomes = outcomes.to_vec(),
            ReportEvent::Connection(_) | ReportEvent::AfterFrame | ReportEvent::Finish(_) => {}
        }
        Standing::Nowhere
    }

    /// How a display filter names a connection. Before the sources are known, by its ends.
    pub(super) fn numbering(&self) -> Numbering {
        Numbering::of(&self.sources)
    }

    fn exchange(&mut self, exchange: &Exchange) -> Standing {
        if !self.filter.exchange(exchange) {
            self.summary.left_out();
            return Standing::Nowhere;
        }
        self.summary.exchange(exchange);
        if self.summary.counts(exchange) {
            Standing::Listed
        } else {
            Standing::Counted
        }
    }

    fn sources(&mut self, sources: &[Source]) {
        self.sources = sources.to_vec();
        self.names.clear();
        if sources.len() > 1 {
            let names = sources.iter();
            self.names
                .extend(names.map(|source| said!(Shown(&source.name, MAX_NAME))));
        }
    }
}
