//! `-o html`: a page for a colleague, in one file that loads nothing from the network.
//!
//! | module | holds |
//! |---|---|
//! | `kept` | exchanges shown one by one: those that did not go well, then the slowest |
//! | `page` | the parts that need no script: assertions, rates, timers, gaps, routes |
//! | `routes` | how long answers took, as a histogram for each route |
//! | `seen` | the whole capture as one drawing, still, and as data for the script |
//! | `words` | gaps and verdicts in a few words |
//! | `data` | the exchanges as JSON, from which `page.js` makes the table and the drawings |
//!
//! Text from the wire is text everywhere: escaped in the markup, escaped once more in the JSON, and
//! set by the script as text. The page's own policy (CSP) allows no other script. Every figure is
//! made here; the script only places them. The markup is pushed, not made by a template engine such
//! as `maud`: that would quote every attribute and close every element, and so change every page.

mod data;
mod kept;
mod page;
mod routes;
mod seen;
#[cfg(test)]
mod tests;
mod words;

use super::drawing::Gathering;
use super::facts::{Facts, Standing};
use super::problems::Told;
use crate::condition::Filter;
use crate::event::{Report, ReportEvent};
use crate::statistics::routes::Routes;
use kept::Kept;
use std::io::{self, Write};

/// A report for a browser.
pub struct HtmlReport<W: Write> {
    out: W,
    facts: Facts,
    /// Every exchange by route, the aggregated ones included.
    routes: Routes,
    kept: Kept,
    gathered: Gathering,
}

impl<W: Write> HtmlReport<W> {
    /// Creates a report of the exchanges that `filter` selects. `with_probes`: health checkers
    /// count like everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool) -> Self {
        Self {
            out,
            facts: Facts::new(filter, with_probes),
            routes: Routes::default(),
            kept: Kept::default(),
            gathered: Gathering::default(),
        }
    }
}

impl<W: Write> Report for HtmlReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let place = self.facts.tell(event);
        match event {
            ReportEvent::Exchange(exchange) if place == Standing::Listed => {
                self.routes.add(exchange);
                self.kept.exchange(exchange);
                self.gathered.exchange(exchange);
            }
            ReportEvent::Connection(connection) if place == Standing::Listed => {
                self.gathered.connection(connection);
                if connection.verdict.is_some() {
                    self.kept.connection(connection);
                }
            }
            ReportEvent::Lost(lost) => self.gathered.lost(lost),
            ReportEvent::Aggregate(aggregate) => {
                self.routes.merge(&aggregate.routes);
                for exchange in &aggregate.slowest {
                    self.kept.exchange(exchange);
                    self.gathered.exchange(exchange);
                }
            }
            ReportEvent::Assertions(outcomes) => {
                for outcome in outcomes {
                    self.kept.examples(outcome);
                }
            }
            ReportEvent::Finish(capture) => {
                let gathered = std::mem::take(&mut self.gathered);
                let (summary, names) = (&self.facts.summary, &self.facts.names);
                let drawing = gathered.drawing(summary, capture, names);
                let kept = std::mem::take(&mut self.kept);
                let block = data::block(&self.facts, kept, drawing.as_ref());
                let page = page::Page {
                    facts: &self.facts,
                    capture,
                    routes: &self.routes,
                    block: &block,
                    drawing: drawing.as_ref(),
                    told: &Told::of(&self.facts, capture),
                };
                self.out.write_all(page.html().as_bytes())?;
                self.out.flush()?;
            }
            _ => {}
        }
        Ok(())
    }
}
