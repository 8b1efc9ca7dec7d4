//! The kubectl plugin: `kubectl meshsniff`.
//!
//! | here | holds |
//! |---|---|
//! | [`carried`] | the agents that the plugin carries |
//! | [`cli`] | what can be typed, and what is then done |
//! | [`cluster`] | the way into a cluster, and out of it again |
//! | [`signals`] | signals that end a run |
//! | [`stderr`] | lines that nobody may be reading |
//! | [`watch`] | a report that is watched while it is made |
//!
//! What turns packets into reports is the library's, `meshsniff`.

pub mod carried;
pub mod cli;
pub mod cluster;
pub mod signals;
pub mod stderr;
pub mod watch;
