//! `-o html`: a page for a colleague, one file that asks no network for anything.
//!
//! | here | holds |
//! |---|---|
//! | `kept` | which exchanges are shown one by one: those that did not go well, then the slowest |
//! | `page` | the parts that are there without a script: assertions, rates, timers, gaps, routes |
//! | `routes` | how long answers took, as a histogram for each route |
//! | `data` | the exchanges as JSON, of which `page.js` makes the table and the drawings |
//!
//! What came over the wire is text wherever it stands: escaped in the markup, escaped once more in the JSON, and set by the
//! script as text, never as markup. The page's own policy (CSP) allows no script but that one. Every figure is made here; the
//! script only places them.

mod data;
mod kept;
mod page;
mod routes;
#[cfg(test)]
mod tests;

use super::assertion::Outcome;
use super::facts::Facts;
use super::folded::Folded;
use super::routes::Routes;
use super::select::Filter;
use super::{Capture, Report, Source};
use crate::analyzer::Sink;
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::time::Timestamp;
use kept::Kept;
use std::io::{self, Write};

/// A report for a browser.
pub struct HtmlReport<W: Write> {
    out: W,
    facts: Facts,
    /// Every exchange by route, the folded ones included.
    routes: Routes,
    kept: Kept,
}

impl<W: Write> HtmlReport<W> {
    /// A report of the exchanges that `filter` selects. `with_probes`: health checkers count like everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            facts: Facts::new(filter, with_probes),
            routes: Routes::default(),
            kept: Kept::default(),
        }
    }
}

impl<W: Write> Sink for HtmlReport<W> {
    fn exchange(&mut self, exchange: &Exchange) {
        if self.facts.exchange(exchange) {
            self.routes.add(exchange);
            self.kept.exchange(exchange);
        }
    }

    fn connection(&mut self, connection: &Connection) {
        if self.facts.connection(connection) && connection.verdict.is_some() {
            self.kept.connection(connection);
        }
    }
}

impl<W: Write> Report for HtmlReport<W> {
    fn begin(&mut self, _frame: FrameId, time: Timestamp) {
        self.facts.begin(time);
    }

    fn comment(&mut self, frame: FrameId, text: &str) {
        self.facts.comment(frame, text);
    }

    fn sources(&mut self, sources: &[Source]) {
        self.facts.sources(sources);
    }

    fn folded(&mut self, folded: &Folded) {
        self.facts.folded(folded);
        self.routes.merge(&folded.routes);
        for exchange in &folded.slowest {
            self.kept.exchange(exchange);
        }
    }

    fn assertions(&mut self, outcomes: &[Outcome]) {
        self.facts.assertions(outcomes);
        for outcome in outcomes {
            self.kept.examples(outcome);
        }
    }

    fn after_frame(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, capture: &Capture) -> io::Result<()> {
        let block = data::block(&self.facts, std::mem::take(&mut self.kept));
        let page = page::Page {
            facts: &self.facts,
            capture,
            routes: &self.routes,
            block: &block,
        };
        self.out.write_all(page.html().as_bytes())?;
        self.out.flush()
    }
}
