//! The agent's standard error: one JSON object on each line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The sentence that a person reads.
    pub message: String,
    /// Its type, and what a program reads.
    #[serde(flatten)]
    pub event: Event,
}

/// What a line is about. What an agent of another version does not say is missing, or 0: the
/// sentence is there all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// The agent captures, or `hold` waits for captures.
    Ready {
        /// Missing in `hold`.
        #[serde(flatten)]
        capture: Option<Capture>,
    },
    /// Something to know.
    Note {
        /// The TCP ports that a capture of the node leaves out.
        #[serde(default)]
        left_out: Vec<u16>,
    },
    /// Something may be missed.
    Warning,
    /// Packets are being lost.
    Drops {
        /// How many so far.
        #[serde(flatten)]
        lost: Lost,
    },
    /// It failed.
    Error,
    /// It ends.
    End {
        /// Missing in `hold`.
        #[serde(flatten)]
        capture: Option<Totals>,
        /// How many captures `hold` ends with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        captures: Option<usize>,
    },
    /// Another type of line: the agent's version is another one.
    #[serde(other)]
    Unknown,
}

/// A capture that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The agent's version.
    pub version: String,
    /// The names of the interfaces that are captured on.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// The target in words.
    #[serde(default)]
    pub target: String,
    /// The filter that the kernel was given.
    #[serde(default)]
    pub filter: String,
    /// Bytes that are kept of each packet.
    #[serde(default)]
    pub snaplen: u32,
    /// Why these interfaces; empty if they were named, or there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A capture that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Why it ended: one of [`ending`](crate::ending)'s names.
    pub reason: String,
    /// Packets that were captured.
    pub packets: u64,
    /// Packets that were lost.
    #[serde(flatten)]
    pub lost: Lost,
}

/// Packets that were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// In the kernel, which means that the machine is too slow.
    pub kernel_dropped: u64,
    /// In the queue, which means that the stream is not read fast enough.
    pub queue_dropped: u64,
}

impl Line {
    /// Reads a line. What is no line of the agent's is a message of an [`Event::Unknown`]: it comes
    /// from whatever could not run the agent.
    #[must_use]
    pub fn read(line: &str) -> Self {
        serde_json::from_str(line).unwrap_or_else(|_| Self {
            message: line.to_owned(),
            event: Event::Unknown,
        })
    }

    /// The line as the agent writes it, without its end: keys in the order of the alphabet.
    #[must_use]
    pub fn write(&self) -> String {
        serde_json::to_value(self)
            .as_ref()
            .map_or_else(|_| self.message.clone(), Value::to_string)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: Event, message: &str) -> Line {
        Line {
            message: message.to_owned(),
            event,
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written() {
        let lost = Lost {
            kernel_dropped: 1,
            queue_dropped: 2,
        };
        let capture = Some(Capture {
            version: "1".to_owned(),
            interfaces: vec!["lo".to_owned()],
            target: "pod".to_owned(),
            filter: String::new(),
            snaplen: 54,
            why: String::new(),
        });
        let totals = Some(Totals {
            reason: "stop".to_owned(),
            packets: 3,
            lost,
        });
        for (event, written) in [
            (
                Event::Ready { capture },
                r#"{"filter":"","interfaces":["lo"],"message":"m","snaplen":54,"target":"pod","type":"ready","version":"1"}"#,
            ),
            (
                Event::Ready { capture: None },
                r#"{"message":"m","type":"ready"}"#,
            ),
            (
                Event::Note {
                    left_out: vec![1, 2],
                },
                r#"{"left_out":[1,2],"message":"m","type":"note"}"#,
            ),
            (Event::Warning, r#"{"message":"m","type":"warning"}"#),
            (
                Event::Drops { lost },
                r#"{"kernel_dropped":1,"message":"m","queue_dropped":2,"type":"drops"}"#,
            ),
            (Event::Error, r#"{"message":"m","type":"error"}"#),
            (
                Event::End {
                    capture: totals,
                    captures: None,
                },
                r#"{"kernel_dropped":1,"message":"m","packets":3,"queue_dropped":2,"reason":"stop","type":"end"}"#,
            ),
            (
                Event::End {
                    capture: None,
                    captures: Some(0),
                },
                r#"{"captures":0,"message":"m","type":"end"}"#,
            ),
        ] {
            let line = line(event, "m");
            assert_eq!(line.write(), written);
            assert_eq!(Line::read(written), line);
        }
    }

    #[test]
    fn what_is_no_line_of_this_version_is_kept_as_words() {
        assert_eq!(
            Line::read("exec failed"),
            line(Event::Unknown, "exec failed")
        );
        let newer = r#"{"type":"progress","message":"m","percent":3}"#;
        assert_eq!(Line::read(newer), line(Event::Unknown, "m"));
        let older = r#"{"type":"ready","message":"m","version":"0"}"#;
        let Event::Ready { capture } = Line::read(older).event else {
            panic!("not ready");
        };
        assert_eq!(capture.unwrap().version, "0");
        for (kind, lost) in [("note", None), ("drops", Some(Lost::default()))] {
            let older = format!(r#"{{"type":"{kind}","message":"m"}}"#);
            let event = lost.map_or(
                Event::Note {
                    left_out: Vec::new(),
                },
                |lost| Event::Drops { lost },
            );
            assert_eq!(Line::read(&older), line(event, "m"));
        }
    }
}
