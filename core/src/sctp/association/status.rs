//! What the user of an association may know of it (RFC 9260 §4, §11.1.9).

use core::net::SocketAddr;
use core::time::Duration;

use super::Tcb;
use crate::sctp::config::Config;
use crate::sctp::packet::DataChunk;
use crate::time::Span;

/// The states of an association (RFC 9260 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Over, or not begun.
    Closed = 0,
    /// INIT was sent.
    CookieWait,
    /// COOKIE ECHO was sent.
    CookieEchoed,
    /// Up.
    Established,
    /// Our user wants to end it, and data is unacknowledged.
    ShutdownPending,
    /// The peer's user wants to end it, and data is unacknowledged.
    ShutdownReceived,
    /// SHUTDOWN was sent.
    ShutdownSent,
    /// SHUTDOWN ACK was sent.
    ShutdownAckSent,
}

/// How an association is doing (RFC 9260 §11.1.9, STATUS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// The peer's primary address and its SCTP port.
    pub peer: SocketAddr,
    /// Bytes of user data that the peer's window has room for, those in flight taken off.
    pub peer_window: u32,
    /// DATA chunks that were sent and are not acknowledged.
    pub unacknowledged: u32,
    /// DATA chunks that were not sent yet.
    pub pending: u32,
    /// Streams that we may send on.
    pub outbound_streams: u16,
    /// Streams that the peer may send on.
    pub inbound_streams: u16,
    /// The longest message that is not fragmented, in bytes.
    pub fragment_len: u16,
    /// The smoothed round-trip time of the primary path, once measured.
    pub srtt: Option<Duration>,
    /// The retransmission timeout of the primary path.
    pub rto: Duration,
}

impl Tcb {
    /// How the association is doing.
    pub(in crate::sctp) fn status(&self, config: &Config) -> Status {
        let transfer = self.transfer(self.primary());
        let (unacknowledged, pending) = self.sender.chunk_counts();
        Status {
            state: self.state,
            peer: self.peer(),
            peer_window: self.sender.peer_window(),
            unacknowledged,
            pending,
            outbound_streams: self.outbound_streams(),
            inbound_streams: self.inbound_streams(),
            fragment_len: self.chunk_len_max(config).saturating_sub(DataChunk::HEADER_LEN as u16),
            srtt: transfer.srtt().map(Span::to_duration),
            rto: transfer.rto().to_duration(),
        }
    }
}

impl State {
    /// The handshake is not over.
    pub(super) const fn is_opening(self) -> bool {
        matches!(self, Self::CookieWait | Self::CookieEchoed)
    }

    /// DATA from the peer is taken. RFC 9260 §6.
    pub(super) const fn takes_data(self) -> bool {
        matches!(self, Self::Established | Self::ShutdownPending | Self::ShutdownSent)
    }

    /// DATA is sent and SACKs are processed. RFC 9260 §6.
    pub(super) const fn sends_data(self) -> bool {
        matches!(self, Self::Established | Self::ShutdownPending | Self::ShutdownReceived)
    }
}
