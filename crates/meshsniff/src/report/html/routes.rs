//! Histograms of how long exchanges took, by route: on a logarithmic axis, each as one SVG path.

use crate::names::{Named, Names};
use crate::number;
use crate::piece::{Counted, Grouped, Html, Number, Spoken, push};
use crate::statistics::routes::{Micros, Route, RouteCounts, Routes};
use std::fmt::Write as _;

/// Routes drawn, the busiest first.
const MAX_DRAWN: usize = 40;

/// Bars in a decade, and their lower ends in hundredths of its begin.
const PER_DECADE: usize = 10;
const STEPS: [u64; PER_DECADE] = [100, 126, 158, 200, 251, 316, 398, 501, 631, 794];
/// Decades from 10 µs to 100 s.
const DECADES: usize = 7;
const LABELS: [&str; DECADES + 1] = [
    "10 µs", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s",
];

/// The size of a drawing, and of its part above the labels.
const WIDTH: usize = 320;
const HEIGHT: usize = 64;
const BASE: usize = 48;
/// The room for the labels at both ends.
const MARGIN: usize = 18;

/// Pushes the section.
pub(super) fn section(out: &mut String, routes: &Routes, names: &Names) {
    let routes = routes.sorted();
    if routes.is_empty() {
        return;
    }
    let limits = limits();
    let drawn = routes.len().min(MAX_DRAWN);
    let axis = Axis::of(&routes[..drawn], &limits);
    out.push_str(
        "<section aria-labelledby=routes><h2 id=routes>How long it took, by route</h2>\n<p>Each \
         bar counts the exchanges that took so long; the axis is logarithmic, and the same for \
         all. Figures here keep two digits.</p>",
    );
    for (route, counts) in &routes[..drawn] {
        let server = names.at(route.server);
        article(out, (route, server), counts, &axis, &limits);
    }
    if routes.len() > MAX_DRAWN {
        let rest = &routes[MAX_DRAWN..];
        let exchanges = rest
            .iter()
            .fold(0_u64, |sum, (_, one)| sum.saturating_add(one.exchanges));
        push!(out; "\n<p class=dim>… and ", Counted(rest.len() as u64, "route", "routes"),
            " more, with ", Counted(exchanges, "exchange", "exchanges"), " together.</p>");
    }
    out.push_str("</section>");
}

/// The lower ends of all bars but the first, in microseconds.
fn limits() -> Vec<u64> {
    let mut limits = Vec::with_capacity(DECADES * PER_DECADE + 1);
    let mut decade = 10;
    for _ in 0..DECADES {
        // Rounded up, so that a whole number of microseconds falls on the right side.
        limits.extend(STEPS.iter().map(|step| (step * decade).div_ceil(100)));
        decade *= 10;
    }
    limits.push(decade);
    limits
}

/// The decades shown: those with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    first: usize,
    last: usize,
}

impl Axis {
    fn of(routes: &[(&Route, &RouteCounts)], limits: &[u64]) -> Self {
        let mut axis: Option<Self> = None;
        for (_, counted) in routes {
            for (_, _, values) in gaps(counted) {
                for (bar, _) in bars(values, limits) {
                    let decade = bar / PER_DECADE;
                    let axis = axis.get_or_insert(Self {
                        first: decade,
                        last: decade,
                    });
                    axis.first = axis.first.min(decade);
                    axis.last = axis.last.max(decade);
                }
            }
        }
        axis.unwrap_or(Self { first: 2, last: 4 })
    }

    const fn bars(self) -> usize {
        (self.last - self.first + 1) * PER_DECADE
    }

    /// The begin of a bar, in tenths.
    const fn x(self, bar: usize) -> usize {
        let along = bar - self.first * PER_DECADE;
        10 * MARGIN + along * 10 * (WIDTH - 2 * MARGIN) / self.bars()
    }
}

/// Bars with their counts. Values too short or too long for the axis count at its ends.
fn bars(values: &Micros, limits: &[u64]) -> impl Iterator<Item = (usize, u64)> {
    let mut counts = values.between(limits);
    let above = counts.pop().unwrap_or(0);
    let below = counts.remove(0);
    if let [first, .., last] = counts.as_mut_slice() {
        *first = first.saturating_add(below);
        *last = last.saturating_add(above);
    }
    counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
}

