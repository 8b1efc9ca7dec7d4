//! What makes the cause likely, and what stands beside it.

use super::pieces::{Ends, Seconds, Words, may_be_a_proxys, usual_timeout};
use crate::exchange::Verdict;
use crate::piece::{Counted, Grouped, Number, Spoken, push};
use crate::report::explain::doubt_in_words;
use crate::statistics::problems::{Behind, BehindKind, Example, Problem, ProblemKind, Readings};
use crate::time::Span;

/// Characters of a caller's identity.
const MAX_CALLER: usize = 100;
/// Problems that are told with their times.
const SEVERAL: u64 = 3;
/// What is shorter is no time to speak of.
const PROMPT: Span = Span::from_millis(1);

/// Pushes what stands beside that, each a sentence; nothing if there is nothing.
pub(super) fn facts(out: &mut String, problem: &Problem, words: &Words<'_>) {
    let alone = problem.count == 1;
    let waited = matches!(
        problem.kind,
        ProblemKind::Verdict(
            Verdict::ClientGaveUp
                | Verdict::ServerClosedUnanswered
                | Verdict::ServerResetUnanswered
        )
    );
    if waited
        && problem.acknowledged > 0
        && let Some(slowest) = problem.slowest_ack
    {
        out.push_str(" The server's kernel had ");
        match (alone, problem.acknowledged == problem.count) {
            (true, _) => out.push_str("it"),
            (false, true) => out.push_str("each"),
            (false, false) => push!(out; Grouped(problem.acknowledged), " of them"),
        }
        push!(out; " within ", Spoken(slowest), ".");
    }
    readings(out, problem);
    if let Some(by) = problem.late_by {
        match (alone, problem.late == problem.count) {
            (true, _) => push!(out; " The answer came ", Spoken(by), " too late"),
            (false, true) => push!(out; " The answers came ", Spoken(by), " too late on average"),
            (false, false) => push!(out; " ", Counted(problem.late, "answer came", "answers came"),
                " after all, ", Spoken(by), " too late on average"),
        }
        let timed = is_timed(problem);
        let said = |one: &Problem| one.late_by.is_some() && is_timed(one) == timed;
        out.push_str(match timed {
            _ if words.was(problem, said).is_some() => ".",
            true => {
                ": the server is too slow for that timeout, and its own metrics call it a success."
            }
            false => "; the server's own metrics call that a success.",
        });
    }
    let prompt = problem.max.is_some_and(|max| max < PROMPT);
    if problem.kind == ProblemKind::Verdict(Verdict::ClientGaveUp) && prompt {
        out.push_str(" It did not wait for an answer.");
    }
    for one in &problem.behind {
        out.push(' ');
        behind(out, problem, one, words);
    }
    let asked = |one: &Problem| (one.callers.clone(), one.other_callers);
    let known = words
        .was(problem, asked)
        .filter(|_| !problem.callers.is_empty());
    if words.same(problem, asked) && known.is_some() {
        out.push_str(" Asked by the same.");
    } else if let Some(number) = known {
        push!(out; " Asked by the same as ", Number(number), ".");
    } else if !problem.callers.is_empty() {
        out.push_str(" Asked by ");
        for (index, caller) in problem.callers.iter().enumerate() {
            push!(out; (index > 0).then_some(", "));
            (words.wire)(out, caller, MAX_CALLER);
        }
        push!(out; problem.other_callers.then_some(" and others"), ".");
    }
    if may_be_a_proxys(problem) {
        out.push_str(" If it is a proxy, the fault may be one hop on.");
    }
    if problem.retries > 0 {
        push!(out; " ", Counted(problem.retries, "is a later try", "are later tries"),
            " of what had been asked before.");
    }
    if problem.fronts > 0 {
        push!(out; " The proxy that asked failed ", Counted(problem.fronts, "request", "requests"),
            " of its own callers for that.");
    }
    if problem.unaffected_servers > 0 {
        push!(out; " ", Counted(problem.unaffected_servers, "other server", "other servers"),
            " on port ", Number(u64::from(problem.server.port)), " had no failure.");
    }
    if problem.uncertain > 0 {
        match alone {
            true => {
                let doubt = match &problem.example {
                    Some(Example::Exchange(exchange)) => exchange.doubt,
                    Some(Example::Connection(connection)) => connection.doubt,
                    None => None,
                };
                let why = doubt.map(|doubt| (": ", doubt_in_words(doubt)));
                push!(out; " Uncertain", why, ".");
            }
            false => push!(out; " ", Grouped(problem.uncertain), " of them uncertain."),
        }
    }
    if let (Some(first), Some(last)) = (problem.first, problem.last)
        && problem.count >= SEVERAL
        && last - first >= PROMPT
        && problem.end.is_none()
        && is_a_part(
            first - words.origin,
            last - first,
            words.end.map(|end| end - last),
        )
    {
        push!(out; " Between ", Seconds(first - words.origin), " and ",
            Seconds(last - words.origin), ".");
    }
    if out.starts_with(' ') {
        out.remove(0);
    }
}

