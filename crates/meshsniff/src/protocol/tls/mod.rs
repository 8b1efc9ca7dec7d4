//! TLS (RFC 8446 and RFC 5246).
//!
//! Without keys: what the handshake says in plain text, what broke it, and when whose records came
//! afterwards. Hellos, record headers and plain alerts are read; what is encrypted is known by its
//! records' lengths and times alone, and what is said of it is an estimate. With keys: what is
//! inside, as the stream events of a connection that is not encrypted.
//!
//! | here | holds |
//! |---|---|
//! | [`Layer`] | both, between a connection's bytes and what reads them |
//! | [`Session`] | what is seen without keys: `record`, `message`, `hello`, `alert`, `data` |
//! | [`Keys`] | secrets of sessions, from key logs |
//! | `plain` | what is inside: `way` puts records together, `opener` opens them, `sealed` has the ciphers |
//! | [`Tls`] | what a report says of it |

mod alert;
mod data;
mod hello;
mod keylog;
mod layer;
mod message;
mod opener;
mod plain;
mod record;
#[cfg(feature = "keys")]
mod sealed;
#[cfg(not(feature = "keys"))]
#[path = "sealed_without.rs"]
mod sealed;
#[cfg(all(feature = "keys", any(test, feature = "testing")))]
pub(crate) mod sealing;
mod session;
#[cfg(test)]
mod tests;
mod told;
mod way;

pub use alert::Alert;
pub use data::{Asked, Bursts};
pub use hello::{Cipher, Version};
pub use keylog::Keys;
pub use layer::Layer;
pub use session::{Farewell, Session};
pub use told::{NotRead, Part, Step, StepKind, Tls};
