//! The parameters of RFC 9260 §16 and the sizes that an endpoint offers.

use core::net::IpAddr;
use core::time::Duration;

use super::packet::CommonHeader;
use super::transfer::{Parameters, STREAMS_MAX};
use crate::time::Span;

/// How an endpoint behaves; the defaults are those of RFC 9260 §16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// The retransmission timeout before the first measurement (RTO.Initial).
    pub rto_initial: Duration,
    /// The least retransmission timeout (RTO.Min).
    pub rto_min: Duration,
    /// The largest retransmission timeout (RTO.Max).
    pub rto_max: Duration,
    /// The largest retransmission timeout of INIT and COOKIE ECHO, if that is less.
    pub rto_init_max: Duration,
    /// How long a State Cookie is good (Valid.Cookie.Life).
    pub cookie_life: Duration,
    /// Consecutive unanswered sendings after which the peer counts as lost
    /// (Association.Max.Retrans).
    pub association_retransmissions_max: u8,
    /// Consecutive unanswered sendings to one address of the peer after which it counts as
    /// unreachable, and another is used (Path.Max.Retrans).
    pub path_retransmissions_max: u8,
    /// How often INIT and COOKIE ECHO are repeated (Max.Init.Retransmits).
    pub init_retransmissions_max: u8,
    /// How long a path is idle before it is probed, beyond its RTO (HB.interval); `None` switches
    /// probes off.
    pub heartbeat_interval: Option<Duration>,
    /// How long a SACK may be held back (SACK.Delay), at most 500 ms.
    pub sack_delay: Duration,
    /// The largest IP packet that is sent, headers included. At least 576.
    pub mtu: u16,
    /// Outgoing streams asked for; fewer are used if the peer takes fewer. At least 1.
    pub outbound_streams: u16,
    /// Incoming streams accepted. At least 1.
    pub inbound_streams_max: u16,
    /// Whether associations that a peer opens are accepted on the ports that listen.
    pub accept: bool,
    /// How many replies strangers get per second, and at most at once. Associations are not
    /// affected.
    pub stranger_replies_per_second: u16,
}

impl Config {
    /// The values of RFC 9260 §16, an MTU of 1500 and 4 streams.
    pub const DEFAULT: Self = Self {
        rto_initial: Duration::from_secs(1),
        rto_min: Duration::from_secs(1),
        rto_max: Duration::from_secs(60),
        rto_init_max: Duration::from_secs(60),
        cookie_life: Duration::from_secs(60),
        association_retransmissions_max: 10,
        path_retransmissions_max: 5,
        init_retransmissions_max: 8,
        heartbeat_interval: Some(Duration::from_secs(30)),
        sack_delay: Duration::from_millis(200),
        mtu: 1_500,
        outbound_streams: 4,
        inbound_streams_max: 4,
        accept: true,
        stranger_replies_per_second: 1_000,
    };

    /// The outgoing streams, within what the endpoint can keep.
    pub(crate) fn outbound_streams(&self) -> u16 {
        self.outbound_streams.clamp(1, STREAMS_MAX as u16)
    }

    /// The incoming streams, likewise.
    pub(crate) fn inbound_streams(&self) -> u16 {
        self.inbound_streams_max.clamp(1, STREAMS_MAX as u16)
    }

    /// What data transfer needs to know.
    pub(crate) const fn transfer(&self) -> Parameters {
        let sack_delay = Span::of(self.sack_delay);
        Parameters {
            rto_initial: Span::of(self.rto_initial),
            rto_min: Span::of(self.rto_min),
            rto_max: Span::of(self.rto_max),
            rto_init_max: Span::of(self.rto_init_max),
            sack_delay: if sack_delay.0 > SACK_DELAY_MAX.0 { SACK_DELAY_MAX } else { sack_delay },
        }
    }

    /// Bytes of chunks in the largest packet to `remote`: a multiple of 4.
    pub(crate) fn chunks_len_max(&self, remote: IpAddr, is_in_udp: bool) -> usize {
        let ip_len = if remote.is_ipv6() { 40 } else { 20 };
        let udp_len = if is_in_udp { 8 } else { 0 };
        let headers_len = ip_len + udp_len + CommonHeader::LEN;
        (usize::from(self.mtu.max(MTU_MIN)) - headers_len) & !3
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// RFC 9260 §6.2.
const SACK_DELAY_MAX: Span = Span(500_000);
const MTU_MIN: u16 = 576;
