//! What the agent says on stderr: JSON lines to a program, sentences to a person.

use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write as _};

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
            crate::report::push_shown(&mut line, sentence);
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
