//! The drawing of the whole capture: as pictures that need no script, and as data for the script,
//! which draws them anew to zoom and to pick.

use crate::escape;
use crate::exchange::{Side, Verdict};
use crate::names::Names;
use crate::number::{self, micros};
use crate::piece::{Counted, Grouped, Html, Number, push, said};
use crate::report::drawing::{Bar, Class, Drawing, Mark, MarkKind, PER_DECADE, ticks};
use crate::report::encode::{Encode, List, Object, Raw, Word, fields, more_fields};
use crate::time::Timestamp;
use std::fmt::Write as _;

/// The size of the pictures, and of what stands around their common axis of time.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 126.0;
/// The waits: above them stand marks in two rows, if there are any, below them those of which the
/// wait is not known.
const TOP: f64 = 10.0;
const MARK: f64 = 14.0;
const PLOT: f64 = 230.0;
const UNKNOWN: f64 = 16.0;
/// A connection.
const ROW: f64 = 16.0;
/// Labels on the axis of time.
const MAX_TICKS: i64 = 8;

/// Pushes the section.
pub(super) fn section(out: &mut String, drawing: &Drawing, names: &Names) {
    out.push_str(
        "<section aria-labelledby=seen class=seen><h2 id=seen tabindex=-1>The capture at a \
         glance</h2>\n<figure>",
    );
    // Of a capture without exchanges there are connections to be seen.
    if !drawing.classes.is_empty() {
        legend(out, drawing);
    }
    out.push_str("<div id=seen-tools></div>");
    if !drawing.classes.is_empty() {
        waits(out, drawing);
    }
    if !drawing.bars.is_empty() {
        connections(out, drawing, names);
    }
    out.push_str("<div id=seen-picked></div><figcaption class=caption>");
    caption(out, drawing);
    out.push_str("</figcaption></figure></section>");
}

/// What the shapes mean, with their counts.
fn legend(out: &mut String, drawing: &Drawing) {
    out.push_str("<ul class=legend>");
    for many in &drawing.classes {
        push!(out; "<li><svg class=key viewBox=\"0 0 14 14\" aria-hidden=true>");
        marks_of(out, many.class, &[(7.0, 7.0, 1.0)]);
        push!(out; "</svg><b>", Grouped(many.count), "</b> ", many.class.words());
    }
    out.push_str("</ul>");
}

fn caption(out: &mut String, drawing: &Drawing) {
    if !drawing.classes.is_empty() {
        out.push_str("Upwards is what the caller waited, on a logarithmic axis.");
    }
    let many = drawing.classes.iter().filter(|many| !many.cells.is_empty());
    let many = many.fold(0_u64, |sum, many| sum.saturating_add(many.count));
    if many > 0 {
        push!(out; " ", Grouped(many), " of them are drawn together, in cells: the darker or the \
            larger, the more.");
    }
    if drawing.not_drawn > 0 {
        push!(out; " Not drawn ", if drawing.not_drawn == 1 { "is " } else { "are " },
            Counted(drawing.not_drawn, "exchange", "exchanges"),
            " that the target only counted: their times are not known here.");
    }
    if !drawing.bars.is_empty() {
        out.push_str(
            " A bar is a connection: a thin line is open, a thick one busy, and at its end stands \
             who closed.",
        );
    }
    if drawing.bars_left_out > 0 {
        push!(out; " Of ", Counted(drawing.bars_left_out + drawing.bars.len() as u64,
            "connection", "connections"), ", ", Grouped(drawing.bars.len() as u64),
            " are drawn: those on which something went wrong, then the busiest.");
    }
    for mark in drawing
        .marks
        .iter()
        .filter(|mark| is_anywhere(drawing, mark.from, mark.to))
    {
        push!(out; " ", Html(&mark.text), "; the capture does not say when.");
    }
}

/// Whether a stretch is as long as the capture, so that a mark would show nothing.
fn is_anywhere(drawing: &Drawing, from: Timestamp, to: Timestamp) -> bool {
    let length = drawing.length().as_nanos();
    drawing.since(to).as_nanos() - drawing.since(from).as_nanos() > length / 10 * 9
}

