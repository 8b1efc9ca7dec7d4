//! What the agent says on stderr: JSON lines to a program, sentences to a person.

use super::clock;
use meshsniff::pcapng::blocks::Statistics;
use meshsniff_contract::stderr::{Event, Line, Lost};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Where sentences go: how they are written is decided once.
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

    /// Writes a line, of which a person reads the sentence.
    pub fn say(self, event: Event, sentence: &str) {
        let prefix = match event {
            Event::Error => "error: ",
            Event::Warning => "warning: ",
            _ => "",
        };
        let mut line = if self.json {
            let message = sentence.to_owned();
            Line { message, event }.write()
        } else {
            let mut shown = String::from(prefix);
            meshsniff::escape::push_shown(&mut shown, sentence);
            shown
        };
        line.push('\n');
        // Nothing is left to do if nobody reads it.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    /// Writes a warning.
    pub fn warn(self, sentence: &str) {
        self.say(Event::Warning, sentence);
    }
}

/// How often losses are reported while they go on.
const LOSSES_EVERY: Duration = Duration::from_secs(5);

/// Packets that were lost, as the lines name them.
pub(super) const fn lost(statistics: &Statistics) -> Lost {
    Lost {
        kernel_dropped: statistics.kernel_dropped,
        queue_dropped: statistics.queue_dropped,
    }
}

/// Reports that packets are being lost, as it happens.
#[derive(Debug)]
pub struct Losses {
    talk: Talk,
    reported: u64,
    next: Option<Instant>,
}

impl Losses {
    /// Reports to `talk`. Nothing is lost yet.
    #[must_use]
    pub const fn new(talk: Talk) -> Self {
        Self {
            talk,
            reported: 0,
            next: None,
        }
    }

    /// Takes the counts so far, and reports them if it is time.
    pub fn are(&mut self, statistics: &Statistics) {
        let lost = lost(statistics);
        let sum = lost.kernel_dropped + lost.queue_dropped;
        if sum == self.reported || self.next.is_some_and(|next| clock::now() < next) {
            return;
        }
        self.reported = sum;
        self.next = Some(clock::now() + LOSSES_EVERY);
        let sentence = format!(
            "losing what is captured: {} so far in the kernel, {} because the stream is not read \
             fast enough; capture less (--filter, --snaplen), or allow more room (--buffer-size, \
             --queue-size)",
            lost.kernel_dropped, lost.queue_dropped
        );
        self.talk.say(Event::Drops { lost }, &sentence);
    }
}
