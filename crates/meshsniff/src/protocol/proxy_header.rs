//! The PROXY protocol's header, which a balancer puts before the first byte of a connection
//! (HAProxy's `doc/proxy-protocol.txt`).

use crate::packet::Endpoint;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What version 1 begins with.
const KINDS: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];
/// The longest header of version 1, line end included.
const MAX_V1: usize = 107;
/// The signature of version 2.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 before the addresses.
const V2_FIXED: usize = 16;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// The client it names; `None` if it names none (`UNKNOWN`, `LOCAL`).
    pub client: Option<Endpoint>,
}

/// Whether `bytes` are the beginning of a header, and of nothing else, which is not whole yet.
#[must_use]
pub fn is_begun(bytes: &[u8]) -> bool {
    let version_1 = KINDS.iter().any(|kind| match bytes.len() {
        ..6 => false,
        6..MAX_V1 => kind.starts_with(bytes) || bytes.starts_with(kind),
        _ => false,
    });
    // Blank lines may stand before a request, a zero may not.
    let version_2 = bytes.len() >= 5 && (V2.starts_with(bytes) || bytes.starts_with(V2));
    (version_1 || version_2) && read(bytes).is_none()
}

/// Reads a header from the beginning of `bytes`. Returns it with its length.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(ProxyHeader, usize)> {
    if KINDS.iter().any(|kind| bytes.starts_with(kind)) {
        let line = &bytes[..bytes.len().min(MAX_V1)];
        let end = memchr::memchr(b'\n', line)?;
        let header = ProxyHeader {
            version: 1,
            client: version_1(&line[..end]),
        };
        return Some((header, end + 1));
    }
    if !bytes.starts_with(V2) || bytes.len() < V2_FIXED {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let addresses = bytes.get(V2_FIXED..V2_FIXED + length)?;
    let header = ProxyHeader {
        version: 2,
        client: version_2(bytes[12], bytes[13], addresses),
    };
    Some((header, V2_FIXED + length))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`.
fn version_1(line: &[u8]) -> Option<Endpoint> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let mut words = line.split(' ').skip(1);
    if !matches!(words.next(), Some("TCP4" | "TCP6")) {
        return None;
    }
    let ip: IpAddr = words.next()?.parse().ok()?;
    let port: u16 = words.nth(1)?.parse().ok()?;
    Some(match ip {
        IpAddr::V4(ip) => Endpoint::v4(ip.octets(), port),
        IpAddr::V6(ip) => Endpoint::v6(ip.octets(), port),
    })
}

fn version_2(command: u8, family: u8, addresses: &[u8]) -> Option<Endpoint> {
    // The low half of the command is 1 for PROXY, 0 for LOCAL.
    if command & 0x0f != 1 {
        return None;
    }
    match family >> 4 {
        1 => {
            let (ip, rest) = addresses.split_first_chunk::<4>()?;
            let port = rest.get(4..6)?.first_chunk::<2>()?;
            Some(Endpoint::v4(*ip, u16::from_be_bytes(*port)))
        }
        2 => {
            let (ip, rest) = addresses.split_first_chunk::<16>()?;
            let port = rest.get(16..18)?.first_chunk::<2>()?;
            Some(Endpoint::v6(*ip, u16::from_be_bytes(*port)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_names_a_client_or_none() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n";
        let (header, length) = read(line).unwrap();
        assert_eq!(length, line.len() - 16);
        assert_eq!(header.client, Some(Endpoint::v4([192, 0, 2, 1], 56_324)));
        for none in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY TCP4 x y 1 2\r\n"] {
            let (header, length) = read(none).unwrap();
            assert_eq!((header.client, length), (None, none.len()));
        }
        for begun in [&b"PROXY TCP4 192.0.2.1 192"[..], b"PROXY T", b"PROXY "] {
            assert_eq!((read(begun), is_begun(begun)), (None, true));
        }
        for other in [&b"PROXY"[..], b"PROXY /x", b"POST /", b"\r\n\r\n"] {
            assert!(!is_begun(other), "{other:?}");
        }
        assert!(!is_begun(line) && !is_begun(&[b"PROXY UNKNOWN", &[b'x'; 99][..]].concat()));
        assert_eq!(read(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(read(b"PROXY /x HTTP/1.1\r\n"), None, "a method");
    }

    #[test]
    fn version_2_names_a_client_or_none() {
        let header = |command, family, addresses: &[u8]| {
            let mut bytes = V2.to_vec();
            bytes.extend([command, family, 0, addresses.len() as u8]);
            bytes.extend(addresses);
            bytes.push(b'G');
            read(&bytes).unwrap()
        };
        let v4 = [10, 0, 0, 9, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let client = Some(Endpoint::v4([10, 0, 0, 9], 12_345));
        assert_eq!(header(0x21, 0x11, &v4).0.client, client);
        assert_eq!(header(0x20, 0x11, &v4).0.client, None, "a health check");
        assert_eq!(header(0x21, 0x11, &v4[..7]).0.client, None);
        assert_eq!(header(0x21, 0x11, &v4).1, 28);
        let mut v6 = [0; 36];
        v6[15] = 7;
        v6[33] = 99;
        let told = header(0x21, 0x21, &v6).0.client.unwrap();
        assert_eq!(
            (told.ip(), told.port),
            (std::net::Ipv6Addr::from_bits(7).into(), 99)
        );
        let mut cut = V2.to_vec();
        cut.extend([0x21, 0x11, 0, 12, 1, 2]);
        assert_eq!((read(&cut), is_begun(&cut)), (None, true));
        assert!(is_begun(&cut[..5]) && !is_begun(&cut[..4]));
    }
}
