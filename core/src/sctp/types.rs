//! What goes into an endpoint and comes out of it.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::association::{DownReason, Ppid, StreamId};

/// The UDP ports that carry SCTP packets (RFC 6951).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UdpPorts {
    /// Ours.
    pub local: u16,
    /// The peer's.
    pub remote: u16,
}

/// The UDP port that IANA assigned to SCTP (RFC 6951).
pub const UDP_PORT: u16 = 9_899;

/// Names one association of an endpoint. A handle outlives its association without harm: it is
/// then refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// An association to set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Our SCTP port; 0 takes any free one.
    pub local_port: u16,
    /// The peer's address and SCTP port.
    pub remote: SocketAddr,
    /// The UDP ports to wrap the packets in; `None` for SCTP right over IP.
    pub udp: Option<UdpPorts>,
}

impl Connect {
    /// From a UDP socket at `local` to the one at `remote` and SCTP port `port` behind it.
    #[must_use]
    pub const fn in_udp(local: SocketAddr, remote: SocketAddr, port: u16) -> Self {
        let udp = Some(UdpPorts { local: local.port(), remote: remote.port() });
        Self { local_port: 0, remote: SocketAddr::new(remote.ip(), port), udp }
    }
}

/// What comes in from below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// An SCTP packet.
    Datagram(Datagram<'a>),
    /// An ICMP error says that the peer does not speak SCTP (protocol unreachable, or port
    /// unreachable where SCTP travels in UDP).
    Unreachable(Unreachable<'a>),
    /// An ICMP error says that a packet was too big for a link and may not be fragmented
    /// (fragmentation needed, or packet too big of ICMPv6).
    TooBig(TooBig<'a>),
}

/// How many of our own addresses are told to peers.
pub const LOCAL_ADDRESSES_MAX: usize = crate::few(1, 4);

/// How a path is doing: an address of a peer and what is known of it (RFC 9260 §11.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathStatus {
    /// The peer's address.
    pub remote: IpAddr,
    /// It is the one that is used as long as it works.
    pub is_primary: bool,
    /// It is the one that is used.
    pub is_active: bool,
    /// The peer has shown that it is there; before that it gets nothing but probes.
    pub is_confirmed: bool,
    /// No more sendings in a row than [`Config::path_retransmissions_max`] were not answered.
    /// Boards (feature `small`), which use one address, do not judge it.
    ///
    /// [`Config::path_retransmissions_max`]: super::Config::path_retransmissions_max
    pub is_reachable: bool,
    /// It can be reached as far as is known, but so many sendings in a row were not answered
    /// ([`Config::potentially_failed_retransmissions_max`]) that data takes another path.
    ///
    /// [`Config::potentially_failed_retransmissions_max`]:
    ///     super::Config::potentially_failed_retransmissions_max
    pub is_potentially_failed: bool,
    /// The smoothed round-trip time, once measured.
    pub srtt: Option<Duration>,
    /// The retransmission timeout.
    pub rto: Duration,
    /// The largest IP packet that is sent there, headers included (PMTU, RFC 9260 §7.3).
    pub mtu: u16,
}

/// An SCTP packet as it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The address that it was sent to.
    pub local: IpAddr,
    /// The address that it came from.
    pub remote: IpAddr,
    /// The UDP ports that it came by; `None` if it came right over IP.
    pub udp: Option<UdpPorts>,
    /// The packet, from the SCTP common header on.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// What a UDP socket at `local` received from `remote`.
    #[must_use]
    pub const fn in_udp(local: SocketAddr, remote: SocketAddr, payload: &'a [u8]) -> Self {
        let udp = Some(UdpPorts { local: local.port(), remote: remote.port() });
        Self { local: local.ip(), remote: remote.ip(), udp, payload }
    }
}

/// An ICMP error about a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable<'a> {
    /// The address that our packet went to.
    pub remote: IpAddr,
    /// The start of our packet as the error quotes it, from the SCTP common header on. Without
    /// ports and tag (8 bytes; 20 if our packet was an INIT) the error is ignored, since anyone
    /// could have forged it.
    pub quoted: &'a [u8],
}

/// An ICMP error about a packet of ours that was too big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig<'a> {
    /// The address that our packet went to.
    pub remote: IpAddr,
    /// The MTU of the link that it did not fit, IP header included; 0 where the error does not
    /// say (RFC 1191 §4).
    pub mtu: u32,
    /// The start of our packet, as in [`Unreachable::quoted`], and ignored as there.
    pub quoted: &'a [u8],
}

