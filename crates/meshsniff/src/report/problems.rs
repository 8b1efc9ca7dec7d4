//! Problems in words: what happened, what makes the cause likely, and what finds out more.
//!
//! The figures come from [`crate::statistics::problems`]; nothing is judged anew.

use super::explain::doubt_in_words;
use super::facts::Facts;
use super::flags::places;
use super::sums;
use super::wireshark::{self, Numbering};
use crate::event::{Capture, Source};
use crate::exchange::{FindingKind, Side, Verdict};
use crate::mesh::timeout;
use crate::piece::{
    At, Bytes, Counted, Grouped, Number, Piece, Shown, Spoken, Timeout, push, said,
};
use crate::statistics::Summary;
use crate::statistics::problems::{
    Example, FULL, LARGE, Problem, ProblemKind, RESET, SLOW, UNANSWERED,
};
use crate::time::{Span, Timestamp};
use crate::{escape, number};

/// Characters of a route in a sentence.
const MAX_ROUTE: usize = 48;
/// Characters of a caller's identity.
const MAX_CALLER: usize = 100;
/// Routes in a sentence.
const MAX_ROUTES: usize = 2;
/// Runs of numbers in a line.
const MAX_RUNS: usize = 6;
/// Problems that are told with their times.
const SEVERAL: u64 = 3;
/// What is shorter is no time to speak of.
const PROMPT: Span = Span::from_millis(1);

