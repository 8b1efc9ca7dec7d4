//! One conversation for a terminal: what both sides said, with frames and times, and the gaps
//! beside them.
//!
//! ```text
//!    frame     seconds
//!       17    0.082983  ▶  GET /items?delay=2005 HTTP/1.1
//!                       ▶  authorization: (redacted, 23 bytes)
//!       18    0.083009  ◀  ACK                              0.026 ms after the request
//!       19    0.569507  ▶  FIN: the client closes           486.498 ms after the ACK
//! ```

use super::paint::{Ink, Paint, blanks, columns, right, wrapped};
use super::timeline;
use crate::conversation::{Entry, Unread, What};
use crate::exchange::{Exchange, Side};
use crate::mesh;
use crate::names::Names;
use crate::packet::{Flags, Mark};
use crate::piece::{Exact, Number, Shown, push, said};
use crate::report::explain;
use crate::report::wireshark::{self, Numbering};
use crate::time::Timestamp;
use crate::{escape, number};
use hashbrown::HashMap;

/// Fields whose values are masked unless somebody asks for them: credentials, and what stands for
/// them.
pub const SECRET_FIELDS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-amz-security-token",
    "x-csrf-token",
    "x-forwarded-client-cert",
];

/// Characters of a line.
const MAX_LINE: usize = 400;
/// Columns of the frame and the time.
const FRAME: usize = 8;
const SECONDS: usize = 14;
/// Columns before the gap beside a line.
const WHAT: usize = 44;
/// Columns of a sentence.
const WIDTH: usize = 100;
/// Bytes of a body in a line, if the body is no text.
const DUMP: usize = 16;

/// How a conversation is shown.
#[derive(Clone, Debug, Default)]
pub struct ConversationOptions {
    /// Escape sequences for colour.
    pub colour: bool,
    /// Fields whose values are masked, in lower case.
    pub secret: Vec<String>,
    /// Whether the beginning of bytes that were not read is shown. Nothing in them can be masked.
    pub unread: bool,
    /// Whether all segments without data are shown, rather than those with news.
    pub acks: bool,
}

/// Pushes the exchange and its two ends.
pub fn push_ends(out: &mut String, exchange: &Exchange, names: &Names) {
    timeline::request(out, exchange, MAX_LINE);
    out.push_str("   ");
    out.push_str(exchange.verdict.name());
    push!(out; "   exchange ", Number(exchange.id), "\n",
        names.at(exchange.client));
    if mesh::is_istio_inbound(exchange.client) {
        out.push_str(" (Istio's sidecar)");
    }
    push!(out; " ▶ ◀ ", names.at(exchange.server), "\n\n");
}

/// Pushes the explanation, and how to find the exchange in Wireshark.
pub fn push_explanation(out: &mut String, exchange: &Exchange, names: &Names) {
    let mut sentence = String::new();
    explain::exchange(&mut sentence, exchange, names);
    wrapped(out, &sentence, 0, WIDTH);
    out.push_str("Wireshark: ");
    wireshark::exchange(out, exchange, Numbering::OneFile);
    out.push('\n');
}

