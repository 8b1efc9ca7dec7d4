//! The objects of a JSON report, field by field, without their braces.
//!
//! Every function pushes the inside of one object, so that a `type` can stand before it. Field
//! names and their order are those of the documentation. Exchanges and connections are taken apart
//! by name, so that a new field is shown or left out on purpose.

use super::tls::encrypted;
use crate::dns::{Dns, Failure, code_name, type_name};
use crate::event::{Capture, Outcome, Source};
use crate::exchange::{
    Connection, Doubt, EnvoyFlags, Exchange, Finding, Frames, Grpc, Protocol, Side, Verdict,
    WebSocket,
};
use crate::kernel::{Listener, Socket, Sockets};
use crate::mesh::logs;
use crate::number;
use crate::packet::{Endpoint, FrameId};
use crate::piece::{Number, push};
use crate::report::encode::{
    Encode, List, Map, Millis, Object, PlainMillis, Quoted, Ratio, Raw, Seconds, Time, Word,
    fields, more_fields,
};
use crate::report::facts::Facts;
use crate::report::problems::Told;
use crate::report::timeline::{self, EventKind, TimelineEvent};
use crate::report::{explain, wireshark};
use crate::statistics::problems::{Example, Readings};
use crate::statistics::routes::{Route, RouteCounts};
use crate::statistics::{GapStats, Problem, SuccessRate, Timer};

/// Bytes of comments that are repeated at the events of one exchange, and of one frame: all of them
/// stand in the totals.
const MAX_REPEATED: usize = 256 << 10;

/// The encoder of objects, with its state between them.
#[derive(Debug, Default)]
pub(super) struct Objects {
    clock: number::Clock,
    /// The frame being analysed, whose comment may not be known yet.
    current: FrameId,
    /// Whether a comment on the current frame came after an exchange was written.
    commented: bool,
    /// The ends of the current frame's events in the buffer.
    positions: Vec<usize>,
    events: Vec<TimelineEvent>,
    sentence: String,
}

impl Objects {
    pub(super) const fn begin(&mut self, frame: FrameId) {
        self.current = frame;
    }

    /// A comment on `frame` became known.
    pub(super) fn comment(&mut self, frame: FrameId) {
        self.commented |= frame == self.current;
    }

    /// Adds a late comment to the events in `buffer`.
    pub(super) fn add_comments(&mut self, buffer: &mut String, facts: &Facts) {
        if self.commented {
            self.commented = false;
            if let Some(text) = facts.comments.get(self.current) {
                let mut field = String::new();
                more_fields!(&mut field, { "comment": text });
                // The first ones, from the last of them on: positions before it stay.
                let room = MAX_REPEATED / field.len();
                let first = self.positions.len().min(room.max(1));
                for &position in self.positions[..first].iter().rev() {
                    buffer.insert_str(position, &field);
                }
            }
        }
        self.positions.clear();
    }

    /// The buffer was emptied.
    pub(super) fn forget_positions(&mut self) {
        self.positions.clear();
    }

    /// Something of this length was put before the buffer's contents.
    pub(super) fn shift_positions(&mut self, by: usize) {
        for position in &mut self.positions {
            *position += by;
        }
    }