/// A packet to send; its bytes are in the buffer that the caller lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Packet {
    /// The address to send from, if it matters.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub local: Option<IpAddr>,
    /// The address to send to.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub remote: IpAddr,
    /// The UDP ports to wrap it in.
    pub udp: Option<UdpPorts>,
    /// How many bytes of the buffer it takes.
    pub len: usize,
    /// IP may fragment it, here or on the way. Where it may not, it is sent with the Don't
    /// Fragment bit over IPv4, and dropped rather than fragmented here if it is too big.
    pub may_fragment: bool,
}

impl Packet {
    /// Where a UDP socket has to send it; `None` if it goes right over IP.
    #[must_use]
    pub fn udp_destination(&self) -> Option<SocketAddr> {
        self.udp.map(|udp| SocketAddr::new(self.remote, udp.remote))
    }
}

/// What the user of an endpoint should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An association is up.
    Up {
        /// Which one.
        handle: Handle,
        /// Whether the peer opened it.
        passive: bool,
        /// Our SCTP port.
        local_port: u16,
        /// The peer's address and SCTP port.
        remote: SocketAddr,
        /// How many streams we may send on, from 0.
        outbound_streams: u16,
        /// How many streams the peer may send on, from 0.
        inbound_streams: u16,
    },
    /// There are whole messages to receive; receive until there are none.
    Readable {
        /// Of which association.
        handle: Handle,
    },
    /// There is room again after a refusal for lack of it.
    Writable {
        /// In which association.
        handle: Handle,
    },
    /// The peer restarted: the association is up, what the peer knew is gone.
    Restarted {
        /// Which one.
        handle: Handle,
    },
    /// An address of a peer with several was confirmed, does not answer any more, or does again
    /// (RFC 9260 §11.2.4).
    Path {
        /// Of which association.
        handle: Handle,
        /// The address.
        remote: IpAddr,
        /// Whether data can be sent there.
        is_reachable: bool,
    },
    /// An association is gone, or never came to be. Its handle is refused from now on.
    Down {
        /// Which one.
        handle: Handle,
        /// Whether it had been up.
        was_up: bool,
        /// How it ended.
        reason: DownReason,
        /// The error cause that an abort named, 0 if none.
        cause: u16,
    },
}

/// A message that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Received {
    /// On which stream.
    pub stream: StreamId,
    /// What it is.
    pub ppid: Ppid,
    /// Whether it was sent without regard to order.
    pub unordered: bool,
    /// Its length.
    pub len: usize,
}

/// Why an input was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// The packet is no SCTP packet: too short, or its checksum or its ports are wrong.
    Malformed,
    /// The packet belongs to no association.
    OutOfTheBlue,
    /// The packet has the wrong verification tag.
    WrongTag,
    /// The packet means nothing in the state that the association is in.
    OutOfPlace,
}

/// Why an association was not set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConnectError {
    /// All association slots are taken.
    Full,
    /// There is an association with this peer from this port already.
    Exists,
    /// The address or port cannot be connected to (unspecified, multicast, port 0).
    BadAddress,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SendError {
    /// No room now; [`Event::Writable`] tells when to try again.
    Full,
    /// The message is longer than the buffer will ever hold.
    TooLong,
    /// The message is empty.
    Empty,
    /// The peer accepts no such stream.
    NoSuchStream,
    /// The handle names no association, or one that is going down.
    Closed,
}

/// Why our own addresses were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyAddresses;

/// Why an address of a peer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PathError {
    /// The association is gone.
    Closed,
    /// The peer has named its addresses already, or no more of them are kept.
    Refused,
    /// The peer has no such address.
    Unknown,
}

/// The association is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Closed;

/// No more ports can listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ListenError {
    /// All of the endpoint's port slots are taken.
    Full,
    /// Port 0 cannot listen.
    BadPort,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the packet is no SCTP packet",
            Self::OutOfTheBlue => "the packet belongs to no association",
            Self::WrongTag => "the packet has a wrong verification tag",
            Self::OutOfPlace => "the packet means nothing in this state",
        })
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "all association slots are taken",
            Self::Exists => "there is an association with this peer already",
            Self::BadAddress => "no association can be set up with this address and port",
        })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "there is no room for the message now",
            Self::TooLong => "the message is longer than the send buffer",
            Self::Empty => "a message has at least one byte",
            Self::NoSuchStream => "the association has no such stream",
            Self::Closed => "the association is closed",
        })
    }
}

impl fmt::Display for TooManyAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an endpoint tells its peers of fewer addresses")
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the association is closed",
            Self::Refused => "the association takes no more addresses",
            Self::Unknown => "the peer has no such address",
        })
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the association is closed")
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no more ports can listen",
            Self::BadPort => "port 0 cannot listen",
        })
    }
}

impl core::error::Error for InputError {}
impl core::error::Error for ConnectError {}
impl core::error::Error for SendError {}
impl core::error::Error for TooManyAddresses {}
impl core::error::Error for PathError {}
impl core::error::Error for Closed {}
impl core::error::Error for ListenError {}