fn article(
    out: &mut String,
    (route, server): (&Route, Named<'_>),
    counts: &RouteCounts,
    axis: &Axis,
    limits: &[u64],
) {
    out.push_str("\n<article class=route><h3><code>");
    if route.method.is_empty() {
        out.push_str("all other routes");
    } else {
        push!(out; Html(&route.method), " ", Html(&route.path));
    }
    out.push_str("</code></h3><p class=dim><code>");
    server.push_html(out);
    push!(out; "</code>, ", Counted(counts.exchanges, "exchange", "exchanges"));
    for (class, count) in counts
        .statuses
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
    {
        push!(out; ", ", Grouped(*count));
        if class == 0 {
            out.push_str(" without a status");
        } else {
            push!(out; " ", Number(class as u64), "xx");
        }
    }
    if counts.exchanges == 1 {
        // Of one exchange there is nothing to draw.
        for (name, _, values) in gaps(counts) {
            out.push_str(", <code>");
            out.push_str(name);
            push!(out; "</code> ", Spoken(values.max()));
        }
        out.push_str("</p></article>");
        return;
    }
    out.push_str("</p><div class=histograms>");
    for (name, words, values) in gaps(counts) {
        figure(out, (name, words), values, *axis, limits);
    }
    out.push_str("</div></article>");
}

/// The gaps of a route that have values, with their names and words.
fn gaps(counts: &RouteCounts) -> impl Iterator<Item = (&'static str, &'static str, &Micros)> {
    [
        ("wait", "what the caller waited", counts.wait()),
        (
            "request_to_response",
            "until the answer began",
            counts.response(),
        ),
        ("total", "until all of it was there", counts.total()),
        (
            "request_to_client_close",
            "until the client closed",
            counts.client_close(),
        ),
    ]
    .into_iter()
    .filter(|(_, _, values)| values.count() > 0)
}

fn figure(
    out: &mut String,
    (name, words): (&str, &str),
    values: &Micros,
    axis: Axis,
    limits: &[u64],
) {
    let _ = write!(
        out,
        "<figure class={name}><figcaption><code>{name}</code> <span \
         class=words>{words}</span></figcaption>"
    );
    if values.count() == 1 {
        push!(out; "<p>1 value: ", Spoken(values.max()));
    } else {
        histogram(out, values, axis, limits);
        push!(out; "<p>", Counted(values.count(), "value", "values"));
        for (name, span) in [
            (": median ", values.percentile(50)),
            (", p90 ", values.percentile(90)),
            (", p99 ", values.percentile(99)),
            (", longest ", values.max()),
        ] {
            out.push_str(name);
            number::spoken(out, span);
        }
    }
    out.push_str("</p></figure>");
}

fn histogram(out: &mut String, values: &Micros, axis: Axis, limits: &[u64]) {
    let bars: Vec<(usize, u64)> = bars(values, limits).collect();
    let tallest = bars.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let _ = write!(
        out,
        "<svg class=histogram viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=true><path class=grid \
         d=\""
    );
    for decade in axis.first..=axis.last + 1 {
        let x = axis.x(decade * PER_DECADE);
        let _ = write!(out, "M{}.{} 4V{BASE}", x / 10, x % 10);
    }
    let _ = write!(
        out,
        "M{MARGIN} {BASE}H{}\"/><path class=bars d=\"",
        WIDTH - MARGIN
    );
    for (bar, count) in bars {
        let (from, to) = (axis.x(bar), axis.x(bar + 1));
        let height = u128::from(count) * (BASE as u128 - 6) / u128::from(tallest);
        // One among millions is visible all the same.
        let height = height.max(2);
        let width = (to - from).saturating_sub(5).max(10);
        let _ = write!(
            out,
            "M{}.{} {BASE}v-{height}h{}.{}v{height}z",
            from / 10,
            from % 10,
            width / 10,
            width % 10
        );
    }
    out.push_str("\"/>");
    // Labels of a long axis would touch each other.
    let every = (axis.last - axis.first + 1).div_ceil(5);
    for decade in (axis.first..=axis.last + 1).step_by(every) {
        let x = axis.x(decade * PER_DECADE) / 10;
        let label = LABELS.get(decade).copied().unwrap_or_default();
        let _ = write!(out, "<text x={x} y=60 text-anchor=middle>{label}</text>");
    }
    out.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Exchange;
    use crate::testing::fixtures;
    use crate::time::Span;

    fn routes_of(millis: &[i64]) -> Routes {
        let mut routes = Routes::default();
        for &millis in millis {
            let mut exchange: Exchange = fixtures::ok();
            exchange.gaps.request_to_response = Some(Span::from_millis(millis));
            exchange.gaps.total = None;
            routes.add(&exchange);
        }
        routes
    }

    #[test]
    fn limits_ascend_and_decades_are_exact() {
        let limits = limits();
        assert!(limits.is_sorted_by(|a, b| a < b));
        assert_eq!(limits.len(), DECADES * PER_DECADE + 1);
        assert_eq!((limits[0], limits[10], limits[20]), (10, 100, 1_000));
        assert_eq!(limits.last(), Some(&100_000_000));
    }

    #[test]
    fn every_value_is_in_a_bar_and_on_the_axis() {
        let routes = routes_of(&[0, 1, 2, 500, 1_000_000]);
        let routes = routes.sorted();
        let limits = limits();
        let bars: Vec<_> = bars(routes[0].1.response(), &limits).collect();
        assert_eq!(bars.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert_eq!((bars[0].0, bars[4].0), (0, DECADES * PER_DECADE - 1));
        let axis = Axis::of(&routes, &limits);
        assert_eq!((axis.first, axis.last), (0, DECADES - 1));
        assert_eq!(axis.x(axis.bars()), 10 * (WIDTH - MARGIN));
    }

    #[test]
    fn names_are_text() {
        let mut routes = Routes::default();
        routes.add(&Exchange {
            path: Some("/<b>\u{202e}".into()),
            ..fixtures::gave_up()
        });
        let mut out = String::new();
        section(&mut out, &routes, &Names::default());
        assert!(out.contains("GET /&lt;b&gt;\\u{202e}"), "{out}");
        assert!(out.contains("request_to_client_close"), "{out}");
    }
}