    pub(super) fn exchange(&mut self, out: &mut String, facts: &Facts, exchange: &Exchange) {
        let Exchange {
            id,
            connection,
            // The connection says it.
            encrypted: _,
            client,
            server,
            minor_version,
            method,
            path,
            authority,
            status,
            late_status,
            request_id,
            trace_id,
            proxied,
            attempt,
            caller,
            answered_by,
            relations,
            probe,
            expected_timeout,
            timeout_guess,
            request_bytes,
            response_bytes,
            defect,
            // `good` and the finding tell it.
            request_cut: _,
            request_announced: _,
            only_large_lost: _,
            // They are in the explanation.
            response_shape: _,
            pipelined: _,
            half_closed: _,
            events,
            gaps,
            verdict,
            doubt,
            envoy,
            findings,
            sockets,
            // Only an HTTP Archive has it.
            said: _,
            stream,
            // `reset` tells it.
            close_scope: _,
            reset,
            connection_error,
            headers_cut,
            grpc,
            websocket,
            event_stream,
        } = exchange;
        fields!(out, {
            "id": *id,
            "source": events.request_start.frame.source(),
            "connection": *connection,
            "client": *client,
            "server": *server,
            "client_name": facts.names.of(client.ip()),
            "server_name": facts.names.of(server.ip()),
            "start": Time(&mut self.clock, exchange.start()),
            "stream": stream.map(u64::from),
            "protocol": (minor_version.is_some() || stream.is_some()).then_some(Quoted(
                |out: &mut String| match minor_version {
                    Some(minor) => push!(out; "HTTP/1.", Number(u64::from(*minor))),
                    None => out.push_str("HTTP/2"),
                },
            )),
            "method": method.as_deref(),
            "path": path.as_deref(),
            "authority": authority.as_deref(),
            "status": *status,
            "late_status": *late_status,
            "request_id": request_id.as_deref(),
            "trace_id": trace_id.as_deref(),
            "attempt": attempt.map(u64::from),
            "caller": caller.as_deref(),
            "proxied_client": proxied.and_then(|header| header.client),
            "retry_of": relations.retry_of,
            "retried_as": relations.retried_as,
            "behind": relations.behind,
            "front": relations.front,
            "answered_by": answered_by.as_deref().map_or("server", |_| "proxy"),
            "proxy": answered_by.as_deref().map(|by| Object(|out: &mut String| {
                fields!(out, {
                    "software": Word(by.software.name()),
                    "flag": (!by.flag.is_empty()).then_some(by.flag.as_str()),
                    "text": by.text.as_str(),
                });
            })),
            "probe": *probe,
            "expected_timeout_ms": expected_timeout.map(PlainMillis),
            "timeout_guess_ms": timeout_guess.map(PlainMillis),
            "request_bytes": *request_bytes,
            "response_bytes": *response_bytes,
            "response_defect": defect.map(|defect| Word(defect.name())),
            "headers_known": Word(if *headers_cut { "some" } else { "all" }),
            "reset": reset.map(|end| Object(move |out: &mut String| {
                fields!(out, {
                    "by": Word(end.by.name()),
                    "code": Word(end.code.name()),
                    "frame": Word(if end.by_goaway { "GOAWAY" } else { "RST_STREAM" }),
                });
            })),
            "connection_error": connection_error.map(|(by, code)| Object(move |out: &mut String| {
                fields!(out, { "by": Word(by.name()), "code": Word(code.name()) });
            })),
            "grpc": grpc.as_deref().map(|grpc| Object(move |out: &mut String| call(out, grpc, exchange))),
            "websocket": websocket.as_deref().map(tunnel),
            "event_stream": event_stream.map(|stream| Object(move |out: &mut String| {
                fields!(out, {
                    "count": stream.events,
                    "comments": stream.comments,
                    "longest_silence_ms": Millis(stream.longest_silence),
                });
            })),
            "events": Raw(|out: &mut String| self.events(out, facts, exchange)),
            "gaps": Map(gaps.present().map(|(gap, span)| (gap.name(), Millis(span)))),
            "verdict": Word(verdict.name()),
            "good": exchange.good(),
            "certainty": Word(certainty(*doubt)),
            "certainty_reason": reason(*doubt),
            "envoy": places(envoy),
            "logs": List(
                [Side::Client, Side::Server]
                    .into_iter()
                    .filter(|place| *place == Side::Client || !envoy.server.is_empty())
                    .flat_map(|place| exchange.happened_to(place).map(|event| (place, event)))
                    .filter_map(|(place, event)| Some((place, logs::of(event?))))
                    .flat_map(|(place, logs)| logs.known().map(move |line| log(place, line))),
            ),
            "findings": List(findings.iter().map(finding)),
            "sockets": sockets.as_deref().map(sockets_of),
            "explanation": self.sentence(|out| explain::exchange(out, exchange, &facts.names)),
            "display_filter": Quoted(|out: &mut String| {
                wireshark::exchange(out, exchange, facts.numbering());
            }),
        });
    }

