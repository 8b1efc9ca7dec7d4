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
use super::spoken::{MAX_LINE, Mask, Row, bytes, push_bytes};
use super::{frames, timeline};
use crate::conversation::{Entry, Unread, What};
use crate::exchange::{Exchange, Side};
use crate::mesh;
use crate::names::Names;
use crate::packet::{Flags, Mark};
use crate::piece::{Exact, Number, push, said};
use crate::protocol::websocket::{Opcode, closing, code_in_words};
use crate::report::explain;
use crate::report::wireshark::{self, Numbering};
use crate::time::Timestamp;
use crate::{escape, number};
use hashbrown::{HashMap, HashSet};

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

/// Columns of the frame and the time.
const FRAME: usize = 8;
const SECONDS: usize = 14;
/// Columns of a stream's number.
const STREAM: usize = 8;
/// Columns before the gap beside a line.
const WHAT: usize = 44;
/// Columns of a sentence.
const WIDTH: usize = 100;

/// How a conversation is shown.
#[derive(Clone, Debug, Default)]
pub struct ConversationOptions {
    /// Escape sequences for colour.
    pub colour: bool,
    /// Fields whose values are masked, in lower case.
    pub secret: Vec<String>,
    /// Whether the beginning of bytes that were not read is shown. Nothing in them can be masked.
    pub unread: bool,
    /// Whether fields that their sender calls secret are masked, whatever their names.
    pub sealed: bool,
    /// Whether all segments without data are shown, rather than those with news.
    pub acks: bool,
    /// Whether streams of HTTP/2 have their numbers beside their lines.
    pub streams: bool,
}

impl ConversationOptions {
    fn mask(&self) -> Mask<'_> {
        Mask {
            secret: &self.secret,
            sealed: self.sealed,
        }
    }
}

/// Pushes the exchange and its two ends.
pub fn push_ends(out: &mut String, exchange: &Exchange, names: &Names) {
    timeline::request(out, exchange, MAX_LINE);
    out.push_str("   ");
    timeline::outcome(out, exchange);
    let stream = exchange
        .stream
        .map(|stream| (", stream ", Number(u64::from(stream))));
    push!(out; "   exchange ", Number(exchange.id), stream, "\n", names.at(exchange.client));
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
    let mut told = Beside::new(exchanges, entries);
    let added = told.missing(entries);
    let mut said: Vec<&Entry> = entries.iter().chain(&added).collect();
    said.sort_by_key(|entry| entry.mark.order);
    let streams = options.streams && entries.iter().any(|entry| entry.stream.is_some());
    push_columns(out, paint, streams);
    let mut last: Option<(Mark, Option<u32>)> = None;
    for entry in said {
        let order = entry.mark.order;
        if !is_telling(entry, told.what.contains_key(&order), options.acks) {
            continue;
        }
        let lines = lines(entry, options, told.what.get(&order).map(String::as_str));
        for (index, (text, ink)) in lines.iter().enumerate() {
            let new = last.is_none_or(|(last, _)| last.order != order);
            position(out, paint, entry.mark, origin, new);
            if streams {
                let changed = new || last.is_some_and(|(_, stream)| stream != entry.stream);
                push_stream(out, paint, entry.stream.filter(|_| changed));
            }
            last = Some((entry.mark, entry.stream));
            push_arrow(out, paint, entry.from);
            if !text.is_empty() {
                out.push_str("  ");
                match ink {
                    Some(ink) => paint.push(out, *ink, text),
                    None => out.push_str(text),
                }
            }
            if index == 0
                && let Some(gap) = told.take_gap(order, entry.stream)
            {
                blanks(out, WHAT.saturating_sub(columns(text)).max(2));
                paint.push(out, Ink::Dim, &gap);
            }
            out.push('\n');
        }
    }
}

/// What the exchanges say beside the entries, by the place of a frame.
struct Beside<'a> {
    exchanges: &'a [Exchange],
    /// What the frame did.
    what: HashMap<u64, String>,
    /// The gaps that end there, each with the stream of its exchange.
    gaps: HashMap<u64, Vec<(Option<u32>, String)>>,
    /// The frames that say something of a stream.
    there: HashSet<(u64, Option<u32>)>,
}

impl<'a> Beside<'a> {
    fn new(exchanges: &'a [Exchange], entries: &[Entry]) -> Self {
        let there = entries.iter();
        let there = there.map(|entry| (entry.mark.order, entry.stream));
        let mut what = HashMap::new();
        let mut gaps: HashMap<_, Vec<_>> = HashMap::new();
        for exchange in exchanges {
            for line in timeline::lines(exchange) {
                let order = line.event.1.order;
                if let Some((gap, since)) = line.gap {
                    let mut text = said!(Exact(gap), " ms ");
                    text.push_str(since);
                    let here = gaps.entry(order).or_default();
                    if here.iter().all(|(stream, _)| *stream != exchange.stream) {
                        here.push((exchange.stream, text));
                    }
                }
                what.entry(order).or_insert(line.what);
            }
        }
        Self {
            exchanges,
            what,
            gaps,
            there: there.collect(),
        }
    }