/// Where a moment lies.
fn x(drawing: &Drawing, at: Timestamp) -> f64 {
    let length = drawing.length().as_nanos().max(1) as f64;
    let along = drawing.since(at).as_nanos() as f64 / length;
    LEFT + along.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

/// A picture's first element, and its name.
fn begin(out: &mut String, id: &str, height: f64, name: impl FnOnce(&mut String)) {
    let _ = write!(
        out,
        "\n<div class=scroll tabindex=0 role=region aria-labelledby=seen><svg id={id} class=whole viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=img \
         aria-label=\""
    );
    let mut text = String::new();
    name(&mut text);
    escape::html(out, &text);
    out.push_str("\">");
}

fn waits(out: &mut String, drawing: &Drawing) {
    let top = if shown_marks(drawing).next().is_some() {
        TOP + 2.0 * MARK
    } else {
        TOP
    };
    let bottom = top + PLOT;
    let has_unknown = drawing.classes.iter().any(|many| {
        many.dots.iter().any(|dot| dot.wait.is_none())
            || many.cells.iter().any(|cell| cell.row.is_none())
    });
    let base = bottom + if has_unknown { UNKNOWN } else { 0.0 };
    let y = |wait: Option<i64>| match wait {
        Some(wait) => bottom - drawing.decades.along(wait) * PLOT,
        None => bottom + UNKNOWN / 2.0,
    };
    begin(out, "seen-waits", base + 20.0, |text| {
        drawing.push_words(text)
    });
    grid(out, drawing, (top, base), true);
    let _ = write!(out, "\n<path class=grid d=\"");
    for (along, _) in drawing.decades.names() {
        let y = bottom - along * PLOT;
        let _ = write!(out, "M{LEFT} {y:.1}H{:.0}", WIDTH - RIGHT);
    }
    out.push_str("\"/>");
    for (along, name) in drawing.decades.names() {
        let y = bottom - along * PLOT + 3.5;
        let _ = write!(
            out,
            "<text x={:.0} y={y:.1} text-anchor=end>{name}</text>",
            LEFT - 8.0
        );
    }
    if has_unknown {
        let (x, y) = (LEFT - 8.0, bottom + UNKNOWN / 2.0 + 3.5);
        let _ = write!(
            out,
            "<text x={x:.0} y={y:.1} text-anchor=end>not known</text>"
        );
    }
    marks(out, drawing, (top, base));
    for many in &drawing.classes {
        let _ = write!(out, "\n<g class=\"dots {}\">", many.class.name());
        if many.cells.is_empty() {
            let dots = many.dots.iter();
            let dots: Vec<_> = dots
                .map(|dot| (x(drawing, dot.at), y(dot.wait.map(micros)), 1.0))
                .collect();
            marks_of(out, many.class, &dots);
        } else {
            let placed = many.cells.iter().map(|cell| {
                let to = cell.from.plus(cell.width);
                let (from, to) = (x(drawing, cell.from), x(drawing, to));
                let row = cell.row.map(|row| {
                    let lower = 10_f64.powf((f64::from(row) + 0.5) / f64::from(PER_DECADE));
                    y(Some(lower as i64))
                });
                let middle = row.unwrap_or_else(|| y(None));
                ((from, to), middle, cell.count)
            });
            let height = PLOT
                / f64::from((drawing.decades.last - drawing.decades.first) * u32::from(PER_DECADE));
            cells_of(out, many.class, height, placed);
        }
        out.push_str("</g>");
    }
    timers(out, drawing, y);
    out.push_str("</svg></div>");
}

/// Timers as lines with their names. Of names that would stand on each other the upper one is told.
fn timers(out: &mut String, drawing: &Drawing, y: impl Fn(Option<i64>) -> f64) {
    let mut lines: Vec<_> = drawing.lines.iter().collect();
    lines.sort_by_key(|(span, _)| std::cmp::Reverse(*span));
    let mut free = 0.0;
    for (span, text) in lines {
        let y = y(Some(micros(*span)));
        let end = WIDTH - RIGHT;
        let _ = write!(out, "\n<path class=timer d=\"M{LEFT} {y:.1}H{end:.0}\"/>");
        if y >= free {
            free = y + 11.0;
            let _ = write!(
                out,
                "<text class=timer x={:.0} y={:.1}>",
                end + 5.0,
                y + 3.5
            );
            push!(out; Html(text), "</text>");
        }
    }
}

/// The marks that show something.
fn shown_marks(drawing: &Drawing) -> impl Iterator<Item = &Mark> {
    let marks = drawing.marks.iter();
    marks.filter(|mark| !is_anywhere(drawing, mark.from, mark.to))
}

/// Ends of processes and lost packets as stretches of time. Words that would stand on others are left
/// out: they are in the picture's name.
fn marks(out: &mut String, drawing: &Drawing, (top, base): (f64, f64)) {
    /// Pixels of a character.
    const BROAD: f64 = 6.2;
    let mut taken: [Vec<(f64, f64)>; 2] = Default::default();
    for mark in shown_marks(drawing) {
        let (from, to) = (x(drawing, mark.from), x(drawing, mark.to));
        let class = mark_name(mark.kind);
        let width = (to - from).max(1.0);
        let _ = write!(
            out,
            "\n<rect class=\"mark {class}\" x={from:.1} y={top} width={width:.1} height={:.1} />\
             <path class=\"edge {class}\" d=\"M{from:.1} {top}V{base:.1}\"/>",
            base - top,
        );
        let row = usize::from(mark.kind == MarkKind::Lost);
        let long = mark.text.chars().count() as f64 * BROAD;
        let (x, anchor, left) = if from > WIDTH / 2.0 {
            (from - 3.0, "end", from - 3.0 - long)
        } else {
            (from + 3.0, "start", from + 3.0)
        };
        let right = left + long;
        let is_free = taken[row]
            .iter()
            .all(|(begin, end)| right < *begin || left > *end);
        if is_free && left >= 0.0 && right <= WIDTH {
            taken[row].push((left, right));
            let y = 11.0 + MARK * row as f64;
            let _ = write!(
                out,
                "<text class={class} x={x:.1} y={y:.0} text-anchor={anchor}>"
            );
            push!(out; Html(&mark.text), "</text>");
        }
    }
}

/// Vertical lines at round moments, and their names below.
fn grid(out: &mut String, drawing: &Drawing, (top, base): (f64, f64), named: bool) {
    let ticks = ticks(drawing.length(), MAX_TICKS);
    let _ = write!(out, "\n<path class=grid d=\"");
    for (moment, _) in &ticks {
        let x = x(drawing, drawing.from.plus(*moment));
        let _ = write!(out, "M{x:.1} {top:.0}V{base:.0}");
    }
    out.push_str("\"/>");
    for (moment, name) in ticks.iter().filter(|_| named) {
        let x = x(drawing, drawing.from.plus(*moment));
        // Beside the name of the lowest wait there is no room.
        let anchor = if x < LEFT + 20.0 { "start" } else { "middle" };
        let _ = write!(
            out,
            "<text x={x:.1} y={:.0} text-anchor={anchor}>{name}</text>",
            base + 14.0
        );
    }
}

const fn mark_name(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::End => "ended",
        MarkKind::Lost => "lost",
    }
}