    /// The sentence that `explain` pushes; `None` if it pushes nothing.
    fn sentence(&mut self, explain: impl FnOnce(&mut String)) -> Option<&str> {
        self.sentence.clear();
        explain(&mut self.sentence);
        (!self.sentence.is_empty()).then_some(self.sentence.as_str())
    }

    fn events(&mut self, out: &mut String, facts: &Facts, exchange: &Exchange) {
        timeline::fill(&mut self.events, exchange);
        let origin = facts.origin.unwrap_or(exchange.start());
        let mut repeated = 0;
        out.push('[');
        for (index, &(kind, mark)) in self.events.iter().enumerate() {
            out.push_str(if index > 0 { ",{" } else { "{" });
            fields!(out, {
                "kind": Word(kind.name()),
                "frame": mark.frame.number(),
                "t": Seconds(mark.time - origin),
            });
            match kind {
                EventKind::RequestAcked(with) => more_fields!(out, { "with": Word(with.name()) }),
                EventKind::Interim(status) => more_fields!(out, { "status": status }),
                EventKind::ClientRstStream | EventKind::ServerRstStream | EventKind::Goaway => {
                    let code = exchange.reset.map(|end| Word(end.code.name()));
                    more_fields!(out, { "code": code });
                }
                _ => {}
            }
            if facts.sources.len() > 1 {
                more_fields!(out, { "source": mark.frame.source() });
            }
            if mark.frame == self.current {
                self.positions.push(out.len());
                // Comments on the current frame are added when all of them are known.
                self.commented |= facts.comments.get(mark.frame).is_some();
            } else if let Some(text) = facts.comments.get(mark.frame)
                && (repeated == 0 || repeated + text.len() <= MAX_REPEATED)
            {
                repeated += text.len();
                more_fields!(out, { "comment": text });
            }
            out.push('}');
        }
        out.push(']');
    }

    pub(super) fn connection(&mut self, out: &mut String, facts: &Facts, connection: &Connection) {
        let Connection {
            id,
            client,
            server,
            protocol,
            role_guessed,
            first,
            syn,
            handshake,
            syn_to_synack,
            syn_retries,
            verdict,
            doubt,
            envoy,
            close,
            idle,
            server_answered_others,
            accept_queue,
            silence,
            last_byte_by,
            goaway,
            max_concurrent,
            tunnel,
            tls,
            exchanges,
            orphan_responses,
            hidden_bytes,
            retransmissions,
            dns,
        } = connection;
        let origin = facts.origin.unwrap_or(first.time);
        let is_judged = verdict.is_some() || doubt.is_some();
        fields!(out, {
            "id": *id,
            "source": first.frame.source(),
            "client": *client,
            "server": *server,
            "client_name": facts.names.of(client.ip()),
            "server_name": facts.names.of(server.ip()),
            "protocol": Word(protocol.name()),
            "role_guessed": *role_guessed,
            "first_frame": first.frame.number(),
            "syn_frame": syn.map(|mark| mark.frame.number()),
            "handshake": handshake.map(Millis),
            "syn_to_synack": syn_to_synack.map(Millis),
            "syn_retries": *syn_retries,
            "verdict": verdict.map(|verdict| Word(verdict.name())),
            "certainty": is_judged.then(|| Word(certainty(*doubt))),
            "certainty_reason": reason(*doubt),
            "envoy": places(envoy),
            "closed_by": close.map(|close| Word(close.by.name())),
            "close": close.map(|close| Word(if close.reset { "rst" } else { "fin" })),
            "close_frame": close.map(|close| close.mark.frame.number()),
            "idle_ms": idle.map(Millis),
            "server_answered_others": *server_answered_others,
            "accept_queue": accept_queue.map(listener),
            "silence_ms": silence.map(Millis),
            "last_byte_by": last_byte_by.map(|side| Word(side.name())),
            "streams": (*protocol == Protocol::Http2).then_some(*exchanges),
            "max_concurrent": max_concurrent.map(u64::from),
            "goaway": goaway.map(|goaway| Object(move |out: &mut String| {
                fields!(out, {
                    "by": Word(goaway.by.name()),
                    "code": Word(goaway.code.name()),
                    "last_stream": u64::from(goaway.last_stream),
                    "frame": goaway.mark.frame.number(),
                });
            })),
            "tunnel": *tunnel,
            "last_record_by": tls
                .as_ref()
                .and_then(|tls| tls.last_record_by)
                .map(|side| Word(side.name())),
            "tls": tls.as_deref().map(|tls| Object(move |out: &mut String| encrypted(out, tls, origin))),
            "exchanges": *exchanges,
            "orphan_responses": *orphan_responses,
            "hidden_bytes": *hidden_bytes,
            "retransmissions": *retransmissions,
            "dns": dns.as_deref().map(|dns| Object(|out: &mut String| queries(out, dns))),
            "explanation": self.sentence(|out| explain::connection(out, connection, &facts.names)),
            "display_filter": Quoted(|out: &mut String| {
                wireshark::connection(out, connection, facts.numbering());
            }),
        });
    }

