//! Where all of a scene stands, as SVG.

use super::scene::{Packet, Scene, Timer};
use crate::escape;
use crate::exchange::Side;
use crate::number;
use crate::piece::{Exact, Html, Number, push, said};
use crate::report::text::Ink;
use crate::time::Span;
use std::fmt::Write as _;

/// The picture's width, and the room around everything.
const WIDTH: f64 = 880.0;
const EDGE: f64 = 24.0;
/// The lanes.
const CLIENT: f64 = 150.0;
const SERVER: f64 = 600.0;
/// Pixels of a character, and of a bold one, a little more than most have: a viewer has its own
/// fonts.
const BROAD: f64 = 6.9;
const BOLD: f64 = 8.1;
/// The length of all bars between packets together, and of one by itself; of the others where one is
/// cut, and of that one.
const BARS: f64 = 220.0;
const ALONE: f64 = 60.0;
const OTHERS: f64 = 90.0;
const CUT: f64 = 84.0;

/// Colours, as those of the page.
const STYLE: &str = "
svg { --page: #fcfcfb; --line: #dcdcd8; --ink: #1b1c1e; --dim: #5c5f66; --good: #1a6b3c; --bad: #b3261e; --doubt: #7a5200; }
@media (prefers-color-scheme: dark) {
  svg { --page: #141518; --line: #34373d; --ink: #e7e7e4; --dim: #a3a7af; --good: #73cb95; --bad: #ff9086; --doubt: #e3b552; }
}
text { font: 12.5px system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif; fill: var(--ink); }
.page { fill: var(--page); stroke: var(--line); }
.head { font-weight: 600; }
.said { font-size: 13px; }
.dim { fill: var(--dim); }
.gap { font-weight: 600; }
.title { font-size: 17px; font-weight: 650; }
.good { fill: var(--good); }
.bad { fill: var(--bad); font-weight: 600; }
.doubt { fill: var(--doubt); font-weight: 600; }
.lane { stroke: var(--line); stroke-width: 2; }
.arrow { stroke: var(--ink); stroke-width: 1.6; fill: none; }
.arrow.bad { stroke: var(--bad); }
.arrow.doubt { stroke: var(--doubt); }
.tip { fill: var(--ink); }
.tip.bad { fill: var(--bad); }
.tip.doubt { fill: var(--doubt); }
.bar { stroke: var(--dim); stroke-width: 5; fill: none; }
.gone { stroke: var(--page); stroke-width: 9; fill: none; }
.torn { stroke: var(--dim); stroke-width: 1.5; fill: none; }
.timer { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 5 3; }
";

/// Draws a scene.
pub(super) fn of(scene: &Scene) -> String {
    let mut body = Body::default();
    body.head(scene);
    if !scene.packets.is_empty() {
        body.packets(scene);
    }
    body.foot(scene);
    let height = body.y + EDGE;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title desc\" \
         data-of=\"{}\" data-verdict=\"{}\">\n<title id=\"title\">",
        scene.name, scene.verdict
    );
    push!(&mut out; Html(&scene.title), ": ", Html(&scene.came), "</title>\n<desc id=\"desc\">",
        Html(&scene.said), "</desc>\n<style>");
    out.push_str(STYLE);
    let _ = write!(
        out,
        "</style>\n<rect class=\"page\" x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0
    );
    out.push_str(&body.out);
    out.push_str("</svg>\n");
    out
}

const fn name(ink: Ink) -> &'static str {
    match ink {
        Ink::Good => "good",
        Ink::Bad => "bad",
        Ink::Doubt => "doubt",
        Ink::Dim => "dim",
        Ink::Bold | Ink::Accent => "head",
    }
}

/// The bar between two packets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bar {
    gap: f64,
    length: f64,
    scale: f64,
    cut: bool,
}

/// How long each bar is: to scale, but one that would swamp all others together is cut.
fn bars(packets: &[Packet]) -> Vec<Bar> {
    let nanos = |span: Span| span.as_nanos().max(0) as f64;
    let gaps: Vec<f64> = packets
        .windows(2)
        .map(|pair| nanos(pair[1].at) - nanos(pair[0].at))
        .map(|gap| gap.max(0.0))
        .collect();
    let sum: f64 = gaps.iter().sum();
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    let rest = sum - longest;
    let is_cut = rest > 0.0 && longest > 8.0 * rest;
    let scale = match () {
        () if sum <= 0.0 => 0.0,
        () if is_cut => OTHERS / rest,
        () => BARS.min(ALONE * gaps.len() as f64) / sum,
    };
    gaps.into_iter()
        .map(|gap| {
            let cut = is_cut && gap >= longest;
            let length = if cut { CUT } else { gap * scale };
            Bar {
                gap,
                length,
                scale,
                cut,
            }
        })
        .collect()
}

impl Bar {
    /// How far into it a moment is; beside a cut, from the end that it is nearer to.
    fn along(self, nanos: f64) -> f64 {
        if !self.cut {
            return nanos * self.scale;
        }
        let half = self.length / 2.0 - 8.0;
        let (begin, end) = (nanos * self.scale, (self.gap - nanos) * self.scale);
        match () {
            () if end <= half => self.length - end,
            () if begin <= half => begin,
            () => self.length / 2.0,
        }
    }
}

