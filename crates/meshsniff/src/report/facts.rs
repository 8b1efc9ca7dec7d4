//! State shared by the report formats.

use super::comments::Comments;
use super::wireshark::Numbering;
use crate::condition::Filter;
use crate::event::{Outcome, ReportEvent, Source};
use crate::exchange::Exchange;
use crate::names::Names;
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
    /// The shortest names that tell the sources apart, made safe; empty if there is only one.
    pub(super) source_names: Vec<String>,
    /// Names of addresses.
    pub(super) names: Names,
    /// Exchanges of each source, and those among them that did not go well.
    pub(super) per_source: Vec<[u64; 2]>,
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
            source_names: Vec::new(),
            names: Names::default(),
            per_source: Vec::new(),
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
            ReportEvent::Name(address, name) => {
                self.names.add(address, name);
            }
            ReportEvent::Sources(sources) => self.sources(sources),
            ReportEvent::Aggregate(aggregate) => {
                self.summary.merge(&aggregate.summary);
                self.routes.merge(&aggregate.routes);
            }
            ReportEvent::Assertions(outcomes) => self.outcomes = outcomes.to_vec(),
            ReportEvent::Connection(_)
            | ReportEvent::Lost(_)
            | ReportEvent::AfterFrame
            | ReportEvent::Finish(_) => {}
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
            let source = usize::from(exchange.events.request_start.frame.source());
            if self.per_source.len() <= source {
                self.per_source.resize(source + 1, [0; 2]);
            }
            let [all, bad] = &mut self.per_source[source];
            *all += 1;
            *bad += u64::from(exchange.good() == Some(false));
            Standing::Listed
        } else {
            Standing::Counted
        }
    }

    fn sources(&mut self, sources: &[Source]) {
        self.sources = sources.to_vec();
        self.source_names.clear();
        if sources.len() > 1 {
            let names = short(sources.iter().map(|source| source.name.as_str()).collect());
            self.source_names = names
                .iter()
                .map(|name| said!(Shown(name, MAX_NAME)))
                .collect();
        }
    }
}

/// What is left of paths without the folders that all have in common.
fn short(names: Vec<&str>) -> Vec<&str> {
    let first = names.first().copied().unwrap_or_default();
    let common = first.match_indices('/').map(|(at, _)| at + 1);
    let common = common.take_while(|&end| names.iter().all(|name| name.starts_with(&first[..end])));
    let common = common.last().unwrap_or(0);
    names.into_iter().map(|name| &name[common..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_they_begin_to_tell_apart() {
        assert_eq!(
            short(vec!["/a/b/x.pcap", "/a/b/y.pcap"]),
            ["x.pcap", "y.pcap"]
        );
        assert_eq!(
            short(vec!["/a/b/x.pcap", "/a/c/x.pcap"]),
            ["b/x.pcap", "c/x.pcap"]
        );
        assert_eq!(short(vec!["x.pcap", "/a/x.pcap"]), ["x.pcap", "/a/x.pcap"]);
        assert_eq!(short(vec!["shop/a", "shop/ab"]), ["a", "ab"]);
    }
}
