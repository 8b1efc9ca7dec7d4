//! TLS without keys: what the handshake says in plain text, what broke it, and when whose records
//! came afterwards (RFC 8446 and RFC 5246).
//!
//! Hellos, record headers and plain alerts are read. What is encrypted is known by its records'
//! lengths and times alone: what is said of it is an estimate.

mod alert;
mod data;
mod hello;
mod message;
mod record;
mod session;
mod told;

pub use alert::Alert;
pub use data::{Asked, Bursts};
pub use hello::{Cipher, Version};
pub use session::Session;
pub use told::{Part, Tls};
