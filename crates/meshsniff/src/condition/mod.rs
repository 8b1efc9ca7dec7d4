//! What a user asks of exchanges, as it is typed.
//!
//! | module | holds |
//! |---|---|
//! | [`filter`] | which exchanges a report is about: `--filter-http` |

pub mod filter;

pub use filter::Filter;
