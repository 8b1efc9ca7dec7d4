//! Problems in words: what happened, what makes the cause likely, and what finds out more.
//!
//! The figures come from [`crate::statistics::problems`]; nothing is judged anew.

mod facts;
mod next;
mod pieces;
mod sentence;

use self::facts::facts;
use self::pieces::{Ends, Words};
use self::sentence::sentence;
use super::facts::Facts;
use super::flags::places;
use super::sums::Wire;
use super::wireshark::{self, Numbering};
use crate::escape;
use crate::event::{Capture, Source};
use crate::names::Names;
use crate::packet::Endpoint;
use crate::piece::{Number, push, said};
use crate::statistics::Summary;
use crate::statistics::problems::{Example, Problem};
use crate::time::Timestamp;

/// Runs of numbers in a line.
const MAX_RUNS: usize = 5;

/// A problem in words.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Described {
    /// The problem.
    pub problem: Problem,
    /// What happened.
    pub sentence: String,
    /// The figures of its kind: `493.6–499.5 ms`; empty if there are none.
    pub figures: String,
    /// What makes the cause likely, and what proxies log; empty if there is nothing to say.
    pub more: String,
    /// The display filter that shows the example in Wireshark; empty if there is none.
    pub display_filter: String,
}

/// The problems of a report so far, the worst first. `origin` is the time of the first frame.
#[must_use]
pub fn described(summary: &Summary, origin: Timestamp, names: &Names) -> Vec<Described> {
    let (problems, beyond) = summary.problems();
    let told = Told {
        problems,
        beyond,
        origin,
        end: None,
        names,
        source: None,
        numbering: Numbering::Ends,
    };
    let described = told.problems.iter().map(|problem| Described {
        sentence: told.sentence(problem),
        figures: said!(
            problem
                .min
                .zip(problem.max)
                .map(|(min, max)| Ends(min, max))
        ),
        more: told.more(problem),
        display_filter: told.display_filter(problem),
        problem: problem.clone(),
    });
    described.collect()
}

/// The problems of a report, and what their words need beside them.
pub(super) struct Told<'a> {
    pub(super) problems: Vec<Problem>,
    /// How many there are beyond these.
    pub(super) beyond: u64,
    /// The time of the first frame.
    origin: Timestamp,
    /// The time of the last frame, if that is known.
    end: Option<Timestamp>,
    names: &'a Names,
    /// What was captured, if it is one file or one target.
    source: Option<Source>,
    numbering: Numbering,
}

impl<'a> Told<'a> {
    /// All problems of a report at its end.
    pub(super) fn of(facts: &'a Facts, capture: &Capture) -> Self {
        let (problems, beyond) = facts.summary.problems();
        let source = match facts.sources.as_slice() {
            [source] => Some(source.clone()),
            _ => None,
        };
        Self {
            problems,
            beyond,
            origin: capture.totals.first.unwrap_or_default(),
            end: capture.totals.last,
            names: &facts.names,
            source,
            numbering: facts.numbering(),
        }
    }