/// Pushes what the server's program did with the requests, where its kernel was asked.
fn readings(out: &mut String, problem: &Problem) {
    let Readings {
        turned_away,
        not_accepted,
        unread,
        read,
    } = problem.readings;
    let left = not_accepted.saturating_add(unread);
    // `it`, `any` and the like stand for all of them.
    let alone = problem.count == 1;
    if left > 0 {
        out.push_str(" Its program did not read ");
        match (alone, left == problem.count) {
            (true, _) => out.push_str("it"),
            (false, true) => out.push_str("any"),
            (false, false) => push!(out; Grouped(left), " of them"),
        }
        if not_accepted > 0 {
            out.push_str(", and had not even accepted ");
            match (alone, not_accepted == left) {
                (true, _) => out.push_str("the connection"),
                (false, true) => out.push_str("the connections"),
                (false, false) => {
                    push!(out; Counted(not_accepted, "connection", "connections"));
                }
            }
        }
        out.push_str(" (a blocked event loop, an exhausted pool, a stopped process).");
    }
    if turned_away > 0 {
        out.push_str(" Its accept queue was full");
        match (alone, turned_away == problem.count) {
            (true, _) | (false, true) => out.push('.'),
            (false, false) => push!(out; " for ", Grouped(turned_away), " of them."),
        }
    }
    if read > 0 {
        out.push_str(" Its program had read ");
        match (alone, read == problem.count) {
            (true, _) => out.push_str("it"),
            (false, true) => out.push_str("each"),
            (false, false) => push!(out; Grouped(read), " of them"),
        }
        out.push_str(": it was at work, or waited for others.");
    }
}

/// Whether callers left after a time that somebody set.
fn is_timed(problem: &Problem) -> bool {
    problem.timer.is_some() || problem.announced().is_some() || usual_timeout(problem).is_some()
}

/// Whether something filled a part of the capture only: there was a fifth of it or more before and
/// after. How much came after may not be known.
fn is_a_part(before: Span, while_it_was: Span, after: Option<Span>) -> bool {
    let Some(after) = after else { return true };
    let around = before.as_nanos().saturating_add(after.as_nanos());
    around >= while_it_was.as_nanos() / 4
}

/// Pushes what a proxy lost while it answered in the place of a server.
fn behind(out: &mut String, problem: &Problem, one: &Behind, words: &Words<'_>) {
    match (problem.count, one.count == problem.count) {
        (1, _) => out.push_str("At its time "),
        (_, true) => out.push_str("At the time of each "),
        (_, false) => push!(out; "At the time of ", Grouped(one.count), " of them "),
    }
    let server = words.at(one.server);
    match one.kind {
        BehindKind::HungUp => push!(out; "it hung up on ", server, ", on an encrypted connection"),
        BehindKind::Closed => push!(out; server, " closed an encrypted connection of it"),
        BehindKind::Refused => push!(out; server, " refused its connection"),
        _ => push!(out; "its TLS handshake with ", server, " failed"),
    }
    let read = matches!(one.kind, BehindKind::HungUp | BehindKind::Closed);
    if read && one.opened == one.count {
        out.push_str(" that it had opened for it");
    }
    if let Some((min, max)) = one.silence {
        push!(out; if one.kind == BehindKind::HungUp {
            ", having asked and then heard nothing for "
        } else {
            ", asked and silent for "
        }, Ends(min, max));
    }
    out.push_str(if read {
        ": by time alone, that is whom it waited for."
    } else {
        ": that is why, by time alone."
    });
}