/// Pushes the shapes of a class at places, each so much larger than usual.
fn marks_of(out: &mut String, class: Class, places: &[(f64, f64, f64)]) {
    let _ = write!(out, "<path class=\"shape {}\" d=\"", class.name());
    for &(x, y, size) in places {
        let r = 3.5 * size;
        let _ = match class {
            // A line without length has round ends: a dot.
            Class::Good => write!(out, "M{x:.1} {y:.1}h0"),
            Class::Unknown => write!(
                out,
                "M{:.1} {y:.1}a{r:.1} {r:.1} 0 1 0 {:.1} 0a{r:.1} {r:.1} 0 1 0 -{:.1} 0",
                x - r,
                2.0 * r,
                2.0 * r
            ),
            Class::Answered => write!(
                out,
                "M{:.1} {:.1}h{:.1}v{:.1}h-{:.1}z",
                x - r,
                y - r,
                2.0 * r,
                2.0 * r,
                2.0 * r
            ),
            Class::Client => write!(
                out,
                "M{:.1} {:.1}l{:.1} {:.1}m0 -{:.1}l-{:.1} {:.1}",
                x - r,
                y - r,
                2.0 * r,
                2.0 * r,
                2.0 * r,
                2.0 * r,
                2.0 * r
            ),
            Class::Server => write!(
                out,
                "M{x:.1} {:.1}l{:.1} {:.1}h-{:.1}z",
                y - 1.2 * r,
                1.2 * r,
                2.2 * r,
                2.4 * r
            ),
        };
    }
    out.push_str("\"/>");
}

/// Pushes cells: rectangles of good exchanges, the darker the more, and else shapes, the larger the
/// more.
fn cells_of(
    out: &mut String,
    class: Class,
    height: f64,
    cells: impl Iterator<Item = ((f64, f64), f64, u64)>,
) {
    let cells: Vec<_> = cells.collect();
    if class != Class::Good {
        let places: Vec<_> = cells
            .iter()
            .map(|&((from, to), y, count)| (from.midpoint(to), y, size(count)))
            .collect();
        return marks_of(out, class, &places);
    }
    for level in 0..4 {
        let its = cells.iter().filter(|(.., count)| darkness(*count) == level);
        let mut path = String::new();
        for &((from, to), y, _) in its {
            let (width, top) = ((to - from).max(1.5), y - height / 2.0);
            let _ = write!(
                path,
                "M{from:.1} {top:.1}h{width:.1}v{height:.1}h-{width:.1}z"
            );
        }
        if !path.is_empty() {
            let _ = write!(out, "<path class=\"cell many-{level}\" d=\"{path}\"/>");
        }
    }
}