    /// The name of a server.
    pub(super) fn name_of(&self, server: Endpoint) -> Option<&'a str> {
        self.names.of(server.ip())
    }

    fn words(&self, wire: Wire) -> Words<'_> {
        Words {
            origin: self.origin,
            names: self.names,
            wire,
            before: &[],
            end: self.end,
        }
    }

    /// All of it as one paragraph behind that of the problem before: the sentence, and the rest.
    pub(super) fn flowing(&self, index: usize) -> (String, String) {
        let problem = &self.problems[index];
        let words = Words {
            before: &self.problems[..index],
            ..self.words(escape::shown)
        };
        let (mut said, mut more) = (String::new(), String::new());
        sentence(&mut said, problem, &words);
        facts(&mut more, problem, &words);
        let mut flags = Self::envoy(problem);
        if words.same(problem, Self::envoy) && !flags.is_empty() {
            flags = "Envoy: the same.".to_owned();
        }
        let mut members = Self::members(problem);
        if let Some(first) = members.get_mut(..1) {
            first.make_ascii_uppercase();
            members.push_str(if members.ends_with('…') { "" } else { "." });
        }
        for text in [flags, members] {
            more.push_str(if more.is_empty() || text.is_empty() {
                ""
            } else {
                " "
            });
            more.push_str(&text);
        }
        (said, more)
    }

    /// What happened.
    pub(super) fn sentence(&self, problem: &Problem) -> String {
        self.sentence_with(problem, escape::shown)
    }

    /// The same, with text from the wire as the format shows it.
    pub(super) fn sentence_with(&self, problem: &Problem, wire: Wire) -> String {
        let mut out = String::new();
        sentence(&mut out, problem, &self.words(wire));
        out
    }

    /// What stands beside that; empty if there is nothing.
    pub(super) fn facts(&self, problem: &Problem) -> String {
        self.facts_with(problem, escape::shown)
    }

    /// The same, with text from the wire as the format shows it.
    pub(super) fn facts_with(&self, problem: &Problem, wire: Wire) -> String {
        let mut out = String::new();
        facts(&mut out, problem, &self.words(wire));
        out
    }

    /// That, and the flags that proxies log.
    pub(super) fn more(&self, problem: &Problem) -> String {
        let texts = [self.facts(problem), Self::envoy(problem)];
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        texts.collect::<Vec<String>>().join(" ")
    }

    /// What happened and what stands beside it, as one paragraph.
    pub(super) fn paragraph(&self, problem: &Problem) -> String {
        let (mut out, facts) = (self.sentence(problem), self.facts(problem));
        if !facts.is_empty() {
            out.push(' ');
            out.push_str(&facts);
        }
        out
    }

    /// The flags that proxies log of it; empty if there are none.
    pub(super) fn envoy(problem: &Problem) -> String {
        let mut out = String::new();
        envoy(&mut out, problem);
        out
    }

    /// Which exchanges, or connections, it is about; empty if that is not known.
    pub(super) fn members(problem: &Problem) -> String {
        let mut out = String::new();
        members(&mut out, problem);
        out
    }

    /// The command, or the question, that finds out more; empty if there is none.
    pub(super) fn next(&self, problem: &Problem) -> String {
        let own = self.own_next(problem);
        let exchange = problem.exchanges.first();
        match exchange.filter(|_| own.is_empty()) {
            Some(exchange) => self.common_next(Some(*exchange)),
            None => own,
        }
    }

    /// What finds out more of this problem rather than of any; empty if there is nothing.
    pub(super) fn own_next(&self, problem: &Problem) -> String {
        let mut out = String::new();
        next::own(&mut out, problem, self.source.as_ref(), self.names);
        out
    }

    /// What finds out more of any exchange; empty if there is nothing.
    pub(super) fn common_next(&self, exchange: Option<u64>) -> String {
        let mut out = String::new();
        next::common(&mut out, self.source.as_ref(), exchange);
        out
    }

    /// The display filter that shows the example; empty if there is none.
    pub(super) fn display_filter(&self, problem: &Problem) -> String {
        let mut out = String::new();
        match &problem.example {
            Some(Example::Exchange(exchange)) => {
                wireshark::exchange(&mut out, exchange, self.numbering);
            }
            Some(Example::Connection(connection)) => {
                wireshark::connection(&mut out, connection, self.numbering);
            }
            None => {}
        }
        out
    }
}

/// Pushes which exchanges, or connections, it is about.
fn members(out: &mut String, problem: &Problem) {
    // Exchanges have numbers that `follow` takes; of connections people look for frames.
    let (what, mut ids) = if problem.exchanges.is_empty() {
        let frames = problem.evidence.iter().map(|mark| mark.frame.number());
        ("frame", frames.collect::<Vec<u64>>())
    } else {
        ("exchange", problem.exchanges.clone())
    };
    if ids.is_empty() {
        return;
    }
    ids.sort_unstable();
    let several = ids.len() > 1 || problem.count > 1 && problem.end.is_none();
    push!(out; what, several.then_some("s"), " ");
    let mut rest = ids.as_slice();
    for place in 0..MAX_RUNS {
        let Some(&from) = rest.first() else { break };
        let run = rest.iter().zip(from..).take_while(|(id, due)| **id == *due);
        let run = run.count();
        push!(out; (place > 0).then_some(", "), Number(from));
        match run {
            1 => {}
            2 => push!(out; ", ", Number(from + 1)),
            _ => push!(out; "–", Number(from + run as u64 - 1)),
        }
        rest = &rest[run..];
    }
    if !rest.is_empty() || problem.count > ids.len() as u64 && problem.end.is_none() {
        out.push_str(", …");
    }
}

/// Pushes the flags that proxies log of it; nothing if there are none.
fn envoy(out: &mut String, problem: &Problem) {
    let (flags, client, guessed) = match &problem.example {
        Some(Example::Exchange(exchange)) => (
            &exchange.envoy,
            exchange.client,
            exchange.timeout_guess.is_some(),
        ),
        Some(Example::Connection(connection)) => (&connection.envoy, connection.client, false),
        None => return,
    };
    for (index, (place, flags)) in places(flags, client).enumerate() {
        out.push_str(match (index, problem.mixed_flags) {
            (0, false) => "Envoy: ",
            (0, true) => "Envoy, of the example: ",
            _ => "; ",
        });
        out.push_str(&flags.join(" or "));
        push!(out; " ", place);
        let guess = guessed && flags.len() > 1;
        push!(out; guess.then_some(" (a guess)"));
    }
    if !out.is_empty() {
        out.push('.');
    }
}

#[cfg(test)]
mod tests;
