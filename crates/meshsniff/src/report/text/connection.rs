//! One connection that failed, or that carried no conversation, as a small timeline.
//!
//! ```text
//! ✗ no conversation   tls-failed
//!   10.1.0.7:40712 → 10.1.0.9:8443
//!     frame     seconds   client    server
//!       164    0.614038   ─────────▶     SYN
//!       167    0.614211   ─────────▶     ClientHello for shop.example
//!       169    0.615902   ◀─────────     alert: unrecognized_name
//!       170    0.615950   ◀─────────     FIN                            0.048 ms after the last byte
//! ```

use super::paint::{Ink, wrapped};
use super::timeline::{Canvas, Row};
use crate::exchange::{Connection, Side, Verdict};
use crate::packet::Mark;
use crate::piece::{Grouped, Shown, push};
use crate::protocol::tls::{StepKind, Tls};
use crate::report::{explain, wireshark};
use crate::time::Span;

/// Characters of a name that a client asks for, and of a protocol.
const MAX_SNI: usize = 60;
const MAX_ALPN: usize = 20;
/// Protocols shown that a client offers.
const MAX_OFFERED: usize = 4;

/// A line of a connection's timeline.
struct Line {
    by: Side,
    mark: Mark,
    what: String,
    ink: Option<Ink>,
    gap: Option<(Span, &'static str)>,
}

impl Canvas<'_> {
    /// Pushes a connection.
    pub(super) fn connection(&self, out: &mut String, connection: &Connection) {
        let (sign, title, ink) = match connection.verdict {
            Some(Verdict::ConnectRefused | Verdict::ConnectTimeout) => {
                ("✗ ", "no connection", Ink::Bad)
            }
            Some(_) => ("✗ ", "no conversation", Ink::Bad),
            None if connection.dns.is_some() => ("? ", "lookups in DNS", Ink::Doubt),
            None => ("? ", "a tunnel that was closed", Ink::Doubt),
        };
        self.paint.push(out, ink, sign);
        self.paint.push(out, Ink::Bold, title);
        if let Some(verdict) = connection.verdict {
            out.push_str("   ");
            self.paint.push(out, ink, verdict.name());
        }
        if let Some(doubt) = connection.doubt {
            self.doubt(out, doubt.name());
        }
        out.push_str("\n  ");
        self.parties(out, connection.client, connection.server);
        let lines = lines(connection);
        let rows: Vec<Row<'_>> = lines.iter().map(Line::row).collect();
        let only = self.only_source(&rows);
        if let Some(name) = only {
            out.push_str(", frames of ");
            out.push_str(name);
        }
        out.push('\n');
        self.rows(out, &rows, only.is_none());
        self.envoy(out, &connection.envoy, connection.client, false);
        let mut sentence = String::new();
        explain::connection(&mut sentence, connection, self.names);
        wrapped(out, &sentence, 2, self.width);
        self.wireshark(out, |filter| {
            wireshark::connection(filter, connection, self.numbering);
        });
        out.push('\n');
    }
}

impl Line {
    const fn new(by: Side, mark: Mark, what: String) -> Self {
        Self {
            by,
            mark,
            what,
            ink: None,
            gap: None,
        }
    }

    fn row(&self) -> Row<'_> {
        Row {
            by: self.by,
            mark: self.mark,
            what: &self.what,
            ink: self.ink,
            gap: self.gap,
        }
    }
}

/// What the frames of a connection did, in their order.
fn lines(connection: &Connection) -> Vec<Line> {
    let mut first = String::from(if connection.is_udp() { "query" } else { "SYN" });
    if connection.syn_retries > 0 {
        push!(&mut first; ", sent ", Grouped(connection.syn_retries.saturating_add(1)), " times");
    }
    let mut lines = Vec::new();
    // One that was joined late has none in the capture.
    if connection.syn.is_some() || connection.is_udp() || connection.tls.is_none() {
        lines.push(Line::new(Side::Client, connection.first, first));
    }
    if let Some(tls) = connection.tls.as_deref() {
        lines.extend(tls.steps.iter().map(|step| {
            let (what, gap) = step_in_words(tls, step.kind);
            let ink = (step.kind == StepKind::Alert).then_some(Ink::Bad);
            let line = Line::new(step.by, step.mark, what);
            Line { ink, gap, ..line }
        }));
    }
    if let Some(close) = connection.close {
        let what = if close.reset { "RST" } else { "FIN" };
        // Whoever sends an alert closes with it, so it ends no silence.
        let since = match connection.alert() {
            Some(_) => "after the last byte before the alert",
            None => "after the last byte",
        };
        lines.push(Line {
            ink: Some(Ink::Bad),
            gap: connection.silence.map(|gap| (gap, since)),
            ..Line::new(close.by, close.mark, what.to_owned())
        });
    }
    lines.sort_by_key(|line| line.mark.order);
    lines
}

/// A step of TLS, and the gap that ends with it.
fn step_in_words(tls: &Tls, kind: StepKind) -> (String, Option<(Span, &'static str)>) {
    let mut what = String::new();
    let gap = match kind {
        StepKind::ClientHello => {
            what.push_str("ClientHello");
            if let Some(name) = tls.sni.as_deref() {
                push!(&mut what; " for ", Shown(name, MAX_SNI));
            }
            let offered = tls
                .alpn_offered
                .iter()
                .filter(|offered| !offered.is_empty());
            for (number, offered) in offered.enumerate() {
                what.push_str(if number == 0 { ", offers " } else { " " });
                if number == MAX_OFFERED {
                    what.push('…');
                    break;
                }
                push!(&mut what; Shown(offered, MAX_ALPN));
            }
            None
        }
        StepKind::ServerHello => {
            what.push_str("ServerHello");
            if let Some(name) = tls.version.and_then(|version| version.name()) {
                what.push_str(": ");
                what.push_str(name);
            }
            tls.server.map(|gap| (gap, "after the ClientHello"))
        }
        StepKind::HandshakeEnd => {
            what.push_str("end of the handshake");
            tls.handshake.map(|gap| (gap, "after the ClientHello"))
        }
        StepKind::Alert => {
            if let Some(alert) = tls.alert {
                push!(&mut what; "alert: ", alert.name());
            }
            None
        }
        StepKind::LastRecord => {
            what.push_str("the last data");
            None
        }
    };
    (what, gap)
}
