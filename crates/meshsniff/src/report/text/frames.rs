//! Frames of HTTP/2 in a conversation.
//!
//! ```text
//!    frame       seconds  stream
//!        7      0.001902       1  ▶  HEADERS: request
//!                                 ▶  :method: POST
//!                                 ▶  :path: /echo.Echo/Say
//!        8      0.001911       1  ▶  message of 12 bytes, END_STREAM
//! ```

use super::paint::Ink;
use super::spoken::{Mask, Row, binary, bytes, push_bytes};
use crate::conversation::{Block, Piece, Told};
use crate::exchange::ErrorCode;
use crate::number;
use crate::piece::{Counted, Grouped, Number, push};
use crate::protocol::grpc::MessageKind;
use crate::protocol::http2::frame::{Frame, Kind, Setting};

/// Ends a line of what is the last of its side on the stream: the flag's name.
const END: &str = ", END_STREAM";
/// The last stream of a GOAWAY that only announces another.
const NOTICE: u32 = 0x7fff_ffff;

/// The lines of a frame, or of a part of one.
pub(super) fn lines(told: &Told, mask: Mask<'_>) -> Vec<Row> {
    let mut text = String::new();
    let mut ink = None;
    match told {
        Told::Block { block, end } => {
            push_block(&mut text, *block, *end);
            ink = Some(Ink::Bold);
        }
        Told::Field(field) => mask.push_field(&mut text, field),
        Told::MoreFields(count) => {
            push!(&mut text; Counted(*count, "field", "fields"), " more");
            ink = Some(Ink::Dim);
        }
        Told::CutBlock => {
            text.push_str("(the rest is not in the capture)");
            ink = Some(Ink::Doubt);
        }
        Told::MalformedBlock => {
            text.push_str("(the rest cannot be read)");
            ink = Some(Ink::Doubt);
        }
        Told::Data { piece, end } => return data(piece, *end),
        Told::Message {
            kind,
            compressed,
            length,
            piece,
            end,
        } => {
            push_message(&mut text, *kind, *compressed, *length, piece);
            push_end(&mut text, *end);
            // A message that is no JSON may look like text, and is none.
            let is_text =
                *kind != MessageKind::Message || matches!(piece.begin.first(), Some(b'{' | b'['));
            let shown = if is_text { bytes } else { binary };
            return shown(text, &piece.begin, piece.size);
        }
        Told::Goaway {
            last,
            code,
            size,
            debug,
        } => {
            push_goaway(&mut text, *last, *code, *size);
            let mut lines = bytes(text, debug, u64::from(*size).min(debug.len() as u64));
            lines[0].1 = Some(Ink::Bad);
            return lines;
        }
        Told::Reset(code) => {
            text.push_str("RST_STREAM");
            match code {
                Some(code) => push_code(&mut text, *code),
                None => text.push_str(", its code is not in the capture"),
            }
            ink = Some(Ink::Bad);
        }
        quiet => {
            push_quiet(&mut text, quiet);
            ink = Some(Ink::Dim);
        }
    }
    vec![(text, ink)]
}

/// Pushes a frame that keeps the connection going.
fn push_quiet(out: &mut String, told: &Told) {
    match told {
        Told::Preface => out.push_str("preface of HTTP/2"),
        Told::Settings(settings) => push_settings(out, settings),
        Told::SettingsTaken => out.push_str("SETTINGS: acknowledged"),
        Told::Ping { answer: false } => out.push_str("PING"),
        Told::Ping { answer: true } => out.push_str("PING: the answer"),
        Told::Window(more) => {
            out.push_str("WINDOW_UPDATE: ");
            push_bytes(out, u64::from(*more), " more");
        }
        Told::Priority { parent, weight } => {
            push!(out; "PRIORITY: weight ", Number(u64::from(*weight)));
            if *parent > 0 {
                push!(out; ", after stream ", Number(u64::from(*parent)));
            }
        }
        Told::Passed(frame) => push_passed(out, *frame),
        _ => {}
    }
}

fn push_block(out: &mut String, block: Block, end: bool) {
    out.push_str(match block {
        Block::Request => "HEADERS: request",
        Block::Interim => "HEADERS: interim response",
        Block::Response => "HEADERS: response",
        Block::Trailers => "HEADERS: trailers",
        Block::Unknown => "HEADERS",
        Block::Promise(_) => "PUSH_PROMISE",
    });
    if let Block::Promise(stream) = block {
        push!(out; ": request of stream ", Number(u64::from(stream)));
    }
    push_end(out, end);
}

fn push_end(out: &mut String, end: bool) {
    if end {
        out.push_str(END);
    }
}

fn data(piece: &Piece, end: bool) -> Vec<Row> {
    let mut text = String::from("DATA: ");
    if piece.size == 0 {
        text.push_str("nothing more");
    } else {
        push_bytes(&mut text, piece.size, "");
    }
    if !piece.whole {
        text.push_str(", and then no more");
    }
    push_end(&mut text, end);
    bytes(text, &piece.begin, piece.size)
}

fn push_message(out: &mut String, kind: MessageKind, compressed: bool, length: u32, piece: &Piece) {
    if !piece.whole {
        number::grouped(out, piece.size);
        out.push_str(" of the bytes of a ");
    }
    out.push_str(match kind {
        MessageKind::Message => "message of ",
        MessageKind::Trailers => "trailer message of ",
        MessageKind::EndOfStream => "closing message of ",
    });
    push_bytes(out, u64::from(length), "");
    if compressed {
        out.push_str(", compressed");
    }
    if !piece.whole {
        out.push_str(", and then no more");
    }
}

fn push_code(out: &mut String, code: ErrorCode) {
    push!(out; ": ", code.name());
    if code.name() == "UNKNOWN" {
        out.push_str(&format!(" (0x{:x})", code.0));
    }
}

fn push_goaway(out: &mut String, last: u32, code: ErrorCode, size: u32) {
    out.push_str("GOAWAY");
    push_code(out, code);
    if last == NOTICE {
        out.push_str(", no stream is refused yet");
    } else {
        push!(out; ", last stream ", Number(u64::from(last)));
    }
    if size > 0 {
        out.push_str(", with ");
        push_bytes(out, u64::from(size), " of debug data");
    }
}

fn push_settings(out: &mut String, settings: &[Setting]) {
    out.push_str("SETTINGS");
    if settings.is_empty() {
        out.push_str(": none");
    }
    for (index, setting) in settings.iter().enumerate() {
        let (id, value) = setting.parts();
        out.push_str(if index == 0 { ": " } else { ", " });
        match setting.name() {
            Some(name) => out.push_str(name),
            None => out.push_str(&format!("0x{id:04x}")),
        }
        push!(out; " ", Grouped(u64::from(value)));
    }
}

fn push_passed(out: &mut String, frame: Frame) {
    match (frame.kind.name(), frame.kind) {
        (Some(name), _) => out.push_str(name),
        (None, Kind::Other(kind)) => out.push_str(&format!("frame of the type 0x{kind:02x}")),
        (None, _) => out.push_str("frame"),
    }
    out.push_str(", ");
    push_bytes(out, u64::from(frame.length), "");
    if !matches!(frame.kind, Kind::Other(_)) {
        out.push_str(", not all of them in the capture");
    }
}
