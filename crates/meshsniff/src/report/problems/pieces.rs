//! Pieces that the sentences share.

use crate::exchange::Side;
use crate::mesh::timeout;
use crate::names::{Named, Names};
use crate::number;
use crate::packet::Endpoint;
use crate::piece::{Counted, Grouped, Piece, Shown, Spoken, Timeout, push};
use crate::report::sums::{self, Wire};
use crate::statistics::problems::{Example, LARGE, Problem, ProblemKind, is_timeout};
use crate::time::{Span, Timestamp};

/// Characters of a route in a sentence.
pub(super) const MAX_ROUTE: usize = 48;
/// Routes in a sentence.
const MAX_ROUTES: usize = 2;

/// What the sentences need beside the problem.
pub(super) struct Words<'a> {
    /// The time of the first frame.
    pub(super) origin: Timestamp,
    pub(super) names: &'a Names,
    pub(super) wire: Wire,
    /// The problems that the reader has just read of, whose facts need no repeating.
    pub(super) before: &'a [Problem],
    /// The time of the last frame, if that is known.
    pub(super) end: Option<Timestamp>,
}

impl Words<'_> {
    /// An endpoint with its name.
    pub(super) fn at(&self, endpoint: Endpoint) -> Place<'_> {
        Place(Some(self.names.at(endpoint)), self.wire)
    }

    /// The server of a problem, unless the reader has just read of it.
    pub(super) fn server(&self, problem: &Problem) -> Place<'_> {
        let known = self.is_there(problem);
        let name = (!known).then(|| self.names.at(problem.server));
        Place(name, self.wire)
    }

    /// Whether the problem before was of the same server, and told of no other.
    fn is_there(&self, problem: &Problem) -> bool {
        let before = self.before.last();
        before.is_some_and(|one| one.server == problem.server && one.behind.is_empty())
    }

    /// Whether something is as it was of the problem before.
    pub(super) fn same<T: PartialEq>(&self, problem: &Problem, of: impl Fn(&Problem) -> T) -> bool {
        let before = self.before.last();
        before.is_some_and(|before| of(before) == of(problem))
    }

    /// The number of the first problem before of which something was like this.
    pub(super) fn was<T: PartialEq>(
        &self,
        problem: &Problem,
        of: impl Fn(&Problem) -> T,
    ) -> Option<u64> {
        let mut before = self.before.iter();
        Some(before.find(|before| of(before) == of(problem))?.id + 1)
    }
}

/// `the server 10.0.0.1:80`, or `the same server`.
pub(super) struct TheServer<'a>(pub(super) Place<'a>);

impl Piece for TheServer<'_> {
    fn push(self, out: &mut String) {
        let named = self.0.0.is_some();
        push!(out; named.then_some("the server "), self.0);
    }
}

/// An endpoint with its name, which is text from the wire; or the one before.
pub(super) struct Place<'a>(Option<Named<'a>>, Wire);

impl Piece for Place<'_> {
    fn push(self, out: &mut String) {
        match self.0 {
            Some(named) => named.push_as(out, self.1),
            None => out.push_str("the same server"),
        }
    }
}

/// The usual timeout that the only one fits.
pub(super) fn usual_timeout(problem: &Problem) -> Option<Span> {
    match &problem.example {
        Some(Example::Exchange(exchange)) if problem.count == 1 => exchange.timeout_guess,
        _ => None,
    }
}

/// Whether it is an answer that proxies make, and none is known to have made.
pub(super) fn may_be_a_proxys(problem: &Problem) -> bool {
    problem.kind == ProblemKind::FailingAnswer
        && ["502", "503", "504"].contains(&problem.detail.as_str())
}

pub(super) const fn were(problem: &Problem) -> &'static str {
    if problem.count == 1 {
        " was "
    } else {
        " were "
    }
}

pub(super) const fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// `GET /items and POST /orders on 10.0.0.1:80: `.
pub(super) struct Where<'a>(pub(super) &'a Problem, pub(super) &'a Words<'a>);

