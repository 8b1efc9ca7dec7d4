//! DNS on port 53: what clients ask, and what they wait for.
//!
//! | here | holds |
//! |---|---|
//! | `message` | one message, as far as its questions and addresses matter |
//! | `over_tcp` | messages out of a TCP connection's streams |
//! | `model` | the figures of one flow, and of a capture |
//! | `lookups` | [`Lookups`]: what is asked and answered, client by client |
//! | `waited` | [`Wait`]: what a connection waited for before it was opened |
//!
//! Nothing is resolved here, and nothing is believed: an answer counts as one because it answers a
//! query that was seen.

mod lookups;
mod message;
mod model;
mod over_tcp;
mod waited;

#[cfg(test)]
mod tests;

pub use lookups::{Ended, Lookups};
pub use message::{Message, code_name, type_name};
pub use model::{Dns, DnsTotals, Failure, Transport};
pub use over_tcp::OverTcp;
pub use waited::{Asked, Wait, wait};

/// The port of DNS.
pub const PORT: u16 = 53;
