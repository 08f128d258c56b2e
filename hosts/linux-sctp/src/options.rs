//! Socket options of RFC 6458 §8: what they say, and the kernel's structures for them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::AssociationId;
use crate::address::{self, STORAGE_LEN};
use crate::layout::{Fields, Record};

/// Kinds of notifications that can be asked for (RFC 6458 §6.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// [`Notification::AssociationChange`](crate::Notification::AssociationChange).
    AssociationChange,
    /// [`Notification::AddressChange`](crate::Notification::AddressChange).
    AddressChange,
    /// [`Notification::RemoteError`](crate::Notification::RemoteError).
    RemoteError,
    /// [`Notification::Shutdown`](crate::Notification::Shutdown).
    Shutdown,
    /// [`Notification::PartialDeliveryAborted`](crate::Notification::PartialDeliveryAborted).
    PartialDelivery,
    /// [`Notification::SenderDry`](crate::Notification::SenderDry).
    SenderDry,
    /// [`Notification::SendFailed`](crate::Notification::SendFailed).
    SendFailed,
}

// `sn_type` of the notifications.
pub(crate) const ASSOCIATION_CHANGE: u16 = 0x8001;
pub(crate) const ADDRESS_CHANGE: u16 = 0x8002;
pub(crate) const REMOTE_ERROR: u16 = 0x8004;
pub(crate) const SHUTDOWN: u16 = 0x8005;
pub(crate) const PARTIAL_DELIVERY: u16 = 0x8006;
pub(crate) const SENDER_DRY: u16 = 0x8009;
pub(crate) const SEND_FAILED: u16 = 0x800d;

// Options that libc has no names for.
pub(crate) const SCTP_BINDX_ADD: i32 = 100;
pub(crate) const SCTP_BINDX_REMOVE: i32 = 101;
pub(crate) const SCTP_GET_PEER_ADDRS: i32 = 108;
pub(crate) const SCTP_GET_LOCAL_ADDRS: i32 = 109;
pub(crate) const SCTP_EVENT: i32 = 127;
pub(crate) const SCTP_REMOTE_UDP_ENCAPS_PORT: i32 = 132;

impl Event {
    /// As `struct sctp_event`, of all associations.
    pub(crate) fn option(self, is_on: bool) -> [u8; 8] {
        let kind = match self {
            Self::AssociationChange => ASSOCIATION_CHANGE,
            Self::AddressChange => ADDRESS_CHANGE,
            Self::RemoteError => REMOTE_ERROR,
            Self::Shutdown => SHUTDOWN,
            Self::PartialDelivery => PARTIAL_DELIVERY,
            Self::SenderDry => SENDER_DRY,
            Self::SendFailed => SEND_FAILED,
        };
        *Record::<8>::new().u16(4, kind).with(6, [u8::from(is_on)]).bytes()
    }
}

/// How associations are set up (RFC 6458 §8.1.3); 0 leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InitOptions {
    /// Streams to send on.
    pub outbound_streams: u16,
    /// The most streams that the peer may send on.
    pub inbound_streams_max: u16,
    /// How often INIT is sent.
    pub attempts_max: u16,
    /// The longest time between two of them, in milliseconds.
    pub timeout_ms_max: u16,
}

impl InitOptions {
    /// As `struct sctp_initmsg`.
    pub(crate) fn option(self) -> [u8; 8] {
        *Record::<8>::new()
            .u16(0, self.outbound_streams)
            .u16(2, self.inbound_streams_max)
            .u16(4, self.attempts_max)
            .u16(6, self.timeout_ms_max)
            .bytes()
    }
}

/// Retransmission timeouts (RFC 6458 §8.1.1); zero leaves a value as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtoOptions {
    /// Before the first measurement (RTO.Initial).
    pub initial: Duration,
    /// The least (RTO.Min).
    pub min: Duration,
    /// The largest (RTO.Max).
    pub max: Duration,
}

impl RtoOptions {
    /// As `struct sctp_rtoinfo`.
    pub(crate) fn option(self, association: AssociationId) -> [u8; 16] {
        *Record::<16>::new()
            .i32(0, association.0)
            .u32(4, millis(self.initial))
            .u32(8, millis(self.max))
            .u32(12, millis(self.min))
            .bytes()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        let duration = |offset| Some(Duration::from_millis(fields.u32(offset)?.into()));
        Some(Self { initial: duration(4)?, max: duration(8)?, min: duration(12)? })
    }
}