/// How a format shows text from the wire, cut to a number of characters. Everything else in a
/// sentence is the program's own.
pub(super) type Wire = fn(&mut String, &str, usize);

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
pub fn described(summary: &Summary, origin: Timestamp) -> Vec<Described> {
    let (problems, beyond) = summary.problems();
    let told = Told {
        problems,
        beyond,
        origin,
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
pub(super) struct Told {
    pub(super) problems: Vec<Problem>,
    /// How many there are beyond these.
    pub(super) beyond: u64,
    /// The time of the first frame.
    origin: Timestamp,
    /// What was captured, if it is one file or one target.
    source: Option<Source>,
    numbering: Numbering,
}

impl Told {
    /// All problems of a report at its end.
    pub(super) fn of(facts: &Facts, capture: &Capture) -> Self {
        let (problems, beyond) = facts.summary.problems();
        let source = match facts.sources.as_slice() {
            [source] => Some(source.clone()),
            _ => None,
        };
        Self {
            problems,
            beyond,
            origin: capture.totals.first.unwrap_or_default(),
            source,
            numbering: facts.numbering(),
        }
    }

    /// What happened.
    pub(super) fn sentence(&self, problem: &Problem) -> String {
        self.sentence_with(problem, escape::shown)
    }

    /// The same, with text from the wire as the format shows it.
    pub(super) fn sentence_with(&self, problem: &Problem, wire: Wire) -> String {
        let mut out = String::new();
        sentence(&mut out, problem, self.origin, wire);
        out
    }

    /// What stands beside that; empty if there is nothing.
    pub(super) fn facts(&self, problem: &Problem) -> String {
        self.facts_with(problem, escape::shown)
    }

    /// The same, with text from the wire as the format shows it.
    pub(super) fn facts_with(&self, problem: &Problem, wire: Wire) -> String {
        let mut out = String::new();
        facts(&mut out, problem, self.origin, wire);
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
        let mut out = String::new();
        next(&mut out, problem, self.source.as_ref());
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

/// Pushes what happened.
fn sentence(out: &mut String, problem: &Problem, origin: Timestamp, wire: Wire) {
    happened(out, problem, origin, wire);
    if out.starts_with("the ") {
        out.replace_range(..1, "T");
    }
    out.push('.');
}

fn happened(out: &mut String, problem: &Problem, origin: Timestamp, wire: Wire) {
    match problem.kind {
        ProblemKind::ProcessEnd => match &problem.end {
            Some(end) => sums::process_end(out, end, origin),
            None => push!(out; "the process behind ", At(problem.server), " ended"),
        },
        ProblemKind::Verdict(verdict) if verdict.is_of_connection() => {
            of_connections(out, problem, verdict);
        }
        ProblemKind::Verdict(verdict) => of_verdict(out, problem, verdict, wire),
        ProblemKind::FailingAnswer => {
            let itself = (!may_be_a_proxys(problem)).then_some("itself ");
            push!(out; Where(problem, wire), "the server ", itself, "answered ",
                Of(problem, "request"), " with ", Shown(&problem.detail, MAX_ROUTE),
                After(problem));
        }
        ProblemKind::ProxyAnswer => {
            push!(out; Where(problem, wire), "a proxy answered ", Of(problem, "request"),
                " in the server's place (", Shown(&problem.detail, MAX_ROUTE), ")",
                After(problem), ByTimer(problem), ": the fault is one hop on");
        }
        ProblemKind::EarlyAnswer => {
            push!(out; Where(problem, wire), "the server answered ", Of(problem, "request"),
                " before the end of it came");
            if !problem.detail.is_empty() {
                push!(out; ", with ", Shown(&problem.detail, MAX_ROUTE));
            }
        }
        ProblemKind::Finding(finding) => of_finding(out, problem, finding, wire),
        ProblemKind::Lookups => lookups(out, problem),
        ProblemKind::TunnelIdle => {
            push!(out; "the ", side(problem.side), " closed ", Of(problem, "tunnel"), " to ",
                At(problem.server), After(problem), " of silence", Timer(problem));
        }
        ProblemKind::KeepAlive => {
            push!(out; "the server ", At(problem.server), " closed ",
                Of(problem, "idle connection"), After(problem),
                ", its keep-alive timeout: whoever reuses connections for longer will race it");
        }
    }
}

fn of_verdict(out: &mut String, problem: &Problem, verdict: Verdict, wire: Wire) {
    push!(out; Where(problem, wire));
    match verdict {
        Verdict::ClientGaveUp => {
            push!(out; "the caller gave up on ", Of(problem, "request"), After(problem),
                Timer(problem));
        }
        Verdict::ClientGaveUpMidResponse => {
            push!(out; "the caller closed inside ", Of(problem, "response"), After(problem),
                Timer(problem));
        }
        Verdict::ClientAbortedRequest => {
            push!(out; "the caller closed inside ", Of(problem, "request"), " of its own",
                After(problem), Timer(problem));
        }
        Verdict::ServerClosedUnanswered => {
            push!(out; "the server closed the connection instead of answering ",
                Of(problem, "request"), After(problem), Timer(problem));
        }
        Verdict::ServerResetUnanswered => {
            push!(out; "the server reset the connection instead of answering ",
                Of(problem, "request"), After(problem), Timer(problem));
        }
        Verdict::ServerTruncatedResponse => {
            let how = match problem.detail.as_str() {
                RESET => "the server reset the connection inside ",
                _ => "the server closed inside ",
            };
            push!(out; how, Of(problem, "response"), After(problem), Timer(problem));
        }
        Verdict::ServerResetEarlyAnswer => {
            push!(out; "the server answered ", Of(problem, "request"),
                " too early and reset the connection under the rest: the caller may never read ",
                "that answer");
        }
        Verdict::ServerInvalidResponse => {
            push!(out; "a proxy must refuse ", Of(problem, "response"));
            if !problem.detail.is_empty() {
                push!(out; ": ", Shown(&problem.detail, MAX_ROUTE * 2));
            }
        }
        _ => {
            push!(out; Of(problem, "request"), " had no answer yet when the capture ended");
        }
    }
}

fn of_connections(out: &mut String, problem: &Problem, verdict: Verdict) {
    let server = At(problem.server);
    let connections = Of(problem, "connection");
    match verdict {
        Verdict::ConnectRefused => {
            push!(out; server, " refused ", connections,
                ": nothing listens there, or a firewall rejects");
        }
        Verdict::ConnectTimeout => {
            push!(out; server, " did not answer the SYNs of ", connections);
            out.push_str(if problem.detail == FULL {
                ", but others meanwhile: its accept queue is full, unless it has gone since"
            } else {
                ": the address is gone, or packets are dropped on the way"
            });
        }
        Verdict::TlsUnanswered => {
            push!(out; server, " did not answer the TLS hello of ", connections);
            if problem.min.is_some() {
                push!(out; "; the ", side(problem.side), " closed", After(problem), Timer(problem));
            }
        }
        Verdict::TlsFailed => {
            push!(out; server, ": the TLS handshakes of ", connections, " failed: the ",
                side(problem.side));
            match problem.detail.is_empty() {
                true => push!(out; " closed inside them"),
                false => push!(out; " sent ", Shown(&problem.detail, MAX_ROUTE)),
            }
        }
        Verdict::TlsRefusedPlain => {
            push!(out; server, " answers in plain text, and the client spoke TLS to it on ",
                connections, ": the port, or the protocol that the client is told, is wrong");
        }
        _ => {
            push!(out; server, " answers with TLS, and the client spoke plain text to it on ",
                connections, ": the port, or the protocol that the client is told, is wrong");
        }
    }
}

fn of_finding(out: &mut String, problem: &Problem, finding: FindingKind, wire: Wire) {
    let whose = match problem.side {
        Side::Client => "the client's",
        Side::Server => "the server's",
    };
    push!(out; Where(problem, wire), Of(problem, "request"));
    match finding {
        FindingKind::KeepaliveRace => {
            push!(out; " met a connection that the server was closing");
            if let (Some(min), Some(max)) = (problem.min, problem.max) {
                push!(out; ", idle for ", Ends(min, max));
            }
        }
        FindingKind::StrangerReset => {
            push!(out; " met a RST from somebody who does not know the connection any more");
        }
        FindingKind::RequestUnacknowledged => {
            push!(out; were(problem), "sent again and again, and never acknowledged",
                Large(problem));
        }
        FindingKind::ResponseUnacknowledged => {
            push!(out; " had an answer that was sent again and again, and never acknowledged");
            push!(out; Large(problem));
        }
        FindingKind::RequestStalled => {
            push!(out; " stopped before the end");
            if let Some(Example::Exchange(one)) = &problem.example
                && problem.count == 1
                && let Some(all) = one.request_announced
            {
                push!(out; ", after ", Bytes(one.request_bytes), " of ", Bytes(all));
            }
            push!(out; ", and", were(problem), "ended", After(problem), " of silence",
                Timer(problem));
        }
        FindingKind::ProxyProtocol => {
            push!(out; " came behind a PROXY header, which the server answers with 400");
        }
        FindingKind::Retransmission => {
            push!(out; " lost", Cost(problem), " to ", whose,
                " segments that had to be sent again");
        }
        FindingKind::ZeroWindow => {
            push!(out; " waited", Cost(problem), " for the ", side(problem.side),
                ", which did not read");
        }
        FindingKind::DelayedAckStall => {
            push!(out; " took", Cost(problem), " because of a delayed ACK");
        }
        FindingKind::SlowRequestBody => {
            push!(out; " took the client", Cost(problem), " to send");
        }
        FindingKind::SynRetry => {
            push!(out; " waited", Cost(problem), " for a SYN that had to be sent again");
        }
        FindingKind::ExpectUnanswered => {
            push!(out; " waited", Cost(problem), " for a 100 Continue that did not come");
        }
        FindingKind::DnsRetry => {
            push!(out; " waited", Cost(problem), " for a DNS query that had to be sent again");
        }
        FindingKind::DnsSlow => {
            push!(out; " waited", Cost(problem), " for a slow lookup in DNS");
        }
        FindingKind::PortReuse => {
            push!(out; " waited", Cost(problem),
                ": the server still knew an older connection on the same ports");
        }
        FindingKind::LateResponse | FindingKind::Retry => {}
    }
}

fn lookups(out: &mut String, problem: &Problem) {
    push!(out; "DNS at ", At(problem.server), ": queries from ", Of(problem, "client port"));
    match problem.detail.as_str() {
        UNANSWERED => push!(out; " had no answer"),
        SLOW => push!(out; " waited for their answer, the longest"),
        code => push!(out; " were answered ", Shown(code, MAX_ROUTE)),
    }
    match (problem.detail.as_str(), problem.max) {
        (SLOW, Some(max)) => push!(out; " ", Ends(max, max)),
        (_, Some(max)) => push!(out; "; the slowest answer came after ", Ends(max, max)),
        (_, None) => {}
    }
}

/// Pushes what stands beside that, each a sentence; nothing if there is nothing.
fn facts(out: &mut String, problem: &Problem, origin: Timestamp, wire: Wire) {
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
    if let Some(by) = problem.late_by {
        match (alone, problem.late == problem.count) {
            (true, _) => push!(out; " The answer came ", Spoken(by), " too late"),
            (false, true) => push!(out; " The answers came ", Spoken(by), " too late on average"),
            (false, false) => push!(out; " ", Counted(problem.late, "answer came", "answers came"),
                " after all, ", Spoken(by), " too late on average"),
        }
        let timed = problem.timer.is_some()
            || problem.announced().is_some()
            || usual_timeout(problem).is_some();
        push!(out; if timed {
            ": the server is too slow for that timeout, and its own metrics call it a success."
        } else {
            "; the server's own metrics call that a success."
        });
    }
    let prompt = problem.max.is_some_and(|max| max < PROMPT);
    if problem.kind == ProblemKind::Verdict(Verdict::ClientGaveUp) && prompt {
        out.push_str(" It did not wait for an answer.");
    }
    for (server, count) in &problem.behind {
        push!(out; " At the time of ", Grouped(*count), " of them it hung up on ", At(*server),
            ", on an encrypted connection: by time alone, that is whom it waited for.");
    }
    if !problem.callers.is_empty() {
        out.push_str(" Asked by ");
        for (index, caller) in problem.callers.iter().enumerate() {
            push!(out; (index > 0).then_some(", "));
            wire(out, caller, MAX_CALLER);
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
        push!(out; " ", Counted(problem.fronts, "answer", "answers"),
            " of the proxy before it failed for that.");
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
    {
        push!(out; " The first at ", Seconds(first - origin), ", the last at ",
            Seconds(last - origin), ".");
    }
    if out.starts_with(' ') {
        out.remove(0);
    }
}

/// The usual timeout that the only one fits.
fn usual_timeout(problem: &Problem) -> Option<Span> {
    match &problem.example {
        Some(Example::Exchange(exchange)) if problem.count == 1 => exchange.timeout_guess,
        _ => None,
    }
}

/// Pushes which exchanges, or connections, it is about.
fn members(out: &mut String, problem: &Problem) {
    // Exchanges have numbers that `follow` takes; of connections people look for frames.
    let (what, ids) = if problem.exchanges.is_empty() {
        let frames = problem.evidence.iter().map(|mark| mark.frame.number());
        ("frame", frames.collect())
    } else {
        ("exchange", problem.exchanges.clone())
    };
    if ids.is_empty() {
        return;
    }
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
        out.push_str(if index == 0 { "Envoy: " } else { "; " });
        out.push_str(&flags.join(" or "));
        push!(out; " ", place);
        let guess = guessed && flags.len() > 1;
        push!(out; guess.then_some(" (a guess)"));
    }
    if !out.is_empty() {
        out.push('.');
    }
}

/// Pushes the command, or the question, that finds out more. `source` is what was captured, if it
/// is the only one.
fn next(out: &mut String, problem: &Problem, source: Option<&Source>) {
    let server = problem.server;
    match problem.kind {
        ProblemKind::ProcessEnd => out.push_str("kubectl get events, and the end of its log"),
        ProblemKind::Verdict(Verdict::ConnectRefused) => {
            push!(out; "on the server: ss -lnt 'sport = :",
            Number(u64::from(server.port)), "'")
        }
        ProblemKind::Verdict(Verdict::ConnectTimeout)
        | ProblemKind::Finding(
            FindingKind::RequestUnacknowledged
            | FindingKind::Retransmission
            | FindingKind::SynRetry,
        ) if !server.ip().is_loopback() => {
            push!(out; "on the client: ip route get ");
            number::address(out, server.ip());
        }
        ProblemKind::Finding(FindingKind::ResponseUnacknowledged) => {
            push!(out; "on the server: ip route get ", Client(problem));
        }
        ProblemKind::Verdict(Verdict::TlsFailed | Verdict::TlsUnanswered) => {
            push!(out; "openssl s_client -connect ", At(server));
        }
        ProblemKind::Lookups
        | ProblemKind::Finding(FindingKind::DnsRetry | FindingKind::DnsSlow) => {
            out.push_str("in the client's container: cat /etc/resolv.conf");
        }
        ProblemKind::Finding(FindingKind::KeepaliveRace) | ProblemKind::KeepAlive => {
            out.push_str(
                "let clients drop idle connections sooner than the server, or the server later",
            );
        }
        _ => {
            let exchange = problem.exchanges.first();
            let (Some(source), Some(exchange)) = (source, exchange) else {
                return;
            };
            if source.kind == "file" {
                push!(out; "kubectl meshsniff follow ");
                shell_word(out, &source.name);
                push!(out; " --exchange ", Number(*exchange));
            } else if let Some((namespace, pod)) = source.name.split_once('/')
                && source.kind == "live"
            {
                push!(out; "kubectl meshsniff report ");
                // A node is in no namespace.
                if namespace == "node" {
                    shell_word(out, &source.name);
                } else {
                    shell_word(out, pod);
                    push!(out; " -n ");
                    shell_word(out, namespace);
                }
                push!(out; " -w capture.pcapng, then follow one in it");
            }
        }
    }
}

/// Pushes a word for a shell, quoted if it must be.
fn shell_word(out: &mut String, word: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return push!(out; Shown(word, usize::MAX));
    }
    out.push('\'');
    let mut quoted = String::new();
    escape::push_shown(&mut quoted, word);
    out.push_str(&quoted.replace('\'', r"'\''"));
    out.push('\'');
}

/// The address of the client of the example.
struct Client<'a>(&'a Problem);

impl Piece for Client<'_> {
    fn push(self, out: &mut String) {
        match &self.0.example {
            Some(Example::Exchange(exchange)) => number::address(out, exchange.client.ip()),
            Some(Example::Connection(connection)) => {
                number::address(out, connection.client.ip());
            }
            None => out.push_str("the client's address"),
        }
    }
}

/// Whether it is an answer that proxies make, and none is known to have made.
fn may_be_a_proxys(problem: &Problem) -> bool {
    problem.kind == ProblemKind::FailingAnswer
        && ["502", "503", "504"].contains(&problem.detail.as_str())
}

const fn were(problem: &Problem) -> &'static str {
    if problem.count == 1 {
        " was "
    } else {
        " were "
    }
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// `GET /items and POST /orders on 10.0.0.1:80: `.
struct Where<'a>(&'a Problem, Wire);

impl Piece for Where<'_> {
    fn push(self, out: &mut String) {
        let Self(problem, wire) = self;
        let named = problem.routes.len().min(MAX_ROUTES);
        let more = problem.routes.len() as u64 - named as u64 + problem.routes_left_out;
        for (index, route) in problem.routes.iter().take(named).enumerate() {
            let last = index + 1 == named && more == 0;
            out.push_str(match index {
                0 => "",
                _ if last => " and ",
                _ => ", ",
            });
            wire(out, route, MAX_ROUTE);
        }
        if more > 0 {
            push!(out; " and ", Counted(more, "other route", "other routes"));
        }
        if named > 0 {
            out.push_str(" on ");
        }
        push!(out; At(problem.server), ": ");
    }
}

