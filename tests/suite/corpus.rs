//! The captures in `testdata-pcaps`, read into memory.

use crate::talk::Packet;

pub fn captures() -> Vec<(String, Vec<Packet>)> {
    Vec::new()
}
