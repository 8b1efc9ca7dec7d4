//! `-o svg`: one exchange as a picture, for a ticket or a README.
//!
//! | module | holds |
//! |---|---|
//! | `scene` | what there is to draw of an exchange or a connection, in words and times |
//! | `picture` | where all of it stands, as SVG |
//!
//! The picture has its colours with it, for light and dark, and nothing that runs or loads. Text from
//! the wire is escaped as in a page.

mod picture;
mod scene;

use super::drawing::Class;
use super::facts::{Facts, Standing};
use super::problems::Told;
use crate::condition::Filter;
use crate::event::{Report, ReportEvent};
use crate::exchange::Exchange;
use crate::piece::{Counted, Number, said};
use crate::statistics::problems::Example;
use crate::statistics::slowest::Slowest;
use scene::Scene;
use std::io::{self, Write};

/// What a picture is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SvgOf {
    /// The example of the worst problem; without any, the slowest exchange.
    #[default]
    Worst,
    /// The example of the problem with this number, as a report prints it: from 1.
    Problem(u64),
    /// The exchange with this number.
    Exchange(u64),
}

/// A picture of one exchange, or of a connection that failed.
pub struct SvgReport<W: Write> {
    out: W,
    of: SvgOf,
    facts: Facts,
    found: Option<Box<Exchange>>,
    slowest: Slowest,
}

impl<W: Write> SvgReport<W> {
    /// Creates a report of the exchanges that `filter` selects, which draws one of them.
    /// `with_probes`: health checkers count like everybody else.
    pub fn new(out: W, filter: Filter, with_probes: bool, of: SvgOf) -> Self {
        Self {
            out,
            of,
            facts: Facts::new(filter, with_probes),
            found: None,
            slowest: Slowest::default(),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        match self.of {
            SvgOf::Exchange(wanted) if exchange.id == wanted => {
                self.found = Some(Box::new(exchange.kept()));
            }
            SvgOf::Worst if Class::of(exchange) == Class::Good => {
                let took = exchange.slowness().unwrap_or_default();
                self.slowest.offer(took, 1, || exchange.kept());
            }
            _ => {}
        }
    }

    fn scene(&self, told: &Told<'_>) -> io::Result<Scene> {
        let number = match self.of {
            SvgOf::Exchange(wanted) => {
                let exchange = self.found.as_ref().ok_or_else(|| {
                    let there = self.facts.summary.exchanges;
                    io::Error::other(said!(
                        "no picture can be drawn: there is no exchange ",
                        Number(wanted),
                        " among ",
                        Counted(there, "exchange", "exchanges"),
                        " that the report selects, or its target only counted it"
                    ))
                })?;
                return Ok(Scene::of_exchange(&self.facts, exchange));
            }
            SvgOf::Problem(number) => Some(number),
            SvgOf::Worst => None,
        };
        let mut problems = told.problems.iter();
        let problem = match number {
            Some(number) => problems.find(|problem| problem.id + 1 == number),
            None => problems.find(|problem| problem.example.is_some()),
        };
        if let (Some(number), None) = (number, problem) {
            return Err(io::Error::other(said!(
                "no picture can be drawn: there is no problem ",
                Number(number),
                "; the report has ",
                Counted(told.problems.len() as u64, "problem", "problems")
            )));
        }
        let mut scene = match problem.and_then(|problem| problem.example.as_ref()) {
            Some(Example::Exchange(exchange)) => Scene::of_exchange(&self.facts, exchange),
            Some(Example::Connection(connection)) => Scene::of_connection(&self.facts, connection),
            None => match self.slowest.iter().next() {
                Some(exchange) if number.is_none() => Scene::of_exchange(&self.facts, exchange),
                _ => Scene::of_nothing(&self.facts),
            },
        };
        if let Some(problem) = problem {
            scene.problem =
                Some(said!("Problem ", Number(problem.id + 1), ": ") + &told.sentence(problem));
        }
        Ok(scene)
    }
}

impl<W: Write> Report for SvgReport<W> {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let place = self.facts.tell(event);
        match event {
            // A probe is drawn if it is asked for by its number.
            ReportEvent::Exchange(exchange)
                if place == Standing::Listed
                    || place == Standing::Counted && matches!(self.of, SvgOf::Exchange(_)) =>
            {
                self.exchange(exchange);
            }
            ReportEvent::Aggregate(aggregate) => {
                for exchange in &aggregate.slowest {
                    self.exchange(exchange);
                }
            }
            ReportEvent::Finish(capture) => {
                let told = Told::of(&self.facts, capture);
                let svg = picture::of(&self.scene(&told)?);
                self.out.write_all(svg.as_bytes())?;
                self.out.flush()?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