    pub(super) fn capture(&mut self, out: &mut String, facts: &Facts, capture: &Capture) {
        let Capture {
            totals,
            dropped,
            unsupported_frames,
            comments_left_out,
            kernel,
            errors,
        } = capture;
        fields!(out, {
            "frames": totals.frames,
            "bytes": totals.bytes,
            "dropped": *dropped,
            "first": totals.first.map(|time| Time(&mut self.clock, time)),
            "last": totals.last.map(|time| Time(&mut self.clock, time)),
            "complete": errors.is_empty(),
            "truncated_frames": totals.truncated_frames,
            "duplicate_frames": totals.duplicate_frames,
            "malformed_frames": totals.malformed_frames,
            "unsupported_frames": unsupported_frames.values().sum::<u64>(),
            "not_read": List(capture.not_read().map(|(what, frames, may_hide)| {
                Object(move |out: &mut String| {
                    fields!(out, {
                        "what": what.as_ref(),
                        "frames": frames,
                        "may_hide": may_hide,
                    });
                })
            })),
            "dns": Object(|out: &mut String| {
                let dns = &totals.dns;
                fields!(out, {
                    "queries": dns.queries,
                    "repeated": dns.repeated,
                    "unanswered": dns.unanswered,
                    "failed": dns.failed,
                    "searches": dns.searches,
                    "misses": dns.misses,
                    "search_ms": Millis(dns.search_time()),
                    "slowest_ms": dns.slowest.map(Millis),
                    "slowest_name": dns.slowest_name.as_deref(),
                    "failure": dns.failure.as_ref().map(|failure| {
                        Object(move |out: &mut String| not_found(out, failure))
                    }),
                });
            }),
            "connections": totals.connections,
            "encrypted_connections": totals.encrypted_connections,
            "decrypted_connections": totals.decrypted_connections,
            "http2_connections": totals.http2_connections,
            "dns_connections": totals.dns_connections,
            "other_connections": totals.other_connections,
            "retransmissions": totals.retransmissions,
            "connections_evicted": totals.connections_evicted,
            "bytes_given_up": totals.bytes_given_up,
            "kernel": kernel.as_ref().map(|counters| {
                Map(counters.counted().map(|(counter, count)| (counter.name, count)))
            }),
            "errors": List(errors.iter().map(String::as_str)),
            "comments": List(facts.comments.iter().map(|(frame, text)| {
                Object(move |out: &mut String| {
                    fields!(out, {
                        "source": frame.source(),
                        "frame": frame.number(),
                        "text": text,
                    });
                })
            })),
            "comments_left_out": facts.comments.left_out + comments_left_out,
        });
    }

