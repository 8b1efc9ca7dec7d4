//! The link layers that can be read, by their numbers in capture files.

use thiserror::Error;

/// What a frame's data begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// Ethernet, with any VLAN tags (1).
    Ethernet,
    /// BSD loopback, address family in the byte order of the machine that captured (0).
    Null,
    /// OpenBSD loopback, address family in network byte order (108).
    Loop,
    /// IPv4 or IPv6 without a link layer (101, and 12 and 14 as some systems write it).
    Raw,
    /// IPv4 without a link layer (228).
    Ipv4,
    /// IPv6 without a link layer (229).
    Ipv6,
    /// Linux cooked v1 (113).
    LinuxSll,
    /// Linux cooked v2, which names the interface: what `tcpdump -i any` writes (276).
    LinuxSll2,
}

/// A link type that is not read, by its number in the capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error(
    "link type {0} cannot be read: Ethernet (1), Linux cooked (113, 276), BSD loopback (0, 108) and raw IP \
     (101, 228, 229) can; capture on an Ethernet or loopback interface, or on \"any\""
)]
pub struct UnsupportedLink(pub u32);

impl LinkType {
    /// The link type with the number `number` in a capture file (`LINKTYPE_…`).
    ///
    /// # Errors
    /// If frames of that link type cannot be read.
    pub const fn from_number(number: u32) -> Result<Self, UnsupportedLink> {
        Ok(match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            // LINKTYPE_RAW is 101; 12 and 14 are what DLT_RAW was on some systems that wrote it as it stood.
            12 | 14 | 101 => Self::Raw,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            _ => return Err(UnsupportedLink(number)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_read() {
        for number in [0, 1, 12, 14, 101, 108, 113, 228, 229, 276] {
            assert!(LinkType::from_number(number).is_ok(), "{number}");
        }
        let refused = LinkType::from_number(195).unwrap_err();
        assert!(refused.to_string().contains("195"), "{refused}");
    }
}