/// Pushes the conversation. `exchanges`: those of the connection, whose gaps stand beside their
/// frames.
pub fn conversation(
    out: &mut String,
    options: &ConversationOptions,
    origin: Timestamp,
    exchanges: &[Exchange],
    entries: &[Entry],
) {
    let paint = Paint {
        colour: options.colour,
    };
    let mut gaps: HashMap<u64, String> = HashMap::new();
    let mut told = HashMap::new();
    for exchange in exchanges {
        for line in timeline::lines(exchange) {
            let order = line.event.1.order;
            if let Some((gap, since)) = line.gap {
                let mut text = said!(Exact(gap), " ms ");
                text.push_str(since);
                gaps.entry(order).or_insert(text);
            }
            told.entry(order).or_insert(line.what);
        }
    }
    let mut head = String::new();
    right(&mut head, "frame", FRAME);
    right(&mut head, "seconds", SECONDS);
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
    let mut last: Option<Mark> = None;
    for entry in entries {
        let order = entry.mark.order;
        if matches!(entry.what, What::Control(_))
            && !is_telling(entry, told.contains_key(&order), options.acks)
        {
            continue;
        }
        let lines = lines(entry, options, told.get(&order).map(String::as_str));
        for (index, (text, ink)) in lines.iter().enumerate() {
            let new = last.is_none_or(|last| last.order != order);
            position(out, paint, entry.mark, origin, new);
            last = Some(entry.mark);
            out.push_str("  ");
            let arrow = match entry.from {
                Side::Client => "▶",
                Side::Server => "◀",
            };
            paint.push(
                out,
                match entry.from {
                    Side::Client => Ink::Accent,
                    Side::Server => Ink::Good,
                },
                arrow,
            );
            if !text.is_empty() {
                out.push_str("  ");
                match ink {
                    Some(ink) => paint.push(out, *ink, text),
                    None => out.push_str(text),
                }
            }
            if index == 0
                && let Some(gap) = gaps.remove(&order)
            {
                blanks(out, WHAT.saturating_sub(columns(text)).max(2));
                paint.push(out, Ink::Dim, &gap);
            }
            out.push('\n');
        }
    }
}

fn position(out: &mut String, paint: Paint, mark: Mark, origin: Timestamp, new: bool) {
    if !new {
        blanks(out, FRAME + SECONDS);
        return;
    }
    right(out, &mark.frame.number().to_string(), FRAME);
    let mut seconds = String::new();
    number::decimal(&mut seconds, number::micros(mark.time - origin), 6, 6);
    let mut padded = String::new();
    right(&mut padded, &seconds, SECONDS);
    paint.push(out, Ink::Dim, &padded);
}

/// Whether a segment without data is worth a line: it opens, closes or resets, or the gap of an
/// exchange ends there.
fn is_telling(entry: &Entry, told: bool, acks: bool) -> bool {
    match entry.what {
        What::Control(flags) => {
            acks || told || flags.any(Flags::SYN.with(Flags::FIN).with(Flags::RST))
        }
        _ => true,
    }
}

fn lines(
    entry: &Entry,
    options: &ConversationOptions,
    told: Option<&str>,
) -> Vec<(String, Option<Ink>)> {
    let mut text = String::new();
    match &entry.what {
        What::Line {
            line,
            first,
            folds,
            cut,
        } => {
            if *first {
                escape::shown(&mut text, &String::from_utf8_lossy(line), MAX_LINE);
            } else {
                push_line(&mut text, line, folds.as_deref(), &options.secret);
            }
            if *cut {
                text.push_str(" (the rest is not in the capture)");
            }
            vec![(text, first.then_some(Ink::Bold))]
        }
        What::Body {
            size,
            first,
            begin,
            whole,
        } => {
            push_bytes(&mut text, *size, " of body");
            if first.frame != entry.mark.frame {
                push!(&mut text; ", from frame ", Number(first.frame.number()), " on");
            }
            if !whole {
                text.push_str(", and then no more");
            }
            bytes(text, begin, *size)
        }
        What::Other { size, begin, why } => {
            let told = match (why, *size) {
                (Unread::Headless, _) => " of a message whose beginning is not in the capture",
                (_, 1) => " that is no HTTP/1",
                _ => " that are no HTTP/1",
            };
            push_bytes(&mut text, *size, told);
            if options.unread || *why == Unread::Switched {
                bytes(text, begin, *size)
            } else {
                bytes(text, &[], *size)
            }
        }
        What::Missing(size) => {
            let told = match *size {
                1 => " is missing from the capture",
                _ => " are missing from the capture",
            };
            push_bytes(&mut text, *size, told);
            vec![(text, Some(Ink::Doubt))]
        }
        What::Again(size) => {
            push_bytes(&mut text, *size, " again: a retransmission");
            vec![(text, Some(Ink::Doubt))]
        }
        What::KeepAlive => vec![("keep-alive".to_owned(), Some(Ink::Dim))],
        What::Probe => vec![("probe of the closed window".to_owned(), Some(Ink::Dim))],
        What::Control(flags) => {
            let (text, ink) = control(*flags, entry.from, told);
            vec![(text, ink)]
        }
    }
}