/// How paths are watched (RFC 6458 §8.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How long a path is idle before it is probed, beyond its RTO; `None`: it is not probed.
    pub interval: Option<Duration>,
    /// Unanswered sendings after which a path is unreachable; `None` leaves it as it is.
    pub path_retransmissions_max: Option<u16>,
}

impl Heartbeat {
    /// As `struct sctp_paddrparams`, of all addresses.
    pub(crate) fn option(self, association: AssociationId) -> [u8; 156] {
        let (flags, interval) = match self.interval {
            None => (HEARTBEATS_OFF, 0),
            // Zero would mean that nothing is said of the interval.
            Some(Duration::ZERO) => (HEARTBEATS_ON | HEARTBEAT_INTERVAL_ZERO, 0),
            Some(interval) => (HEARTBEATS_ON, millis(interval)),
        };
        *Record::<156>::new()
            .i32(0, association.0)
            .with(4, address::storage(ANY))
            .u32(132, interval)
            .u16(136, self.path_retransmissions_max.unwrap_or(0))
            .u32(146, flags)
            .bytes()
    }
}

/// When what was received is acknowledged (RFC 6458 §8.1.19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SackOptions {
    /// After this time at the latest, up to 500 ms.
    pub delay: Duration,
    /// After so many packets at the latest; 1: at once.
    pub packet_count_max: u32,
}

impl SackOptions {
    /// As `struct sctp_sack_info`.
    pub(crate) fn option(self, association: AssociationId) -> [u8; 12] {
        *Record::<12>::new()
            .i32(0, association.0)
            .u32(4, millis(self.delay))
            .u32(8, self.packet_count_max)
            .bytes()
    }
}

/// As `struct sctp_assocparams`, which says how often a peer may stay silent (RFC 6458 §8.1.2).
pub(crate) fn retransmissions(association: AssociationId, count_max: u16) -> [u8; 20] {
    *Record::<20>::new().i32(0, association.0).u16(4, count_max).bytes()
}

/// As `struct sctp_udpencaps`, of all addresses (RFC 6951 §6.1).
pub(crate) fn remote_udp_port(association: AssociationId, port: u16) -> [u8; UDP_ENCAPS_LEN] {
    *Record::<UDP_ENCAPS_LEN>::new()
        .i32(0, association.0)
        .with(UDP_ENCAPS_ADDRESS, address::storage(ANY))
        .with(UDP_ENCAPS_ADDRESS + STORAGE_LEN, port.to_be_bytes())
        .bytes()
}

/// How an association is (RFC 6458 §8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Bytes that the peer has room for.
    pub peer_window_len: u32,
    /// Chunks that were sent and are not acknowledged yet.
    pub unacknowledged_count: u16,
    /// Chunks that were received and not read yet.
    pub unread_count: u16,
    /// Streams that the peer may send on.
    pub inbound_streams: u16,
    /// Streams that we may send on.
    pub outbound_streams: u16,
    /// The primary address of the peer.
    pub primary: Option<SocketAddr>,
    /// The smoothed round-trip time to it; `None` if it was not measured yet or is shorter than
    /// the kernel's tick, in which it is measured (1 to 10 ms).
    pub srtt: Option<Duration>,
    /// The retransmission timeout of it.
    pub rto: Duration,
    /// The largest packet to it.
    pub mtu: u32,
}

/// Bytes of `struct sctp_status`.
pub(crate) const STATUS_LEN: usize = 176;

impl Status {
    /// The question for [`parse`](Self::parse).
    pub(crate) fn option(association: AssociationId) -> [u8; STATUS_LEN] {
        *Record::<STATUS_LEN>::new().i32(0, association.0).bytes()
    }

    /// Reads `struct sctp_status`; the round-trip time is told in ticks of length `tick`, all
    /// other times are in milliseconds.
    pub(crate) fn parse(bytes: &[u8], tick: Duration) -> Option<Self> {
        let fields = Fields(bytes);
        let ticks = fields.u32(164)?;
        Some(Self {
            peer_window_len: fields.u32(8)?,
            unacknowledged_count: fields.u16(12)?,
            unread_count: fields.u16(14)?,
            inbound_streams: fields.u16(16)?,
            outbound_streams: fields.u16(18)?,
            primary: address::decode(fields.rest(28)),
            srtt: (ticks > 0).then(|| tick.saturating_mul(ticks)),
            rto: Duration::from_millis(fields.u32(168)?.into()),
            mtu: fields.u32(172)?,
        })
    }
}

/// Whole milliseconds, at least one unless it is none at all.
fn millis(duration: Duration) -> u32 {
    let rounded_up = duration.as_micros().div_ceil(1_000);
    u32::try_from(rounded_up).unwrap_or(u32::MAX)
}

