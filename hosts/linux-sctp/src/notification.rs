//! Notifications of the kernel (RFC 6458 §6).

use std::net::SocketAddr;

use crate::address;
use crate::control::SendInfo;
use crate::layout::Fields;
use crate::{AssociationId, options};

/// What the kernel tells of associations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notification {
    /// An association came, went or restarted (§6.1.1).
    AssociationChange {
        /// Which one.
        association: AssociationId,
        /// What happened to it.
        change: AssociationChange,
        /// The error cause of an abort, 0 if none (RFC 9260 §3.3.10).
        cause: u16,
        /// How many streams we may send on.
        outbound_streams: u16,
        /// How many streams the peer may send on.
        inbound_streams: u16,
        /// The causes in the peer's ABORT, if it sent one.
        info: Vec<u8>,
    },
    /// An address of the peer has changed its state (§6.1.2).
    AddressChange {
        /// Of which association.
        association: AssociationId,
        /// The address.
        address: SocketAddr,
        /// What happened to it.
        change: AddressChange,
    },
    /// The peer reports an error (§6.1.3).
    RemoteError {
        /// Of which association.
        association: AssociationId,
        /// The error cause.
        cause: u16,
        /// The whole report.
        data: Vec<u8>,
    },
    /// A message was not delivered (§6.1.11).
    SendFailed {
        /// Of which association.
        association: AssociationId,
        /// Whether it had been on the wire, so that the peer may have it all the same.
        was_sent: bool,
        /// The error, as the kernel has it.
        error: u32,
        /// How it was to be sent.
        info: SendInfo,
        /// The message.
        data: Vec<u8>,
    },
    /// The peer ends the association and takes no more messages (§6.1.5).
    Shutdown {
        /// Which one.
        association: AssociationId,
    },
    /// The rest of a message that came in parts will not come (§6.1.7).
    PartialDeliveryAborted {
        /// Of which association.
        association: AssociationId,
        /// Of which stream.
        stream: u16,
    },
    /// All that was sent is acknowledged (§6.1.9).
    SenderDry {
        /// In which association.
        association: AssociationId,
    },
    /// One that this crate does not know.
    Other {
        /// Its `sn_type`.
        kind: u16,
    },
}

/// What happened to an association (`sac_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssociationChange {
    /// It is up.
    Up,
    /// It is gone: aborted by either side, or the peer does not answer any more.
    Lost,
    /// The peer restarted.
    Restarted,
    /// It was shut down gracefully.
    ShutDown,
    /// It did not come up.
    CannotStart,
    /// One that this crate does not know.
    Other(u16),
}

/// What happened to an address (`spc_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressChange {
    /// It can be reached again.
    Available,
    /// It cannot be reached any more.
    Unreachable,
    /// It belongs to the association no longer.
    Removed,
    /// It is new in the association.
    Added,
    /// It is the primary one now.
    MadePrimary,
    /// It is the peer's, as a heartbeat has shown.
    Confirmed,
    /// It may be unreachable (RFC 7829).
    PotentiallyFailed,
    /// One that this crate does not know.
    Other(i32),
}

impl Notification {
    /// Reads one; `None` if it is shorter than its kind demands.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Fields(bytes);
        let association = |offset| fields.i32(offset).map(AssociationId);
        Some(match fields.u16(0)? {
            options::ASSOCIATION_CHANGE => Self::AssociationChange {
                association: association(16)?,
                change: AssociationChange::of(fields.u16(8)?),
                // The kernel leaves it in the order of the wire.
                cause: fields.u16_be(10)?,
                outbound_streams: fields.u16(12)?,
                inbound_streams: fields.u16(14)?,
                info: fields.rest(20).to_vec(),
            },
            options::ADDRESS_CHANGE => Self::AddressChange {
                association: association(144)?,
                address: address::decode(fields.rest(8))?,
                change: AddressChange::of(fields.i32(136)?),
            },
            options::REMOTE_ERROR => Self::RemoteError {
                association: association(12)?,
                cause: fields.u16_be(8)?,
                data: fields.rest(16).to_vec(),
            },
            options::SEND_FAILED => Self::SendFailed {
                association: association(28)?,
                was_sent: fields.u16(2)? == DATA_SENT,
                error: fields.u32(8)?,
                info: SendInfo::parse(Fields(fields.rest(12)))?,
                data: fields.rest(32).to_vec(),
            },
            options::SHUTDOWN => Self::Shutdown { association: association(8)? },
            options::PARTIAL_DELIVERY => Self::PartialDeliveryAborted {
                association: association(12)?,
                stream: u16::try_from(fields.u32(16)?).ok()?,
            },
            options::SENDER_DRY => Self::SenderDry { association: association(8)? },
            kind => Self::Other { kind },
        })
    }
}

impl AssociationChange {
    fn of(state: u16) -> Self {
        match state {
            0 => Self::Up,
            1 => Self::Lost,
            2 => Self::Restarted,
            3 => Self::ShutDown,
            4 => Self::CannotStart,
            other => Self::Other(other),
        }
    }
}

