//! What reports of many formats keep of what they are told.

use super::assertion::Outcome;
use super::folded::Folded;
use super::routes::Routes;
use super::select::Filter;
use super::summary::Summary;
use super::{Comments, Source, wire};
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::time::Timestamp;

/// Characters of a source's name beside a frame.
const LONGEST_NAME: usize = 40;

/// Figures, names and the like: all but exchanges and connections themselves.
#[derive(Debug)]
pub(super) struct Facts {
    filter: Filter,
    pub(super) summary: Summary,
    /// Good exchanges that were not told one by one.
    pub(super) routes: Routes,
    pub(super) sources: Vec<Source>,
    /// Names of the sources, made safe; empty if there is but one.
    pub(super) names: Vec<String>,
    pub(super) comments: Comments,
    /// The time of the first frame.
    pub(super) origin: Option<Timestamp>,
    pub(super) outcomes: Vec<Outcome>,
}

impl Facts {
    /// Nothing yet. `with_probes`: health checkers count like everybody else.
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

    /// Takes an exchange in; whether it belongs into lists.
    pub(super) fn exchange(&mut self, exchange: &Exchange) -> bool {
        if !self.filter.exchange(exchange) {
            self.summary.left_out();
            return false;
        }
        self.summary.exchange(exchange);
        self.summary.counts(exchange)
    }

    /// Takes a connection in; whether it belongs into lists.
    pub(super) fn connection(&mut self, connection: &Connection) -> bool {
        let selected = self.filter.connection(connection);
        if selected {
            self.summary.connection(connection);
        }
        selected
    }

    pub(super) fn begin(&mut self, time: Timestamp) {
        self.origin.get_or_insert(time);
    }

    pub(super) fn comment(&mut self, frame: FrameId, text: &str) {
        self.comments.add(frame, text);
    }

    pub(super) fn sources(&mut self, sources: &[Source]) {
        self.sources = sources.to_vec();
        self.names.clear();
        if sources.len() > 1 {
            self.names.extend(sources.iter().map(|source| {
                let mut name = String::new();
                wire::shown(&mut name, &source.name, LONGEST_NAME);
                name
            }));
        }
    }

    pub(super) fn folded(&mut self, folded: &Folded) {
        self.summary.merge(&folded.summary);
        self.routes.merge(&folded.routes);
    }

    pub(super) fn assertions(&mut self, outcomes: &[Outcome]) {
        self.outcomes = outcomes.to_vec();
    }
}
