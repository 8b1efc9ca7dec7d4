//! Parts of the text report for other formats, without colour.

use super::paint::Paint;
use super::timeline::{self, Canvas};
use crate::exchange::{Connection, Exchange};
use crate::packet::FrameId;
use crate::piece::{Exact, push};
use crate::report::facts::Facts;
use crate::time::Timestamp;

/// Columns to write for.
const WIDTH: usize = 100;

/// Pushes `GET /items`, or what is left of it.
pub(in super::super) fn request(out: &mut String, exchange: &Exchange, most: usize) {
    timeline::request(out, exchange, most);
}

/// Pushes the timeline of an exchange without colour.
pub(in super::super) fn plain_timeline(out: &mut String, facts: &Facts, exchange: &Exchange) {
    plain_canvas(facts, exchange.start()).exchange(out, exchange);
}

/// Pushes the timeline of a connection that never opened, without colour.
pub(in super::super) fn plain_connection(out: &mut String, facts: &Facts, connection: &Connection) {
    plain_canvas(facts, connection.first.time).connection(out, connection);
}

fn plain_canvas(facts: &Facts, first: Timestamp) -> Canvas<'_> {
    Canvas {
        paint: Paint { colour: false },
        width: WIDTH,
        origin: facts.origin.unwrap_or(first),
        captured: &facts.sources,
        sources: &facts.source_names,
        comments: &facts.comments,
        names: &facts.names,
        numbering: facts.numbering(),
    }
}

/// What each frame of an exchange did, and the gap that ended there.
pub(in super::super) fn frames_in_words(exchange: &Exchange) -> Vec<(FrameId, String)> {
    let said = timeline::lines(exchange).into_iter().map(|line| {
        let mut words = line.what;
        if let Some((gap, since)) = line.gap {
            push!(&mut words; ", ", Exact(gap), " ms ");
            words.push_str(since);
        }
        (line.event.1.frame, words)
    });
    said.collect()
}