impl AddressChange {
    fn of(state: i32) -> Self {
        match state {
            0 => Self::Available,
            1 => Self::Unreachable,
            2 => Self::Removed,
            3 => Self::Added,
            4 => Self::MadePrimary,
            5 => Self::Confirmed,
            6 => Self::PotentiallyFailed,
            other => Self::Other(other),
        }
    }
}

/// `SCTP_DATA_SENT`.
const DATA_SENT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Record;

    const SEVEN: AssociationId = AssociationId(7);

    fn notification<const LEN: usize>(kind: u16) -> Record<LEN> {
        Record::<LEN>::new().u16(0, kind).u32(4, LEN as u32)
    }

    #[test]
    fn an_association_that_the_peer_aborted_has_its_causes() {
        // User-Initiated Abort (12) with four bytes.
        let bytes = notification::<28>(0x8001)
            .u16(8, 1)
            .with(10, [0, 12])
            .i32(16, 7)
            .with(20, [0, 12, 0, 8, 1, 2, 3, 4]);
        let expected = Notification::AssociationChange {
            association: SEVEN,
            change: AssociationChange::Lost,
            cause: 12,
            outbound_streams: 0,
            inbound_streams: 0,
            info: vec![0, 12, 0, 8, 1, 2, 3, 4],
        };
        assert_eq!(Notification::parse(bytes.bytes()), Some(expected));
    }

    #[test]
    fn an_association_that_is_up_has_its_streams() {
        let bytes = notification::<20>(0x8001).u16(12, 10).u16(14, 4).i32(16, 7);
        let expected = Notification::AssociationChange {
            association: SEVEN,
            change: AssociationChange::Up,
            cause: 0,
            outbound_streams: 10,
            inbound_streams: 4,
            info: Vec::new(),
        };
        assert_eq!(Notification::parse(bytes.bytes()), Some(expected));
    }

    #[test]
    fn an_address_that_is_unreachable_is_named() {
        let address = "[2001:db8::7]:3863".parse().unwrap();
        let bytes =
            notification::<148>(0x8002).with(8, address::storage(address)).i32(136, 1).i32(144, 7);
        let change = AddressChange::Unreachable;
        let expected = Notification::AddressChange { association: SEVEN, address, change };
        assert_eq!(Notification::parse(bytes.bytes()), Some(expected));
    }

    #[test]
    fn a_message_that_failed_comes_back() {
        let bytes = notification::<35>(0x800d)
            .u16(2, 1)
            .u32(8, 110)
            .u16(12, 3)
            .with(16, [0, 0, 0, 11])
            .u32(20, 99)
            .i32(24, 7)
            .i32(28, 7)
            .with(32, *b"abc");
        let info = SendInfo {
            association: SEVEN,
            stream: 3,
            ppid: 11,
            context: 99,
            ..SendInfo::default()
        };
        let data = b"abc".to_vec();
        let expected = Notification::SendFailed {
            association: SEVEN,
            was_sent: true,
            error: 110,
            info,
            data,
        };
        assert_eq!(Notification::parse(bytes.bytes()), Some(expected));
    }

    #[test]
    fn small_ones_name_their_association() {
        let shutdown = notification::<12>(0x8005).i32(8, 7);
        let expected = Notification::Shutdown { association: SEVEN };
        assert_eq!(Notification::parse(shutdown.bytes()), Some(expected));
        let dry = notification::<12>(0x8009).i32(8, 7);
        let expected = Notification::SenderDry { association: SEVEN };
        assert_eq!(Notification::parse(dry.bytes()), Some(expected));
        let partial = notification::<24>(0x8006).i32(12, 7).u32(16, 3);
        let expected = Notification::PartialDeliveryAborted { association: SEVEN, stream: 3 };
        assert_eq!(Notification::parse(partial.bytes()), Some(expected));
        let error = notification::<20>(0x8004).with(8, [0, 1]).i32(12, 7);
        let expected =
            Notification::RemoteError { association: SEVEN, cause: 1, data: vec![0; 4] };
        assert_eq!(Notification::parse(error.bytes()), Some(expected));
    }

    #[test]
    fn an_unknown_one_is_kept_apart() {
        let bytes = notification::<8>(0x8099);
        assert_eq!(Notification::parse(bytes.bytes()), Some(Notification::Other { kind: 0x8099 }));
    }

    #[test]
    fn one_that_is_cut_is_none() {
        let shortest = [
            (0x8001_u16, 20_usize),
            (0x8002, 148),
            (0x8004, 16),
            (0x8005, 12),
            (0x8006, 20),
            (0x8009, 12),
            (0x800d, 32),
        ];
        for (kind, whole) in shortest {
            let mut bytes = [0; 148];
            bytes[..2].copy_from_slice(&kind.to_ne_bytes());
            bytes[8..8 + 128].copy_from_slice(&address::storage("10.0.0.1:1".parse().unwrap()));
            for len in 0..whole {
                assert_eq!(Notification::parse(&bytes[..len]), None, "{kind:#x}, {len} bytes");
            }
        }
    }
}
