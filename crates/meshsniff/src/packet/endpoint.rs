//! The ends of a connection.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One end of a TCP connection. IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) and
/// shown as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    addr: u128,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    const MAPPED: u128 = 0xffff << 32;

    /// An IPv4 endpoint.
    #[must_use]
    pub const fn v4(addr: [u8; 4], port: u16) -> Self {
        Self {
            addr: Self::MAPPED | u32::from_be_bytes(addr) as u128,
            port,
        }
    }

    /// An IPv6 endpoint.
    #[must_use]
    pub const fn v6(addr: [u8; 16], port: u16) -> Self {
        Self {
            addr: u128::from_be_bytes(addr),
            port,
        }
    }

    /// The IP address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        if self.addr >> 32 == 0xffff {
            IpAddr::V4(Ipv4Addr::from_bits(self.addr as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.addr))
        }
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
