//! The way into a cluster and out of it again, with nothing left behind.
//!
//! | here | holds |
//! |---|---|
//! | [`error`] | what the server answers: causes, and sentences |
//! | [`connect`] | which cluster, as whom |
//! | [`target`] | from the names that a user types to pods |
//! | [`rights`] | rights, and whether one has them |
//! | [`bringing`] | how the agent comes there: in an image, or carried |
//! | [`manifest`] | what all objects that are made have in common |
//! | [`mutation`] | what the cluster changed in what was sent |
//! | [`waiting`] | how far a container has come |
//! | [`traces`] | what earlier runs left, as it is found |
//! | [`way`] | the ways into a pod's network, a file each |
//! | [`mode`] | the choice of one |
//! | [`leftovers`] | the removal of what earlier runs left |
//! | [`exec`] | a process in a container: output, heartbeat, stop |
//! | [`session`] | one run, all of that in order |
//! | [`stop`] | who ends it |
//! | [`talk`] | what is said meanwhile |
//!
//! What a stream holds is not looked at here: a consumer takes it ([`session::Consumer`]). Errors
//! have types; their texts are whole sentences that name the next step.

pub mod bringing;
pub mod connect;
pub mod error;
pub mod exec;
pub mod leftovers;
pub mod manifest;
pub mod mode;
pub mod mutation;
pub mod rights;
pub mod session;
pub mod stop;
pub mod talk;
pub mod target;
pub mod traces;
pub mod waiting;
pub mod way;
