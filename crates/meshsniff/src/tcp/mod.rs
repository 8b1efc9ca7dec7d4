//! TCP as seen by somebody who only watches (RFC 9293).
//!
//! | here | holds |
//! |---|---|
//! | `table` | the connections that are open, and those that are remembered |
//! | `connection` | one connection: from its segments to stream events |
//! | `stream` | one direction's bytes in order, and which are missing |
//! | `flight` | what is sent and not acknowledged yet |
//! | `sightings` | a packet captured twice |
//! | `application` | the seam: stream events, and what a reader answers back |
//! | `evidence` | what the packets prove: closes, acknowledgments, doubts |
//! | `extent` | places in a stream |
//!
//! Nothing here knows of HTTP, and nothing here ever fails: what makes no sense is left out and
//! counted.

mod application;
mod connection;
mod evidence;
mod extent;
mod flight;
mod sightings;
mod stream;
mod table;

pub use application::{
    Ack, AckWith, Application, Delay, Delayed, Missing, Progress, Repeat, Run, StreamEvent,
};
pub use connection::{Counters, TrackedConnection};
pub use evidence::{CloseEvidence, Doubt, Evidence, Opening, Scope, Side, SideEvidence, Syn};
pub use extent::{Extent, Offset};
pub use flight::{Flights, Resent};
pub use sightings::{LatestSightings, Sightings};
pub use stream::{Arrival, Held, Stream};
pub use table::{Connections, Table};