    pub(super) fn summary(&mut self, out: &mut String, facts: &Facts, capture: &Capture) {
        let summary = &facts.summary;
        let told = Told::of(facts, capture);
        let mut problems = String::from("[");
        for (index, problem) in told.problems.iter().enumerate() {
            problems.push_str(if index > 0 { ",{" } else { "{" });
            self.problem(&mut problems, &told, problem);
            problems.push('}');
        }
        problems.push(']');
        let clock = &mut self.clock;
        let ends = summary.process_ends();
        let classes = CLASSES
            .into_iter()
            .zip(summary.statuses[1..].iter().copied());
        let verdicts = Verdict::ALL.into_iter().zip(summary.verdicts);
        let verdicts = verdicts.filter(|(_, count)| *count > 0);
        let doubts = Doubt::ALL.into_iter().zip(summary.doubts);
        let doubts = doubts.filter(|(_, count)| *count > 0);
        let rates = summary.success_rates();
        let timers = summary.timers();
        fields!(out, {
            "exchanges": summary.exchanges,
            "probes": summary.probes,
            "uncertain": summary.uncertain,
            "uncertain_because": Map(doubts.map(|(doubt, count)| (doubt.name(), count))),
            "filtered_out": summary.filtered_out,
            "problems": Raw(|out: &mut String| out.push_str(&problems)),
            "problems_left_out": told.beyond.saturating_add(summary.problems_left_out()),
            "verdicts": Map(verdicts.map(|(verdict, count)| (verdict.name(), count))),
            "statuses": Map(classes.filter(|(_, count)| *count > 0)),
            "connects_failed": summary.connects_failed(),
            "handshakes_failed": summary.handshakes_failed(),
            "findings": Map(summary.findings().map(|(kind, costs)| (kind.name(), gap_stats(costs)))),
            "success_rates": List(rates.into_iter().map(|(server, rate)| {
                Object(move |out: &mut String| success_rate(out, server, rate))
            })),
            "success_rates_left_out": summary.servers_left_out,
            "process_ends": Raw(|out: &mut String| {
                out.push('[');
                for (index, end) in ends.iter().enumerate() {
                    out.push_str(if index > 0 { ",{" } else { "{" });
                    fields!(out, {
                        "server": end.server,
                        "at": Time(clock, end.at),
                        "connections": end.connections,
                        "within_ms": Millis(end.within),
                        "unanswered": end.unanswered,
                        "refused": end.refused,
                        "last_refused": Time(clock, end.last_refused),
                    });
                    out.push('}');
                }
                out.push(']');
            }),
            "timers": List(timers.iter().map(timer)),
            "timers_left_out": summary.closes_left_out(),
            "gaps": Map(summary.gaps().map(|(gap, stats)| (gap.name(), gap_stats(stats)))),
            "tls": Map(summary.handshakes().map(|(part, stats)| (part.name(), gap_stats(stats)))),
        });
    }
}