/// `17 of 25 requests`, `1 request`.
struct Of<'a>(&'a Problem, &'static str);

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
struct After<'a>(&'a Problem);

impl Piece for After<'_> {
    fn push(self, out: &mut String) {
        if let (Some(min), Some(max)) = (self.0.min, self.0.max) {
            push!(out; " after ", Ends(min, max));
        }
    }
}

/// ` 40.1–43.2 ms`, or nothing.
struct Cost<'a>(&'a Problem);

impl Piece for Cost<'_> {
    fn push(self, out: &mut String) {
        if let (Some(min), Some(max)) = (self.0.min, self.0.max) {
            push!(out; " ", Ends(min, max));
        }
    }
}

/// `, a timer, probably 500 ms`, of answers that a proxy gives when its timer has run; or nothing.
struct ByTimer<'a>(&'a Problem);

impl Piece for ByTimer<'_> {
    fn push(self, out: &mut String) {
        let problem = self.0;
        let timed = [" UT", " SI"]
            .iter()
            .any(|flag| problem.detail.ends_with(flag));
        if let Some(figure) = timeout_of(problem.min)
            && timed
            && Some(figure) == timeout_of(problem.max)
        {
            push!(out; ", a timer, probably ", Timeout(figure));
        }
    }
}

/// The usual timeout that a figure fits.
fn timeout_of(span: Option<Span>) -> Option<Span> {
    span.and_then(timeout::usual_figure)
}

/// That large segments alone were lost, or nothing.
struct Large<'a>(&'a Problem);

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
struct Timer<'a>(&'a Problem);

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
struct Ends(Span, Span);

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
struct Seconds(Span);

impl Piece for Seconds {
    fn push(self, out: &mut String) {
        number::decimal(out, (number::micros(self.0) + 500) / 1_000, 3, 3);
        out.push_str(" s");
    }
}

#[cfg(test)]
mod tests;
