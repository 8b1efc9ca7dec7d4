//! From segments to judged exchanges.
//!
//! | module | what it does |
//! |---|---|
//! | [`model`] | what comes out: [`Exchange`], [`Connection`] and their parts |
//! | `connection` | one TCP connection: streams, closes, what sequence numbers prove |
//! | `pairing` | requests and responses in the two streams, first in, first out; when pairing must stop |
//! | `partial` | a head on its way in |
//! | `open` | an exchange that is not settled yet |
//! | `judge` | verdict, certainty, gaps: a pure function of what was seen |
//! | `envoy` | the flags that proxies would log |
//! | [`timeout`] | announced timeouts and the figures people use |

pub(crate) mod connection;
mod envoy;
mod judge;
pub mod model;
mod open;
mod pairing;
mod partial;
pub mod timeout;

pub use model::*;
pub(crate) use open::is_probed;