/// Stands for all addresses of an association.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

// `SPP_*`
const HEARTBEATS_ON: u32 = 1 << 0;
const HEARTBEATS_OFF: u32 = 1 << 1;
const HEARTBEAT_INTERVAL_ZERO: u32 = 1 << 7;

/// The structure is not packed, so its address is aligned as `sockaddr_storage` is.
const UDP_ENCAPS_ADDRESS: usize = align_of::<libc::sockaddr_storage>();
const UDP_ENCAPS_LEN: usize =
    (UDP_ENCAPS_ADDRESS + STORAGE_LEN + 2).next_multiple_of(UDP_ENCAPS_ADDRESS);

const _: () = {
    assert!(size_of::<libc::sctp_initmsg>() == 8);
    assert!(UDP_ENCAPS_LEN == if size_of::<usize>() == 8 { 144 } else { 136 });
};

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: AssociationId = AssociationId(9);

    fn u32_at(bytes: &[u8], offset: usize) -> u32 {
        Fields(bytes).u32(offset).unwrap()
    }

    #[test]
    fn an_event_is_named_by_its_notification() {
        let on = Event::SendFailed.option(true);
        assert_eq!(Fields(&on).u16(4), Some(0x800d));
        assert_eq!((on[6], Event::Shutdown.option(false)[6]), (1, 0));
    }

    #[test]
    fn timeouts_are_in_milliseconds_and_come_back() {
        let options = RtoOptions {
            initial: Duration::from_secs(1),
            min: Duration::from_millis(250),
            max: Duration::from_secs(60),
        };
        let bytes = options.option(NINE);
        let words = [0, 4, 8, 12].map(|offset| u32_at(&bytes, offset));
        assert_eq!(words, [9, 1_000, 60_000, 250]);
        assert_eq!(RtoOptions::parse(&bytes), Some(options));
        assert_eq!(RtoOptions::parse(&bytes[..15]), None);
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_one_and_not_none() {
        assert_eq!(millis(Duration::from_micros(10)), 1);
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::MAX), u32::MAX);
    }

    #[test]
    fn heartbeats_are_switched_on_and_off() {
        let on = Heartbeat {
            interval: Some(Duration::from_secs(3)),
            path_retransmissions_max: Some(5),
        };
        let bytes = on.option(NINE);
        assert_eq!((u32_at(&bytes, 132), u32_at(&bytes, 146)), (3_000, 1));
        assert_eq!(Fields(&bytes).u16(136), Some(5));
        let off = Heartbeat { interval: None, path_retransmissions_max: None };
        assert_eq!(u32_at(&off.option(NINE), 146), 2);
        let always = Heartbeat { interval: Some(Duration::ZERO), ..off };
        assert_eq!(u32_at(&always.option(NINE), 146), 0x81);
    }

    #[test]
    fn the_udp_port_stands_behind_the_address_in_the_order_of_the_wire() {
        let bytes = remote_udp_port(AssociationId::default(), 9_899);
        let offset = size_of::<usize>() + 128;
        assert_eq!(bytes[offset..offset + 2], [0x26, 0xab]);
    }

    #[test]
    fn the_round_trip_time_is_in_ticks_and_the_timeout_in_milliseconds() {
        let address = "10.0.0.1:3863".parse().unwrap();
        let status = |ticks| {
            let bytes = Record::<STATUS_LEN>::new()
                .u32(8, 106_496)
                .u16(12, 3)
                .u16(14, 4)
                .u16(16, 5)
                .u16(18, 6)
                .with(28, address::storage(address))
                .u32(164, ticks)
                .u32(168, 1_000)
                .u32(172, 1_500);
            Status::parse(bytes.bytes(), Duration::from_millis(4))
        };
        let expected = Status {
            peer_window_len: 106_496,
            unacknowledged_count: 3,
            unread_count: 4,
            inbound_streams: 5,
            outbound_streams: 6,
            primary: Some(address),
            srtt: Some(Duration::from_millis(260)),
            rto: Duration::from_secs(1),
            mtu: 1_500,
        };
        assert_eq!(status(65), Some(expected));
        assert_eq!(status(0).unwrap().srtt, None);
    }

    #[test]
    fn a_cut_status_is_none() {
        let bytes = Status::option(NINE);
        for len in 0..STATUS_LEN {
            assert_eq!(Status::parse(&bytes[..len], Duration::from_millis(1)), None, "{len}");
        }
    }
}
