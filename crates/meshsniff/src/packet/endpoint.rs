//! The ends of a connection.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One end of a TCP connection. IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) and
/// shown as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    addr: Halves,
    /// The TCP port.
    pub port: u16,
}

/// The two halves of an address. One number would be aligned to 16 bytes: tables of connections,
/// which hold two ends for each, would be larger by a third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Halves(u64, u64);

impl Endpoint {
    /// An IPv4 endpoint.
    #[must_use]
    pub const fn v4(addr: [u8; 4], port: u16) -> Self {
        let addr = Halves(0, 0xffff << 32 | u32::from_be_bytes(addr) as u64);
        Self { addr, port }
    }

    /// An IPv6 endpoint.
    #[must_use]
    pub const fn v6(addr: [u8; 16], port: u16) -> Self {
        let addr = u128::from_be_bytes(addr);
        let addr = Halves((addr >> 64) as u64, addr as u64);
        Self { addr, port }
    }

    /// The IP address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let Halves(high, low) = self.addr;
        Ipv6Addr::from_bits((high as u128) << 64 | low as u128).to_canonical()
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
