//! Frames that hold no TCP segment that can be read: what they are instead, and how many.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use strum::{EnumCount, VariantArray};

/// What a frame holds in place of a TCP segment that can be read.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumCount,
    VariantArray,
    Serialize,
    Deserialize,
)]
pub enum NotRead {
    /// IPsec's Encapsulating Security Payload, also in UDP (RFC 4303, RFC 3948).
    Esp,
    /// A WireGuard message.
    WireGuard,
    /// OpenVPN on its own port.
    OpenVpn,
    /// A MACsec frame (IEEE 802.1AE).
    Macsec,
    /// An encrypted 802.11 data frame.
    WifiEncrypted,
    /// A part of an 802.11 frame.
    WifiFragment,
    /// An 802.11 frame with several packets.
    WifiAggregate,
    /// L2TP.
    L2tp,
    /// GTP, of mobile networks.
    Gtp,
    /// GRE around something that is not read, or of a version that is not known.
    Gre,
    /// VXLAN around something that is not read.
    Vxlan,
    /// GENEVE around something that is not read.
    Geneve,
    /// MPLS around something that is not read.
    Mpls,
    /// PPP whose data is compressed or encrypted.
    PppCompressed,
    /// More tunnels in one another than are looked through.
    TooDeep,
    /// What goes from or to the port of DNS and is no ordinary query or answer.
    Dns,
    /// QUIC, as its port says.
    Quic,
    /// Any other UDP datagram.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP.
    Icmp,
    /// ICMPv6.
    Icmpv6,
    /// IGMP.
    Igmp,
    /// VRRP.
    Vrrp,
    /// PIM.
    Pim,
    /// OSPF.
    Ospf,
    /// Any other protocol of IP.
    Ip,
    /// ARP, and RARP.
    Arp,
    /// LLDP.
    Lldp,
    /// EAPOL, the login to a network (IEEE 802.1X).
    Eapol,
    /// Link aggregation and other slow protocols.
    Lacp,
    /// Spanning tree.
    SpanningTree,
    /// A Cisco protocol in SNAP: CDP, VTP, PVST+ and so on.
    Cisco,
    /// A frame of PPP's own: LCP, IPCP and so on.
    Ppp,
    /// PPPoE discovery.
    PppoeDiscovery,
    /// Any other LLC frame.
    Llc,
    /// An 802.11 management frame.
    WifiManagement,
    /// An 802.11 control frame.
    WifiControl,
    /// An 802.11 data frame without data.
    WifiEmpty,
    /// A netlink message.
    Netlink,
    /// Any other protocol of the link layer.
    Link,
}

impl NotRead {
    /// What it is called in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Esp => "ESP",
            Self::WireGuard => "WireGuard",
            Self::OpenVpn => "OpenVPN",
            Self::Macsec => "MACsec",
            Self::WifiEncrypted => "802.11 that is encrypted",
            Self::WifiFragment => "802.11 in fragments",
            Self::WifiAggregate => "802.11 with several packets in a frame",
            Self::L2tp => "L2TP",
            Self::Gtp => "GTP",
            Self::Gre => "GRE that is not understood",
            Self::Vxlan => "VXLAN that is not understood",
            Self::Geneve => "GENEVE that is not understood",
            Self::Mpls => "MPLS that is not understood",
            Self::PppCompressed => "PPP that is compressed or encrypted",
            Self::TooDeep => "too many tunnels in one another",
            Self::Dns => "UDP on port 53 that is no DNS query",
            Self::Quic => "UDP on port 443 (QUIC)",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
            Self::Icmpv6 => "ICMPv6",
            Self::Igmp => "IGMP",
            Self::Vrrp => "VRRP",
            Self::Pim => "PIM",
            Self::Ospf => "OSPF",
            Self::Ip => "other protocols of IP",
            Self::Arp => "ARP",
            Self::Lldp => "LLDP",
            Self::Eapol => "EAPOL",
            Self::Lacp => "LACP",
            Self::SpanningTree => "spanning tree",
            Self::Cisco => "Cisco's protocols",
            Self::Ppp => "PPP control",
            Self::PppoeDiscovery => "PPPoE discovery",
            Self::Llc => "LLC",
            Self::WifiManagement => "802.11 management",
            Self::WifiControl => "802.11 control",
            Self::WifiEmpty => "802.11 without data",
            Self::Netlink => "netlink",
            Self::Link => "other protocols of the link layer",
        }
    }

    /// Whether a TCP segment may be inside: an encapsulation that is encrypted, or not understood.
    #[must_use]
    pub const fn may_hide(self) -> bool {
        matches!(
            self,
            Self::Esp
                | Self::WireGuard
                | Self::OpenVpn
                | Self::Macsec
                | Self::WifiEncrypted
                | Self::WifiFragment
                | Self::WifiAggregate
                | Self::L2tp
                | Self::Gtp
                | Self::Gre
                | Self::Vxlan
                | Self::Geneve
                | Self::Mpls
                | Self::PppCompressed
                | Self::TooDeep
        )
    }
}

/// Number of frames of each kind that is not read.
///
/// Written as a map of those that occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadFrames([u64; NotRead::COUNT]);

impl Default for NotReadFrames {
    fn default() -> Self {
        Self([0; NotRead::COUNT])
    }
}

impl NotReadFrames {
    /// Counts one more.
    pub const fn count(&mut self, what: NotRead) {
        self.0[what as usize] += 1;
    }

    /// The kinds that occurred and how many frames each had: those that may hide a TCP segment
    /// first.
    pub fn iter(&self) -> impl Iterator<Item = (NotRead, u64)> {
        let all = NotRead::VARIANTS.iter().copied().zip(self.0);
        all.filter(|(_, frames)| *frames > 0)
    }

    /// Every count, also those of 0.
    pub(crate) fn counts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.0.iter_mut()
    }
}

impl Serialize for NotReadFrames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for NotReadFrames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut counts = Self::default();
        for (what, frames) in BTreeMap::<NotRead, u64>::deserialize(deserializer)? {
            counts.0[what as usize] = frames;
        }
        Ok(counts)
    }
}