/// How dark a cell is.
const fn darkness(count: u64) -> u8 {
    match count {
        0..=1 => 0,
        2..=9 => 1,
        10..=99 => 2,
        _ => 3,
    }
}

/// How much larger the shape of a cell is.
fn size(count: u64) -> f64 {
    (1.0 + (count.max(1) as f64).log10() / 2.5).min(2.4)
}

fn connections(out: &mut String, drawing: &Drawing, names: &Names) {
    let height = 6.0 + ROW * drawing.bars.len() as f64;
    // Else the axis of time above has its names.
    let alone = drawing.classes.is_empty();
    let below = if alone { 20.0 } else { 0.0 };
    begin(out, "seen-connections", height + below, |text| {
        push!(text; "Connections as bars. ");
        for (index, bar) in drawing.bars.iter().enumerate() {
            text.push_str(if index > 0 { "; " } else { "" });
            bar_in_words(text, drawing, bar, names);
        }
        text.push('.');
    });
    grid(out, drawing, (0.0, height), alone);
    for (index, bar) in drawing.bars.iter().enumerate() {
        let y = 3.0 + ROW * (index as f64 + 0.5);
        let (from, to) = (x(drawing, bar.from), x(drawing, end_of(drawing, bar)));
        let _ = write!(out, "\n<g><title>");
        let mut words = String::new();
        bar_in_words(&mut words, drawing, bar, names);
        push!(out; Html(&words));
        let _ = write!(
            out,
            "</title><text x={:.0} y={:.1} text-anchor=end>",
            LEFT - 8.0,
            y + 3.5
        );
        push!(out; Html(&label(bar, names)));
        let _ = write!(
            out,
            "</text><path class=open d=\"M{from:.1} {y:.1}H{:.1}\"/>",
            to.max(from + 1.0)
        );
        for class in Class::ALL {
            let its = bar.busy.iter().filter(|busy| busy.class == class);
            let mut path = String::new();
            for busy in its {
                let from = x(drawing, busy.from);
                let to = x(drawing, busy.to.unwrap_or_else(|| end_of(drawing, bar)));
                let _ = write!(path, "M{from:.1} {y:.1}H{:.1}", to.max(from + 1.5));
            }
            if !path.is_empty() {
                let _ = write!(out, "<path class=\"busy {}\" d=\"{path}\"/>", class.name());
            }
        }
        if bar.close.is_some() || bar.verdict.is_some() {
            let _ = write!(
                out,
                "<path class=\"closed{}\" d=\"M{to:.1} {:.1}v9\"/>",
                if is_bad_end(bar) { " bad" } else { "" },
                y - 4.5
            );
        }
        let _ = write!(
            out,
            "<text class=\"{}\" x={:.0} y={:.1}>{}</text></g>",
            if is_bad_end(bar) { "bad" } else { "ending" },
            WIDTH - RIGHT + 5.0,
            y + 3.5,
            ending(bar)
        );
    }
    out.push_str("</svg></div>");
}

/// The name of a bar: its client, cut to what fits beside it.
fn label(bar: &Bar, names: &Names) -> String {
    const MOST: usize = 24;
    let name = said!(names.brief(bar.client));
    let count = name.chars().count();
    if count <= MOST {
        return name;
    }
    // Names of pods differ at their ends.
    let end: String = name.chars().skip(count + 1 - MOST).collect();
    format!("…{end}")
}

/// The moment until which a connection is drawn: where no close was seen, it was open to the end.
fn end_of(drawing: &Drawing, bar: &Bar) -> Timestamp {
    match (bar.close, bar.verdict) {
        (None, None) => drawing.to,
        _ => bar.last,
    }
}

const fn is_bad_end(bar: &Bar) -> bool {
    match bar.close {
        _ if bar.verdict.is_some() => true,
        Some(close) => close.reset,
        None => false,
    }
}

