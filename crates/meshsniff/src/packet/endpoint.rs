//! The ends of a connection.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One end of a TCP connection. IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) and
/// shown as IPv4.
///
/// It takes 18 bytes: tables of connections hold two for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// In network byte order.
    addr: [u8; 16],
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An IPv4 endpoint.
    #[must_use]
    pub const fn v4(addr: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = addr;
        let addr = Ipv4Addr::new(a, b, c, d).to_ipv6_mapped().octets();
        Self { addr, port }
    }

    /// An IPv6 endpoint.
    #[must_use]
    pub const fn v6(addr: [u8; 16], port: u16) -> Self {
        Self { addr, port }
    }

    /// The IP address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(u128::from_be_bytes(self.addr)).to_canonical()
    }
}

/// By address, then by port.
impl Ord for Endpoint {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |end: &Self| (u128::from_be_bytes(end.addr), end.port);
        number(self).cmp(&number(other))
    }
}

impl PartialOrd for Endpoint {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// In two writes: hashers are slow with arrays.
impl Hash for Endpoint {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.addr));
        state.write_u16(self.port);
    }
}

/// `10.0.0.1:80` or `[::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip(), self.port).fmt(f)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::v4(v4.ip().octets(), v4.port()),
            SocketAddr::V6(v6) => Self::v6(v6.ip().octets(), v6.port()),
        }
    }
}

/// As it is shown.
impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let address: SocketAddr = text.parse().map_err(de::Error::custom)?;
        Ok(address.into())
    }
}
