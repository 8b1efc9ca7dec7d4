//! What the plugin and the agent say to each other, spelt once: both depend on this crate, and it
//! on neither.
//!
//! | here | holds | said by |
//! |---|---|---|
//! | [`arguments`] | the agent's command line | plugin |
//! | [`environment`] | the variables that a container gets | plugin |
//! | [`stdin`] | the lines that keep the agent alive, or end it | plugin |
//! | [`stderr`] | the agent's JSON lines | agent |
//! | [`ending`] | names of the reasons to end | agent |
//! | [`signals`] | which of them end it | nobody: the system |
//! | [`times`] | how long each waits for the other | both |
//!
//! The form of the streams themselves is the library's: pcapng blocks in `meshsniff::stream`,
//! report lines in its `relay`, each with the number that says which form it is.

pub mod arguments;
pub mod ending;
pub mod environment;
pub mod signals;
pub mod stderr;
pub mod stdin;
pub mod times;

/// The version of the plugin and of the agent. They understand each other if it is the same.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The agent's program.
pub const AGENT: &str = "meshsniff-agent";

/// The agent's path in its image.
pub const AGENT_PATH: &str = "/meshsniff-agent";
