//! The way into a cluster and out of it again, with nothing left behind.
//!
//! | here | holds |
//! |---|---|
//! | [`connect`] | which cluster, as whom |
//! | [`target`] | from what a user names to pods |
//! | [`mode`] | a helper pod or an ephemeral container |
//! | [`manifest`] | both as they are sent |
//! | [`helper`], [`ephemeral`] | their lives |
//! | [`waiting`] | how far a container has come |
//! | [`exec`] | a process in a container: output, heartbeat, stop |
//! | [`session`] | one run, all of that in order |
//! | [`stop`] | who ends it |
//! | [`leftovers`] | what old runs left, and its removal |
//! | [`rights`] | what it takes, and what one may do |
//! | [`error`] | what the server says, as sentences |
//! | [`talk`] | what is said meanwhile |
//!
//! What a stream holds is not looked at here: a consumer takes it ([`session::Consumer`]).

pub mod connect;
pub mod ephemeral;
pub mod error;
pub mod exec;
pub mod helper;
pub mod leftovers;
pub mod manifest;
pub mod mode;
pub mod rights;
pub mod session;
pub mod stop;
pub mod talk;
pub mod target;
pub mod waiting;

use std::io;

/// Whether nobody reads what was to be written: the end of the run, and no error.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_broken_pipe_is_known_in_any_context() {
        let broken: Result<(), _> = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&broken.context("writing").unwrap_err()));
        let full: Result<(), _> = Err(io::Error::from(io::ErrorKind::StorageFull));
        assert!(!is_broken_pipe(&full.context("writing").unwrap_err()));
    }
}