/// What was drawn so far, and how far down it reaches.
#[derive(Default)]
struct Body {
    out: String,
    y: f64,
}

impl Body {
    fn text(&mut self, x: f64, class: &str, anchor: &'static str, text: &str) {
        let y = self.y;
        let _ = write!(self.out, "<text x=\"{x:.0}\" y=\"{y:.1}\"");
        if !class.is_empty() {
            let _ = write!(self.out, " class=\"{class}\"");
        }
        if anchor != "start" {
            let _ = write!(self.out, " text-anchor=\"{anchor}\"");
        }
        push!(&mut self.out; ">", Html(text), "</text>\n");
    }

    /// Text broken into lines as wide as the picture.
    fn paragraph(&mut self, class: &str, step: f64, text: &str) {
        let broad = if class.contains("head") { BOLD } else { BROAD };
        let room = ((WIDTH - 2.0 * EDGE) / broad) as usize;
        for line in lines(text, room) {
            self.y += step;
            self.text(EDGE, class, "start", &line);
        }
    }

    fn head(&mut self, scene: &Scene) {
        self.y = 12.0;
        if let Some(problem) = &scene.problem {
            self.paragraph("said head", 19.0, problem);
            self.y += 10.0;
        }
        self.y += 24.0;
        let sign = format!("title {}", name(scene.ink));
        self.text(EDGE, &sign, "start", scene.sign);
        let room = 60;
        self.text(
            EDGE + 20.0,
            "title",
            "start",
            &shortened(&scene.title, room),
        );
        self.text(WIDTH - EDGE, "dim", "end", &scene.name);
        self.y += 20.0;
        self.text(EDGE + 20.0, name(scene.ink), "start", &scene.came);
        let room = ((WIDTH - 2.0 * EDGE - 20.0) / BROAD) as usize;
        for line in lines(&scene.ends, room) {
            self.y += 18.0;
            self.text(EDGE + 20.0, "dim", "start", &line);
        }
    }

    fn packets(&mut self, scene: &Scene) {
        self.y += 30.0;
        self.text(CLIENT, "head", "middle", "client");
        self.text(SERVER, "head", "middle", "server");
        self.text(EDGE, "dim", "start", "frame, s");
        self.y += 15.0;
        // A long name begins at the edge: the lane is too near to it.
        let (x, anchor) = if scene.client.chars().count() > 34 {
            (EDGE, "start")
        } else {
            (CLIENT, "middle")
        };
        self.text(x, "dim", anchor, &shortened(&scene.client, 52));
        self.text(SERVER, "dim", "middle", &shortened(&scene.server, 60));
        let top = self.y + 6.0;
        // What is drawn below comes first, though where it ends is known last.
        let before = std::mem::take(&mut self.out);
        let bars = bars(&scene.packets);
        let first = scene.packets[0].at;
        let mut waiting = scene.timer.as_ref();
        self.y += 2.0;
        for (index, packet) in scene.packets.iter().enumerate() {
            if let Some(at) = index.checked_sub(1) {
                self.gap(&bars[at], (&scene.packets[at], packet, first), &mut waiting);
            }
            self.packet(packet);
        }
        if let Some(timer) = waiting {
            // Beyond what was seen: only that it is later is to be shown.
            let bar = Bar {
                gap: 0.0,
                length: 34.0,
                scale: 0.0,
                cut: true,
            };
            self.bar(self.y + 12.0, bar);
            self.timer(self.y + 62.0, false, timer);
            self.y += 66.0;
        }
        self.y += 14.0;
        let under = lanes(top, self.y);
        self.out = before + &under + &self.out;
    }

    /// What lies between two packets.
    fn gap(
        &mut self,
        bar: &Bar,
        (before, packet, first): (&Packet, &Packet, Span),
        waiting: &mut Option<&Timer>,
    ) {
        let top = self.y + 8.0;
        self.bar(top, *bar);
        let (begin, end) = (since(first, before.at), since(first, packet.at));
        let here = waiting.take_if(|timer| timer.at >= begin && timer.at <= end);
        let zone = bar.length.max(if here.is_some() { 40.0 } else { 14.0 });
        let mut middle = top + zone / 2.0 + 4.0;
        if let Some(timer) = here {
            let at = top + bar.along((timer.at.as_nanos() - begin.as_nanos()) as f64);
            // Its words stand above its line, unless the arrow before is there; the gap's stand
            // clear of both.
            let below = at < top + 16.0;
            self.timer(at, below, timer);
            if below {
                middle = middle.max(at + 28.0);
            } else if middle > at - 18.0 {
                middle = if at - 18.0 >= top + 8.0 {
                    at - 18.0
                } else {
                    at + 16.0
                };
            }
        }
        let end_of_zone = (top + zone).max(middle);
        self.y = middle;
        let step = said!(Exact(since(before.at, packet.at)), " ms");
        let x = CLIENT + if bar.cut { 16.0 } else { 10.0 };
        self.text(x, "dim step", "start", &step);
        self.y = end_of_zone + 4.0;
    }

