//! Ancillary data: what goes and comes beside a message (RFC 6458 §5.3).

use std::ops::BitOr;

use crate::AssociationId;
use crate::layout::{Fields, Record};

/// Where a message goes to, and how (RFC 6458 §5.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendInfo {
    /// To which association.
    pub association: AssociationId,
    /// On which stream.
    pub stream: u16,
    /// The payload protocol identifier, in this machine's order.
    pub ppid: u32,
    /// What else is to be done.
    pub flags: SendFlags,
    /// Comes back in [`Notification::SendFailed`](crate::Notification::SendFailed).
    pub context: u32,
}

/// Flags of a message (RFC 6458 §5.3.4); they can be joined with `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendFlags(u16);

impl SendFlags {
    /// An ordinary message.
    pub const NONE: Self = Self(0);
    /// Not in the order of its stream.
    pub const UNORDERED: Self = Self(libc::SCTP_UNORDERED as u16);
    /// To be acknowledged at once (RFC 7053).
    pub const SACK_IMMEDIATELY: Self = Self(libc::SCTP_SACK_IMMEDIATELY as u16);
    /// Ends the association at once; the data is the reason.
    pub const ABORT: Self = Self(libc::SCTP_ABORT as u16);
    /// Ends the association when all is delivered; without data.
    pub const EOF: Self = Self(libc::SCTP_EOF as u16);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for SendFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl SendInfo {
    /// As control data with one `SCTP_SNDINFO`.
    pub(crate) fn to_control(self) -> [u8; SEND_CONTROL_LEN] {
        *Record::<SEND_CONTROL_LEN>::new()
            .with(0, (HEADER_LEN + SNDINFO_LEN).to_ne_bytes())
            .i32(LEVEL_OFFSET, libc::IPPROTO_SCTP)
            .i32(LEVEL_OFFSET + 4, libc::SCTP_SNDINFO)
            .u16(HEADER_LEN, self.stream)
            .u16(HEADER_LEN + 2, self.flags.0)
            // Opaque to the kernel, so in the order of the wire.
            .u32(HEADER_LEN + 4, self.ppid.to_be())
            .u32(HEADER_LEN + 8, self.context)
            .i32(HEADER_LEN + 12, self.association.0)
            .bytes()
    }

    /// Reads a `struct sctp_sndinfo` that came back.
    pub(crate) fn parse(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            stream: fields.u16(0)?,
            flags: SendFlags(fields.u16(2)?),
            ppid: fields.u32_be(4)?,
            context: fields.u32(8)?,
            association: AssociationId(fields.i32(12)?),
        })
    }
}

/// Where a message came from (RFC 6458 §5.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveInfo {
    /// From which association.
    pub association: AssociationId,
    /// On which stream.
    pub stream: u16,
    /// Its stream sequence number.
    pub ssn: u16,
    /// Whether it was sent out of order.
    pub is_unordered: bool,
    /// The payload protocol identifier, in this machine's order.
    pub ppid: u32,
    /// The transmission sequence number of its (first) chunk.
    pub tsn: u32,
}

impl ReceiveInfo {
    /// Finds the `SCTP_RCVINFO` in control data.
    pub(crate) fn from_control(mut control: &[u8]) -> Option<Self> {
        loop {
            let header = Fields(control);
            let len = header.usize(0)?;
            let is_ours = header.i32(LEVEL_OFFSET)? == libc::IPPROTO_SCTP
                && header.i32(LEVEL_OFFSET + 4)? == libc::SCTP_RCVINFO;
            if is_ours {
                return Self::parse(Fields(control.get(HEADER_LEN..len)?));
            }
            if len < HEADER_LEN {
                return None;
            }
            control = control.get(len.checked_next_multiple_of(align_of::<usize>())?..)?;
        }
    }

    fn parse(fields: Fields<'_>) -> Option<Self> {
        Some(Self {
            stream: fields.u16(0)?,
            ssn: fields.u16(2)?,
            is_unordered: SendFlags(fields.u16(4)?).contains(SendFlags::UNORDERED),
            ppid: fields.u32_be(8)?,
            tsn: fields.u32(12)?,
            association: AssociationId(fields.i32(24)?),
        })
    }
}