fn push_bytes(out: &mut String, count: u64, told: &str) {
    number::grouped(out, count);
    out.push_str(if count == 1 { " byte" } else { " bytes" });
    out.push_str(told);
}

/// Pushes a field, or a continuation of the field named `folds`.
fn push_line(out: &mut String, line: &[u8], folds: Option<&[u8]>, secret: &[String]) {
    let is_secret = |name: &str| {
        let name = name.trim();
        secret.iter().any(|one| one.eq_ignore_ascii_case(name))
    };
    let line = String::from_utf8_lossy(line);
    if folds.is_some_and(|field| is_secret(&String::from_utf8_lossy(field))) {
        out.push_str("  (redacted, ");
        push_bytes(out, line.trim().len() as u64, ")");
        return;
    }
    let field = line.split_once(':');
    // Some programs forgive a missing colon.
    let field = field
        .filter(|(name, _)| is_secret(name))
        .or_else(|| line.trim_start().split_once(char::is_whitespace));
    match field {
        Some((name, value)) if is_secret(name) => {
            push!(out; Shown(name, MAX_LINE), ": (redacted, ");
            push_bytes(out, value.trim().len() as u64, ")");
        }
        _ => escape::shown(out, &line, MAX_LINE),
    }
}

/// The line of a body and its beginning: as text if it is text, otherwise as bytes.
fn bytes(headline: String, begin: &[u8], size: u64) -> Vec<(String, Option<Ink>)> {
    let mut lines = vec![(headline, Some(Ink::Dim))];
    if begin.is_empty() {
        return lines;
    }
    let cut = match std::str::from_utf8(begin) {
        Ok(text) => Some(text),
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&begin[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let is_text = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_whitespace());
    if let Some(text) = cut.filter(is_text) {
        for line in text.lines() {
            let mut shown = String::from("  ");
            escape::shown(&mut shown, line, MAX_LINE);
            lines.push((shown, None));
        }
    } else {
        for chunk in begin.chunks(DUMP) {
            let mut shown = String::from("  ");
            for byte in chunk {
                shown.push_str(&format!("{byte:02x} "));
            }
            blanks(&mut shown, (DUMP - chunk.len()) * 3 + 1);
            let plain = |byte: &u8| matches!(byte, b' '..=b'~');
            let letters = chunk
                .iter()
                .map(|byte| if plain(byte) { char::from(*byte) } else { '.' });
            shown.extend(letters);
            lines.push((shown, None));
        }
    }
    if size > begin.len() as u64 {
        lines.push(("  …".to_owned(), None));
    }
    lines
}

fn control(flags: Flags, from: Side, told: Option<&str>) -> (String, Option<Ink>) {
    // The timeline says more of the frame than its flags do.
    if let Some(told) = told.filter(|told| !told.is_empty()) {
        let bad = flags.any(Flags::FIN.with(Flags::RST));
        return (told.to_owned(), bad.then_some(Ink::Bad));
    }
    let who = from.name();
    if flags.has(Flags::SYN) {
        let text = if flags.has(Flags::ACK) {
            "SYN, ACK"
        } else {
            "SYN"
        };
        (text.to_owned(), Some(Ink::Dim))
    } else if flags.has(Flags::RST) {
        (format!("RST: the {who} resets"), Some(Ink::Bad))
    } else if flags.has(Flags::FIN) {
        (format!("FIN: the {who} closes"), Some(Ink::Bad))
    } else {
        ("ACK".to_owned(), Some(Ink::Dim))
    }
}
