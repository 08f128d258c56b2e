//! Writes the chunks of one packet into the caller's buffer.
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

use super::{Cause, ChunkType, DataChunk, GapBlock};
use crate::sctp::serial::Tsn;

/// A packet under construction.
///
/// A chunk that does not fit is refused and leaves the packet as it was.
#[derive(Debug)]
pub(crate) struct PacketWriter<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> PacketWriter<'b> {
    /// An empty packet in `buf`, which is no longer than the packet may become.
    pub(crate) const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// The bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends a chunk whose value is `parts` in a row; pads it. Whether it fitted.
    #[must_use]
    pub(crate) fn chunk(&mut self, kind: u8, flags: u8, parts: &[&[u8]]) -> bool {
        let value_len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let len = value_len.saturating_add(4);
        let Ok(wire_len) = u16::try_from(len) else { return false };
        let Some(mut room) =
            self.buf.get_mut(self.len..).and_then(|room| room.get_mut(..len.next_multiple_of(4)))
        else {
            return false;
        };
        let [high, low] = wire_len.to_be_bytes();
        self.len = self.len.saturating_add(room.len());
        for part in [&[kind, flags, high, low][..]].iter().chain(parts) {
            let Some(here) = room.split_off_mut(..part.len()) else { break };
            here.copy_from_slice(part);
        }
        room.fill(0);
        true
    }

    /// Appends an ABORT or ERROR chunk with one cause, or none. Whether it fitted.
    #[must_use]
    pub(crate) fn cause(&mut self, kind: ChunkType, flags: u8, cause: Cause, info: &[u8]) -> bool {
        if cause == Cause::NONE {
            return self.chunk(kind.0, flags, &[]);
        }
        let Ok(len) = u16::try_from(info.len().saturating_add(4)) else { return false };
        let ([c0, c1], [l0, l1]) = (cause.0.to_be_bytes(), len.to_be_bytes());
        self.chunk(kind.0, flags, &[&[c0, c1, l0, l1], info])
    }

    /// Appends a DATA chunk; its user data is `chunk.payload` and then `wrapped`, the second part
    /// where it comes from a ring. Whether it fitted.
    #[must_use]
    pub(crate) fn data(&mut self, chunk: &DataChunk<'_>, wrapped: &[u8]) -> bool {
        let [a, b, c, d] = chunk.tsn.0.to_be_bytes();
        let [e, f] = chunk.stream.to_be_bytes();
        let [g, h] = chunk.ssn.0.to_be_bytes();
        let fixed = [a, b, c, d, e, f, g, h];
        let ppid = chunk.ppid.to_be_bytes();
        self.chunk(0, chunk.flags(), &[&fixed, &ppid, chunk.payload, wrapped])
    }

    /// Fills the rest of the packet, at least 4 bytes, with a PAD chunk. RFC 4820 §3.
    pub(crate) fn pad(&mut self) {
        let room = self.buf.get_mut(self.len..).unwrap_or_default();
        let Ok(wire_len) = u16::try_from(room.len()) else { return };
        let Some((header, padding)) = room.split_first_chunk_mut::<4>() else { return };
        let [high, low] = wire_len.to_be_bytes();
        *header = [ChunkType::PAD.0, 0, high, low];
        padding.fill(0);
        self.len = self.buf.len();
    }

    /// Appends a SACK with as many gap blocks, then duplicates, as fit. Whether it fitted at all.
    #[must_use]
    pub(crate) fn sack(
        &mut self,
        cumulative: Tsn,
        a_rwnd: u32,
        gaps: impl Iterator<Item = GapBlock>,
        duplicates: impl Iterator<Item = Tsn>,
    ) -> bool {
        let Some(room) = self.buf.get_mut(self.len..) else { return false };
        let Some((fixed, lists)) = room.split_first_chunk_mut::<16>() else { return false };
        let (slots, _) = lists.as_chunks_mut::<4>();
        let mut slots = slots.iter_mut();
        let (mut gap_count, mut duplicate_count) = (0_u16, 0_u16);
        // The order of `zip` matters: a slot is taken only for a block that exists.
        for (gap, slot) in gaps.zip(slots.by_ref()) {
            let ([a, b], [c, d]) = (gap.start.to_be_bytes(), gap.end.to_be_bytes());
            *slot = [a, b, c, d];
            gap_count = gap_count.saturating_add(1);
        }
        for (tsn, slot) in duplicates.zip(slots) {
            *slot = tsn.0.to_be_bytes();
            duplicate_count = duplicate_count.saturating_add(1);
        }
        let count = usize::from(gap_count).saturating_add(usize::from(duplicate_count));
        let len = count.saturating_mul(4).saturating_add(16);
        let [l0, l1] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let [c0, c1, c2, c3] = cumulative.0.to_be_bytes();
        let [w0, w1, w2, w3] = a_rwnd.to_be_bytes();
        let ([g0, g1], [d0, d1]) = (gap_count.to_be_bytes(), duplicate_count.to_be_bytes());
        *fixed = [3, 0, l0, l1, c0, c1, c2, c3, w0, w1, w2, w3, g0, g1, d0, d1];
        self.len = self.len.saturating_add(len);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sctp::serial::Ssn;

    #[test]
    fn a_data_chunk_is_padded_and_its_padding_not_counted() {
        let mut buf = [0xff; 24];
        let mut writer = PacketWriter::new(&mut buf);
        let chunk = DataChunk {
            tsn: Tsn(0x0102_0304),
            stream: 5,
            ssn: Ssn(6),
            ppid: 11,
            immediate: false,
            unordered: false,
            beginning: true,
            ending: true,
            payload: b"ab",
        };
        assert!(writer.data(&chunk, b"c"));
        assert_eq!(writer.len(), 20);
        assert!(!writer.data(&chunk, b"c"));
        assert_eq!(
            buf[..20],
            [0, 3, 0, 19, 1, 2, 3, 4, 0, 5, 0, 6, 0, 0, 0, 11, b'a', b'b', b'c', 0]
        );
    }

    #[test]
    fn a_sack_is_cut_to_the_room_gaps_first() {
        let gaps = [GapBlock { start: 2, end: 3 }, GapBlock { start: 5, end: 5 }];
        let mut buf = [0; 27];
        let mut writer = PacketWriter::new(&mut buf);
        let (gaps, duplicates) = (gaps.into_iter(), [Tsn(9)].into_iter());
        assert!(writer.sack(Tsn(1), 0x1000, gaps, duplicates));
        assert_eq!(writer.len(), 24);
        assert_eq!(
            buf[..24],
            [3, 0, 0, 24, 0, 0, 0, 1, 0, 0, 16, 0, 0, 2, 0, 0, 0, 2, 0, 3, 0, 5, 0, 5]
        );
    }
}
