//! The parameters of RFC 9260 §16 and RFC 7829 §3.2, and the sizes that an endpoint offers.

use core::net::IpAddr;
use core::time::Duration;

use super::association::DISCOVERIES;
use super::packet::CommonHeader;
use super::transfer::{Parameters, STREAMS_MAX};
use crate::time::Span;

/// How an endpoint behaves; the defaults are those of RFC 9260 §16 and RFC 7829 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// The retransmission timeout before the first measurement (RTO.Initial).
    pub rto_initial: Duration,
    /// The least retransmission timeout (RTO.Min).
    pub rto_min: Duration,
    /// The largest retransmission timeout (RTO.Max); more than 71 minutes count as those.
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
    /// Consecutive unanswered sendings to one of several addresses of the peer after which it is
    /// potentially failed: data takes another one, and HEARTBEATs ask every RTO whether it works
    /// (PotentiallyFailed.Max.Retrans, RFC 7829). With no less than `path_retransmissions_max`
    /// that does not happen.
    pub potentially_failed_retransmissions_max: u8,
    /// How often INIT and COOKIE ECHO are repeated (Max.Init.Retransmits).
    pub init_retransmissions_max: u8,
    /// How long a path is idle before it is probed, beyond its RTO (HB.interval); `None` switches
    /// probes off.
    pub heartbeat_interval: Option<Duration>,
    /// How long a SACK may be held back (SACK.Delay), at most 500 ms.
    pub sack_delay: Duration,
    /// The largest IP packet that is sent on any path, headers included. At least 576.
    pub mtu: u16,
    /// Whether the MTU of each path is found out (RFC 9260 §7.3, RFC 8899). If not, it is `mtu`
    /// everywhere, and what is too large for a path must be fragmented by IP. Boards (feature
    /// `small`) never find out.
    pub pmtu_discovery: bool,
    /// The MTU that a path is taken to have at first; `None` stands for `mtu`. A larger one is
    /// searched for.
    pub pmtu_initial: Option<u16>,
    /// The MTU that is fallen back to where large packets get lost (BASE_PLPMTU, RFC 8899
    /// §5.1.2); over IPv6 at least 1280.
    pub pmtu_base: u16,
    /// How often a size is tried before it counts as too large (MAX_PROBES). At least 1.
    pub pmtu_probes_max: u8,
    /// Expiries of T3-rtx, with more in flight than fits a packet of the size `pmtu_base` and
    /// none of it acknowledged in between, after which that size is fallen back to; twice as
    /// many more, and it is 576 (1280 over IPv6). 0 switches that off.
    pub pmtu_timeouts_max: u8,
    /// How long after a search another one is made for a larger MTU (PMTU_RAISE_TIMER); `None`
    /// never makes another.
    pub pmtu_raise_interval: Option<Duration>,
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
        potentially_failed_retransmissions_max: 0,
        init_retransmissions_max: 8,
        heartbeat_interval: Some(Duration::from_secs(30)),
        sack_delay: Duration::from_millis(200),
        mtu: MTU,
        pmtu_discovery: true,
        pmtu_initial: None,
        pmtu_base: PMTU_BASE,
        pmtu_probes_max: PMTU_PROBES_MAX,
        pmtu_timeouts_max: PMTU_TIMEOUTS_MAX,
        pmtu_raise_interval: Some(PMTU_RAISE_INTERVAL),
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

    /// The MTU that no path goes beyond.
    pub(crate) fn mtu(&self) -> u16 {
        self.mtu.max(MTU_MIN)
    }

    /// The MTU of a new path.
    pub(crate) fn pmtu_initial(&self) -> u16 {
        self.pmtu_initial.unwrap_or(u16::MAX).clamp(MTU_MIN, self.mtu())
    }

    /// The MTU that every path is taken to have.
    pub(crate) fn pmtu_base(&self, is_ipv6: bool) -> u16 {
        let least = if is_ipv6 { MTU_MIN_IPV6 } else { MTU_MIN };
        self.pmtu_base.max(least).min(self.mtu())
    }

    /// Whether packets on a path of this MTU may be fragmented by IP.
    pub(crate) fn may_fragment(&self, mtu: u16) -> bool {
        !self.discovers_pmtu() || mtu <= MTU_MIN
    }

    /// Whether the MTU of a path is found out.
    pub(crate) fn discovers_pmtu(&self) -> bool {
        DISCOVERIES != 0 && self.pmtu_discovery
    }
}

/// Bytes of headers before the chunks of a packet to `remote`.
pub(crate) const fn headers_len(remote: IpAddr, is_in_udp: bool) -> usize {
    let ip_len = if remote.is_ipv6() { 40 } else { 20 };
    let udp_len = if is_in_udp { 8 } else { 0 };
    ip_len + udp_len + CommonHeader::LEN
}

/// Bytes of chunks in a packet of `mtu` bytes to `remote`: a multiple of 4.
pub(crate) const fn chunks_len_max(mtu: u16, remote: IpAddr, is_in_udp: bool) -> usize {
    (mtu as usize - headers_len(remote, is_in_udp)) & !3
}

impl Default for Config {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// RFC 9260 §6.2.
const SACK_DELAY_MAX: Span = Span(500_000);

const MTU: u16 = 1_500;
/// What every host takes over IPv4, fragmented or not (RFC 1122 §3.3.2), and the least that a
/// report of ICMP brings a path down to.
pub(crate) const MTU_MIN: u16 = 576;
/// What every link carries over IPv6 (RFC 8200 §5).
pub(crate) const MTU_MIN_IPV6: u16 = 1_280;
/// RFC 8899 §5.1.2.
const PMTU_BASE: u16 = 1_200;
const PMTU_PROBES_MAX: u8 = 3;
const PMTU_RAISE_INTERVAL: Duration = Duration::from_secs(600);
/// The second one, 3 s after the first sending at RTO.Min: well before Path.Max.Retrans.
const PMTU_TIMEOUTS_MAX: u8 = 2;
