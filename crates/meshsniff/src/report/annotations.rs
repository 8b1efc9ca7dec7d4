//! Comments on single frames, which Wireshark shows.
//!
//! The first frame of a request carries the verdict and the explanation. The other frames of the
//! exchange carry what they did, and the gap that ended there. Every comment names the verdict, so
//! that `frame.comment contains "client-gave-up"` finds all frames of all such exchanges.

use super::facts::{Facts, Standing};
use super::problems::Told;
use super::{explain, text};
use crate::condition::Filter;
use crate::event::{Capture, Report, ReportEvent};
use crate::exchange::{Connection, Doubt, EnvoyFlags, Exchange, Verdict};
use crate::packet::FrameId;
use crate::pcapng::OWN_COMMENT;
use crate::piece::{Exact, Number, push};
use crate::time::Span;
use hashbrown::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of comments kept until the capture is copied.
const MAX_BYTES: usize = 128 << 20;
/// Frames of a finding that carry it.
const MAX_FRAMES: usize = 16;

/// Comments by frame number, of a capture of one source.
#[derive(Debug, Default)]
pub struct FrameComments {
    by_frame: HashMap<u64, Vec<Box<str>>>,
    bytes: usize,
    left_out: u64,
}

impl FrameComments {
    /// The comments on a frame.
    #[must_use]
    pub fn of(&self, frame: u64) -> &[Box<str>] {
        self.by_frame.get(&frame).map_or(&[], Vec::as_slice)
    }

    /// The number of frames with comments.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.by_frame.len()
    }

    /// The number of comments that found no room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    fn add(&mut self, frame: FrameId, comment: String) {
        if self.bytes + comment.len() > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += comment.len();
        let comments = self.by_frame.entry(frame.number()).or_default();
        comments.push(comment.into_boxed_str());
    }
}

/// Collects comments.
pub struct Annotations {
    facts: Facts,
    /// Whether exchanges that went well have comments as well.
    all: bool,
    comments: Arc<Mutex<FrameComments>>,
}

impl Annotations {
    /// Collects comments on the exchanges that `filter` selects. They are in the second value.
    /// `with_probes`: health checkers count like everybody else.
    #[must_use]
    pub fn new(filter: Filter, with_probes: bool, all: bool) -> (Self, Arc<Mutex<FrameComments>>) {
        let comments = Arc::default();
        let annotations = Self {
            facts: Facts::new(filter, with_probes),
            all,
            comments: Arc::clone(&comments),
        };
        (annotations, comments)
    }

    fn add(&self, frame: FrameId, comment: String) {
        let comments = self.comments.lock();
        comments
            .unwrap_or_else(PoisonError::into_inner)
            .add(frame, comment);
    }

    fn annotate(&self, exchange: &Exchange) {
        let mut begin = String::from(OWN_COMMENT);
        push!(&mut begin; "exchange ", Number(exchange.id), ": ");
        begin.push_str(exchange.verdict.name());
        if let Some(status) = exchange.status {
            push!(&mut begin; " ", Number(u64::from(status)));
        }
        push_doubt(&mut begin, exchange.doubt);
        begin.push_str(": ");
        for (frame, what) in text::frames_in_words(exchange) {
            let mut comment = begin.clone();
            if frame == exchange.events.request_start.frame {
                explain::exchange(&mut comment, exchange, &self.facts.names);
                push_flags(&mut comment, &exchange.envoy);
            } else {
                comment.push_str(&what);
            }
            self.add(frame, comment);
        }
        for finding in &exchange.findings {
            for mark in finding.frames.iter().take(MAX_FRAMES) {
                let mut comment = begin.clone();
                comment.push_str("found ");
                comment.push_str(finding.kind.name());
                if finding.cost > Span::ZERO {
                    push!(&mut comment; ", ", Exact(finding.cost), " ms");
                }
                self.add(mark.frame, comment);
            }
        }
    }

    /// Comments on problems: all of it where the example begins, its number where others show it.
    fn annotate_problems(&self, capture: &Capture) {
        let told = Told::of(&self.facts, capture);
        for problem in &told.problems {
            let mut begin = String::from(OWN_COMMENT);
            push!(&mut begin; "problem ", Number(problem.id + 1), ": ", problem.kind.name());
            let first = problem
                .example
                .as_ref()
                .map(|example| example.first().frame);
            if let Some(first) = first {
                self.add(first, format!("{begin}: {}", told.paragraph(problem)));
            }
            for mark in problem
                .evidence
                .iter()
                .filter(|mark| Some(mark.frame) != first)
            {
                let mut comment = begin.clone();
                if let Some(first) = first {
                    push!(&mut comment; ", as told at frame ", Number(first.number()));
                }
                self.add(mark.frame, comment);
            }
        }
    }