impl Objects {
    fn problem(&mut self, out: &mut String, told: &Told<'_>, problem: &Problem) {
        let clock = &mut self.clock;
        let (mut first, mut last) = (String::new(), String::new());
        for (out, at) in [(&mut first, problem.first), (&mut last, problem.last)] {
            match at {
                Some(at) => {
                    out.push('"');
                    Time(clock, at).push(out);
                    out.push('"');
                }
                None => out.push_str("null"),
            }
        }
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let example = match &problem.example {
            Some(Example::Exchange(exchange)) => (Some(exchange.id), None),
            Some(Example::Connection(connection)) => (None, Some(connection.id)),
            None => (None, None),
        };
        fields!(out, {
            "id": problem.id,
            "kind": Word(problem.kind.name()),
            "severity": Word(problem.severity.name()),
            "server": problem.server,
            "server_name": told.name_of(problem.server),
            "side": Word(problem.side.name()),
            "detail": Some(problem.detail.as_str()).filter(|detail| !detail.is_empty()),
            "routes": List(problem.routes.iter().map(|route| route.as_str())),
            "routes_left_out": problem.routes_left_out,
            "count": problem.count,
            "of": problem.of,
            "uncertain": problem.uncertain,
            "readings": (!problem.readings.are_none()).then(|| readings(problem.readings)),
            "behind": List(problem.behind.iter().map(|one| {
                Object(move |out: &mut String| {
                    fields!(out, {
                        "server": one.server,
                        "server_name": told.name_of(one.server),
                        "kind": Word(one.kind.name()),
                        "count": one.count,
                        "opened": one.opened,
                        "silence_ms_min": one.silence.map(|(min, _)| Millis(min)),
                        "silence_ms_max": one.silence.map(|(_, max)| Millis(max)),
                    });
                })
            })),
            "callers": List(problem.callers.iter().map(|caller| caller.as_str())),
            "other_callers": problem.other_callers,
            "ms_min": problem.min.map(Millis),
            "ms_max": problem.max.map(Millis),
            "timer": problem.timer.is_some(),
            "guess_ms": problem.timer.and_then(|timer| timer.guess).map(PlainMillis),
            "first": Raw(|out: &mut String| out.push_str(&first)),
            "last": Raw(|out: &mut String| out.push_str(&last)),
            "example": example.0,
            "example_connection": example.1,
            "exchanges": List(problem.exchanges.iter().copied()),
            "connections": List(problem.connections.iter().copied()),
            "evidence": List(problem.evidence.iter().map(|mark| mark.frame.number())),
            "sentence": told.paragraph(problem).as_str(),
            "envoy": text(Told::envoy(problem)).as_deref(),
            "next": text(told.next(problem)).as_deref(),
            "display_filter": text(told.display_filter(problem)).as_deref(),
        });
    }
}

/// The queries of a connection.
fn queries(out: &mut String, dns: &Dns) {
    let Dns {
        transport,
        queries,
        repeated,
        unanswered,
        failed,
        failures,
        names,
        slowest,
        slowest_name,
    } = dns;
    fields!(out, {
        "transport": Word(transport.name()),
        "queries": *queries,
        "repeated": *repeated,
        "unanswered": *unanswered,
        "failed": *failed,
        "failures": List(failures.iter().map(|failure| {
            Object(move |out: &mut String| not_found(out, failure))
        })),
        "names": List(names.iter().map(|name| name.as_str())),
        "slowest_ms": slowest.map(Millis),
        "slowest_name": slowest_name.as_deref(),
    });
}

fn not_found(out: &mut String, failure: &Failure) {
    fields!(out, {
        "name": failure.name.as_str(),
        "type": type_name(failure.kind).as_str(),
        "code": code_name(failure.code).as_str(),
        "count": failure.count,
    });
}

pub(super) fn source(out: &mut String, source: &Source) {
    fields!(out, {
        "kind": source.kind.as_str(),
        "name": source.name.as_str(),
        "interfaces": List(source.interfaces.iter().map(String::as_str)),
    });
}

pub(super) fn assertion(out: &mut String, outcome: &Outcome) {
    fields!(out, {
        "assertion": outcome.assertion.as_str(),
        "outcome": Word(outcome.name()),
        "observed": outcome.observed.as_str(),
        "exchanges": List(outcome.exchanges.iter().map(|one| one.id)),
        "connections": List(outcome.connections.iter().map(|one| one.id)),
    });
}