    fn bar(&mut self, top: f64, bar: Bar) {
        if bar.length < 1.0 {
            return;
        }
        let bottom = top + bar.length;
        let _ = writeln!(
            self.out,
            "<path class=\"bar\" d=\"M{CLIENT:.0} {top:.1}V{bottom:.1}\"/>"
        );
        if !bar.cut {
            return;
        }
        let (left, middle) = (CLIENT - 9.0, f64::midpoint(top, bottom));
        let _ = write!(
            self.out,
            "<path class=\"gone\" d=\"M{left:.0} {middle:.1}h18\"/><path class=\"torn\" d=\""
        );
        for y in [middle - 2.0, middle + 8.0] {
            let _ = write!(self.out, "M{left:.0} {y:.1}l6 -6l6 6l6 -6");
        }
        self.out.push_str("\"/>\n");
    }

    fn timer(&mut self, y: f64, below: bool, timer: &Timer) {
        let _ = writeln!(
            self.out,
            "<path class=\"timer\" d=\"M{:.0} {y:.1}H{SERVER:.0}\"/>",
            CLIENT - 9.0
        );
        let before = self.y;
        self.y = if below { y + 13.0 } else { y - 5.0 };
        self.text(SERVER - 10.0, "", "end", &timer.text);
        self.y = before;
    }

    fn packet(&mut self, packet: &Packet) {
        let ink = packet.ink.map_or("", name);
        let mut seconds = String::new();
        number::decimal(&mut seconds, number::micros(packet.at), 6, 6);
        let _ = write!(self.out, "<g class=\"packet\" data-frame=\"");
        push!(&mut self.out; Number(packet.frame), "\" data-from=\"", packet.from.name(), "\" data-at=\"");
        self.out.push_str(&seconds);
        self.out.push_str("\">\n");
        let room = ((SERVER - CLIENT - 20.0) / BROAD) as usize;
        for (text, class) in [(Some(&packet.what), ink), (packet.comment.as_ref(), "dim")] {
            if let Some(text) = text {
                self.y += 16.0;
                self.text(CLIENT + 10.0, class, "start", &shortened(text, room));
            }
        }
        self.y += 7.0;
        let y = self.y;
        let (from, to) = match packet.from {
            Side::Client => (CLIENT, SERVER),
            Side::Server => (SERVER, CLIENT),
        };
        let back = (from - to).signum();
        let _ = writeln!(
            self.out,
            "<path class=\"arrow {ink}\" d=\"M{from:.0} {y:.1}H{:.0}\"/><path class=\"tip {ink}\" \
             d=\"M{:.0} {y:.1}l{:.0} -4.5v9z\"/>",
            to + 7.0 * back,
            to + back,
            9.0 * back
        );
        self.y = y - 3.0;
        self.text(EDGE, "head", "start", &packet.frame.to_string());
        if let Some((gap, since)) = &packet.gap {
            self.y = y;
            self.text(SERVER + 12.0, &format!("gap {ink}"), "start", gap);
            let room = ((WIDTH - EDGE - SERVER - 12.0) / BROAD) as usize;
            for line in lines(since, room) {
                self.y += 14.0;
                self.text(SERVER + 12.0, "dim", "start", &line);
            }
        }
        self.y = y + 12.0;
        self.text(EDGE, "dim", "start", &seconds);
        self.y = y;
        self.out.push_str("</g>\n");
    }

    fn foot(&mut self, scene: &Scene) {
        self.y += 12.0;
        for note in &scene.notes {
            self.paragraph("dim", 18.0, note);
        }
        self.y += 6.0;
        self.paragraph("said", 20.0, &scene.said);
        self.y += 24.0;
        let mut source = scene.source.clone();
        source.push_str(if source.is_empty() { "" } else { " · " });
        source.push_str("kubectl meshsniff");
        self.text(EDGE, "dim", "start", &source);
    }
}

fn lanes(top: f64, bottom: f64) -> String {
    format!(
        "<path class=\"lane\" d=\"M{CLIENT:.0} {top:.1}V{bottom:.1}M{SERVER:.0} {top:.1}V{bottom:.1}\"/>\n"
    )
}

/// The span between two spans from the same begin.
fn since(first: Span, at: Span) -> Span {
    Span::from_nanos(at.as_nanos().saturating_sub(first.as_nanos()))
}

/// Text cut to a number of characters.
fn shortened(text: &str, most: usize) -> String {
    let mut out = String::new();
    escape::shown(&mut out, text, most);
    out
}

/// Text broken between words into lines of a number of characters. A longer word is broken, too.
fn lines(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if !text.is_empty() {
        lines.push(String::new());
    }
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(String::new());
            used = 0;
        }
        for (index, c) in word.chars().enumerate() {
            if used >= room {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                if index == 0 && used > 0 {
                    line.push(' ');
                    used += 1;
                }
                line.push(c);
                used += 1;
            }
        }
    }
    lines
}