    fn annotate_connection(&self, connection: &Connection, verdict: Verdict) {
        let mut comment = String::from(OWN_COMMENT);
        push!(&mut comment; "connection ", Number(connection.id), ": ");
        comment.push_str(verdict.name());
        push_doubt(&mut comment, connection.doubt);
        comment.push_str(": ");
        let begin = comment.len();
        explain::connection(&mut comment, connection, &self.facts.names);
        push_flags(&mut comment, &connection.envoy);
        self.add(connection.first.frame, comment.clone());
        if let Some(close) = connection.close {
            comment.truncate(begin);
            comment.push_str(if close.reset { "RST" } else { "FIN" });
            self.add(close.mark.frame, comment);
        }
    }
}

fn push_doubt(out: &mut String, doubt: Option<Doubt>) {
    if let Some(doubt) = doubt {
        out.push_str(" (uncertain: ");
        out.push_str(doubt.name());
        out.push(')');
    }
}

fn push_flags(out: &mut String, flags: &EnvoyFlags) {
    for (place, flags) in [
        ("client", flags.client),
        ("client_downstream", flags.client_downstream),
        ("server", flags.server),
    ] {
        if !flags.is_empty() {
            out.push_str(" Envoy, ");
            out.push_str(place);
            out.push_str(": ");
            out.push_str(&flags.join(" or "));
            out.push('.');
        }
    }
}

impl Report for Annotations {
    fn tell(&mut self, event: ReportEvent<'_>) -> io::Result<()> {
        let listed = self.facts.tell(event) == Standing::Listed;
        match event {
            ReportEvent::Exchange(exchange)
                if (self.all || listed && exchange.good() != Some(true)) =>
            {
                self.annotate(exchange);
            }
            ReportEvent::Connection(connection) if listed => {
                if let Some(verdict) = connection.verdict {
                    self.annotate_connection(connection, verdict);
                }
            }
            ReportEvent::Finish(capture) => self.annotate_problems(capture),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fixtures;

    #[test]
    fn problems_are_told_where_their_example_begins() {
        let (mut annotations, comments) = Annotations::new(Filter::default(), false, false);
        for id in 0..3 {
            let mut exchange = fixtures::gave_up();
            exchange.id = id;
            if let Some(close) = &mut exchange.events.client_fin {
                close.frame = FrameId::new(0, 5_000 + id);
            }
            annotations.tell(ReportEvent::Exchange(&exchange)).unwrap();
        }
        let capture = Capture::default();
        annotations.tell(ReportEvent::Finish(&capture)).unwrap();
        let comments = comments.lock().unwrap();
        let of = |frame: u64| comments.of(frame).join("\n");
        let told = "meshsniff: problem 1: client-gave-up: GET /items on 10.244.0.5:3000: the caller \
                    gave up on 3 of 3 requests after 501.7 ms";
        assert!(of(4_185).contains(told), "{}", of(4_185));
        let shown = "meshsniff: problem 1: client-gave-up, as told at frame 4185";
        assert!(of(5_002).contains(shown), "{}", of(5_002));
    }

    #[test]
    fn frames_say_what_they_did() {
        let (mut annotations, comments) = Annotations::new(Filter::default(), false, false);
        annotations
            .tell(ReportEvent::Exchange(&fixtures::ok()))
            .unwrap();
        annotations
            .tell(ReportEvent::Exchange(&fixtures::gave_up()))
            .unwrap();
        annotations
            .tell(ReportEvent::Connection(&fixtures::refused()))
            .unwrap();
        annotations
            .tell(ReportEvent::Connection(&fixtures::connection()))
            .unwrap();
        let comments = comments.lock().unwrap();
        let request = &comments.of(4185)[0];
        assert!(
            request
                .starts_with("meshsniff: exchange 3: client-gave-up: The client (127.0.0.6:48764"),
            "{request}"
        );
        assert!(
            request.ends_with("Envoy, client_downstream: UT or DC."),
            "{request}"
        );
        assert_eq!(
            &*comments.of(4192)[0],
            "meshsniff: exchange 3: client-gave-up: FIN: the client closes, 501.683 ms after the \
             ACK"
        );
        assert!(
            comments
                .of(4303)
                .iter()
                .any(|one| one.contains("found late-response, 1503.5"))
        );
        assert!(
            comments
                .by_frame
                .values()
                .flatten()
                .any(|one| one.contains("connect-refused: RST"))
        );
        assert!(
            !comments
                .by_frame
                .values()
                .flatten()
                .any(|one| one.contains("ok 200"))
        );
    }

    #[test]
    fn all_of_them_if_asked() {
        let (mut annotations, comments) = Annotations::new(Filter::default(), false, true);
        annotations
            .tell(ReportEvent::Exchange(&fixtures::ok()))
            .unwrap();
        assert!(comments.lock().unwrap().frames() > 1);
    }
}
