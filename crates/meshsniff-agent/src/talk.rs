//! What the agent says on stderr: JSON lines to a program, sentences to a person.

use super::clock;
use meshsniff::pcapng::blocks::Statistics;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talk {
    json: bool,
}

impl Talk {
    /// JSON lines unless stderr is a terminal.
    #[must_use]
    pub fn by_terminal() -> Self {
        Self {
            json: !io::stderr().is_terminal(),
        }
    }

    /// A line of type `kind`; `sentence` is what a person reads, and the field `message`.
    pub fn say(self, kind: &str, sentence: &str, mut fields: Value) {
        let mut line = String::new();
        if self.json {
            if let Value::Object(object) = &mut fields {
                object.insert("type".to_owned(), json!(kind));
                object.insert("message".to_owned(), json!(sentence));
            }
            line = fields.to_string();
        } else {
            if matches!(kind, "error" | "warning") {
                line.push_str(kind);
                line.push_str(": ");
            }
            meshsniff::escape::push_shown(&mut line, sentence);
        }
        line.push('\n');
        // Nothing is left to do if nobody can be told.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    /// A sentence without fields.
    pub fn plain(self, kind: &str, sentence: &str) {
        self.say(kind, sentence, json!({}));
    }
}

/// How often losses are said while they go on.
const LOSSES_EVERY: Duration = Duration::from_secs(5);

/// Says that packets are being lost, as it happens.
#[derive(Debug)]
pub struct Losses {
    talk: Talk,
    said: u64,
    next: Option<Instant>,
}

impl Losses {
    /// Nothing is lost yet.
    #[must_use]
    pub const fn new(talk: Talk) -> Self {
        Self {
            talk,
            said: 0,
            next: None,
        }
    }

    /// So much is lost by now.
    pub fn are(&mut self, statistics: &Statistics) {
        let lost = statistics.kernel_dropped + statistics.queue_dropped;
        if lost == self.said || self.next.is_some_and(|next| clock::now() < next) {
            return;
        }
        self.said = lost;
        self.next = Some(clock::now() + LOSSES_EVERY);
        let sentence = format!(
            "losing what is captured: {} so far in the kernel, {} because the stream is not read fast enough; capture less \
             (--filter, --snaplen), or allow more room (--buffer-size, --queue-size)",
            statistics.kernel_dropped, statistics.queue_dropped
        );
        let fields = json!({
            "kernel_dropped": statistics.kernel_dropped,
            "queue_dropped": statistics.queue_dropped,
        });
        self.talk.say("drops", &sentence, fields);
    }
}
