//! From the messages of a connection to judged exchanges.
//!
//! | here | holds |
//! |---|---|
//! | [`model`] | what comes out: [`Exchange`], [`Connection`] and their parts |
//! | `gaps` | the gaps between its events |
//! | `said` | what both messages said, where that is kept |
//! | `pairing` | requests and responses, first in, first out; when pairing must stop |
//! | `call` | what counts the messages of a remote procedure call |
//! | `websocket` | what is told of a WebSocket |
//! | `tunnel` | what reads its frames, and how it ends |
//! | `feed` | what counts the events of a server that pushes them |
//! | `stream` | what an exchange has that is one stream of several |
//! | `streams` | the same by the number of a stream, where a connection has several |
//! | `counts` | what is counted on one connection |
//! | `queue` | the exchanges of a connection that are not settled yet |
//! | `pending` | one of them: what has been seen of it, and its [confidence](Doubt) |
//! | `judge` | verdict, certainty, gaps: a pure function of what was seen |
//! | `envoy` | the flags that proxies would log |
//! | `outcome` | what is handed out, and when |

mod call;
mod counts;
mod envoy;
mod feed;
mod gaps;
mod judge;
pub mod model;
pub(crate) mod outcome;
mod pairing;
mod pending;
mod queue;
pub(crate) mod related;
mod said;
mod stream;
mod streams;
mod tunnel;
mod websocket;

#[cfg(test)]
mod tests;

pub use model::*;
pub use said::{Message, Said};
