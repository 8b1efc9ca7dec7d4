//! One direction of a TCP connection, as seen by somebody who only watches (RFC 9293).
//!
//! [`Stream`] puts the bytes of one direction in order and knows which are missing, [`Flights`] remembers
//! what is not acknowledged yet, [`Sightings`] recognises a packet captured twice. None of them knows of HTTP,
//! and none of them ever fails: what makes no sense is left out and counted.

mod flight;
mod seq;
mod sightings;
mod stream;

pub use flight::{Flights, Resent};
pub use seq::Seq;
pub use sightings::Sightings;
pub use stream::{Arrival, Held, Stream};