impl Piece for Where<'_> {
    fn push(self, out: &mut String) {
        let Self(problem, words) = self;
        let routes = |problem: &Problem| (problem.routes.clone(), problem.routes_left_out);
        if words.is_there(problem) && words.same(problem, routes) && !problem.routes.is_empty() {
            return out.push_str("there, ");
        }
        let named = problem.routes.len().min(MAX_ROUTES);
        let more = problem.routes.len() as u64 - named as u64 + problem.routes_left_out;
        for (index, route) in problem.routes.iter().take(named).enumerate() {
            let last = index + 1 == named && more == 0;
            out.push_str(match index {
                0 => "",
                _ if last => " and ",
                _ => ", ",
            });
            (words.wire)(out, route, MAX_ROUTE);
        }
        if more > 0 {
            push!(out; " and ", Counted(more, "other route", "other routes"));
        }
        if named > 0 {
            out.push_str(" on ");
        }
        push!(out; words.server(problem), ": ");
    }
}

/// `17 of 25 requests`, `1 request`.
pub(super) struct Of<'a>(pub(super) &'a Problem, pub(super) &'static str);

impl Piece for Of<'_> {
    fn push(self, out: &mut String) {
        let Self(problem, what) = self;
        push!(out; Grouped(problem.count));
        let of = problem.of.filter(|of| *of > 1);
        push!(out; of.map(|of| (" of ", Grouped(of))), " ", what);
        let many = of.unwrap_or(problem.count) != 1;
        push!(out; many.then_some("s"));
    }
}

/// ` after 493.6–499.5 ms`, or nothing if there is no figure.
pub(super) struct After<'a>(pub(super) &'a Problem);

impl Piece for After<'_> {
    fn push(self, out: &mut String) {
        if let (Some(min), Some(max)) = (self.0.min, self.0.max) {
            push!(out; " after ", Ends(min, max));
        }
    }
}

/// ` 40.1–43.2 ms`, or nothing.
pub(super) struct Cost<'a>(pub(super) &'a Problem);

impl Piece for Cost<'_> {
    fn push(self, out: &mut String) {
        if let (Some(min), Some(max)) = (self.0.min, self.0.max) {
            push!(out; " ", Ends(min, max));
        }
    }
}

/// `, a timer, probably 500 ms`, of answers that a proxy gives when its timer has run; or nothing.
pub(super) struct ByTimer<'a>(pub(super) &'a Problem);

impl Piece for ByTimer<'_> {
    fn push(self, out: &mut String) {
        let problem = self.0;
        if let Some(figure) = timeout_of(problem.min)
            && is_timeout(&problem.detail)
            && Some(figure) == timeout_of(problem.max)
        {
            push!(out; ", a timer, probably ", Timeout(figure));
        }
    }
}

/// The usual timeout that a figure fits.
pub(super) fn timeout_of(span: Option<Span>) -> Option<Span> {
    span.and_then(timeout::usual_figure)
}

/// That large segments alone were lost, or nothing.
pub(super) struct Large<'a>(pub(super) &'a Problem);

impl Piece for Large<'_> {
    fn push(self, out: &mut String) {
        if self.0.detail == LARGE {
            out.push_str(
                ": only large segments were lost, as where the path's MTU is smaller than its ends \
                 believe",
            );
        }
    }
}

/// `, a timer, probably 500 ms`, or whatever else is known of the time; or nothing.
pub(super) struct Timer<'a>(pub(super) &'a Problem);

impl Piece for Timer<'_> {
    fn push(self, out: &mut String) {
        let problem = self.0;
        if let Some(announced) = problem.announced() {
            push!(out; ": the timeout of ", Shown(announced, MAX_ROUTE),
                " that was announced on ", if problem.count == 1 { "it" } else { "them" });
        } else if let Some(timer) = problem.timer {
            let guess = timer.guess.map(|guess| (", probably ", Timeout(guess)));
            push!(out; ", a timer", guess);
        } else if let Some(guess) = usual_timeout(problem) {
            push!(out; ", a timeout of ", Timeout(guess), " by the look of it");
        }
    }
}

/// `493.6–499.5 ms`, or the one that both are.
pub(super) struct Ends(pub(super) Span, pub(super) Span);

impl Piece for Ends {
    fn push(self, out: &mut String) {
        let Self(min, max) = self;
        // Figures that lie far apart read better each by itself.
        if max.as_nanos() / 10 > min.as_nanos() {
            push!(out; Spoken(min), " to ", Spoken(max));
        } else {
            sums::ends(out, min, max);
        }
    }
}

/// `12.3 s`.
pub(super) struct Seconds(pub(super) Span);

impl Piece for Seconds {
    fn push(self, out: &mut String) {
        number::decimal(out, (number::micros(self.0) + 500) / 1_000, 3, 3);
        out.push_str(" s");
    }
}