/// Names of the hundreds of statuses.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Pushes an aggregated route. Its name is null if it is the shared one of those that were too
/// many.
pub(super) fn route(out: &mut String, route: &Route, counted: &RouteCounts) {
    let named = !route.method.is_empty();
    let classes = CLASSES
        .into_iter()
        .zip(counted.statuses[1..].iter().copied());
    let gaps = [
        ("request_to_response", counted.response().stats()),
        ("wait", counted.wait().stats()),
        ("total", counted.total().stats()),
    ];
    let gaps = gaps.into_iter();
    let gaps = gaps.filter_map(|(name, stats)| Some((name, gap_stats(stats?))));
    fields!(out, {
        "server": route.server,
        "method": named.then_some(route.method.as_str()),
        "path": named.then_some(route.path.as_str()),
        "exchanges": counted.exchanges,
        "statuses": Map(classes),
        "gaps": Map(gaps),
    });
}

fn success_rate(out: &mut String, server: Endpoint, rate: SuccessRate) {
    let share = |good| (rate.counted > 0).then_some(Ratio(good, rate.counted));
    fields!(out, {
        "server": server,
        "counted": rate.counted,
        "client_side": share(rate.good),
        "server_side": share(rate.server_good()),
        "connects_failed": rate.connects_failed,
    });
}

fn timer(timer: &Timer) -> impl Encode {
    Object(|out: &mut String| {
        fields!(out, {
            "kind": Word(timer.kind.name()),
            "server": timer.server,
            "closed_by": Word(timer.closed_by.name()),
            "count": timer.count,
            "of": timer.of,
            "ms_min": Millis(timer.min),
            "ms_max": Millis(timer.max),
            "guess_ms": timer.guess.map(PlainMillis),
            "routes": List(timer.routes.iter().map(String::as_str)),
            "exchanges": List(timer.exchanges.iter().copied()),
        });
    })
}

fn gap_stats(stats: GapStats) -> impl Encode {
    Object(move |out: &mut String| {
        fields!(out, {
            "count": stats.count,
            "min": Millis(stats.min),
            "p50": Millis(stats.p50),
            "p90": Millis(stats.p90),
            "p99": Millis(stats.p99),
            "max": Millis(stats.max),
        });
    })
}

fn places(flags: &EnvoyFlags) -> impl Encode {
    Object(|out: &mut String| {
        if *flags == EnvoyFlags::default() {
            return;
        }
        let words = |flags: &'static [&'static str]| List(flags.iter().copied().map(Word));
        fields!(out, {
            "client": words(flags.client),
            "client_downstream": words(flags.client_downstream),
            "server": words(flags.server),
        });
    })
}

fn log(place: Side, (software, line): (&'static str, &'static str)) -> impl Encode {
    Object(move |out: &mut String| {
        fields!(out, {
            "place": Word(place.name()),
            "software": Word(software),
            "line": Word(line),
        });
    })
}

/// A remote procedure call.
fn call(out: &mut String, grpc: &Grpc, exchange: &Exchange) {
    let [of_client, of_server] = grpc.compressed;
    fields!(out, {
        "wire": Word(grpc.wire.name()),
        "service": grpc.service.as_deref(),
        "method": grpc.method.as_deref(),
        "status": grpc.status.map(|status| u64::from(status.0)),
        "status_name": grpc.status.map(|status| Word(status.name())),
        "message": grpc.message.as_deref(),
        "deadline_ms": exchange.expected_timeout.map(PlainMillis),
        "messages": Object(move |out: &mut String| {
            fields!(out, { "request": grpc.request, "response": grpc.response });
        }),
        "compressed": Object(move |out: &mut String| {
            fields!(out, { "request": of_client, "response": of_server });
        }),
        "first_message_ms": grpc.first_message.map(Millis),
        "longest_silence_ms": grpc.longest_silence.map(Millis),
    });
}