    /// Entries for events of a stream in frames that say nothing of it, such as acknowledgments.
    fn missing(&self, entries: &[Entry]) -> Vec<Entry> {
        let there: HashSet<u64> = entries.iter().map(|entry| entry.mark.order).collect();
        let streams = self
            .exchanges
            .iter()
            .filter(|exchange| exchange.stream.is_some());
        let mut added: HashMap<u64, Entry> = HashMap::new();
        for (kind, mark) in streams.flat_map(timeline::lines).map(|line| line.event) {
            if !there.contains(&mark.order) {
                let what = What::Control(Flags::ACK);
                let entry = Entry::new(kind.sender(), mark, what);
                added.entry(mark.order).or_insert(entry);
            }
        }
        added.into_values().collect()
    }

    /// The gap beside a line of `stream`. What is of the connection is of every stream that has no
    /// line of its own in that frame.
    fn take_gap(&mut self, order: u64, stream: Option<u32>) -> Option<String> {
        let several = self.exchanges.len() > 1;
        let there = &self.there;
        let gaps = self.gaps.get_mut(&order)?;
        let of_all = matches!(stream, None | Some(0));
        let fits = |of: Option<u32>| {
            of.is_none() || of == stream || of_all && !there.contains(&(order, of))
        };
        let at = gaps.iter().position(|(of, _)| fits(*of))?;
        let (of, mut text) = gaps.remove(at);
        if let Some(of) = of.filter(|_| of_all && several) {
            push!(&mut text; ", stream ", Number(u64::from(of)));
        }
        Some(text)
    }
}

fn push_columns(out: &mut String, paint: Paint, streams: bool) {
    let mut head = String::new();
    right(&mut head, "frame", FRAME);
    right(&mut head, "seconds", SECONDS);
    if streams {
        right(&mut head, "stream", STREAM);
    }
    paint.push(out, Ink::Dim, &head);
    out.push('\n');
}

fn push_stream(out: &mut String, paint: Paint, stream: Option<u32>) {
    let mut padded = String::new();
    let number = stream.map(|stream| stream.to_string());
    right(&mut padded, number.as_deref().unwrap_or_default(), STREAM);
    paint.push(out, Ink::Dim, &padded);
}

fn push_arrow(out: &mut String, paint: Paint, from: Side) {
    let (arrow, ink) = match from {
        Side::Client => ("▶", Ink::Accent),
        Side::Server => ("◀", Ink::Good),
    };
    out.push_str("  ");
    paint.push(out, ink, arrow);
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

fn lines(entry: &Entry, options: &ConversationOptions, told: Option<&str>) -> Vec<Row> {
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
                options.mask().push_line(&mut text, line, folds.as_deref());
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
                (Unread::Frameless, _) => " of frames whose beginning is not in the capture",
                (Unread::NoFrame, 1) => " that is no HTTP/2",
                (Unread::NoFrame, _) => " that are no HTTP/2",
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
        What::WebSocket {
            header,
            control,
            piece,
        } => {
            text.push_str(match header.opcode {
                Opcode::Text => "WebSocket text, ",
                Opcode::Binary => "WebSocket binary, ",
                Opcode::Continuation => "WebSocket continuation, ",
                Opcode::Close => "WebSocket Close",
                Opcode::Ping => "WebSocket Ping, ",
                Opcode::Pong => "WebSocket Pong, ",
            });
            if header.opcode == Opcode::Close {
                let (code, reason) = control.as_deref().map(closing).unwrap_or_default();
                if let Some(code) = code {
                    push!(&mut text; " ", Number(u64::from(code)), " (", code_in_words(code), ")");
                }
                if reason.is_some() && !piece.begin.is_empty() {
                    // Bytes were asked for.
                    return bytes(
                        text,
                        piece.begin.get(2..).unwrap_or_default(),
                        piece.size - 2,
                    );
                }
                return vec![(text, Some(Ink::Bold))];
            }
            push_bytes(&mut text, header.length, "");
            text.push_str(match (header.compressed, header.fin) {
                (true, true) => ", compressed",
                (true, false) => ", compressed, more to come",
                (false, true) => "",
                (false, false) => ", more to come",
            });
            if piece.first.frame != entry.mark.frame {
                push!(&mut text; ", from frame ", Number(piece.first.frame.number()), " on");
            }
            if !piece.whole {
                text.push_str(", and then no more");
            }
            bytes(text, &piece.begin, piece.size)
        }
        What::Frame(told) => frames::lines(told, options.mask()),
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

fn control(flags: Flags, from: Side, told: Option<&str>) -> Row {
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
