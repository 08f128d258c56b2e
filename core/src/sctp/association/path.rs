//! One way to the peer: address, encapsulation, health (RFC 9260 §5.4, §8.2, §8.3).

use core::net::{IpAddr, Ipv4Addr};

use crate::sctp::types::UdpPorts;
use crate::time::Instant;

/// How many paths an association has. There is room for more in all structures, but no code yet
/// that learns further addresses of the peer.
pub(in crate::sctp) const PATHS_MAX: usize = 1;

/// A destination address and what is known of it, data transfer apart.
#[derive(Debug)]
pub(in crate::sctp) struct Path {
    /// Where our packets come from; unspecified until the peer wrote to us.
    pub(in crate::sctp) local: IpAddr,
    pub(in crate::sctp) remote: IpAddr,
    pub(in crate::sctp) udp: Option<UdpPorts>,
    /// Sendings in a row that were not answered.
    pub(in crate::sctp) error_count: u8,
    pub(in crate::sctp) probe: Probe,
}

/// Whether the path is probed with HEARTBEATs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sctp) enum Probe {
    /// No.
    Off,
    /// The next is due at `at`, if the path is idle then.
    Waiting { at: Instant },
    /// One is to be sent.
    Due { nonce: u64 },
    /// One was sent and counts as unanswered at `expires`.
    Sent { nonce: u64, at: Instant, expires: Instant },
}

impl Path {
    pub(in crate::sctp) const EMPTY: Self = Self {
        local: UNSPECIFIED,
        remote: UNSPECIFIED,
        udp: None,
        error_count: 0,
        probe: Probe::Off,
    };
}

impl Probe {
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Off | Self::Due { .. } => None,
            Self::Waiting { at } => Some(at),
            Self::Sent { expires, .. } => Some(expires),
        }
    }
}

const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