/// A WebSocket.
fn tunnel(websocket: &WebSocket) -> impl Encode {
    let WebSocket {
        frames,
        whole,
        bytes,
        compressed,
        longest_pong,
        closed_by,
        close_code,
        close_reason,
        close_answered,
        violation,
        longest_silence,
    } = websocket;
    let sides = |[client, server]: [u64; 2]| {
        Object(move |out: &mut String| fields!(out, { "client": client, "server": server }))
    };
    Object(move |out: &mut String| {
        let [client, server] = frames;
        fields!(out, {
            "frames": sides(frames.map(|frames| frames.all())),
            "kinds": Object(|out: &mut String| {
                fields!(out, { "client": kinds(client), "server": kinds(server) });
            }),
            "whole": Object(|out: &mut String| {
                fields!(out, { "client": whole[0], "server": whole[1] });
            }),
            "bytes": sides(*bytes),
            "compressed": sides(*compressed),
            "pings": websocket.pings(),
            "longest_pong_ms": longest_pong.map(Millis),
            "close_code": *close_code,
            "close_reason": close_reason.as_deref(),
            "closed_by": closed_by.map(|side| Word(side.name())),
            "close_answered": closed_by.map(|_| *close_answered),
            "violation": violation.map(|(by, what)| Object(move |out: &mut String| {
                fields!(out, { "by": Word(by.name()), "kind": Word(what.name()) });
            })),
            "longest_silence_ms": Millis(*longest_silence),
        });
    })
}

fn kinds(frames: &Frames) -> impl Encode {
    Object(move |out: &mut String| {
        fields!(out, {
            "text": frames.text,
            "binary": frames.binary,
            "continuation": frames.continuation,
            "ping": frames.ping,
            "pong": frames.pong,
            "close": frames.close,
        });
    })
}

fn finding(finding: &Finding) -> impl Encode {
    let Finding {
        kind,
        side,
        frames,
        cost,
    } = finding;
    Object(|out: &mut String| {
        fields!(out, {
            "kind": Word(kind.name()),
            "side": Word(side.name()),
            "frames": List(frames.iter().map(|mark| mark.frame.number())),
            "ms": Millis(*cost),
        });
    })
}

fn readings(readings: Readings) -> impl Encode {
    let Readings {
        turned_away,
        not_accepted,
        unread,
        read,
    } = readings;
    Object(move |out: &mut String| {
        fields!(out, {
            "turned_away": turned_away,
            "not_accepted": not_accepted,
            "unread": unread,
            "read": read,
        });
    })
}

fn sockets_of(sockets: &Sockets) -> impl Encode {
    let Sockets {
        asked,
        unread_bytes,
        unread,
        read_by,
        accepted,
        accept_queue_was_full,
        client,
        server,
        listener: listens,
    } = *sockets;
    Object(move |out: &mut String| {
        fields!(out, {
            "asked": u64::from(asked),
            "unread_bytes": unread_bytes,
            "unread_ms": unread.map(Millis),
            "read_by_ms": read_by.map(Millis),
            "accepted": accepted,
            "accept_queue_was_full": accept_queue_was_full,
            "client": client.map(socket),
            "server": server.map(socket),
            "accept_queue": listens.map(listener),
        });
    })
}

fn socket(socket: Socket) -> impl Encode {
    Object(move |out: &mut String| {
        fields!(out, {
            "receive_queue": u64::from(socket.receive_queue),
            "send_queue": u64::from(socket.send_queue),
            "retransmits": u64::from(socket.retransmits),
            "congestion_window": u64::from(socket.congestion_window),
            "rtt_ms": Millis(socket.rtt),
        });
    })
}

fn listener(listener: Listener) -> impl Encode {
    Object(move |out: &mut String| {
        fields!(out, {
            "waiting": u64::from(listener.waiting),
            "most": u64::from(listener.most),
        });
    })
}

const fn certainty(doubt: Option<Doubt>) -> &'static str {
    if doubt.is_none() {
        "certain"
    } else {
        "uncertain"
    }
}

fn reason(doubt: Option<Doubt>) -> Option<Word> {
    doubt.map(|doubt| Word(doubt.name()))
}
