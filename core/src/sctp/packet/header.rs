//! The common header (RFC 9260 §3.1): source port 16, destination port 16, tag 32, CRC32c 32.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use nom::IResult;
use nom::bytes::complete::take;

use super::crc::Crc32c;
use super::framing::{be_u16, be_u32};

/// The common header, its checksum apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommonHeader {
    /// The sender's port.
    pub(crate) source_port: u16,
    /// The receiver's port.
    pub(crate) destination_port: u16,
    /// The verification tag.
    pub(crate) tag: u32,
}

impl CommonHeader {
    /// Its length, checksum included.
    pub(crate) const LEN: usize = 12;

    /// Takes a packet apart into header and chunks.
    pub(crate) fn parse(packet: &[u8]) -> IResult<&[u8], Self> {
        let (rest, source_port) = be_u16(packet)?;
        let (rest, destination_port) = be_u16(rest)?;
        let (rest, tag) = be_u32(rest)?;
        let (rest, _) = take(4_usize)(rest)?;
        Ok((rest, Self { source_port, destination_port, tag }))
    }

    /// Writes the header at the start of `packet`, whose chunks are there already, and its
    /// checksum. Does nothing if there is no room for a header.
    pub(crate) fn emit(&self, packet: &mut [u8]) {
        let Some(header) = packet.first_chunk_mut::<{ Self::LEN }>() else { return };
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [t0, t1, t2, t3] = self.tag.to_be_bytes();
        *header = [s0, s1, d0, d1, t0, t1, t2, t3, 0, 0, 0, 0];
        let checksum = Crc32c::of(packet).to_le_bytes();
        if let Some(field) = packet.get_mut(CHECKSUM_AT..Self::LEN) {
            field.copy_from_slice(&checksum);
        }
    }
}

/// Whether the checksum of `packet` is right (RFC 9260 §6.8, appendix A).
pub(crate) fn checksum_is_right(packet: &[u8]) -> bool {
    let Some((head, rest)) = packet.split_at_checked(CHECKSUM_AT) else { return false };
    let Some((&field, chunks)) = rest.split_first_chunk::<4>() else { return false };
    let computed = Crc32c::new().update(head).update(&[0; 4]).update(chunks).finish();
    computed == u32::from_le_bytes(field)
}

const CHECKSUM_AT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        let header = CommonHeader { source_port: 1, destination_port: 2, tag: 0x0102_0304 };
        let mut packet = [0; 16];
        packet[12..].copy_from_slice(&[11, 0, 0, 4]);
        header.emit(&mut packet);
        assert!(checksum_is_right(&packet));
        assert_eq!(CommonHeader::parse(&packet), Ok((&[11, 0, 0, 4][..], header)));
        for at in 0..packet.len() {
            let mut broken = packet;
            broken[at] ^= 0x10;
            assert!(!checksum_is_right(&broken), "{at}");
        }
    }

    #[test]
    fn a_truncated_header_is_refused_at_each_length() {
        for len in 0..12 {
            assert!(CommonHeader::parse(&[0; 12][..len]).is_err());
            assert!(!checksum_is_right(&[0; 12][..len]));
        }
    }
}