/// Bytes of a `cmsghdr`: length, level and type.
const HEADER_LEN: usize = size_of::<usize>() + 8;
const LEVEL_OFFSET: usize = size_of::<usize>();
const SNDINFO_LEN: usize = size_of::<libc::sctp_sndinfo>();
const SEND_CONTROL_LEN: usize = HEADER_LEN + SNDINFO_LEN;

/// Room for what comes beside a message.
pub(crate) const RECEIVE_CONTROL_LEN: usize =
    2 * (HEADER_LEN + size_of::<libc::sctp_rcvinfo>().next_multiple_of(align_of::<usize>()));

const _: () = {
    assert!(SNDINFO_LEN == 16 && std::mem::offset_of!(libc::sctp_sndinfo, snd_assoc_id) == 12);
    assert!(std::mem::offset_of!(libc::sctp_rcvinfo, rcv_ppid) == 8);
    assert!(std::mem::offset_of!(libc::sctp_rcvinfo, rcv_tsn) == 12);
    assert!(std::mem::offset_of!(libc::sctp_rcvinfo, rcv_assoc_id) == 24);
    assert!(HEADER_LEN == size_of::<libc::cmsghdr>());
    assert!(SEND_CONTROL_LEN.is_multiple_of(align_of::<libc::cmsghdr>()));
};

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: usize, level: i32, kind: i32) -> Vec<u8> {
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes
    }

    /// An `SCTP_RCVINFO` of association 7: stream 3, SSN 9, unordered, PPID 11, TSN 0x01020304.
    fn receive_control() -> Vec<u8> {
        let mut bytes = header(HEADER_LEN + 28, libc::IPPROTO_SCTP, libc::SCTP_RCVINFO);
        for field in [3_u16, 9, 1, 0] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes.extend([0, 0, 0, 11]);
        for field in [0x0102_0304_u32, 0, 0, 7] {
            bytes.extend(field.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn the_ppid_is_sent_in_the_order_of_the_wire() {
        let info = SendInfo {
            association: AssociationId(5),
            stream: 2,
            ppid: 0x5253_5043,
            flags: SendFlags::UNORDERED | SendFlags::SACK_IMMEDIATELY,
            context: 8,
        };
        let control = info.to_control();
        assert_eq!(control[HEADER_LEN + 4..HEADER_LEN + 8], *b"RSPC");
        assert_eq!(SendInfo::parse(Fields(&control[HEADER_LEN..])), Some(info));
        let (len, kind) = (HEADER_LEN + 16, libc::SCTP_SNDINFO);
        assert_eq!(control[..HEADER_LEN], header(len, libc::IPPROTO_SCTP, kind));
    }

    #[test]
    fn the_flags_are_those_of_the_kernel() {
        assert_eq!((SendFlags::ABORT.0, SendFlags::EOF.0), (4, 0x200));
        assert!((SendFlags::ABORT | SendFlags::UNORDERED).contains(SendFlags::ABORT));
        assert!(!SendFlags::EOF.contains(SendFlags::ABORT));
    }

    #[test]
    fn the_receive_information_is_found_behind_other_control_data() {
        let expected = ReceiveInfo {
            association: AssociationId(7),
            stream: 3,
            ssn: 9,
            is_unordered: true,
            ppid: 11,
            tsn: 0x0102_0304,
        };
        assert_eq!(ReceiveInfo::from_control(&receive_control()), Some(expected));
        let mut both = header(HEADER_LEN + 1, libc::SOL_SOCKET, 1);
        both.resize((HEADER_LEN + 1).next_multiple_of(align_of::<usize>()), 0);
        both.extend(receive_control());
        assert_eq!(ReceiveInfo::from_control(&both), Some(expected));
    }

    #[test]
    fn cut_control_data_has_no_receive_information() {
        let control = receive_control();
        for len in 0..control.len() {
            assert_eq!(ReceiveInfo::from_control(&control[..len]), None, "{len} bytes");
        }
        for len in [0, 1, usize::MAX] {
            let lying = [header(len, 0, 0), receive_control()].concat();
            assert_eq!(ReceiveInfo::from_control(&lying), None, "length {len}");
        }
    }
}
