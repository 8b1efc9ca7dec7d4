//! DNS messages as bytes.

use std::net::IpAddr;

/// The type of an IPv4 address.
pub const A: u16 = 1;
/// The type of an IPv6 address.
pub const AAAA: u16 = 28;
/// The response code of a name that does not exist.
pub const NXDOMAIN: u8 = 3;
/// The response code of a server that failed.
pub const SERVFAIL: u8 = 2;

fn message(flags: u16, id: u16, name: &str, kind: u16, answers: &[IpAddr]) -> Vec<u8> {
    let mut out = Vec::new();
    for half in [id, flags, 1, answers.len() as u16, 0, 0] {
        out.extend(half.to_be_bytes());
    }
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    for answer in answers {
        // The name in the question, class IN, 30 s.
        let (kind, bytes) = match answer {
            IpAddr::V4(address) => (A, address.octets().to_vec()),
            IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
        };
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 30, 0, bytes.len() as u8]);
        out.extend(bytes);
    }
    out
}

/// A query.
#[must_use]
pub fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    message(0x0100, id, name, kind, &[])
}

/// An answer with a response code and addresses.
#[must_use]
pub fn answer(id: u16, name: &str, kind: u16, code: u8, addresses: &[IpAddr]) -> Vec<u8> {
    message(0x8180 | u16::from(code), id, name, kind, addresses)
}

/// A message as it stands in a TCP stream.
#[must_use]
pub fn over_tcp(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}
