//! A connection that failed, that carried no conversation, or that looked names up.

use super::words::{Party, doubtful, how};
use crate::dns::{Dns, code_name};
use crate::exchange::model::Alert;
use crate::exchange::{Close, Connection, Side, Verdict};
use crate::mesh::timeout;
use crate::names::Names;
use crate::piece::{Counted, Grouped, Piece, Shown, Spoken, Timeout, push};
use crate::time::Span;

/// Pushes the explanation of a connection that never opened; nothing for any other.
pub fn connection(out: &mut String, connection: &Connection, names: &Names) {
    let syns = connection.syn_retries.saturating_add(1);
    let client = names.at(connection.client);
    let server = names.beside(connection.server);
    if let Some(dns) = &connection.dns {
        lookups(out, connection, dns, names);
    }
    match connection.verdict {
        Some(Verdict::ConnectRefused) => {
            let again = (syns > 1).then_some((" after ", Grouped(syns), " SYNs"));
            push!(out; "The server (", server, ") refused the connection from ", client,
                " with a RST", again,
                ": nothing listens there, or a firewall rejects (a proxy here: UF).");
        }
        Some(Verdict::ConnectTimeout) => {
            push!(out; "The server (", server, ") did not answer ", Grouped(syns), " SYNs from ",
                client, ": ");
            out.push_str(if connection.accept_queue.is_some() {
                "its accept queue was full"
            } else if connection.server_answered_others {
                "it answered others within a minute, so its accept queue is full, unless it has gone \
                 since"
            } else {
                "the address is gone, or packets are dropped on the way"
            });
            out.push_str(" (a proxy here: UF).");
        }
        Some(verdict) if verdict.is_of_connection() => of_tls(out, connection, verdict, names),
        _ => match connection.close {
            Some(close) if connection.tunnel && is_notable(connection) => {
                idle_tunnel(out, connection, close, names)
            }
            _ => return,
        },
    }
    if let Some(doubt) = connection.doubt {
        doubtful(out, doubt);
    }
}

/// Whether a connection is worth a word: it has a verdict of its own, or is a tunnel that somebody
/// closed after a silence, or carried queries of DNS that did not go well.
#[must_use]
pub fn is_notable(connection: &Connection) -> bool {
    let lookups = connection.dns.as_ref().is_some_and(|dns| dns.is_notable());
    connection.verdict.is_some() || connection.is_tunnel_closed_idle() || lookups
}

/// A close in words, with who, at the begin of a sentence.
pub(super) fn closer<'a>(
    connection: &Connection,
    close: Close,
    names: &'a Names,
) -> impl Piece + use<'a> {
    let end = match close.by {
        Side::Client => connection.client,
        Side::Server => connection.server,
    };
    (Party::new(close.by, end, names), how(close.reset))
}

pub(super) fn idle_tunnel(out: &mut String, connection: &Connection, close: Close, names: &Names) {
    let silence = connection.silence.unwrap_or_default();
    push!(out; closer(connection, close, names), " the tunnel ", Spoken(silence),
        " after its last byte, which was the ");
    let last = connection.last_byte_by.unwrap_or(Side::Client);
    out.push_str(if last == Side::Client {
        "client's"
    } else {
        "server's"
    });
    match timeout::usual_figure(silence) {
        Some(figure) => push!(out; ": an idle timeout, probably ", Timeout(figure),
            ". Let one side send pings more often than that."),
        None => out.push_str("; it fits no usual idle timeout."),
    }
}

pub(super) fn of_tls(out: &mut String, connection: &Connection, verdict: Verdict, names: &Names) {
    let (client, server) = (names.at(connection.client), names.at(connection.server));
    let after = connection
        .silence
        .map(|silence| (" after ", Spoken(silence)));
    match verdict {
        Verdict::TlsRefusedPlain => {
            push!(out; "The client (", names.beside(connection.client), ") spoke TLS to ", server,
            ", which answers in plain text: the port, or the protocol that the client is told to ",
            "speak, is wrong.")
        }
        Verdict::PlainRefusedTls => {
            push!(out; "The client (", names.beside(connection.client), ") spoke plain text to ",
            server, ", which answers with TLS: the port, or the protocol that the client is told ",
            "to speak, is wrong.")
        }
        Verdict::TlsLeftWaiting => {
            push!(out; "The client (", names.beside(connection.client), ") closed ", Spoken(connection.idle.unwrap_or_default()),
                " after its last TLS record to ", server, ", and nothing had come back: as far as can be ",
                "seen without keys it waited for an answer and gave up");
            push!(out; " (a proxy in the client's place: UT, or DC behind it).");
        }
        Verdict::TlsUnanswered => {
            push!(out; "The server (", names.beside(connection.server), ") did not answer the TLS hello of ", client);
            let long = connection
                .silence
                .is_some_and(|gap| gap >= Span::from_secs(1));
            match connection.close {
                Some(close) => {
                    let who = match close.by {
                        Side::Client => "the client",
                        Side::Server => "the server",
                    };
                    push!(out; "; ", who, how(close.reset), after);
                    let serves = long && connection.doubt.is_none();
                    out.push_str(if serves {
                        ". It accepts connections and does not serve them"
                    } else {
                        ""
                    });
                }
                None => out.push_str(" until the capture ended"),
            }
            out.push_str(" (a proxy here: UF).");
        }
        _ => {
            push!(out; "The TLS handshake of ", client, " with ", server, " failed: ");
            match (connection.alert(), connection.close) {
                (Some(alert), _) => {
                    let whose = match alert.by {
                        Side::Client => "the client sent ",
                        Side::Server => "the server sent ",
                    };
                    out.push_str(whose);
                    out.push_str(alert.name());
                    if let Some(meaning) = Alert::meaning(alert.name()) {
                        push!(out; ": ", meaning);
                    }
                }
                (None, Some(close)) => {
                    let whose = match close.by {
                        Side::Client => "the client",
                        Side::Server => "the server",
                    };
                    push!(out; whose, how(close.reset), after, " inside it");
                }
                (None, None) => out.push_str("it was never finished"),
            }
            out.push_str(" (a proxy here: UF).");
        }
    }
}

/// Pushes what went wrong with the queries of a connection; nothing if all is well.
pub(super) fn lookups(out: &mut String, connection: &Connection, dns: &Dns, names: &Names) {
    if dns.is_fine() {
        return;
    }
    push!(out; "The client (", names.beside(connection.client), ") asked ",
        names.at(connection.server), " ",
        Counted(dns.queries, "DNS query", "DNS queries"));
    let unanswered = (": ", Grouped(dns.unanswered), " had no answer");
    push!(out; (dns.unanswered > 0).then_some(unanswered));
    let repeated = (
        ", ",
        Counted(dns.repeated, "was sent again", "were sent again"),
    );
    push!(out; (dns.repeated > 0).then_some(repeated));
    if let Some(failure) = dns.failures.first() {
        push!(out; ", ", Counted(dns.failed, "was", "were"), " answered with an error (");
        out.push_str(&code_name(failure.code));
        push!(out; " for ", Shown(&failure.name, 80), ")");
    }
    if let (Some(slowest), Some(name)) = (dns.slowest, &dns.slowest_name) {
        push!(out; "; the slowest answer came after ", Spoken(slowest), ", for ", Shown(name, 80));
    }
    out.push('.');
}
