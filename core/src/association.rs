//! What machines above a message transport see of it: associations, messages, and how they end.
//!
//! The transport may be our own SCTP, the kernel's, or TCP for pool users. A driver translates
//! between the transport and these types; ASAP, ENRP and the compute service know nothing else.
//!
//! Who names what: the driver numbers associations ([`AssociationId`], never reused while a
//! machine may still speak of the old one), the machine numbers its connection attempts
//! ([`ConnectId`]); [`Input::Up`] ties one to the other.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use heapless::Vec;

/// The most addresses that are kept of one endpoint; fewer on boards (feature `small`).
pub const ADDRESSES_MAX: usize = crate::few(4, 8);

/// An association, numbered by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AssociationId(pub u32);

/// An attempt to set up an association, numbered by the machine that wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnectId(pub u32);

/// A stream of an association (RFC 9260 §1.4). Control travels on stream 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StreamId(pub u16);

/// A payload protocol identifier (RFC 9260 §3.3.1), in the reader's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ppid(pub u32);

impl Ppid {
    /// ASAP (RFC 5352 §6).
    pub const ASAP: Self = Self(11);
    /// ENRP (RFC 5353 §6).
    pub const ENRP: Self = Self(12);
    /// The compute service of this project ("RSPC").
    pub const COMPUTE: Self = Self(0x5253_5043);
}

/// Where a peer can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses, the preferred one first.
    pub addresses: Vec<IpAddr, ADDRESSES_MAX>,
    /// Its SCTP (or TCP) port.
    pub port: u16,
    /// Its UDP port (RFC 6951) if configured; otherwise the driver finds out how to reach it.
    pub udp_port: Option<u16>,
}

impl Endpoint {
    /// An endpoint with one address.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let mut addresses = Vec::new();
        let _ = addresses.push(address.ip());
        Self { addresses, port: address.port(), udp_port: None }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addresses.first() {
            Some(&address) => write!(f, "{}", SocketAddr::new(address, self.port))?,
            None => write!(f, "(no address):{}", self.port)?,
        }
        match self.udp_port {
            Some(udp_port) => write!(f, "/{udp_port}"),
            None => Ok(()),
        }
    }
}

/// What the transport tells a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input<'a> {
    /// An association is up.
    Up {
        /// Its number from now on.
        association: AssociationId,
        /// The attempt that it answers; `None` if the peer opened it.
        connect: Option<ConnectId>,
        /// The peer's addresses.
        peer_addresses: &'a [IpAddr],
        /// The peer's port.
        peer_port: u16,
    },
    /// As [`Up`](Self::Up), of a peer that has connected by TCP: it can be a pool user, but no
    /// pool element and no registrar (RFC 5352 §2).
    UserUp {
        /// Its number from now on.
        association: AssociationId,
        /// The peer's addresses.
        peer_addresses: &'a [IpAddr],
        /// The peer's port.
        peer_port: u16,
    },
    /// An attempt came to nothing.
    ConnectFailed {
        /// The attempt.
        connect: ConnectId,
    },
    /// A whole message has come.
    Message {
        /// From where.
        association: AssociationId,
        /// On which stream.
        stream: StreamId,
        /// What it is.
        ppid: Ppid,
        /// Its bytes.
        data: &'a [u8],
    },
    /// The peer restarted (RFC 9260 §5.2): the association is up, but what the peer knew is gone.
    Restarted {
        /// Which one.
        association: AssociationId,
    },
    /// How long a round trip on an association takes, smoothed by the transport.
    ///
    /// A driver tells it before a message, if it has changed by more than an eighth since it was
    /// told last; see [`RoundTrip`].
    RoundTrip {
        /// Which one.
        association: AssociationId,
        /// How long, in microseconds.
        micros: u32,
    },
    /// An association is gone.
    Down {
        /// Which one.
        association: AssociationId,
        /// How it ended.
        reason: DownReason,
    },
}

/// What a driver has told of an association's round trip, so that it tells changes alone.
///
/// ```
/// use core::time::Duration;
/// use rserpool_core::association::RoundTrip;
/// let mut told = RoundTrip::default();
/// assert_eq!(told.on_measured(Duration::from_millis(40)), Some(40_000));
/// assert_eq!(told.on_measured(Duration::from_millis(44)), None);
/// assert_eq!(told.on_measured(Duration::from_millis(46)), Some(46_000));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RoundTrip {
    told_micros: u32,
}

impl RoundTrip {
    /// Takes what the transport has measured; yields the microseconds if they are to be told.
    #[must_use]
    pub fn on_measured(&mut self, srtt: Duration) -> Option<u32> {
        let micros = u32::try_from(srtt.as_micros()).unwrap_or(u32::MAX);
        let is_news = micros.abs_diff(self.told_micros) > self.told_micros / 8;
        is_news.then(|| {
            self.told_micros = micros;
            micros
        })
    }
}

/// How an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DownReason {
    /// Shut down gracefully, by either side.
    Shutdown,
    /// Aborted by the peer, or by us.
    Aborted,
    /// The peer does not answer any more.
    Lost,
}

/// A multicast group, which the driver has an address for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Channel {
    /// Announces of registrars to pool elements and pool users (RFC 5352 §3.6).
    Asap,
    /// Presences of registrars to each other; RSPLIB's practice beside RFC 5353 §3.1.
    Enrp,
}

/// What a machine wants of the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transmit {
    /// Set up an association; answered by [`Input::Up`] or [`Input::ConnectFailed`].
    Connect {
        /// The machine's name for the attempt.
        connect: ConnectId,
        /// To where.
        endpoint: Endpoint,
    },
    /// Give up an attempt. No answer follows.
    CancelConnect {
        /// The attempt.
        connect: ConnectId,
    },
    /// Send the first `len` bytes of the buffer as one message.
    Message {
        /// To where.
        association: AssociationId,
        /// On which stream.
        stream: StreamId,
        /// What it is.
        ppid: Ppid,
        /// How many bytes.
        len: usize,
    },
    /// Send the first `len` bytes of the buffer to a multicast group by UDP.
    Multicast {
        /// To which group.
        channel: Channel,
        /// How many bytes.
        len: usize,
    },
    /// Shut an association down gracefully; answered by [`Input::Down`].
    Shutdown {
        /// Which one.
        association: AssociationId,
    },
    /// Abort an association; answered by [`Input::Down`].
    Abort {
        /// Which one.
        association: AssociationId,
    },
}
