//! Errors of captures, as sentences that name the next step.

use crate::packet::UnsupportedLink;
use std::io;
use thiserror::Error;

/// A capture that cannot be read at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file.
    #[error("there is no file {name}: check the path")]
    NotFound {
        /// The file as the user named it.
        name: String,
    },
    /// The path is a directory.
    #[error("{name} is a directory: name the capture files in it, such as {name}/*.pcap")]
    Directory {
        /// The directory as the user named it.
        name: String,
    },
    /// The file may not be read.
    #[error("{name} may not be read by this user: change its permissions or run as its owner")]
    Permission {
        /// The file as the user named it.
        name: String,
    },
    /// The system failed to open or read it.
    #[error("{name} cannot be read: {error}")]
    Io {
        /// The source as the user named it.
        name: String,
        /// What the system, or the decompressor, said.
        error: io::Error,
    },
    /// The source is empty.
    #[error("{name} is empty: nothing was captured, or the capture has not begun to be written")]
    Empty {
        /// The source as the user named it.
        name: String,
    },
    /// It ends before the header of a capture does.
    #[error("{name} ends inside the header of a capture: get the whole file and try again")]
    Cut {
        /// The source as the user named it.
        name: String,
    },
    /// Something else than pcap or pcapng.
    #[error("{name} is not a capture{}: pcap and pcapng can be read, also packed with gzip or zstd",
            .looks_like.map(|what| format!(" but looks like {what}")).unwrap_or_default())]
    NotACapture {
        /// The source as the user named it.
        name: String,
        /// What it seems to be, if that is easy to tell.
        looks_like: Option<&'static str>,
    },
    /// A capture in a format that is not read.
    #[error(
        "{name} is a capture in the format of {format}, and pcap and pcapng are what is read: \
             convert it with `editcap -F pcapng IN OUT` first, which comes with Wireshark"
    )]
    OtherFormat {
        /// The source as the user named it.
        name: String,
        /// Whose format it is.
        format: &'static str,
    },
    /// A pcap file of a link type that is not read.
    #[error("{name}: {link}")]
    Link {
        /// The source as the user named it.
        name: String,
        /// The link type.
        link: UnsupportedLink,
    },
    /// Standard input was named twice.
    #[error("standard input was named more than once: name it once")]
    StdinTwice,
    /// More sources than can be told apart.
    #[error(
        "{count} captures are too many, 65,536 can be read at once: merge some with mergecap first"
    )]
    TooMany {
        /// How many were named.
        count: usize,
    },
}

/// The end of a source before its time. What came before it was delivered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It ends inside a frame or another record.
    #[error("{name} is cut short {}; {}; if it was still being written or copied, get the whole of \
             it and try again", place(*.frames, *.in_frame), kept(*.frames))]
    Cut {
        /// The source as the user named it.
        name: String,
        /// Frames that were read before.
        frames: u64,
        /// Whether it ends inside a frame, rather than another record.
        in_frame: bool,
    },
    /// A capture of this program ends without the block that says it is whole.
    #[error("{name} lacks its last block, which says that the capture is whole: the capture was \
             cut, or the file was edited by a program that leaves that block out (as editcap, \
             tshark and Wireshark do); {}; if it was not edited, capture again", kept(*.frames))]
    Unended {
        /// The source as the user named it.
        name: String,
        /// Frames that were read: all there are.
        frames: u64,
    },
    /// A record that contradicts itself.
    #[error("{name} is damaged after frame {frames}: {what}; {}; capture again, or try what \
             `editcap` makes of it", kept(*.frames))]
    Malformed {
        /// The source as the user named it.
        name: String,
        /// Frames that were read before.
        frames: u64,
        /// What is wrong.
        what: String,
    },
    /// A pcapng file whose frames are all of link types that are not read.
    #[error("{name} holds nothing that can be read, {}: {link}", match frames {
                1 => "only a frame of another kind".to_owned(),
                frames => format!("only {frames} frames of other kinds"),
            })]
    Link {
        /// The source as the user named it.
        name: String,
        /// Frames that were passed over.
        frames: u64,
        /// The link type of the first of them.
        link: UnsupportedLink,
    },
    /// The system or the decompressor failed.
    #[error("{name} cannot be read after frame {frames}: {error}; {}", kept(*.frames))]
    Io {
        /// The source as the user named it.
        name: String,
        /// Frames that were read before.
        frames: u64,
        /// What the system, or the decompressor, said.
        error: io::Error,
    },
}

impl ReadError {
    /// How many frames of the source were read before, by Wireshark's count.
    #[must_use]
    pub fn frames(&self) -> u64 {
        match self {
            Self::Cut { frames, .. }
            | Self::Unended { frames, .. }
            | Self::Malformed { frames, .. }
            | Self::Link { frames, .. }
            | Self::Io { frames, .. } => *frames,
        }
    }
}

fn place(frames: u64, in_frame: bool) -> String {
    if in_frame {
        format!("in the middle of frame {}", frames + 1)
    } else {
        format!("after frame {frames}")
    }
}

fn kept(frames: u64) -> String {
    match frames {
        0 => "no frame was read".into(),
        1 => "the first frame was read".into(),
        _ => format!("the first {frames} frames were read"),
    }
}

/// An error of a format, before the source adds its name and frame count.
#[derive(Debug)]
pub(super) enum Fault {
    Cut { in_frame: bool },
    Unended,
    Malformed(String),
    Link { frames: u64, link: UnsupportedLink },
    Io(io::Error),
}

impl Fault {
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }

    pub(super) fn named(self, name: &str, frames: u64) -> ReadError {
        let name = name.to_owned();
        match self {
            Self::Cut { in_frame } => ReadError::Cut {
                name,
                frames,
                in_frame,
            },
            Self::Unended => ReadError::Unended { name, frames },
            Self::Malformed(what) => ReadError::Malformed { name, frames, what },
            Self::Link { frames, link } => ReadError::Link { name, frames, link },
            // A decompressor whose input ended.
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => ReadError::Cut {
                name,
                frames,
                in_frame: false,
            },
            Self::Io(source) => ReadError::Io {
                name,
                frames,
                error: source,
            },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
