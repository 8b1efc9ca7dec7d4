//! Where captures come from.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use strum::IntoStaticStr;

/// Where a capture comes from.
#[non_exhaustive]
pub enum Input {
    /// A file, or anything else with a path that can be read: a named pipe, `/dev/stdin`.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A reader, under a name for messages.
    Reader {
        /// The name.
        name: String,
        /// The reader: it is asked for no more than the next frame needs.
        reader: Box<dyn Read + Send>,
    },
    /// Packets as they come from an agent, under the name of what it captures.
    Live {
        /// The name.
        name: String,
        /// The agent's stream.
        reader: Box<dyn Read + Send>,
    },
    /// A capture in memory, under a name for messages.
    Bytes {
        /// The name.
        name: String,
        /// The whole capture.
        bytes: Vec<u8>,
    },
}

impl Input {
    /// Makes an input of what `reader` gives.
    #[must_use]
    pub fn from_reader(name: impl Into<String>, reader: Box<dyn Read + Send>) -> Self {
        let name = name.into();
        Self::Reader { name, reader }
    }

    /// Makes an input of a capture in memory.
    #[must_use]
    pub fn from_bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let name = name.into();
        Self::Bytes { name, bytes }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Input {
    /// The file at this path.
    fn from(path: &P) -> Self {
        Self::Path(path.as_ref().into())
    }
}

/// Kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[non_exhaustive]
#[strum(serialize_all = "kebab-case")]
pub enum SourceKind {
    /// A file.
    File,
    /// Standard input.
    Stdin,
    /// An agent that captures now.
    Live,
}

impl SourceKind {
    /// Name of the kind, as in reports: `file`, `stdin` or `live`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Description of a capture that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceInfo {
    /// Kind of the source.
    pub kind: SourceKind,
    /// Its name as the user gave it; `-` for standard input.
    pub name: String,
    /// Names of its interfaces, in the order of
    /// [`Frame::interface`](crate::packet::Frame::interface); an empty name for one without. A pcap
    /// file names none. The list grows while a pcapng file is read: it is whole at the end.
    pub interfaces: Vec<String>,
}