/// Who closed, in two words.
const fn ending(bar: &Bar) -> &'static str {
    match (bar.verdict, bar.close) {
        (Some(Verdict::ConnectRefused), _) => "refused",
        (Some(Verdict::ConnectTimeout), _) => "no answer",
        (Some(Verdict::TlsLeftWaiting), _) => "left waiting",
        (Some(_), _) => "TLS failed",
        (None, None) => "not closed",
        (None, Some(close)) => match (close.by, close.reset) {
            (Side::Client, false) => "client FIN",
            (Side::Client, true) => "client RST",
            (Side::Server, false) => "server FIN",
            (Side::Server, true) => "server RST",
        },
    }
}

/// Pushes a connection for whoever does not see it.
fn bar_in_words(out: &mut String, drawing: &Drawing, bar: &Bar, names: &Names) {
    push!(out; "connection ", Number(bar.id), ", ", names.at(bar.client), " → ",
        names.at(bar.server), ", ");
    if bar.exchanges > 0 {
        push!(out; Counted(bar.exchanges, "exchange", "exchanges"));
        if bar.bad > 0 {
            push!(out; ", ", Grouped(bar.bad), " of them not good");
        }
    } else if bar.verdict.is_none() {
        // Of those that never opened nothing was to be expected.
        out.push_str(bar.protocol);
    } else {
        out.push_str("no exchange");
    }
    out.push_str(", from ");
    number::spoken(out, drawing.since(bar.from));
    match (bar.verdict, bar.close) {
        (Some(verdict), _) => {
            out.push_str(", ");
            out.push_str(verdict.name());
        }
        (None, Some(close)) => {
            out.push_str(" to ");
            number::spoken(out, drawing.since(bar.last));
            push!(out; ", closed by the ", close.by.name(), if close.reset { " with a RST" } else { " with a FIN" });
        }
        (None, None) => out.push_str(", not closed in the capture"),
    }
}

/// The same as data for the script, in microseconds since the begin.
pub(super) fn data(drawing: &Drawing, names: &Names) -> impl Encode {
    let us = |at: Timestamp| micros(drawing.since(at));
    Object(move |out: &mut String| {
        fields!(out, {
            "us": micros(drawing.length()),
            "decades": List([u64::from(drawing.decades.first), u64::from(drawing.decades.last)]),
            "per_decade": u64::from(PER_DECADE),
        });
        more_fields!(out, { "classes": List(drawing.classes.iter().map(|many| {
            Object(move |out: &mut String| {
                fields!(out, {
                    "name": Word(many.class.name()),
                    "words": Word(many.class.words()),
                    "dots": List(many.dots.iter().map(|dot| List([
                        us(dot.at),
                        dot.wait.map_or(-1, |wait| micros(wait).max(0)),
                        i64::try_from(dot.id).unwrap_or(i64::MAX),
                        dot.verdict as i64,
                    ]))),
                    "cells": List(many.cells.iter().map(|cell| List([
                        us(cell.from),
                        cell.row.map_or(-1, i64::from),
                        i64::try_from(cell.count).unwrap_or(i64::MAX),
                        i64::try_from(cell.slowest).unwrap_or(i64::MAX),
                    ]))),
                    "width": many.cells.first().map(|cell| micros(cell.width)),
                });
            })
        })) });
        more_fields!(out, {
            "timers": List(drawing.lines.iter().map(|(span, text)| Object(move |out: &mut String| {
                fields!(out, { "us": micros(*span), "text": html_text(text) });
            }))),
            "marks": List(shown_marks(drawing).map(|mark| Object(move |out: &mut String| {
                fields!(out, {
                    "kind": Word(mark_name(mark.kind)),
                    "from": us(mark.from),
                    "to": us(mark.to),
                    "text": html_text(&mark.text),
                });
            }))),
            "bars": List(drawing.bars.iter().map(|bar| Object(move |out: &mut String| {
                fields!(out, {
                    "id": bar.id,
                    "label": html_text(&label(bar, names)),
                    "from": us(bar.from),
                    "to": us(end_of(drawing, bar)),
                    "ending": Word(ending(bar)),
                    "closed": bar.close.is_some() || bar.verdict.is_some(),
                    "bad": is_bad_end(bar),
                    "text": Raw(|out: &mut String| {
                        let mut words = String::new();
                        bar_in_words(&mut words, drawing, bar, names);
                        html_text(&words).encode(out);
                    }),
                    "busy": List(bar.busy.iter().map(|busy| List([
                        us(busy.from),
                        us(busy.to.unwrap_or_else(|| end_of(drawing, bar))),
                        busy.class as i64,
                        i64::try_from(busy.exchange).unwrap_or(i64::MAX),
                    ]))),
                });
            }))),
        });
    })
}

fn html_text(text: &str) -> impl Encode {
    Raw(move |out: &mut String| escape::json_in_html(out, text))
}
